//! What an analyzer gets to see: results of tool calls, each with the place where it is recorded.

use super::Analyzer;
use crate::model::finding::Shown;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Evidence that an analyzer cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnalyzeError {
    /// No analyzer has the name.
    #[error("there is no analyzer `{0}`")]
    Unknown(String),
    /// It is not given, or nothing stands there.
    #[error("analyzer `{analyzer}` needs the evidence `{name}`: {problem}")]
    Missing {
        /// Analyzer.
        analyzer: &'static str,
        /// Evidence.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// It has another shape than the tool that it should come from gives.
    #[error("analyzer `{analyzer}` cannot read its evidence `{name}` at {at}: {problem}")]
    Shape {
        /// Analyzer.
        analyzer: &'static str,
        /// Evidence.
        name: String,
        /// Pointer.
        at: String,
        /// What is wrong.
        problem: String,
    },
}

/// A call that failed, as an optional operation records it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Failure {
    /// Code.
    pub(super) code: String,
    /// Message.
    pub(super) message: String,
}

/// Evidence by the analyzer's names.
#[derive(Debug)]
pub struct Evidence<'a> {
    analyzer: &'static Analyzer,
    parts: BTreeMap<&'a str, (&'a str, &'a Value)>,
    settings: &'a Map<String, Value>,
}

impl<'a> Evidence<'a> {
    /// Looks everything up.
    ///
    /// # Errors
    /// Something that the analyzer needs is not there.
    pub(super) fn new(
        analyzer: &'static Analyzer,
        pointers: &'a BTreeMap<String, String>,
        settings: &'a Map<String, Value>,
        outputs: &'a Value,
    ) -> Result<Self, AnalyzeError> {
        let mut parts = BTreeMap::new();
        for wanted in analyzer.evidence {
            let missing = |problem: String| AnalyzeError::Missing {
                analyzer: analyzer.name,
                name: wanted.name.to_owned(),
                problem,
            };
            let Some((name, pointer)) = pointers.get_key_value(wanted.name) else {
                if wanted.needed {
                    return Err(missing(format!("it is not given ({})", wanted.says)));
                }
                continue;
            };
            match outputs.pointer(pointer) {
                Some(value) => drop(parts.insert(name.as_str(), (pointer.as_str(), value))),
                None if wanted.needed => return Err(missing(format!("nothing stands at {pointer}"))),
                None => {}
            }
        }
        Ok(Self {
            analyzer,
            parts,
            settings,
        })
    }

    /// Evidence that must be there.
    pub(super) fn need<T: DeserializeOwned>(&self, name: &str) -> Result<T, AnalyzeError> {
        if let Some(failure) = self.failure(name) {
            return Err(AnalyzeError::Missing {
                analyzer: self.analyzer.name,
                name: name.to_owned(),
                problem: format!("{} ({})", failure.message, failure.code),
            });
        }
        self.maybe(name)?.ok_or_else(|| AnalyzeError::Missing {
            analyzer: self.analyzer.name,
            name: name.to_owned(),
            problem: "the call that should give it was left out".to_owned(),
        })
    }

    /// Evidence that may be missing: not given, left out, or its call failed.
    pub(super) fn maybe<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, AnalyzeError> {
        let Some((pointer, value)) = self.parts.get(name) else {
            return Ok(None);
        };
        if value.is_null() || self.failure(name).is_some() {
            return Ok(None);
        }
        T::deserialize(*value)
            .map(Some)
            .map_err(|error| AnalyzeError::Shape {
                analyzer: self.analyzer.name,
                name: name.to_owned(),
                at: (*pointer).to_owned(),
                problem: error.to_string(),
            })
    }

    /// How the call failed that should have given a piece of evidence.
    pub(super) fn failure(&self, name: &str) -> Option<Failure> {
        let (_, value) = self.parts.get(name)?;
        Failure::deserialize(value.get("failed")?).ok()
    }

    /// What a place in a piece of evidence shows; `below` is a pointer into it, or empty.
    pub(super) fn shows(&self, name: &str, below: &str, shows: impl Into<String>) -> Shown {
        let pointer = self.parts.get(name).map_or("", |(pointer, _)| *pointer);
        Shown {
            at: format!("{pointer}{below}"),
            shows: shows.into(),
        }
    }

    /// A number that the runbook may set.
    pub(super) fn number(&self, setting: &str, otherwise: u64) -> u64 {
        self.settings
            .get(setting)
            .and_then(Value::as_u64)
            .unwrap_or(otherwise)
    }

    /// A text that the runbook may set.
    pub(super) fn text(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).and_then(Value::as_str)
    }
}
