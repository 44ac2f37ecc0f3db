//! Goals that are stated when something happens: `triggers.toml` of the vendor and of the administrator.
//!
//! A trigger answers an event about a subject with a goal, at most one in a time and never a second while the first goes
//! on; what it did not answer is counted. Its goals are root's, who wrote the file, and ask as much as any other.
//!
//! ```toml
//! [[trigger]]
//! name = "service-failed"
//! on = "service.failed"
//! goal = "find out why {subject} does not run"
//! ```

pub mod watch;

use crate::model::cause::Cause;
use crate::model::event::{Autonomy, Event, Origin};
use crate::schedule::ScheduleError;
use aios_core::config;
use aios_core::id::GoalId;
use aios_core::paths::Paths;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// Name of the file in both layers.
const FILE: &str = "triggers.toml";
/// Stands for the subject in a goal's text.
const SUBJECT: &str = "{subject}";
/// Shortest window, milliseconds.
const SHORTEST_MS: u64 = 1_000;
/// Longest text of a goal, bytes, with room for the subject.
const LONGEST_GOAL: usize = 3_500;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum On {
    /// A service ended or could not be started, and will not be tried again.
    #[serde(rename = "service.failed")]
    ServiceFailed,
    /// A service ended by itself and is started again after a pause.
    #[serde(rename = "service.backoff")]
    ServiceBackoff,
}

impl On {
    /// As the file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceFailed => "service.failed",
            Self::ServiceBackoff => "service.backoff",
        }
    }
}

/// A goal for an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Name; the administrator's takes the place of the vendor's of that name.
    pub name: String,
    /// The event.
    pub on: On,
    /// The goal's text; `{subject}` stands for what it happened to.
    pub goal: String,
    /// Only about these subjects; all when empty.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// At most one goal for a subject in this time, milliseconds.
    #[serde(default = "an_hour")]
    pub window_ms: u64,
    /// How much its goals ask.
    #[serde(default = "supervised")]
    pub autonomy: Autonomy,
    /// Priority of its goals, 0 to 9.
    #[serde(default = "five")]
    pub priority: u8,
    /// Whether it answers at all.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn an_hour() -> u64 {
    3_600_000
}

fn supervised() -> Autonomy {
    Autonomy::Supervised
}

fn five() -> u8 {
    5
}

fn yes() -> bool {
    true
}

/// An event that a trigger answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Name of the trigger.
    pub trigger: String,
    /// What it happened to.
    pub subject: String,
    /// What was seen, a phrase.
    pub reason: String,
    /// At most one goal in this time, milliseconds.
    pub window_ms: i64,
}

/// What a trigger answered about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Name of the trigger.
    pub trigger: String,
    /// What it happened to.
    pub subject: String,
    /// The newest goal.
    pub goal: GoalId,
    /// When it was stated, UTC milliseconds.
    pub stated_ms: i64,
    /// Events since, for which none was.
    pub suppressed: u32,
    /// The newest reason.
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    trigger: Vec<Trigger>,
}

/// Reads both layers; answers the triggers that are enabled, by name.
///
/// # Errors
/// A file cannot be read, or says something that does not go.
pub fn load(paths: &Paths) -> Result<Vec<Trigger>, ScheduleError> {
    let mut found = BTreeMap::new();
    for path in paths.layers(FILE) {
        let file = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => found.extend(parse(&file, &text)?.into_iter().map(|it| (it.name.clone(), it))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(ScheduleError::Read { file, source }),
        }
    }
    Ok(found.into_values().filter(|trigger| trigger.enabled).collect())
}

/// Triggers of one file's text.
///
/// # Errors
/// [`ScheduleError`] names file, trigger and what is wrong.
pub fn parse(file: &str, text: &str) -> Result<Vec<Trigger>, ScheduleError> {
    let triggers = config::parse_file::<File>(file, text)?.trigger;
    for (index, trigger) in triggers.iter().enumerate() {
        let twice = triggers
            .iter()
            .take(index)
            .any(|other| other.name == trigger.name);
        let problem = if twice {
            Some("is there twice".to_owned())
        } else {
            trigger.problem()
        };
        if let Some(problem) = problem {
            return Err(ScheduleError::Trigger {
                file: file.to_owned(),
                name: trigger.name.clone(),
                problem,
            });
        }
    }
    Ok(triggers)
}

/// Whether a name can stand in a goal's text and in a capability: what services are called.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with('-')
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_.@".contains(it))
}

impl Trigger {
    fn problem(&self) -> Option<String> {
        let rest = self.goal.replace(SUBJECT, "");
        if !is_plain(&self.name) {
            Some("its name may have letters, digits and `-_.@`".to_owned())
        } else if self.goal.trim().is_empty() || self.goal.len() > LONGEST_GOAL {
            Some(format!("`goal` must have 1 to {LONGEST_GOAL} bytes"))
        } else if rest.contains(['{', '}']) {
            Some(format!("`goal` knows only the place {SUBJECT}"))
        } else if self.window_ms < SHORTEST_MS || i64::try_from(self.window_ms).is_err() {
            Some(format!("`window_ms` must be at least {SHORTEST_MS}"))
        } else if self.priority > 9 {
            Some("`priority` must be between 0 and 9".to_owned())
        } else {
            None
        }
    }

    /// Whether it answers this event about this subject.
    pub fn answers(&self, on: On, subject: &str) -> bool {
        self.on == on && (self.subjects.is_empty() || self.subjects.iter().any(|it| it == subject))
    }

    /// The event as it is held against earlier ones.
    pub fn occurrence(&self, subject: &str, reason: &str) -> Occurrence {
        Occurrence {
            trigger: self.name.clone(),
            subject: subject.to_owned(),
            reason: reason.to_owned(),
            window_ms: i64::try_from(self.window_ms).unwrap_or(i64::MAX),
        }
    }

    /// The submission of its goal.
    pub fn goal(&self, subject: &str, reason: &str) -> Event {
        Event::Submitted {
            text: self.goal.replace(SUBJECT, subject),
            priority: self.priority,
            autonomy: self.autonomy,
            dry_run: false,
            submitted_by: aios_auth::peer::name_of(0),
            uid: 0,
            client_id: String::new(),
            origin: Origin::Text,
            cause: Cause::Event {
                trigger: self.name.clone(),
                event: self.on.as_str().to_owned(),
                subject: subject.to_owned(),
                reason: reason.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
