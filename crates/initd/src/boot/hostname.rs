//! The host's name: from `/etc/hostname`, else the kernel argument `aios.hostname=`, else what a DHCP server says, else
//! `aios-` and the first eight digits of the machine's id. `/etc/hosts` knows it.

use super::{Outcome, Setup, cmdline};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::fs;
use std::path::Path;

/// Ends the line of `/etc/hosts` that is ours to change.
const MARK: &str = "# this host, kept by aios-init";
/// Longest name that the kernel takes.
const LONGEST: usize = 64;

/// Sets it.
pub(super) fn set(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let root = Path::new("/");
    let found = chosen(root);
    let (name, from) = match &found {
        Ok(Some((name, from))) => (name.clone(), *from),
        _ => (generic(root), "the machine's id"),
    };
    put(root, &name)?;
    found?;
    Ok(Outcome::Done(format!("{name}, from {from}")))
}

/// The name that the kernel has.
pub(super) fn now() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

/// Tells the kernel and `/etc/hosts`.
pub(super) fn put(root: &Path, name: &str) -> Result<()> {
    nix::unistd::sethostname(name).map_err(InitError::system("cannot set the host's name"))?;
    let path = root.join("etc/hosts");
    let hosts = fs::read_to_string(&path).unwrap_or_default();
    match covered(&hosts, name) {
        Some(text) => fs::write(&path, text).map_err(InitError::path("cannot write", &path)),
        None => Ok(()),
    }
}

/// The name that somebody chose for this machine, and where; a server's name would not change it.
pub(super) fn chosen(root: &Path) -> Result<Option<(String, &'static str)>> {
    let file = fs::read_to_string(root.join("etc/hostname")).unwrap_or_default();
    // hostname(5): comments are allowed, the first word of the rest counts.
    let line = file
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let sources = [
        (line.map(str::to_owned), "/etc/hostname"),
        (cmdline::value(root, "aios.hostname"), "the kernel command line"),
    ];
    for (name, from) in sources {
        let Some(name) = name.filter(|name| !name.starts_with("localhost")) else {
            continue;
        };
        if !is_name(&name) || name.len() > LONGEST {
            return Err(InitError::Spec {
                file: from.into(),
                message: format!("{name:?} is no host name: letters, digits and `-`, at most {LONGEST}"),
            });
        }
        return Ok(Some((name, from)));
    }
    Ok(None)
}

fn generic(root: &Path) -> String {
    let id = fs::read_to_string(root.join("etc/machine-id")).unwrap_or_default();
    match id.get(..8) {
        Some(start) => format!("aios-{start}"),
        None => "aios".to_owned(),
    }
}

/// Whether it is a name of a host or domain (RFC 1123, 2.1): labels of letters, digits and inner dashes.
pub(super) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// `/etc/hosts` with the name in it; none where it is there already. What others wrote stays.
fn covered(hosts: &str, name: &str) -> Option<String> {
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name {
        name.to_owned()
    } else {
        format!("{name} {short}")
    };
    let ours = format!("127.0.1.1\t{names}\t{MARK}");
    let known = |line: &str| {
        let words = line.split('#').next().unwrap_or_default().split_whitespace();
        words.skip(1).any(|word| word == name)
    };
    if hosts
        .lines()
        .any(|line| line == ours || known(line) && !line.ends_with(MARK))
    {
        return None;
    }
    let mut lines: Vec<&str> = hosts.lines().filter(|line| !line.ends_with(MARK)).collect();
    if lines.is_empty() {
        lines.extend([
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
        ]);
    }
    lines.push(&ours);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(hostname: &str, cmdline: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "proc"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("etc/hostname"), hostname).unwrap();
        fs::write(
            root.path().join("etc/machine-id"),
            "0123456789abcdef0123456789abcdef\n",
        )
        .unwrap();
        fs::write(root.path().join("proc/cmdline"), cmdline).unwrap();
        root
    }

    #[test]
    fn the_administrators_name_comes_before_the_command_line_and_both_before_a_servers() {
        for (hostname, cmdline, wanted) in [
            ("box\n", "aios.hostname=other", Some("box")),
            ("# name\nbox.example.org\n", "", Some("box.example.org")),
            ("\n", "quiet aios.hostname=other", Some("other")),
            ("localhost\n", "aios.hostname=other", Some("other")),
            ("", "quiet", None),
        ] {
            let root = tree(hostname, cmdline);
            let name = chosen(root.path()).unwrap().map(|(name, _)| name);
            assert_eq!(name.as_deref(), wanted, "{hostname:?} {cmdline:?}");
        }
        assert_eq!(generic(tree("", "").path()), "aios-01234567");
    }

    #[test]
    fn what_is_no_name_is_refused_and_says_where_it_stands() {
        for (hostname, cmdline, place) in [
            ("a b\n", "", "/etc/hostname"),
            ("-a\n", "", "/etc/hostname"),
            ("", "aios.hostname=a/b", "command line"),
            ("", "aios.hostname=a..b", "command line"),
        ] {
            let root = tree(hostname, cmdline);
            let error = chosen(root.path()).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn hosts_knows_the_name_once_and_keeps_what_others_wrote() {
        let first = covered("", "box.example.org").unwrap();
        assert!(
            first.contains("127.0.0.1\tlocalhost\n") && first.contains("127.0.1.1\tbox.example.org box\t")
        );
        assert_eq!(covered(&first, "box.example.org"), None);
        let renamed = covered(&first, "new").unwrap();
        assert!(
            renamed.contains("127.0.1.1\tnew\t") && !renamed.contains("box"),
            "{renamed}"
        );
        assert_eq!(covered("192.0.2.1 new # mine\n", "new"), None);
        let kept = covered("192.0.2.1 other new2\n", "new").unwrap();
        assert!(
            kept.starts_with("192.0.2.1 other new2\n127.0.1.1\tnew\t"),
            "{kept}"
        );
    }
}
