//! What can stand in a slot, parsed to a type once.

use super::measure::{age, duration, number, percent, size};
use super::words::{self, Word};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Kind of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// An absolute directory.
    Dir,
    /// An absolute path of a file or directory.
    Path,
    /// A pattern for file names, `*.log`.
    Glob,
    /// A length of time, `7 days`; milliseconds.
    Age,
    /// A length of time that may be short, `30 seconds`; milliseconds.
    Duration,
    /// A number of things.
    Count,
    /// A size, `500 MB`; bytes.
    Size,
    /// A share, `90%`.
    Percent,
    /// Name of a service, `nginx`.
    Service,
    /// Name of a package, `libc6`.
    Package,
    /// Name of a process, `python3`.
    Process,
    /// Number of a process.
    Pid,
    /// A port, 1 to 65535.
    Port,
    /// A host name or address.
    Host,
    /// An address of the web, `https://example.org/x`.
    Url,
}

impl SlotKind {
    /// What an error says was expected.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Dir => "an absolute directory like /var/log",
            Self::Path => "an absolute path like /etc/hosts",
            Self::Glob => "a file name pattern like *.log",
            Self::Age => "a length of time like `7 days`",
            Self::Duration => "a length of time like `30 seconds`",
            Self::Count => "a number",
            Self::Size => "a size like `500 MB`",
            Self::Percent => "a share like `90%`",
            Self::Service => "the name of a service like nginx",
            Self::Package => "the name of a package like curl",
            Self::Process => "the name of a process like python3",
            Self::Pid => "the number of a process",
            Self::Port => "a port from 1 to 65535",
            Self::Host => "a host like example.org or 192.0.2.1",
            Self::Url => "an address like https://example.org/x",
        }
    }

    /// A value that every template can be tried with.
    pub fn sample(self) -> SlotValue {
        let text = |text: &str| text.to_owned();
        match self {
            Self::Dir => SlotValue::Dir(text("/srv/sample")),
            Self::Path => SlotValue::Path(text("/srv/sample/file")),
            Self::Glob => SlotValue::Glob(text("*.sample")),
            Self::Age | Self::Duration => SlotValue::AgeMs(86_400_000),
            Self::Count => SlotValue::Count(1),
            Self::Size => SlotValue::SizeBytes(1 << 20),
            Self::Percent => SlotValue::Percent(90),
            Self::Service | Self::Package | Self::Process => SlotValue::Name(text("sample")),
            Self::Pid | Self::Port => SlotValue::Count(4242),
            Self::Host => SlotValue::Name(text("host.sample")),
            Self::Url => SlotValue::Url(text("https://host.sample/")),
        }
    }

    /// Reads a value from the beginning of `words`: the value and how many words it took.
    pub(super) fn read(self, words: &[Word]) -> Result<(SlotValue, usize), String> {
        let Some(word) = words.first() else {
            return Err(format!("expected {}", self.expected()));
        };
        let one = |value: Result<SlotValue, String>| value.map(|value| (value, 1));
        match self {
            Self::Dir => one(absolute(&word.text, "directory").map(SlotValue::Dir)),
            Self::Path => one(absolute(&word.text, "path").map(SlotValue::Path)),
            Self::Glob => one(glob(word).map(SlotValue::Glob)),
            Self::Age => age(words),
            Self::Duration => duration(words),
            Self::Size => size(words),
            Self::Percent => percent(words),
            Self::Count => one(within(&word.text, 0..=1_000_000, "a number up to 1000000")),
            Self::Pid => one(within(&word.text, 1..=4_194_304, self.expected())),
            Self::Port => one(within(&word.text, 1..=65_535, self.expected())),
            Self::Service | Self::Package | Self::Process => one(name(word, "@._-+:~", self)),
            Self::Host => one(host(word)),
            Self::Url => one(url(word)),
        }
    }

    /// The value of a default as a file writes it: a number, or words.
    pub(crate) fn value_of(self, default: &Value) -> Result<SlotValue, String> {
        let text = match default {
            Value::Number(number) => {
                let number = number
                    .as_u64()
                    .ok_or_else(|| "is no number from 0 on".to_owned())?;
                match self {
                    Self::Age | Self::Duration => return Ok(SlotValue::AgeMs(number)),
                    Self::Size => return Ok(SlotValue::SizeBytes(number)),
                    Self::Percent if number <= 100 => return Ok(SlotValue::Percent(number)),
                    _ => number.to_string(),
                }
            }
            Value::String(text) => text.clone(),
            other => return Err(format!("{other} is neither a number nor a text")),
        };
        let words = words::split(&text).map_err(|error| error.to_string())?;
        match self.read(&words)? {
            (value, used) if used == words.len() => Ok(value),
            _ => Err(format!("`{text}` is more than {}", self.expected())),
        }
    }
}

/// Value of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotValue {
    /// Absolute, without `.`, `..`, doubled or trailing slashes, and without glob characters.
    Dir(String),
    /// As [`SlotValue::Dir`], of anything.
    Path(String),
    /// A pattern for one path component.
    Glob(String),
    /// Milliseconds.
    AgeMs(u64),
    /// How many, or which number.
    Count(u64),
    /// Bytes.
    SizeBytes(u64),
    /// 0 to 100.
    Percent(u64),
    /// A plain name: letters, digits and a few marks, never a leading `-`.
    Name(String),
    /// An address of the web.
    Url(String),
}

impl SlotValue {
    /// As a JSON value: strings and numbers.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Dir(text) | Self::Path(text) | Self::Glob(text) | Self::Name(text) | Self::Url(text) => {
                Value::from(text.as_str())
            }
            Self::AgeMs(number) | Self::Count(number) | Self::SizeBytes(number) | Self::Percent(number) => {
                Value::from(*number)
            }
        }
    }
}

impl fmt::Display for SlotValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Value::String(text) => f.write_str(&text),
            other => other.fmt(f),
        }
    }
}

/// Characters that would make a pattern of a path inside a capability.
pub(crate) const PATTERN_CHARACTERS: &[char] = &['*', '?', '[', ']', '{', '}', '\\'];

fn absolute(text: &str, what: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a {what} must be absolute: begin it with `/`"));
    }
    if text.contains(char::is_control) {
        return Err(format!("a {what} may not have control characters"));
    }
    if let Some(bad) = text.chars().find(|it| PATTERN_CHARACTERS.contains(it)) {
        return Err(format!(
            "`{bad}` may not stand in a {what}; say the file names' pattern by itself"
        ));
    }
    let mut parts = Vec::new();
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(format!("`..` may not stand in a {what}; name it in full"));
        }
        parts.push(part);
    }
    Ok(format!("/{}", parts.join("/")))
}

fn glob(word: &Word) -> Result<String, String> {
    let text = &word.text;
    if text.is_empty() || text == "." || text == ".." {
        return Err(format!("`{text}` is no file name pattern; one is like *.log"));
    }
    if text.contains('/') || text.contains(char::is_control) {
        return Err("a file name pattern may not have `/` or control characters".to_owned());
    }
    // A bare ordinary word here is more likely a word of the sentence than a file's name.
    if !word.quoted && !text.contains(['.', '*', '?', '[']) {
        return Err(format!(
            "`{text}` is no file name pattern; one is like *.log (quote a plain name)"
        ));
    }
    Ok(text.clone())
}

fn within(text: &str, range: std::ops::RangeInclusive<u64>, expected: &str) -> Result<SlotValue, String> {
    number(text)
        .filter(|number| range.contains(number))
        .map(SlotValue::Count)
        .ok_or_else(|| format!("expected {expected}"))
}

/// A name that no program could take for an option, and no capability for a pattern.
fn name(word: &Word, marks: &str, kind: SlotKind) -> Result<SlotValue, String> {
    let text = &word.text;
    let plain = |it: char| it.is_ascii_alphanumeric() || marks.contains(it);
    if text.is_empty() || text.len() > 255 || text.starts_with(['-', '.']) || !text.chars().all(plain) {
        let shown: String = text.chars().take(80).collect();
        return Err(format!("`{shown}` is not {}", kind.expected()));
    }
    Ok(SlotValue::Name(text.clone()))
}

fn host(word: &Word) -> Result<SlotValue, String> {
    if word.text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(SlotValue::Name(word.text.clone()));
    }
    name(word, ".-", SlotKind::Host)
}

fn url(word: &Word) -> Result<SlotValue, String> {
    let text = &word.text;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !whole || text.len() > 2048 || text.contains(|it: char| it.is_control() || it.is_whitespace()) {
        return Err(format!("expected {}", SlotKind::Url.expected()));
    }
    Ok(SlotValue::Url(text.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;

    fn read(kind: SlotKind, text: &str) -> Result<(SlotValue, usize), String> {
        kind.read(&split(text).unwrap())
    }

    #[test]
    fn ages_are_read_in_every_usual_form() {
        const DAY: u64 = 86_400_000;
        for (text, ms, used) in [
            ("7 days", 7 * DAY, 2),
            ("7d", 7 * DAY, 1),
            ("a week", 7 * DAY, 2),
            ("two weeks", 14 * DAY, 2),
            ("36h", DAY + DAY / 2, 1),
            ("1 hour", DAY / 24, 2),
            ("90 minutes", DAY / 16, 2),
        ] {
            assert_eq!(
                read(SlotKind::Age, text),
                Ok((SlotValue::AgeMs(ms), used)),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_ages_are_named() {
        for (text, part) in [
            ("7", "expected a unit"),
            ("7 moons", "`moons` is no unit"),
            ("soon", "expected a length of time"),
            ("0 days", "more than nothing"),
            ("99999999999999 weeks", "100 years"),
            ("", "expected a length of time"),
        ] {
            assert!(read(SlotKind::Age, text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn directories_are_normalised_or_refused() {
        for (text, wanted) in [
            ("/var//log/./x/", "/var/log/x"),
            ("/", "/"),
            ("'/srv/my logs'", "/srv/my logs"),
        ] {
            assert_eq!(
                read(SlotKind::Dir, text),
                Ok((SlotValue::Dir(wanted.to_owned()), 1))
            );
        }
        for (text, part) in [
            ("var/log", "absolute"),
            ("/var/../etc", "`..`"),
            ("/var/*", "`*` may not"),
            ("/var/{a,b}", "`{` may not"),
            ("\"/var/a\nb\"", "control"),
        ] {
            assert!(read(SlotKind::Dir, text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn file_name_patterns_are_one_component() {
        for good in ["*.log", "core.*", "'Cache'", "app-[0-9].log"] {
            assert!(read(SlotKind::Glob, good).is_ok(), "{good}");
        }
        for bad in ["files", "/etc/*.log", "a/*.log", "..", "''"] {
            assert!(read(SlotKind::Glob, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_shares_names_and_addresses_are_read() {
        for (kind, text, value) in [
            (SlotKind::Size, "500 MB", SlotValue::SizeBytes(500_000_000)),
            (SlotKind::Size, "2GiB", SlotValue::SizeBytes(2 << 30)),
            (SlotKind::Percent, "90%", SlotValue::Percent(90)),
            (SlotKind::Percent, "90 percent", SlotValue::Percent(90)),
            (SlotKind::Duration, "30 seconds", SlotValue::AgeMs(30_000)),
            (
                SlotKind::Service,
                "getty@tty1",
                SlotValue::Name("getty@tty1".to_owned()),
            ),
            (
                SlotKind::Package,
                "libstdc++6",
                SlotValue::Name("libstdc++6".to_owned()),
            ),
            (SlotKind::Port, "443", SlotValue::Count(443)),
            (
                SlotKind::Host,
                "2001:db8::1",
                SlotValue::Name("2001:db8::1".to_owned()),
            ),
            (
                SlotKind::Path,
                "/etc//hosts",
                SlotValue::Path("/etc/hosts".to_owned()),
            ),
            (
                SlotKind::Url,
                "https://example.org/x?y=1",
                SlotValue::Url("https://example.org/x?y=1".to_owned()),
            ),
        ] {
            let used = text.split(' ').count();
            assert_eq!(read(kind, text), Ok((value, used)), "{text}");
        }
    }

    #[test]
    fn what_could_be_an_option_a_pattern_or_nothing_is_refused() {
        for (kind, text) in [
            (SlotKind::Service, "-rf"),
            (SlotKind::Service, "a*"),
            (SlotKind::Service, "../x"),
            (SlotKind::Package, "''"),
            (SlotKind::Port, "0"),
            (SlotKind::Port, "65536"),
            (SlotKind::Percent, "101%"),
            (SlotKind::Size, "7 parsecs"),
            (SlotKind::Host, "-x.org"),
            (SlotKind::Url, "file:///etc/shadow"),
            (SlotKind::Pid, "0"),
        ] {
            assert!(read(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn defaults_are_numbers_or_words() {
        use serde_json::json;
        assert_eq!(
            SlotKind::Age.value_of(&json!("7 days")),
            Ok(SlotValue::AgeMs(604_800_000))
        );
        assert_eq!(SlotKind::Count.value_of(&json!(0)), Ok(SlotValue::Count(0)));
        assert_eq!(
            SlotKind::Dir.value_of(&json!("/")),
            Ok(SlotValue::Dir("/".to_owned()))
        );
        assert!(SlotKind::Dir.value_of(&json!("srv")).is_err());
        assert!(SlotKind::Count.value_of(&json!(true)).is_err());
    }
}
