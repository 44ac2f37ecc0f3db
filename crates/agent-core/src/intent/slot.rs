//! What can stand in a slot, parsed to a type once.

use super::words::Word;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Kind of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// An absolute directory.
    Dir,
    /// A pattern for file names, `*.log`.
    Glob,
    /// A length of time, `7 days`; milliseconds.
    Age,
    /// A number of things.
    Count,
}

impl SlotKind {
    /// What an error says was expected.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Dir => "an absolute directory like /var/log",
            Self::Glob => "a file name pattern like *.log",
            Self::Age => "a length of time like `7 days`",
            Self::Count => "a number",
        }
    }

    /// A value that every template can be tried with.
    pub fn sample(self) -> SlotValue {
        match self {
            Self::Dir => SlotValue::Dir("/srv/sample".to_owned()),
            Self::Glob => SlotValue::Glob("*.sample".to_owned()),
            Self::Age => SlotValue::AgeMs(86_400_000),
            Self::Count => SlotValue::Count(1),
        }
    }

    /// Reads a value from the beginning of `words`: the value and how many words it took.
    pub(super) fn read(self, words: &[Word]) -> Result<(SlotValue, usize), String> {
        let Some(word) = words.first() else {
            return Err(format!("expected {}", self.expected()));
        };
        match self {
            Self::Dir => dir(&word.text).map(|dir| (SlotValue::Dir(dir), 1)),
            Self::Glob => glob(word).map(|glob| (SlotValue::Glob(glob), 1)),
            Self::Age => age(words),
            Self::Count => number(&word.text)
                .filter(|count| *count <= 1_000_000)
                .map(|count| (SlotValue::Count(count), 1))
                .ok_or_else(|| "expected a number up to 1000000".to_owned()),
        }
    }
}

/// Value of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotValue {
    /// Absolute, without `.`, `..`, doubled or trailing slashes, and without glob characters.
    Dir(String),
    /// A pattern for one path component.
    Glob(String),
    /// Milliseconds.
    AgeMs(u64),
    /// How many.
    Count(u64),
}

impl SlotValue {
    /// As a JSON value: strings, and numbers for ages and counts.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Dir(text) | Self::Glob(text) => Value::from(text.as_str()),
            Self::AgeMs(number) | Self::Count(number) => Value::from(*number),
        }
    }
}

impl fmt::Display for SlotValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(text) | Self::Glob(text) => f.write_str(text),
            Self::AgeMs(number) | Self::Count(number) => number.fmt(f),
        }
    }
}

/// Characters that would make a pattern of a path inside a capability.
const PATTERN_CHARACTERS: &[char] = &['*', '?', '[', ']', '{', '}', '\\'];

fn dir(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a directory must be absolute: begin it with `/`".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("a directory may not have control characters".to_owned());
    }
    if let Some(bad) = text.chars().find(|it| PATTERN_CHARACTERS.contains(it)) {
        return Err(format!(
            "`{bad}` may not stand in a directory; say the file names' pattern by itself"
        ));
    }
    let mut parts = Vec::new();
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err("`..` may not stand in a directory; name it in full".to_owned());
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

const NUMBER_WORDS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

fn number(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    if lower == "a" || lower == "an" {
        return Some(1);
    }
    if let Some(position) = NUMBER_WORDS.iter().position(|word| *word == lower) {
        return u64::try_from(position).ok();
    }
    (!lower.is_empty() && lower.chars().all(|it| it.is_ascii_digit()))
        .then(|| lower.parse().ok())
        .flatten()
}

fn unit_ms(text: &str) -> Option<u64> {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match text.to_lowercase().as_str() {
        "m" | "min" | "mins" | "minute" | "minutes" => Some(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(HOUR),
        "d" | "day" | "days" => Some(DAY),
        "w" | "week" | "weeks" => Some(7 * DAY),
        _ => None,
    }
}

fn age(words: &[Word]) -> Result<(SlotValue, usize), String> {
    let (amount, unit, used) = match words {
        [first, rest @ ..] => match number(&first.text) {
            Some(amount) => match rest.first() {
                Some(unit) => (Some(amount), unit.text.clone(), 2),
                None => {
                    return Err(format!(
                        "expected a unit after `{}`: minutes, hours, days or weeks",
                        first.text
                    ));
                }
            },
            None => {
                let split = first
                    .text
                    .find(|it: char| !it.is_ascii_digit())
                    .unwrap_or(first.text.len());
                let (digits, unit) = first.text.split_at(split);
                (digits.parse().ok(), unit.to_owned(), 1)
            }
        },
        [] => (None, String::new(), 0),
    };
    let Some(amount) = amount else {
        return Err("expected a length of time like `7 days`".to_owned());
    };
    let Some(unit) = unit_ms(&unit) else {
        return Err(format!(
            "`{unit}` is no unit of time; minutes, hours, days and weeks are"
        ));
    };
    match amount.checked_mul(unit) {
        Some(0) => Err("a length of time must be more than nothing".to_owned()),
        Some(ms) if ms <= 100 * 366 * 86_400_000 => Ok((SlotValue::AgeMs(ms), used)),
        _ => Err("a length of time may be 100 years at most".to_owned()),
    }
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
}
