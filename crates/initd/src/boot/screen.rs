//! What a person sees on the machine's own screen and serial line, instead of a login: the console's address, the state, and
//! what failed and what to do. The screen is drawn anew when something changed; the serial line gets one plain line for
//! each change.

use super::Boot;
use crate::deployment::Running;
use crate::supervise::plain;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Problems that are listed; more are only counted.
const LISTED: usize = 12;

/// Of what the supervisor writes down for its successor, what a person wants to know.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Snapshot {
    boot: Boot,
    ending: Option<IgnoredAny>,
    deployment: Option<Running>,
    units: BTreeMap<String, Unit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Unit {
    state: String,
    wanted: bool,
    failures: u32,
    last_exit: String,
}

/// What the machine is called, and where it is reached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    /// By interface; without loopback and link-local ones.
    pub(super) addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Where the console listens.
    pub(super) listen: String,
}

/// Lines by what they are about, in their order.
pub(super) type Lines = Vec<(String, String)>;

impl Snapshot {
    /// Reads what the supervisor wrote last.
    pub(super) fn read(path: &Path) -> Option<Self> {
        // It is replaced as a whole; before the first time there is none.
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Whether a service is ready.
    pub(super) fn is_ready(&self, service: &str) -> bool {
        self.units.get(service).is_some_and(|unit| unit.state == "ready")
    }

    fn phase(&self, name: &str) -> Option<&super::Phase> {
        self.boot.phases.iter().find(|phase| phase.name == name)
    }

    /// One word for all of it.
    fn state(&self, problems: &Lines) -> &'static str {
        match self.phase("ready") {
            _ if self.ending.is_some() => "stopping",
            None => "starting",
            Some(ready) if ready.state == "failed" => "failed",
            Some(_) if !problems.is_empty() => "degraded",
            Some(_) => "ok",
        }
    }

    fn problems(&self) -> Lines {
        let mut lines = Lines::new();
        for phase in &self.boot.phases {
            // These two only repeat what services say themselves.
            if phase.state == "failed" && !["services", "ready"].contains(&phase.name.as_str()) {
                let text = format!("phase {} failed: {}", phase.name, phase.message);
                lines.push((format!("phase {}", phase.name), text));
            }
        }
        for (name, unit) in &self.units {
            let trying =
                unit.wanted && unit.failures > 0 && !["ready", "listening"].contains(&unit.state.as_str());
            if trying || unit.state == "failed" {
                let text = format!(
                    "service {name} fails ({}): aiosctl service logs {name}",
                    unit.last_exit
                );
                lines.push((format!("service {name}"), text));
            }
        }
        let more = lines.len().saturating_sub(LISTED);
        if more > 0 {
            lines.truncate(LISTED);
            lines.push((
                "more".into(),
                format!("{more} more: aiosctl boot, aiosctl service list"),
            ));
        }
        lines
    }

    /// Everything that is shown.
    pub(super) fn lines(&self, place: &Place) -> Lines {
        let problems = self.problems();
        let version = env!("CARGO_PKG_VERSION");
        let state = self.state(&problems);
        let mut lines = vec![(
            "state".to_owned(),
            format!("aiOS {version} on {}: {state}", place.host),
        )];
        if let Some(running) = &self.deployment {
            lines.push(("image".into(), format!("image {}", running.summary())));
        }
        let ssh = self.is_ready(super::ssh::SERVICE);
        lines.push(("console".into(), place.console(ssh)));
        lines.push(("addresses".into(), place.shown()));
        lines.extend(problems);
        lines
    }
}

impl Place {
    fn first(&self) -> Option<&IpAddr> {
        self.addresses.values().flatten().next()
    }

    /// Where the page is, and how one gets there.
    fn console(&self, ssh: bool) -> String {
        let address: Option<SocketAddr> = self.listen.parse().ok();
        let beyond = address.filter(|address| !address.ip().is_loopback());
        match (beyond, self.first()) {
            (Some(address), first) if address.ip().is_unspecified() => match first {
                Some(ip) => format!("console https://{}", SocketAddr::new(*ip, address.port())),
                None => format!(
                    "console https://ADDRESS:{}, once there is an address",
                    address.port()
                ),
            },
            (Some(address), _) => format!("console https://{address}"),
            (None, Some(ip)) if ssh => {
                format!("console http://{0} after: ssh -L {0}:{0} admin@{ip}", self.listen)
            }
            (None, _) => format!("console http://{} on this machine only", self.listen),
        }
    }

    fn shown(&self) -> String {
        let one = |(name, list): (&String, &BTreeSet<IpAddr>)| {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            format!("{name} {}", list.join(" "))
        };
        if self.addresses.is_empty() {
            "no address yet".to_owned()
        } else {
            let list: Vec<String> = self.addresses.iter().map(one).collect();
            list.join(", ")
        }
    }
}

/// The terminals that the kernel writes to, and what they show.
#[derive(Debug)]
pub(super) struct Screen {
    /// Virtual terminals are drawn on, other ones get lines.
    drawn: Vec<PathBuf>,
    lined: Vec<PathBuf>,
    shown: Lines,
}

impl Screen {
    /// On the terminals that `sys/class/tty/console/active` names.
    pub(super) fn of(root: &Path) -> Self {
        let active = fs::read_to_string(root.join("sys/class/tty/console/active")).unwrap_or_default();
        let (mut drawn, mut lined) = (Vec::new(), Vec::new());
        for name in active.split_whitespace() {
            match name.strip_prefix("tty").map(str::parse::<u8>) {
                // tty0 is the one in front; ours is the first.
                Some(Ok(_)) => drawn.push(root.join("dev/tty1")),
                _ => lined.push(root.join("dev").join(name)),
            }
        }
        drawn.dedup();
        Self {
            drawn,
            lined,
            shown: Lines::new(),
        }
    }

    /// Shows what changed.
    pub(super) fn show(&mut self, lines: Lines) {
        if lines == self.shown {
            return;
        }
        let changes = changes(&self.shown, &lines);
        for path in &self.lined {
            write(path, &changes);
        }
        let page = page(&lines);
        for path in &self.drawn {
            write(path, &page);
        }
        self.shown = lines;
    }
}

/// One line for each that is new or another, and for each that is gone.
fn changes(before: &Lines, now: &Lines) -> String {
    let of = |lines: &Lines, about: &str| lines.iter().find(|(key, _)| key == about).cloned();
    let mut text = String::new();
    for (about, line) in now {
        if of(before, about).is_none_or(|(_, old)| old != *line) {
            text += &format!("aiOS: {}\n", ascii(line));
        }
    }
    for (about, _) in before {
        if of(now, about).is_none() {
            text += &format!("aiOS: {}: over\n", ascii(about));
        }
    }
    text
}

/// The whole screen: no cursor, everything from the upper left corner.
fn page(lines: &Lines) -> String {
    let body: Vec<String> = lines
        .iter()
        .map(|(_, line)| format!("  {}", ascii(line)))
        .collect();
    format!("\x1b[?25l\x1b[H\x1b[2J\n{}\n", body.join("\n"))
}

/// What any terminal can show, and nothing that steers one.
fn ascii(text: &str) -> String {
    plain(text).replace(|letter: char| !letter.is_ascii(), "?")
}

/// Nobody may be watching, and a line that nobody reads must not hold us up.
fn write(path: &Path, text: &str) {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
    if let Ok(mut terminal) = OpenOptions::new().write(true).custom_flags(flags).open(path) {
        silence(&terminal);
        let _unwatched = terminal.write_all(text.as_bytes());
    }
}

/// What somebody types is not shown: there is nobody to read it.
fn silence(terminal: &fs::File) {
    if let Ok(mut settings) = rustix::termios::tcgetattr(terminal) {
        settings.local_modes.remove(rustix::termios::LocalModes::ECHO);
        let _still_echoes =
            rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Now, &settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(json: &str) -> Snapshot {
        serde_json::from_str(json).unwrap()
    }

    fn phase(name: &str, state: &str) -> String {
        format!(r#"{{"name":"{name}","start_ms":1,"duration_ms":1,"state":"{state}","message":"why"}}"#)
    }

    fn place() -> Place {
        Place {
            host: "box".into(),
            addresses: [("eth0".to_owned(), BTreeSet::from(["10.0.2.15".parse().unwrap()]))].into(),
            listen: "127.0.0.1:9090".into(),
        }
    }

    #[test]
    fn the_state_is_one_word() {
        let ready = phase("ready", "done");
        for (json, wanted) in [
            ("{}".to_owned(), "starting"),
            (format!(r#"{{"boot":{{"phases":[{ready}]}}}}"#), "ok"),
            (
                format!(
                    r#"{{"boot":{{"phases":[{},{ready}]}}}}"#,
                    phase("network", "failed")
                ),
                "degraded",
            ),
            (
                format!(r#"{{"boot":{{"phases":[{}]}}}}"#, phase("ready", "failed")),
                "failed",
            ),
            (
                format!(
                    r#"{{"boot":{{"phases":[{ready}]}},"units":{{"a":{{"state":"backoff","wanted":true,"failures":2}}}}}}"#
                ),
                "degraded",
            ),
            (
                format!(r#"{{"boot":{{"phases":[{ready}]}},"ending":"poweroff"}}"#),
                "stopping",
            ),
        ] {
            let snapshot = snapshot(&json);
            assert_eq!(snapshot.state(&snapshot.problems()), wanted, "{json}");
        }
    }

    #[test]
    fn the_page_is_named_with_the_way_to_it() {
        let mut place = place();
        let ssh = "console http://127.0.0.1:9090 after: ssh -L 127.0.0.1:9090:127.0.0.1:9090 admin@10.0.2.15";
        assert_eq!(place.console(true), ssh);
        assert_eq!(
            place.console(false),
            "console http://127.0.0.1:9090 on this machine only"
        );
        place.listen = "0.0.0.0:9443".into();
        assert_eq!(place.console(false), "console https://10.0.2.15:9443");
        place.listen = "[2001:db8::1]:9443".into();
        assert_eq!(place.console(false), "console https://[2001:db8::1]:9443");
        place.addresses.clear();
        assert_eq!(place.shown(), "no address yet");
    }

    #[test]
    fn a_serial_line_gets_a_plain_line_a_change_and_a_screen_the_whole() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["dev", "sys/class/tty/console"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("sys/class/tty/console/active"), "tty0 ttyS0\n").unwrap();
        for name in ["tty1", "ttyS0"] {
            fs::write(root.path().join("dev").join(name), "").unwrap();
        }
        let read = |name: &str| fs::read_to_string(root.path().join("dev").join(name)).unwrap();
        let mut screen = Screen::of(root.path());
        let before = snapshot("{}").lines(&place());
        screen.show(before.clone());
        let serial = read("ttyS0");
        assert!(
            serial.starts_with("aiOS: aiOS 0.1.0 on box: starting\n"),
            "{serial}"
        );
        assert!(!serial.contains('\x1b'), "{serial:?}");
        assert!(read("tty1").contains("\x1b[2J"), "{:?}", read("tty1"));

        fs::write(root.path().join("dev/ttyS0"), "").unwrap();
        screen.show(before.clone());
        assert_eq!(read("ttyS0"), "", "nothing changed");
        let json = format!(
            r#"{{"boot":{{"phases":[{}]}}}}"#,
            phase("caf\u{e9}\\u001b", "failed")
        );
        screen.show(snapshot(&json).lines(&place()));
        assert_eq!(read("ttyS0"), "aiOS: phase caf?  failed: why\n");
        fs::write(root.path().join("dev/ttyS0"), "").unwrap();
        screen.show(before);
        assert_eq!(read("ttyS0"), "aiOS: phase caf? : over\n");
    }
}
