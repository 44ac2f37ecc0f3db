//! SSH for recovery: off, and its port closed, unless a key of the administrator is there. The machine makes its own
//! key the first time.

use super::hardware::tool;
use super::{Outcome, Setup, admin};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::fs;
use std::path::Path;

/// The service.
pub(super) const SERVICE: &str = "aios-sshd";
/// Keys with which the administrator signs in; one a line, as in authorized_keys.
pub(super) const KEYS: &str = "etc/aios/ssh/admin.keys";
const SSHD: &str = "/usr/sbin/sshd";
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Has it started where there is a key.
pub(super) fn prepare(_: &mut World, setup: &mut Setup) -> Result<Outcome> {
    if !has_key(Path::new("/")) {
        return Ok(Outcome::Skipped("no key of an administrator was given"));
    }
    if !Path::new(SSHD).exists() {
        return Err(InitError::LeftOut(format!("the image has no {SSHD}")));
    }
    if !Path::new(HOST_KEY).exists() {
        fs::create_dir_all("/etc/ssh").map_err(InitError::path("cannot make", "/etc/ssh"))?;
        tool(
            "/usr/bin/ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY],
        )?;
    }
    let shadow = fs::read_to_string("/etc/shadow").map_err(InitError::path("cannot read", "/etc/shadow"))?;
    if is_locked(&shadow, admin::USER) {
        // A password that nothing matches. That of a locked account would keep keys out as well (sshd(8)).
        tool("/usr/sbin/usermod", &["--password", "*", admin::USER])?;
    }
    setup.ssh = true;
    setup.start(SERVICE);
    Ok(Outcome::Done(fingerprint()))
}

/// Whether a key is there.
pub(super) fn has_key(root: &Path) -> bool {
    let text = fs::read_to_string(root.join(KEYS)).unwrap_or_default();
    text.lines().any(is_key)
}

/// Whether a line is a public key by itself: no options, which could run commands.
pub(super) fn is_key(line: &str) -> bool {
    const KINDS: [&str; 6] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
    ];
    let mut words = line.split_whitespace();
    let kind = words.next().is_some_and(|kind| KINDS.contains(&kind));
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let body = words
        .next()
        .is_some_and(|body| body.starts_with("AAAA") && body.bytes().all(base64));
    kind && body && !line.contains(char::is_control)
}

fn is_locked(shadow: &str, user: &str) -> bool {
    let locked = |line: &str| {
        let mut fields = line.split(':');
        fields.next() == Some(user) && fields.next().is_some_and(|password| password.starts_with('!'))
    };
    shadow.lines().any(locked)
}

/// What a person compares when they sign in for the first time.
fn fingerprint() -> String {
    let output = std::process::Command::new("/usr/bin/ssh-keygen")
        .args(["-l", "-f", HOST_KEY])
        .output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let word = said
        .unwrap_or_default()
        .split_whitespace()
        .nth(1)
        .map(str::to_owned);
    word.map_or_else(String::new, |word| format!("host key {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_account_is_told_from_one_without_a_password() {
        let shadow = "root:*:1::::::\nadmin:!*:1::::::\nanna:*:1::::::\n";
        assert!(is_locked(shadow, "admin"));
        assert!(!is_locked(shadow, "anna") && !is_locked(shadow, "bob"));
    }

    #[test]
    fn a_key_is_a_kind_and_a_body_and_has_no_options() {
        for (line, good) in [
            ("ssh-ed25519 AAAAC3Nza me@box", true),
            ("ssh-rsa AAAAB3Nza", true),
            ("", false),
            ("# comment", false),
            ("command=\"sh\" ssh-ed25519 AAAAC3Nza", false),
            ("ssh-ed25519", false),
            ("ssh-ed25519 BBBB", false),
            ("ssh-ed25519 AAAA\u{7} x", false),
        ] {
            assert_eq!(is_key(line), good, "{line:?}");
        }
    }
}
