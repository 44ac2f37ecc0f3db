//! Weak settings of the SSH server, read as it reads them itself: the first value of a keyword counts, files
//! that are included stand where they are named, and what is inside a `Match` holds for some connections only.

use super::Scan;
use crate::error::Result;
use crate::sec::types::{Check, Severity};
use globset::{GlobBuilder, GlobMatcher};
use std::collections::BTreeMap;

const CONFIG: &str = "/etc/ssh/sshd_config";
/// Deepest nesting of included files, as sshd has it.
const DEEPEST: u32 = 16;

/// Keyword in lower case, value that is weak, severity, what mends it. A keyword that is nowhere set has its
/// default, which is not weak for any of these.
const WEAK: &[(&str, &[&str], Severity, &str)] = &[
    (
        "permitemptypasswords",
        &["yes"],
        Severity::High,
        "set PermitEmptyPasswords no",
    ),
    (
        "permitrootlogin",
        &["yes"],
        Severity::High,
        "set PermitRootLogin prohibit-password, or no",
    ),
    (
        "hostbasedauthentication",
        &["yes"],
        Severity::High,
        "set HostbasedAuthentication no",
    ),
    ("ignorerhosts", &["no"], Severity::High, "set IgnoreRhosts yes"),
    ("strictmodes", &["no"], Severity::Medium, "set StrictModes yes"),
    (
        "permituserenvironment",
        &["yes"],
        Severity::Medium,
        "set PermitUserEnvironment no",
    ),
    (
        "gatewayports",
        &["yes", "clientspecified"],
        Severity::Low,
        "set GatewayPorts no",
    ),
    ("x11forwarding", &["yes"], Severity::Low, "set X11Forwarding no"),
    (
        "protocol",
        &["1", "1,2", "2,1"],
        Severity::High,
        "remove Protocol: only 2 is safe",
    ),
];
/// Lists of algorithms, and parts of names that are broken.
const ALGORITHMS: &[(&str, &[&str])] = &[
    ("ciphers", &["arcfour", "3des", "blowfish", "cast128", "-cbc"]),
    ("macs", &["md5", "hmac-sha1-96", "umac-64"]),
    (
        "kexalgorithms",
        &["diffie-hellman-group1-", "group-exchange-sha1", "group14-sha1"],
    ),
    ("hostkeyalgorithms", &["ssh-dss"]),
    ("pubkeyacceptedalgorithms", &["ssh-dss"]),
];
/// More guesses than this in one connection are too many.
const MOST_TRIES: u32 = 10;

/// A setting and where it stands.
struct Setting {
    value: String,
    file: String,
    line: usize,
}

/// What the server was told.
#[derive(Default)]
struct Settings {
    /// The first value of each keyword outside of `Match`.
    global: BTreeMap<String, Setting>,
    /// Every setting inside of a `Match`.
    matched: Vec<(String, Setting)>,
}

pub(super) fn check(scan: &mut Scan<'_>) -> Result<()> {
    let Some(text) = scan.machine.text(CONFIG)? else {
        // There is no SSH server here.
        return Ok(());
    };
    let mut settings = Settings::default();
    let mut in_match = false;
    settings.read(scan, CONFIG, &text, &mut in_match, 0)?;
    for (keyword, setting) in &settings.global {
        judge(scan, keyword, setting, "");
    }
    for (keyword, setting) in &settings.matched {
        judge(
            scan,
            keyword,
            setting,
            " for the connections that its Match names",
        );
    }
    if !settings.global.contains_key("passwordauthentication") {
        scan.note(
            Check::Sshd,
            ("sshd.password_authentication", Severity::Low),
            scan.machine.outside(CONFIG),
            "PasswordAuthentication is not set, and its default is yes",
            "set PasswordAuthentication no once every person has a key",
        );
    }
    Ok(())
}

impl Settings {
    fn read(
        &mut self,
        scan: &Scan<'_>,
        file: &str,
        text: &str,
        in_match: &mut bool,
        depth: u32,
    ) -> Result<()> {
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, value)) = split(line) else {
                continue;
            };
            match keyword.as_str() {
                "match" => *in_match = !value.eq_ignore_ascii_case("all"),
                "include" if depth < DEEPEST => {
                    for name in included(scan, &value)? {
                        let text = scan.machine.text(&name)?.unwrap_or_default();
                        // A Match in an included file ends with that file.
                        let mut inner = *in_match;
                        self.read(scan, &name, &text, &mut inner, depth + 1)?;
                    }
                }
                _ => self.set(
                    keyword,
                    *in_match,
                    Setting {
                        value,
                        file: file.to_owned(),
                        line: index + 1,
                    },
                ),
            }
        }
        Ok(())
    }

    fn set(&mut self, keyword: String, in_match: bool, setting: Setting) {
        if in_match {
            self.matched.push((keyword, setting));
        } else {
            self.global.entry(keyword).or_insert(setting);
        }
    }
}

/// Keyword in lower case and value of a line: `Key value`, `Key=value`, `Key "value"`.
fn split(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let at = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, value) = line.split_at_checked(at)?;
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    let value = value.split(" #").next().unwrap_or(value).trim().trim_matches('"');
    Some((keyword.to_ascii_lowercase(), value.to_owned()))
}

/// Files that an `Include` names, each pattern's in the order of their names.
fn included(scan: &Scan<'_>, patterns: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for pattern in patterns.split_whitespace() {
        let pattern = if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            format!("/etc/ssh/{pattern}")
        };
        let Some((dir, name)) = pattern.rsplit_once('/') else {
            continue;
        };
        let Some(glob) = glob(name) else {
            continue;
        };
        let names = scan
            .machine
            .names(dir)?
            .into_iter()
            .filter(|name| glob.is_match(name));
        files.extend(names.map(|name| format!("{dir}/{name}")));
    }
    Ok(files)
}

fn glob(name: &str) -> Option<GlobMatcher> {
    Some(GlobBuilder::new(name).build().ok()?.compile_matcher())
}

fn judge(scan: &mut Scan<'_>, keyword: &str, setting: &Setting, scope: &str) {
    let subject = scan.machine.outside(&setting.file);
    let evidence = format!("line {}: {keyword} {}{scope}", setting.line, setting.value);
    let value = setting.value.to_ascii_lowercase();
    if let Some((_, _, severity, remedy)) = WEAK
        .iter()
        .find(|(name, values, ..)| *name == keyword && values.contains(&value.as_str()))
    {
        let id = format!("sshd.{keyword}");
        scan.note(
            Check::Sshd,
            (&id, *severity),
            subject.as_str(),
            evidence.as_str(),
            *remedy,
        );
    }
    if keyword == "passwordauthentication" && value == "yes" {
        scan.note(
            Check::Sshd,
            ("sshd.password_authentication", Severity::Low),
            subject.as_str(),
            evidence.as_str(),
            "set PasswordAuthentication no once every person has a key",
        );
    }
    if keyword == "maxauthtries" && value.parse::<u32>().is_ok_and(|tries| tries > MOST_TRIES) {
        scan.note(
            Check::Sshd,
            ("sshd.maxauthtries", Severity::Low),
            subject.as_str(),
            evidence.as_str(),
            "set MaxAuthTries 6 or less",
        );
    }
    let broken = ALGORITHMS.iter().find(|(name, _)| *name == keyword);
    // A list that begins with `-` takes algorithms away.
    if let Some((_, parts)) = broken.filter(|_| !value.starts_with('-')) {
        let weak: Vec<&str> = value
            .split(',')
            .filter(|name| parts.iter().any(|part| name.contains(part)))
            .collect();
        if !weak.is_empty() {
            let remedy = format!("take {} out of {keyword}", weak.join(", "));
            let id = format!("sshd.{keyword}");
            scan.note(Check::Sshd, (&id, Severity::Medium), subject, evidence, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_line_is_read_as_the_server_reads_it() {
        for (line, expected) in [
            ("PermitRootLogin yes", Some(("permitrootlogin", "yes"))),
            ("  Port=22", Some(("port", "22"))),
            ("Banner \"none\"", Some(("banner", "none"))),
            ("X11Forwarding\tno # comment", Some(("x11forwarding", "no"))),
            ("# PermitRootLogin yes", None),
            ("", None),
        ] {
            let got = split(line);
            let got = got
                .as_ref()
                .map(|(keyword, value)| (keyword.as_str(), value.as_str()));
            assert_eq!(got, expected, "{line:?}");
        }
    }
}
