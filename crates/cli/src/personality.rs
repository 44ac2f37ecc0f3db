//! `aiosctl` under the names `systemctl` and `systemd-run`, for programs that take a machine for one that systemd runs.
//!
//! bootc starts the unit that finalizes a staged image, and reboots (bootc 1.16: `crates/lib/src/bootc_composefs/service.rs`,
//! `crates/lib/src/reboot.rs`). Exactly these calls are answered, by the supervisor. Every other one is refused with a
//! sentence that names the command to use here instead: a call that quietly did nothing would be taken for done.

use std::path::Path;

use aios_client::{Failure, Kind};
use aios_proto::init::v1::{FinalizeAtShutdownRequest, ShutdownRequest};

use crate::exit::Exit;
use crate::instance::Instance;
use crate::problem;
use crate::terminal::Terminal;

/// The unit by which bootc's staged image is finalized.
const FINALIZE: &str = "bootc-finalize-staged.service";
/// Where it says what is here instead of systemd.
const PAGE: &str = "docs/architecture/BOOT.md";

/// A program of systemd's that this one stands in for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Personality {
    /// `systemctl`.
    Systemctl,
    /// `systemd-run`.
    SystemdRun,
}

/// A call that is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Call {
    /// What is staged shall be finalized by the next shutdown.
    Finalize,
    /// End everything: `reboot` or `poweroff`, and why.
    Shutdown { kind: &'static str, why: String },
}

impl Personality {
    /// By the name that this program was started with, its `argv[0]`.
    pub(crate) fn of(called: &str) -> Option<Self> {
        match Path::new(called).file_name()?.to_str()? {
            "systemctl" => Some(Self::Systemctl),
            "systemd-run" => Some(Self::SystemdRun),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Systemctl => "systemctl",
            Self::SystemdRun => "systemd-run",
        }
    }

    /// Answers a call.
    pub(crate) async fn run(self, words: &[String], instance: &Instance, terminal: &mut Terminal) -> Exit {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let call = match parse(self, &words) {
            Ok(call) => call,
            Err(instead) => {
                let called = format!("{} {}", self.name(), words.join(" "));
                problem::report(&refusal(called.trim(), &instead), terminal);
                return Exit::Failed;
            }
        };
        match ask(&call, instance).await {
            Ok(()) => {
                if let Call::Shutdown { why, .. } = &call
                    && !why.is_empty()
                {
                    terminal.note(why);
                }
                Exit::Done
            }
            Err(error) => {
                problem::report(&error, terminal);
                Exit::Failed
            }
        }
    }
}

fn refusal(called: &str, instead: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        "AIOS-CLI-0020",
        format!("`{called}` is not answered here: aios-init runs this machine, not systemd"),
        instead,
    )
}

async fn ask(call: &Call, instance: &Instance) -> Result<(), Failure> {
    let mut init = instance.services.init().await?;
    match call {
        Call::Finalize => {
            init.finalize_at_shutdown(FinalizeAtShutdownRequest {}).await?;
        }
        Call::Shutdown { kind, .. } => {
            let kind = (*kind).to_owned();
            init.shutdown(ShutdownRequest { kind }).await?;
        }
    }
    Ok(())
}

/// What is called for, or what to use instead.
fn parse(personality: Personality, words: &[&str]) -> Result<Call, String> {
    match (personality, words) {
        (Personality::Systemctl, words) => systemctl(words),
        // bootc lets a service of its own do the reboot, so that its own end does not stop it. Here init does it.
        (Personality::SystemdRun, ["--quiet", "--", "systemctl", words @ ..]) => match systemctl(words) {
            Ok(call @ Call::Shutdown { .. }) => Ok(call),
            _ => Err(transient()),
        },
        (Personality::SystemdRun, _) => Err(transient()),
    }
}

fn transient() -> String {
    "write a service file below /etc/aios/services and use `aiosctl service reload` and `aiosctl service start NAME`, \
     or `aiosctl schedule add` for what is done at given times"
        .to_owned()
}

fn systemctl(words: &[&str]) -> Result<Call, String> {
    let shutdown = |kind, why: &str| {
        let why = why.to_owned();
        Ok(Call::Shutdown { kind, why })
    };
    match words {
        ["start", "--quiet", FINALIZE] | ["start", FINALIZE] => Ok(Call::Finalize),
        ["reboot"] => shutdown("reboot", ""),
        ["poweroff"] => shutdown("poweroff", ""),
        ["reboot", option] | ["poweroff", option] if option.starts_with("--message=") => {
            let why = option.split_once('=').map_or("", |(_, why)| why);
            let reboot = words.first() == Some(&"reboot");
            shutdown(if reboot { "reboot" } else { "poweroff" }, why)
        }
        _ => Err(instead_of(words)),
    }
}

/// What to use here instead of a verb of systemctl.
fn instead_of(words: &[&str]) -> String {
    let mut plain = words.iter().filter(|word| !word.starts_with('-'));
    let verb = plain.next().copied().unwrap_or("list-units");
    let name = plain
        .next()
        .map_or("NAME", |unit| unit.strip_suffix(".service").unwrap_or(unit));
    let command = match verb {
        "start" | "stop" | "restart" | "enable" | "disable" | "status" => format!("service {verb} {name}"),
        "try-restart" | "reload" | "reload-or-restart" => format!("service restart {name}"),
        "is-active" | "is-failed" | "is-enabled" | "show" | "cat" => format!("service status {name}"),
        "daemon-reload" | "daemon-reexec" => "service reload".to_owned(),
        "list-units" | "list-unit-files" | "list-sockets" => "service list".to_owned(),
        "list-timers" => "schedule list".to_owned(),
        "is-system-running" => "status".to_owned(),
        _ => return format!("{PAGE} says what is here instead; `aiosctl help` lists commands"),
    };
    format!("use `aiosctl {command}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Call, String> {
        let (name, words) = line.split_first().unwrap();
        parse(Personality::of(name).unwrap(), words)
    }

    #[test]
    fn a_program_is_what_its_name_says() {
        for (called, wanted) in [
            ("systemctl", Some(Personality::Systemctl)),
            ("/usr/bin/systemctl", Some(Personality::Systemctl)),
            ("/usr/bin/systemd-run", Some(Personality::SystemdRun)),
            ("/usr/bin/aiosctl", None),
            ("systemctl/", Some(Personality::Systemctl)),
            ("", None),
        ] {
            assert_eq!(Personality::of(called), wanted, "{called}");
        }
    }

    #[test]
    fn what_bootc_calls_is_understood() {
        let shutdown = |kind, why: &str| Call::Shutdown {
            kind,
            why: why.to_owned(),
        };
        for (line, wanted) in [
            (&["systemctl", "start", "--quiet", FINALIZE][..], Call::Finalize),
            (&["systemctl", "start", FINALIZE], Call::Finalize),
            (&["systemctl", "reboot"], shutdown("reboot", "")),
            (
                &["systemctl", "reboot", "--message=Initiated by bootc"],
                shutdown("reboot", "Initiated by bootc"),
            ),
            (&["systemctl", "poweroff"], shutdown("poweroff", "")),
            (
                &[
                    "systemd-run",
                    "--quiet",
                    "--",
                    "systemctl",
                    "reboot",
                    "--message=Initiated by bootc",
                ],
                shutdown("reboot", "Initiated by bootc"),
            ),
        ] {
            assert_eq!(parsed(line), Ok(wanted), "{line:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_named_by_what_is_here_instead() {
        for (line, instead) in [
            (&["systemctl"][..], "aiosctl service list"),
            (
                &["systemctl", "start", "nginx.service"],
                "aiosctl service start nginx",
            ),
            (
                &["systemctl", "--now", "enable", "nginx"],
                "aiosctl service enable nginx",
            ),
            (&["systemctl", "stop"], "aiosctl service stop NAME"),
            (
                &["systemctl", "start", FINALIZE, "sshd"],
                "aiosctl service start bootc-finalize-staged",
            ),
            (&["systemctl", "stop", FINALIZE], "aiosctl service stop"),
            (
                &["systemctl", "is-active", "--quiet", "sshd"],
                "aiosctl service status sshd",
            ),
            (&["systemctl", "daemon-reload"], "aiosctl service reload"),
            (&["systemctl", "list-timers"], "aiosctl schedule list"),
            (&["systemctl", "is-system-running"], "aiosctl status"),
            (&["systemctl", "soft-reboot"], "BOOT.md"),
            (&["systemctl", "kexec"], "BOOT.md"),
            (&["systemctl", "reboot", "--force"], "BOOT.md"),
            (&["systemctl", "--force", "reboot"], "BOOT.md"),
            (&["systemctl", "mask", "aios-guard"], "BOOT.md"),
            (&["systemd-run", "rm", "-rf", "/"], "aiosctl service reload"),
            (&["systemd-run"], "aiosctl schedule add"),
            (
                &["systemd-run", "--quiet", "--", "systemctl", "start", FINALIZE],
                "service file",
            ),
            (
                &["systemd-run", "--quiet", "--", "sh", "-c", "systemctl reboot"],
                "service file",
            ),
        ] {
            let said = parsed(line).unwrap_err();
            assert!(said.contains(instead), "{line:?}: {said}");
        }
    }
}
