//! The kernel's firewall, before any interface is up: what nobody opened is dropped.
//!
//! `vendor/network/firewall.nft` makes the table `inet aios`, in which the tools also work; behind it come what the
//! configuration opens and `etc/firewall.d/*.nft` in the order of their names. All of it is one transaction of the
//! kernel. An administrator's file that `nft` refuses is left out and named, and so are all of them where they
//! would take the vendor's rules away. Where the vendor's rules do not hold either, this phase fails and the
//! network stays down.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_core::config;
use aios_core::paths::Paths;
use serde::Deserialize;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NFT: &str = "/usr/sbin/nft";
/// There is no `/dev/stdin` yet, which `-` would mean.
const STANDARD_INPUT: &str = "/proc/self/fd/0";
/// Empties the table, also where there is none.
const AFRESH: &str = "add table inet aios\ndelete table inet aios\n";

/// A port that the configuration opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opening {
    tcp_port: u16,
    what: &'static str,
}

/// Loads the rules.
pub(super) fn load(world: &mut World, setup: &mut Setup) -> Result<Outcome> {
    let opened = opened(&world.paths, setup.ssh);
    let left_out = apply(&world.paths, &opened)?;
    setup.firewall = true;
    if !left_out.is_empty() {
        return Err(InitError::LeftOut(format!(
            "the vendor's rules hold, without {}",
            left_out.join("; without ")
        )));
    }
    let words: Vec<String> = opened
        .iter()
        .map(|opening| format!("{} for {}", opening.tcp_port, opening.what))
        .collect();
    Ok(Outcome::Done(if words.is_empty() {
        "nothing is open".to_owned()
    } else {
        format!("open: {}", words.join(", "))
    }))
}

/// Of the section `[console]`, what decides whether others may reach it.
#[derive(Deserialize)]
#[serde(default)]
struct Console {
    listen: String,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9090".into(),
        }
    }
}

/// Where the console listens.
pub(super) fn console(paths: &Paths) -> String {
    // A wrong file is told of by the console itself, which does not start with it.
    config::load(paths, "console")
        .unwrap_or_else(|_| Console::default())
        .listen
}

/// What is open. A name instead of the console's address opens nothing: nobody can resolve it yet.
fn opened(paths: &Paths, ssh: bool) -> Vec<Opening> {
    let address = console(paths).parse::<SocketAddr>().ok();
    let beyond = address.filter(|address| !address.ip().is_loopback());
    let console = beyond.map(|address| Opening {
        tcp_port: address.port(),
        what: "the console",
    });
    let ssh = ssh.then_some(Opening {
        tcp_port: 22,
        what: "SSH",
    });
    console.into_iter().chain(ssh).collect()
}

/// Puts the rules into the kernel; yields what of the administrator's files was left out, and why.
fn apply(paths: &Paths, opened: &[Opening]) -> Result<Vec<String>> {
    let file = paths.vendor.join("network/firewall.nft");
    let vendor = fs::read_to_string(&file).map_err(InitError::path("cannot read", &file))?;
    let mut rules = format!("{AFRESH}{vendor}\n");
    for Opening { tcp_port, what } in opened {
        rules += &format!("add rule inet aios opened tcp dport {tcp_port} accept comment \"{what}\"\n");
    }
    let base = rules.clone();
    let (mut left_out, mut taken) = (Vec::new(), 0_u32);
    for path in additions(&paths.etc.join("firewall.d"))? {
        let more = format!("{rules}include \"{}\"\n", path.display());
        match nft(&["--check"], &more) {
            Ok(()) => (rules, taken) = (more, taken + 1),
            Err(error) => left_out.push(format!("{}: {error}", path.display())),
        }
    }
    match nft(&[], &rules).and_then(|()| if taken == 0 { Ok(()) } else { holds() }) {
        Ok(()) => {}
        Err(error) if taken > 0 => {
            left_out.push(format!("all files of firewall.d: {error}"));
            nft(&[], &base)?;
        }
        Err(error) => return Err(error),
    }
    Ok(left_out)
}

/// The administrator's files, in the order of their names.
fn additions(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(InitError::path("cannot read", directory)(error)),
    };
    for entry in entries {
        let path = entry.map_err(InitError::path("cannot read", directory))?.path();
        if path.extension().is_some_and(|extension| extension == "nft") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the kernel drops what is not accepted, whatever an administrator's file did to the table.
fn holds() -> Result<()> {
    let output = Command::new(NFT)
        .args(["list", "chain", "inet", "aios", "input"])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(InitError::path("cannot run", NFT))?;
    let chain = String::from_utf8_lossy(&output.stdout);
    if chain.contains("hook input") && chain.contains("policy drop") {
        return Ok(());
    }
    Err(InitError::LeftOut(
        "one of them takes away that packets are dropped by default".into(),
    ))
}

/// Runs `nft` on a text; an error is its first line, with file and place.
fn nft(words: &[&str], rules: &str) -> Result<()> {
    let mut child = Command::new(NFT)
        .args(words)
        .args(["-f", STANDARD_INPUT])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(InitError::path("cannot run", NFT))?;
    if let Some(mut input) = child.stdin.take() {
        // When it does not read to the end, its own words say why.
        let _told_below = input.write_all(rules.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(InitError::path("cannot run", NFT))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said
        .lines()
        .find(|line| line.contains("rror"))
        .or(said.lines().next());
    Err(InitError::LeftOut(format!(
        "nft: {}",
        first.unwrap_or("failed without a word").trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::super::apart::apart;
    use super::*;

    /// A tree with the shipped rules and these files of an administrator.
    fn tree(files: &[(&str, &str)], config: &str) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        fs::create_dir_all(paths.vendor.join("network")).unwrap();
        fs::create_dir_all(paths.etc.join("firewall.d")).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/network/firewall.nft");
        fs::copy(shipped, paths.vendor.join("network/firewall.nft")).unwrap();
        fs::write(paths.etc.join("config.toml"), config).unwrap();
        for (name, text) in files {
            fs::write(paths.etc.join("firewall.d").join(name), text).unwrap();
        }
        (root, paths)
    }

    fn ruleset() -> String {
        let output = Command::new(NFT).args(["list", "ruleset"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_console_is_opened_only_where_it_listens_beyond_loopback() {
        for (listen, port) in [
            ("127.0.0.1:9090", None),
            ("[::1]:9090", None),
            ("localhost:9090", None),
            ("0.0.0.0:9443", Some(9443)),
            ("[2001:db8::1]:9090", Some(9090)),
        ] {
            let (_root, paths) = tree(&[], &format!("[console]\nlisten = \"{listen}\"\n"));
            let ports = |ssh| -> Vec<u16> { opened(&paths, ssh).iter().map(|open| open.tcp_port).collect() };
            assert_eq!(ports(false), Vec::from_iter(port), "{listen}");
            assert_eq!(ports(true).last(), Some(&22));
        }
    }

    #[test]
    fn the_shipped_rules_drop_by_default_and_loading_again_changes_nothing() {
        let (_root, paths) = tree(&[], "");
        let open = Opening {
            tcp_port: 9443,
            what: "the console",
        };
        let Some((first, second)) = apart(|| {
            assert_eq!(apply(&paths, &[open]).unwrap(), Vec::<String>::new());
            let first = ruleset();
            apply(&paths, &[open]).unwrap();
            (first, ruleset())
        }) else {
            return;
        };
        assert_eq!(first.matches("policy drop").count(), 2, "{first}");
        assert!(
            first.contains("tcp dport 9443 accept comment \"the console\""),
            "{first}"
        );
        assert_eq!(first, second);
    }

    #[test]
    fn a_wrong_file_is_left_out_with_its_line_and_the_others_hold() {
        let (_root, paths) = tree(
            &[
                ("10-web.nft", "add rule inet aios opened tcp dport 443 accept\n"),
                ("20-typo.nft", "\nadd rule inet aios opened tcp dprt 80 accept\n"),
                ("30-ssh.nft", "add rule inet aios opened tcp dport 22 accept\n"),
                ("notes.txt", "no rules\n"),
            ],
            "",
        );
        let Some((left_out, rules)) = apart(|| (apply(&paths, &[]).unwrap(), ruleset())) else {
            return;
        };
        assert_eq!(left_out.len(), 1, "{left_out:?}");
        assert!(left_out[0].contains("20-typo.nft:2:"), "{left_out:?}");
        assert!(
            rules.contains("dport 443") && rules.contains("dport 22"),
            "{rules}"
        );
        assert!(rules.contains("policy drop"), "{rules}");
    }

    #[test]
    fn a_file_that_would_open_everything_is_left_out() {
        let (_root, paths) = tree(&[("10-all.nft", "flush ruleset\n")], "");
        let Some((left_out, rules)) = apart(|| (apply(&paths, &[]).unwrap(), ruleset())) else {
            return;
        };
        assert!(left_out[0].contains("dropped by default"), "{left_out:?}");
        assert_eq!(rules.matches("policy drop").count(), 2, "{rules}");
    }

    #[test]
    fn without_the_vendors_rules_nothing_is_loaded() {
        let (_root, paths) = tree(&[], "");
        fs::write(paths.vendor.join("network/firewall.nft"), "table inet aios {").unwrap();
        let Some((result, rules)) = apart(|| (apply(&paths, &[]), ruleset())) else {
            return;
        };
        assert!(result.is_err());
        assert_eq!(rules, "");
    }
}
