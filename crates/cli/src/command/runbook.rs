//! `aiosctl runbook …`: the orchestrator reads the text that is sent; files are read here, as the
//! person who asks.

use std::path::{Path, PathBuf};

use aios_client::{Failure, Kind};
use aios_proto::orchestrator::v1::{
    CheckRunbookRequest, CheckRunbookResponse, ListRunbooksRequest, RunbookInfo,
};
use serde_json::{Value, json};

use super::Ended;
use crate::args::Runbook;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render::table::Table;
use crate::render::text::{count, one_line, shorten};
use crate::terminal::{Terminal, Tone};

/// Runs a verb.
pub(crate) async fn run(verb: Runbook, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Runbook::List => list(instance, terminal).await,
        Runbook::Check { files } => {
            let files = if files.is_empty() {
                installed(instance)?
            } else {
                files
            };
            look(&files, false, instance, terminal).await
        }
        Runbook::Test { file } => look(&[file], true, instance, terminal).await,
    }
}

async fn list(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let answer = instance
        .services
        .orchestrator()
        .await?
        .list_runbooks(ListRunbooksRequest {})
        .await?
        .into_inner();
    if terminal.json() {
        let all: Vec<Value> = answer.runbooks.iter().map(view).collect();
        terminal.document(&all);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RUNBOOK", "FROM", "WHAT", "SAY"]);
    for runbook in &answer.runbooks {
        table.row([
            one_line(&runbook.name),
            one_line(&runbook.layer),
            shorten(&runbook.summary, 60),
            one_line(&runbook.examples.join(" · ")),
        ]);
    }
    table.print(
        terminal,
        "no runbook is installed; aiOS can do nothing from words yet",
    );
    Ok(Exit::Done)
}

fn view(runbook: &RunbookInfo) -> Value {
    let inputs = runbook.inputs.iter();
    json!({
        "name": runbook.name,
        "summary": runbook.summary,
        "examples": runbook.examples,
        "file": runbook.file,
        "layer": runbook.layer,
        "causes": runbook.causes,
        "inputs": inputs
            .map(|input| json!({"name": input.name, "kind": input.kind, "help": input.help}))
            .collect::<Vec<_>>(),
    })
}

/// The files of both layers, the vendor's first.
fn installed(instance: &Instance) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for directory in instance.paths.layers("runbooks") {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&directory, &error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            found.push(entry.map_err(|error| unreadable(&directory, &error))?.path());
        }
        found.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Kind::Failed,
        "AIOS-CLI-0019",
        format!("{}: {error}", path.display()),
        "name a file that you may read",
    )
}

/// Checks files one after another; with `cases` tries their cases too.
async fn look(files: &[PathBuf], cases: bool, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut wrong = false;
    let mut documents = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        let request = CheckRunbookRequest {
            file: file.display().to_string(),
            text,
            cases,
        };
        let answer = instance
            .services
            .orchestrator()
            .await?
            .check_runbook(request)
            .await?
            .into_inner();
        wrong |= !answer.problems.is_empty() || answer.cases.iter().any(|case| !case.problem.is_empty());
        if terminal.json() {
            documents.push(document(file, &answer));
        } else {
            say(file, &answer, cases, terminal);
        }
    }
    if terminal.json() {
        terminal.document(&documents);
    } else if files.is_empty() {
        terminal.line("no runbook is installed");
    }
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

fn document(file: &Path, answer: &CheckRunbookResponse) -> Value {
    let cases = answer.cases.iter();
    json!({
        "file": file,
        "problems": answer.problems,
        "runbook": answer.runbook.as_ref().map(view),
        "cases": cases
            .map(|case| json!({"words": case.words, "passed": case.problem.is_empty(), "problem": case.problem}))
            .collect::<Vec<_>>(),
    })
}

fn say(file: &Path, answer: &CheckRunbookResponse, cases: bool, terminal: &mut Terminal) {
    for problem in &answer.problems {
        let bad = terminal.tone(Tone::Bad, "wrong");
        terminal.line(format!("{bad}  {}", one_line(problem)));
    }
    if let Some(runbook) = &answer.runbook {
        let good = terminal.tone(Tone::Good, "right");
        terminal.line(format!(
            "{good}  {}: {}",
            one_line(&file.display().to_string()),
            one_line(&runbook.name)
        ));
    }
    for case in &answer.cases {
        let (tone, word) = if case.problem.is_empty() {
            (Tone::Good, "passed")
        } else {
            (Tone::Bad, "failed")
        };
        let word = terminal.tone(tone, word);
        terminal.line(format!("  {word}  {}", one_line(&case.words)));
        if !case.problem.is_empty() {
            terminal.line(format!("          {}", one_line(&case.problem)));
        }
    }
    if cases && answer.problems.is_empty() {
        let number = u64::try_from(answer.cases.len()).unwrap_or(u64::MAX);
        terminal.line(format!("  {} tried", count(number, "case")));
    }
}
