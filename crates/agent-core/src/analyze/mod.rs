//! Telling causes from evidence, without a model. An analyzer is a pure function over the JSON results
//! of journaled tool calls: no I/O, no clock, no chance. The same evidence always gives the same
//! findings, so they can be tested with what real machines said.
//!
//! Not for repairing: what follows a cause is the runbook's to say.
//!
//! ```
//! use aios_orchestrator::analyze;
//! use serde_json::json;
//! let outputs = json!({"look": {"results": [
//!     {"path": "/srv", "fs_total_bytes": 100, "fs_free_bytes": 2},
//! ]}});
//! let evidence = [("usage".to_owned(), "/look/results/0".to_owned())].into();
//! let analysis = analyze::run("disk_full", &evidence, &Default::default(), &outputs).unwrap();
//! assert_eq!(analysis.findings[0].cause, "disk_full");
//! ```

mod access;
mod clues;
mod crash;
mod evidence;
mod holders;
mod inodes;
mod machine;
mod network;
mod ports;
mod processes;
mod storage;
mod update;
mod words;

pub use evidence::{AnalyzeError, Evidence};

use crate::model::finding::{Analysis, Finding, Severity, Shown};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a value of a finding is, so that templates can be tried without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// An absolute path.
    Path,
    /// Absolute paths.
    Paths,
    /// A plain name.
    Name,
    /// A whole number.
    Number,
    /// Words for a person; not for capabilities.
    Text,
}

impl Sample {
    /// A value of that kind.
    pub fn value(self) -> Value {
        match self {
            Self::Path => json!("/srv/sample/file"),
            Self::Paths => json!(["/srv/sample/one", "/srv/sample/two"]),
            Self::Name => json!("sample"),
            Self::Number => json!(7),
            Self::Text => json!("a text"),
        }
    }

    fn fits(self, value: &Value) -> bool {
        let path = |value: &Value| value.as_str().is_some_and(|text| text.starts_with('/'));
        match self {
            Self::Path => path(value),
            Self::Paths => value.as_array().is_some_and(|all| all.iter().all(path)),
            Self::Name | Self::Text => value.is_string(),
            Self::Number => value.is_u64(),
        }
    }
}

/// A piece of evidence that an analyzer reads.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its name for it.
    pub name: &'static str,
    /// Whether it cannot do without.
    pub needed: bool,
    /// Which tool's result it is.
    pub says: &'static str,
}

/// A cause that an analyzer can tell.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// Stable id.
    pub id: &'static str,
    /// What it means.
    pub says: &'static str,
    /// Values that a finding of it may have.
    pub values: &'static [(&'static str, Sample)],
}

/// What an analyzer made of its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What was seen, one sentence.
    pub seen: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// An analyzer.
#[derive(Debug, Clone, Copy)]
pub struct Analyzer {
    /// Name in runbooks.
    pub name: &'static str,
    /// What it tells.
    pub summary: &'static str,
    /// What it reads.
    pub evidence: &'static [Wanted],
    /// What a runbook may set, with the kind of value.
    pub settings: &'static [(&'static str, Sample)],
    /// What it can find.
    pub causes: &'static [Cause],
    /// The function.
    pub tell: fn(&Evidence<'_>) -> Result<Found, AnalyzeError>,
}

/// Every analyzer.
pub fn all() -> impl Iterator<Item = &'static Analyzer> {
    [
        storage::ANALYZERS,
        inodes::ANALYZERS,
        processes::ANALYZERS,
        holders::ANALYZERS,
        crash::ANALYZERS,
        access::ANALYZERS,
        machine::ANALYZERS,
        network::ANALYZERS,
        ports::ANALYZERS,
        update::ANALYZERS,
    ]
    .into_iter()
    .flatten()
}

/// The analyzer of a name.
pub fn get(name: &str) -> Option<&'static Analyzer> {
    all().find(|analyzer| analyzer.name == name)
}

/// Runs an analyzer on what `evidence` points to in the outputs of a goal's tasks.
///
/// # Errors
/// [`AnalyzeError`]: there is no such analyzer, or evidence that it needs is missing or has another shape.
pub fn run(
    name: &str,
    evidence: &BTreeMap<String, String>,
    settings: &Map<String, Value>,
    outputs: &Value,
) -> Result<Analysis, AnalyzeError> {
    let analyzer = get(name).ok_or_else(|| AnalyzeError::Unknown(name.to_owned()))?;
    let evidence = Evidence::new(analyzer, evidence, settings, outputs)?;
    let mut found = (analyzer.tell)(&evidence)?;
    for finding in &mut found.findings {
        keep_declared(analyzer, finding);
    }
    Ok(Analysis {
        analyzer: name.to_owned(),
        seen: found.seen,
        findings: found.findings,
    })
}

/// A value that is not as declared would fill a template with something that nobody checked.
fn keep_declared(analyzer: &Analyzer, finding: &mut Finding) {
    let declared = analyzer
        .causes
        .iter()
        .find(|cause| cause.id == finding.cause)
        .map_or(&[][..], |cause| cause.values);
    finding.values.retain(|name, value| {
        declared
            .iter()
            .any(|(known, sample)| known == name && sample.fits(value))
    });
}

impl Finding {
    /// A finding without evidence and values.
    fn new(cause: &str, severity: Severity, subject: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            cause: cause.to_owned(),
            title: title.into(),
            subject: subject.into(),
            severity,
            evidence: Vec::new(),
            values: Map::new(),
        }
    }

    /// Adds what shows it.
    fn shown(mut self, shown: Shown) -> Self {
        self.evidence.push(shown);
        self
    }

    /// Adds a value for remedies.
    fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a value for remedies, when it is known.
    fn value_if(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.value(name, value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_cause_is_explained() {
        let mut names = BTreeSet::new();
        for analyzer in all() {
            assert!(names.insert(analyzer.name), "{}", analyzer.name);
            assert!(!analyzer.summary.is_empty() && !analyzer.causes.is_empty());
            for cause in analyzer.causes {
                assert!(!cause.says.is_empty(), "{}", cause.id);
                for (_, sample) in cause.values {
                    assert!(sample.fits(&sample.value()));
                }
            }
        }
    }

    #[test]
    fn missing_and_misshapen_evidence_is_named() {
        let none = BTreeMap::new();
        let outputs = json!({"look": {"results": [{"fs_total_bytes": "many"}]}});
        let error = |name: &str, evidence: &BTreeMap<String, String>| {
            run(name, evidence, &Map::new(), &outputs)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("nobody", &none), "there is no analyzer `nobody`");
        assert!(error("disk_full", &none).contains("needs the evidence `usage`"));
        let at = |pointer: &str| [("usage".to_owned(), pointer.to_owned())].into();
        assert!(error("disk_full", &at("/look/results/7")).contains("nothing stands at /look/results/7"));
        assert!(error("disk_full", &at("/look/results/0")).contains("/look/results/0"));
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Running an analyzer on results by name.

    use super::*;

    /// Findings of an analyzer for these pieces of evidence.
    pub(crate) fn tell(name: &str, parts: &[(&str, Value)], settings: Value) -> Analysis {
        let outputs = json!({"look": Value::Object(
            parts.iter().map(|(part, value)| ((*part).to_owned(), value.clone())).collect(),
        )});
        let evidence = parts
            .iter()
            .map(|(part, _)| ((*part).to_owned(), format!("/look/{part}")))
            .collect();
        let settings = settings.as_object().cloned().unwrap_or_default();
        run(name, &evidence, &settings, &outputs).unwrap()
    }

    /// Causes and subjects of an analysis.
    pub(crate) fn causes(analysis: &Analysis) -> Vec<(&str, &str)> {
        analysis
            .findings
            .iter()
            .map(|finding| (finding.cause.as_str(), finding.subject.as_str()))
            .collect()
    }
}
