//! Boot entries: small text files, one a deployment, whose name may hold a counter of tries.
//!
//! Format: UAPI.1 Boot Loader Specification, type 1. Counter: systemd's Automatic Boot Assessment: `NAME+LEFT.conf` before
//! the first try, `NAME+LEFT-DONE.conf` after; the boot loader itself renames the file before each try.

use crate::id::DeploymentId;
use std::fmt;

/// How often an entry may be tried yet, and how often it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Tries left. At 0 the boot loader prefers every other entry.
    pub left: u32,
    /// Tries made.
    pub done: u32,
}

/// Name of an entry's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// What is left of it without counter and `.conf`.
    pub stem: String,
    /// Its counter. None: it is trusted.
    pub tries: Option<Tries>,
}

impl EntryName {
    /// Takes a file's name apart. `None` when it is no entry's.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let name = file.strip_suffix(".conf").filter(|name| !name.is_empty())?;
        let counted = name
            .rsplit_once('+')
            .and_then(|(stem, counter)| Some((stem, tries(counter)?)))
            .filter(|(stem, _)| !stem.is_empty());
        Some(match counted {
            Some((stem, tries)) => Self {
                stem: stem.to_owned(),
                tries: Some(tries),
            },
            None => Self {
                stem: name.to_owned(),
                tries: None,
            },
        })
    }

    /// The same with another counter.
    #[must_use]
    pub fn with(&self, tries: Option<Tries>) -> Self {
        Self {
            stem: self.stem.clone(),
            tries,
        }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tries {
            None => write!(f, "{}.conf", self.stem),
            Some(Tries { left, done: 0 }) => write!(f, "{}+{left}.conf", self.stem),
            Some(Tries { left, done }) => write!(f, "{}+{left}-{done}.conf", self.stem),
        }
    }
}

fn tries(counter: &str) -> Option<Tries> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some(match counter.split_once('-') {
        Some((left, done)) => Tries {
            left: number(left)?,
            done: number(done)?,
        },
        None => Tries {
            left: number(counter)?,
            done: 0,
        },
    })
}

/// What an entry's file says, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// For a person.
    pub title: String,
    /// Version of the operating system.
    pub version: String,
    /// The deployment that its options name.
    pub deployment: Option<DeploymentId>,
}

impl Content {
    /// Reads a file's text. Keys that are not known are skipped, as the specification asks.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut content = Self::default();
        for line in text.lines().map(str::trim) {
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            match key {
                "title" => value.trim().clone_into(&mut content.title),
                "version" => value.trim().clone_into(&mut content.version),
                // May be given several times; all count.
                "options" => {
                    content.deployment = content
                        .deployment
                        .or_else(|| DeploymentId::of_command_line(value));
                }
                _ => {}
            }
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_written_as_the_boot_loader_does() {
        for (file, stem, tries) in [
            ("bootc_aios-1-1.conf", "bootc_aios-1-1", None),
            ("a+3.conf", "a", Some((3, 0))),
            ("a+2-1.conf", "a", Some((2, 1))),
            ("a+0-3.conf", "a", Some((0, 3))),
            ("a+b.conf", "a+b", None),
            ("v1.0+git-2.conf", "v1.0+git-2", None),
            ("1.0+7-x.conf", "1.0+7-x", None),
            ("+3.conf", "+3", None),
        ] {
            let name = EntryName::parse(file).unwrap();
            assert_eq!(name.stem, stem, "{file}");
            assert_eq!(
                name.tries,
                tries.map(|(left, done)| Tries { left, done }),
                "{file}"
            );
            assert_eq!(name.to_string(), file);
        }
        for file in ["", ".conf", "a.txt", "a.conf~"] {
            assert_eq!(EntryName::parse(file), None, "{file}");
        }
    }

    #[test]
    fn an_entry_names_its_deployment_in_its_options() {
        let digest = "0".repeat(128);
        let text = format!(
            "title aiOS\nversion 7\nsort-key bootc-aios-0\noptions root=UUID=1 rw\noptions composefs={digest} quiet\nfuture x\n"
        );
        let content = Content::parse(&text);
        assert_eq!(content.title, "aiOS");
        assert_eq!(content.version, "7");
        assert_eq!(content.deployment, DeploymentId::new(&digest));
        assert_eq!(Content::parse("garbage\0\n\n"), Content::default());
    }
}
