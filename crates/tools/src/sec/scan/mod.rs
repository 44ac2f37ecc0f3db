//! sec.scan: the deterministic checks together. Each finding names what was found and what mends it; a check
//! that cannot be done is said to be not done, so that no finding never means "not looked".
//!
//! It looks at fixed places, some of which no grant opens (`/etc/shadow`, `/etc/ssh`): what it tells of them is
//! the verdict, never their content.

mod accounts;
mod settings;
mod sshd;

use super::machine::Machine;
use super::suid::{Known, surprising};
use super::tree::Tree;
use super::types::{ALL_CHECKS, Check, NotChecked, OpenPortsArgs, ScanArgs, ScanResult, Severity, Weakness};
use super::{check_limit, permissions, ports, suid};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::resolve::Resolver;
use crate::registry::{About, ToolSpec};
use aios_auth::level::Risk;

pub(super) const NAME: &str = "sec.scan";

/// Where the system's own programs and settings are.
const SYSTEM_TREES: &[&str] = &["/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"];
/// Where set-uid programs are looked for besides.
const OTHER_TREES: &[&str] = &["/home", "/root", "/srv", "/tmp", "/var"];
/// Where container engines keep the layers of images, in `/var/lib` and in homes.
const LAYERS: &[&str] = &[
    "/var/lib/containers/storage",
    "/.local/share/containers/storage",
    "/var/lib/docker",
    "/var/lib/containerd",
];
/// Ports whose protocols carry passwords in the clear.
const CLEAR_TEXT: &[(u16, &str)] = &[
    (21, "ftp"),
    (23, "telnet"),
    (69, "tftp"),
    (110, "pop3"),
    (143, "imap"),
    (512, "rexec"),
    (513, "rlogin"),
    (514, "rsh"),
    (873, "rsync"),
    (2375, "docker"),
    (6379, "redis"),
    (11211, "memcached"),
];

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<ScanArgs, ScanResult>(About {
        name: NAME,
        summary: "Looks for weaknesses of this machine: SSH server, accounts, secrets, permissions, set-uid files, ports, kernel, umask.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:scan:host",
        timeout_ms: 180_000,
    })
}

pub(super) fn canonical(mut args: ScanArgs) -> Result<ScanArgs> {
    check_limit(NAME, args.limit)?;
    args.checks.sort_unstable();
    args.checks.dedup();
    Ok(args)
}

/// What the checks look at and where they note what they find.
struct Scan<'a> {
    machine: &'a Machine,
    resolver: &'a Resolver,
    budget: &'a Budget,
    findings: Vec<Weakness>,
}

pub(super) fn run(
    machine: &Machine,
    resolver: &Resolver,
    args: &ScanArgs,
    budget: &Budget,
) -> Result<ScanResult> {
    let mut scan = Scan {
        machine,
        resolver,
        budget,
        findings: Vec::new(),
    };
    let (mut checked, mut not_checked) = (Vec::new(), Vec::new());
    for check in ALL_CHECKS {
        if !args.checks.is_empty() && !args.checks.contains(&check) {
            continue;
        }
        budget.check()?;
        match scan.check(check) {
            Ok(()) => checked.push(check),
            Err(error @ (ToolError::TimedOut { .. } | ToolError::Cancelled)) => return Err(error),
            Err(error) => not_checked.push(NotChecked {
                check,
                why: error.report().message,
            }),
        }
    }
    Ok(scan.result(args, checked, not_checked))
}

impl Scan<'_> {
    fn check(&mut self, check: Check) -> Result<()> {
        match check {
            Check::Sshd => sshd::check(self),
            Check::Accounts => accounts::check(self),
            Check::Secrets => settings::secrets(self),
            Check::Kernel => settings::kernel(self),
            Check::Umask => settings::umask(self),
            Check::Ports => self.ports(),
            Check::Permissions => self.permissions(),
            Check::Suid => self.suid(),
        }
    }

    /// Notes a weakness.
    fn note(
        &mut self,
        check: Check,
        (id, severity): (&str, Severity),
        subject: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Weakness {
            check,
            id: id.to_owned(),
            severity,
            subject: subject.into(),
            evidence: evidence.into(),
            remedy: remedy.into(),
        });
    }

    fn result(mut self, args: &ScanArgs, checked: Vec<Check>, not_checked: Vec<NotChecked>) -> ScanResult {
        self.findings.sort_by(|a, b| {
            (a.severity, a.check, &a.subject, &a.id).cmp(&(b.severity, b.check, &b.subject, &b.id))
        });
        let count = |severity| self.findings.iter().filter(|it| it.severity == severity).count() as u64;
        let (high, medium, low) = (
            count(Severity::High),
            count(Severity::Medium),
            count(Severity::Low),
        );
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let truncated = self.findings.len() > limit;
        self.findings.truncate(limit);
        ScanResult {
            findings: self.findings,
            high,
            medium,
            low,
            truncated,
            checked,
            not_checked,
        }
    }

    /// Looks through a tree of the machine; a link (`/bin` into `/usr`) is no tree of its own.
    fn tree<T>(&self, inside: &str, look: impl FnOnce(&Tree<'_>) -> Result<T>) -> Result<Option<T>> {
        let path = self.machine.outside(inside);
        let Some(root) = self.machine.open_dir(&path)? else {
            return Ok(None);
        };
        let granted = |path: &str| {
            let layer = LAYERS
                .iter()
                .any(|layers| self.machine.inside(path).ends_with(layers));
            !layer && !self.resolver.is_protected("scan", path)
        };
        let tree = Tree {
            root: &root,
            path: &path,
            budget: self.budget,
            granted: &granted,
        };
        look(&tree).map(Some)
    }

    fn permissions(&mut self) -> Result<()> {
        for inside in SYSTEM_TREES {
            let Some((found, _)) = self.tree(inside, |tree| permissions::look(tree, self.machine))? else {
                continue;
            };
            for it in found {
                let id = serde_json::to_value(it.problem).ok();
                let id = format!(
                    "permissions.{}",
                    id.as_ref().and_then(|id| id.as_str()).unwrap_or("problem")
                );
                let mends = [
                    it.suggested_mode.map(|mode| format!("mode {mode}")),
                    it.suggested_owner.map(|owner| format!("owner {owner}")),
                ];
                let mends: Vec<String> = mends.into_iter().flatten().collect();
                let remedy = if mends.is_empty() {
                    "give it to whoever should own it".to_owned()
                } else {
                    format!("give it {}", mends.join(" and "))
                };
                let evidence = format!("mode {}, uid {}, gid {}: {}", it.mode, it.uid, it.gid, it.why);
                self.note(Check::Permissions, (&id, it.severity), it.path, evidence, remedy);
            }
        }
        Ok(())
    }

    fn suid(&mut self) -> Result<()> {
        for inside in SYSTEM_TREES.iter().chain(OTHER_TREES) {
            let look = |tree: &Tree<'_>| suid::look(tree, self.machine, &Known::Packages);
            let Some(found) = self.tree(inside, look)? else {
                continue;
            };
            for it in found.files {
                // Where nothing says what is known, only what is suspicious by itself is worth a word.
                if !surprising(&it) || !found.packages && it.concerns.is_empty() {
                    continue;
                }
                let severity = if it.concerns.is_empty() {
                    Severity::Medium
                } else {
                    Severity::High
                };
                let mut evidence = vec![format!("mode {}, uid {}, gid {}", it.mode, it.uid, it.gid)];
                if !it.capabilities.is_empty() {
                    evidence.push(it.capabilities.join(" "));
                }
                if found.packages && !it.known {
                    evidence.push("no package brought it".to_owned());
                }
                evidence.extend(it.concerns);
                self.note(
                    Check::Suid,
                    ("suid.surprise", severity),
                    it.path,
                    evidence.join("; "),
                    "find out who put it there; take its set-uid bit or capabilities away, or remove it",
                );
            }
        }
        Ok(())
    }

    fn ports(&mut self) -> Result<()> {
        let args = OpenPortsArgs { reachable_only: true };
        for port in ports::run(self.machine, &args, self.budget)?.ports {
            let clear = CLEAR_TEXT.iter().find(|(number, _)| *number == port.port);
            let (severity, remedy) = match clear {
                Some((_, name)) => (
                    Severity::Medium,
                    format!(
                        "{name} is not for open networks: bind it to 127.0.0.1, or use its encrypted form"
                    ),
                ),
                None => (
                    Severity::Low,
                    "if others need not reach it, bind it to 127.0.0.1 or close it in the firewall"
                        .to_owned(),
                ),
            };
            let process = port.process.map_or_else(
                || "a process that this worker may not see".to_owned(),
                |it| format!("{} (pid {})", it.name, it.pid),
            );
            let user = port.user.unwrap_or_else(|| port.uid.to_string());
            let protocol = format!("{:?}", port.protocol).to_ascii_lowercase();
            self.note(
                Check::Ports,
                ("ports.reachable", severity),
                format!("{protocol} {} port {}", port.address, port.port),
                format!("opened by {user}: {process}"),
                remedy,
            );
        }
        Ok(())
    }
}
