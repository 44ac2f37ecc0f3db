//! Runbooks on the wire. Checking takes the very way of a start; nothing is stored or called.

use crate::error::Error;
use crate::runbook::{Runbook, RunbookError, check_together};
use aios_proto::orchestrator::v1 as api;
use serde_json::Value;
use std::path::Path;

/// Longest text of a runbook, bytes.
const MAX_TEXT: usize = 1 << 20;
/// Longest name of a file, bytes.
const MAX_FILE: usize = 4096;

pub(super) fn list(runbooks: &[Runbook], vendor: &Path) -> api::ListRunbooksResponse {
    api::ListRunbooksResponse {
        runbooks: runbooks.iter().map(|runbook| info(runbook, vendor)).collect(),
    }
}

fn info(runbook: &Runbook, vendor: &Path) -> api::RunbookInfo {
    let layer = if Path::new(&runbook.file).starts_with(vendor) {
        "vendor"
    } else {
        "admin"
    };
    let input = |(name, kind, help): (&str, crate::intent::SlotKind, &str)| api::RunbookInput {
        name: name.to_owned(),
        kind: match serde_json::to_value(kind) {
            Ok(Value::String(kind)) => kind,
            _ => String::new(),
        },
        help: help.to_owned(),
    };
    api::RunbookInfo {
        name: runbook.name.clone(),
        summary: runbook.summary.clone(),
        examples: runbook.examples.clone(),
        file: runbook.file.clone(),
        layer: layer.to_owned(),
        causes: runbook.causes().into_iter().map(str::to_owned).collect(),
        inputs: runbook.inputs().map(input).collect(),
    }
}

/// Checks a text by itself and among the other runbooks in force.
pub(super) fn check(
    runbooks: &[Runbook],
    vendor: &Path,
    request: api::CheckRunbookRequest,
) -> Result<api::CheckRunbookResponse, Error> {
    if request.text.len() > MAX_TEXT {
        let problem = format!("has {} bytes; {MAX_TEXT} are the most", request.text.len());
        return Err(Error::field("text", problem));
    }
    if request.file.is_empty() || request.file.len() > MAX_FILE {
        let problem = format!("must have 1 to {MAX_FILE} bytes");
        return Err(Error::field("file", problem));
    }
    let checked = Runbook::parse(&request.file, &request.text)
        .and_then(|runbook| among(runbooks, &runbook).map(|()| runbook));
    Ok(match checked {
        Ok(runbook) => api::CheckRunbookResponse {
            runbook: Some(info(&runbook, vendor)),
            problems: Vec::new(),
            cases: if request.cases {
                cases(&runbook)
            } else {
                Vec::new()
            },
        },
        Err(error) => api::CheckRunbookResponse {
            problems: vec![error.to_string()],
            ..api::CheckRunbookResponse::default()
        },
    })
}

/// Whether it fits those in force; the one of its file name is the one that it replaces.
fn among(runbooks: &[Runbook], runbook: &Runbook) -> Result<(), RunbookError> {
    let name = |file: &str| Path::new(file).file_name().map(ToOwned::to_owned);
    let mut all: Vec<Runbook> = runbooks
        .iter()
        .filter(|other| name(&other.file) != name(&runbook.file))
        .cloned()
        .collect();
    all.push(runbook.clone());
    all.sort_by_key(|runbook| name(&runbook.file));
    check_together(&all)
}

fn cases(runbook: &Runbook) -> Vec<api::RunbookCase> {
    let tried = runbook.try_cases().into_iter();
    tried
        .map(|case| api::RunbookCase {
            words: case.words,
            problem: case.problem,
        })
        .collect()
}
