//! Accounts that anybody can be: without a password, with root's number, or with another's. Hashes are judged
//! by their kind and never told.

use super::Scan;
use crate::error::Result;
use crate::sec::types::{Check, Severity};
use std::collections::BTreeMap;

const PASSWD: &str = "/etc/passwd";
const SHADOW: &str = "/etc/shadow";

/// Beginnings of hashes that are guessed too quickly, with their names.
const QUICK: &[(&str, &str)] = &[
    ("$1$", "MD5"),
    ("$2$", "an early bcrypt"),
    ("$sha1$", "SHA-1"),
    ("$3$", "NT"),
];

pub(super) fn check(scan: &mut Scan<'_>) -> Result<()> {
    let passwd = scan.machine.text(PASSWD)?.unwrap_or_default();
    let mut names: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    let subject = |name: &str| format!("account {name}");
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, password, uid, ..] = fields.as_slice() else {
            continue;
        };
        if let Ok(uid) = uid.parse() {
            names.entry(uid).or_default().push(name);
        }
        if password.is_empty() {
            scan.note(
                Check::Accounts,
                ("accounts.no_password", Severity::High),
                subject(name),
                format!("the password field in {PASSWD} is empty"),
                format!("lock it with `passwd --lock {name}`, or set a password"),
            );
        }
    }
    for (uid, names) in names
        .iter()
        .filter(|(_, names)| names.len() > 1 || names.iter().any(|it| *it != "root"))
    {
        let others: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| *uid != 0 || *name != "root")
            .collect();
        if *uid == 0 {
            for name in others {
                scan.note(
                    Check::Accounts,
                    ("accounts.second_root", Severity::High),
                    subject(name),
                    format!("it has uid 0 in {PASSWD}: it is root by another name"),
                    "remove it, or give it a number of its own",
                );
            }
        } else if names.len() > 1 {
            scan.note(
                Check::Accounts,
                ("accounts.same_number", Severity::Medium),
                format!("uid {uid}"),
                format!("the accounts {} have the same number", names.join(", ")),
                "give each a number of its own",
            );
        }
    }
    shadow(scan)
}

fn shadow(scan: &mut Scan<'_>) -> Result<()> {
    let text = scan.machine.text(SHADOW)?.unwrap_or_default();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
            continue;
        };
        if let Some((id, severity, evidence)) = judge(hash) {
            scan.note(
                Check::Accounts,
                (id, severity),
                format!("account {name}"),
                evidence,
                format!("set a new password, or lock it with `passwd --lock {name}`"),
            );
        }
    }
    Ok(())
}

/// What is wrong with a password field.
fn judge(hash: &str) -> Option<(&'static str, Severity, String)> {
    if hash.is_empty() {
        let evidence = format!("the password field in {SHADOW} is empty: nobody is asked for one");
        return Some(("accounts.no_password", Severity::High, evidence));
    }
    // Locked, or a hash that is kept behind a lock.
    if hash.starts_with(['!', '*']) {
        return None;
    }
    let quick = QUICK.iter().find(|(beginning, _)| hash.starts_with(beginning));
    let kind = match quick {
        Some((_, kind)) => *kind,
        // The oldest form has no beginning and thirteen characters.
        None if !hash.starts_with(['$', '_']) && hash.len() == 13 => "DES",
        None => return None,
    };
    let evidence = format!("its password is kept as a hash of {kind}, which is guessed quickly");
    Some(("accounts.quick_hash", Severity::Medium, evidence))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn passwords_are_judged_by_how_they_are_kept() {
        for (hash, expected) in [
            ("", Some("accounts.no_password")),
            ("$1$salt$hash", Some("accounts.quick_hash")),
            ("abcdefghijklm", Some("accounts.quick_hash")),
            ("*", None),
            ("!", None),
            ("!$1$salt$hash", None),
            ("$y$j9T$salt$hash", None),
            ("$6$salt$hash", None),
        ] {
            assert_eq!(judge(hash).map(|it| it.0), expected, "{hash:?}");
        }
    }
}
