//! Turning a TOML or serde message into file, line, key and the nearest right key.

use crate::error::Coded;
use std::io;
use std::path::PathBuf;

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A key that nothing reads.
    #[error("{file}:{line}: unknown key `{key}`{place}{hint}")]
    UnknownKey {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// ` in [section]`, or empty.
        place: String,
        /// `; did you mean …?`, or empty.
        hint: String,
    },
    /// A value of the wrong type or form, or a syntax error.
    #[error("{file}:{line}: {message}")]
    Value {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    /// An error about a section as a whole.
    pub fn value(file: &str, section: &str, message: &str) -> Self {
        Self::Value {
            file: file.to_owned(),
            line: 0,
            message: format!("[{section}]: {message}"),
        }
    }
}

impl Coded for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "AIOS-CONFIG-0001",
            Self::UnknownKey { .. } => "AIOS-CONFIG-0002",
            Self::Value { .. } => "AIOS-CONFIG-0003",
        }
    }
    fn next_step(&self) -> String {
        match self {
            Self::Read { file, .. } => format!("check owner and mode of {}", file.display()),
            Self::UnknownKey { .. } | Self::Value { .. } => {
                "correct that line, then run `aiosctl config check`".to_owned()
            }
        }
    }
}

/// Describes an error that the TOML parser found in `text`.
pub fn describe(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    match unknown_key(error.message()) {
        Some((key, hint)) => ConfigError::UnknownKey {
            file: file.to_owned(),
            line,
            key,
            place: String::new(),
            hint,
        },
        None => ConfigError::Value {
            file: file.to_owned(),
            line,
            message: error
                .message()
                .replace('\n', "; ")
                .trim_end_matches("; ")
                .to_owned(),
        },
    }
}

/// Finds the line that a message without a position is about: that of the key it names.
pub(super) fn locate(file: &str, text: &str, section: Option<&str>, message: &str) -> ConfigError {
    let file = file.to_owned();
    let place = section
        .map(|section| format!(" in [{section}]"))
        .unwrap_or_default();
    if let Some((key, hint)) = unknown_key(message) {
        let line = line_of_key(text, section, &key);
        return ConfigError::UnknownKey {
            file,
            line,
            key,
            place,
            hint,
        };
    }
    // Without a position toml writes "in `key`" on a line of its own.
    let (what, key) = match message.split_once("\nin `") {
        Some((what, rest)) => (what, rest.split('`').next()),
        None => (message, None),
    };
    match key {
        Some(key) => {
            let last = key.rsplit('.').next().unwrap_or(key);
            ConfigError::Value {
                file,
                line: line_of_key(text, section, last),
                message: format!("key `{key}`: {what}"),
            }
        }
        None => {
            let line = section.map_or(1, |section| line_of_header(text, section));
            ConfigError::Value {
                file,
                line,
                message: what.trim_end().replace('\n', "; "),
            }
        }
    }
}

/// The key of serde's "unknown field" message, and a hint made from the fields that it lists.
fn unknown_key(message: &str) -> Option<(String, String)> {
    let rest = message.split_once("unknown field `")?.1;
    let (key, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(3) / 2);
    let hint = nearest
        .map(|(_, known)| format!("; did you mean `{known}`?"))
        .unwrap_or_default();
    Some((key.to_owned(), hint))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn line_of_header(text: &str, section: &str) -> usize {
    let header = format!("[{section}]");
    text.lines()
        .position(|line| line.trim() == header)
        .map_or(1, |index| index + 1)
}

fn line_of_key(text: &str, section: Option<&str>, key: &str) -> usize {
    let first = section.map_or(1, |section| line_of_header(text, section));
    let is_key = |line: &str| {
        let name = line
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('"');
        line.contains('=') && name == key
    };
    let found = text
        .lines()
        .skip(first - 1)
        .position(|line| is_key(line) || line.contains(&format!("{key} =")));
    found.map_or(first, |index| first + index)
}
