//! pkg.history: what aiOS did to packages, by its own journal, and what apt and dpkg wrote of everybody.

use super::Pkg;
use super::args::{AptRun, Changed, History, HistoryArgs, LogLine, PastCall};
use super::plan::{Photo, Plan};
use super::reads::{cut, log};
use super::status::State;
use crate::error::{Result, ToolError};
use crate::worker::journal::{Journal, Past, State as Step};
use std::collections::BTreeMap;

/// Journal entries that are looked at, the newest; each holds a whole set of packages.
const LOOKED_AT: u32 = 500;
/// Actions of dpkg's log that change something.
const ACTIONS: [&str; 5] = ["install", "upgrade", "remove", "purge", "configure"];

pub(crate) fn history(pkg: &Pkg, args: &HistoryArgs) -> Result<History> {
    let (mut calls, mut apt, mut dpkg) = (calls(pkg)?, Vec::new(), Vec::new());
    if let Some(name) = &args.name {
        calls.retain(|call| call.packages.iter().any(|it| it.name == *name));
    }
    for run in apt_runs(&log(&pkg.root, "/var/log/apt/history.log")?) {
        let about = |name: &String| run.changes.iter().any(|change| names(change, name));
        if args.name.as_ref().is_none_or(about) {
            apt.push(run);
        }
    }
    for line in dpkg_lines(&log(&pkg.root, "/var/log/dpkg.log")?) {
        if args.name.as_ref().is_none_or(|name| line.name == *name) {
            dpkg.push(line);
        }
    }
    apt.reverse();
    dpkg.reverse();
    cut(&mut calls, args.limit);
    cut(&mut apt, args.limit);
    cut(&mut dpkg, args.limit);
    Ok(History {
        calls,
        images: Vec::new(),
        apt,
        dpkg,
        tainted: true,
    })
}

/// Executions of the worker's journal, the newest first.
pub(crate) fn executions(pkg: &Pkg) -> Result<Vec<Past>> {
    if !pkg.journal.exists() {
        return Ok(Vec::new());
    }
    Journal::reader(&pkg.journal)?.recent(LOOKED_AT)
}

fn calls(pkg: &Pkg) -> Result<Vec<PastCall>> {
    executions(pkg)?.into_iter().map(call).collect()
}

fn call(past: Past) -> Result<PastCall> {
    let packages = match past.execution.plan.as_deref().map(plan_of).transpose()? {
        Some(plan) => plan
            .after
            .as_ref()
            .map_or_else(Vec::new, |after| changed(&plan.before, after)),
        None => Vec::new(),
    };
    Ok(past_call(past, packages))
}

/// An execution of a journal as a call that changed these packages.
pub(crate) fn past_call(past: Past, packages: Vec<Changed>) -> PastCall {
    let execution = past.execution;
    let state = match execution.state {
        Step::Received | Step::Snapshotted => "running",
        Step::Done => "done",
        Step::RolledBack => "rolled_back",
        Step::Undone => "undone",
    };
    PastCall {
        task_id: execution.key.task.to_string(),
        step: execution.key.step,
        tool: execution.tool,
        state: state.to_owned(),
        time_ms: past.created_ms,
        packages,
    }
}

pub(crate) fn plan_of(text: &str) -> Result<Plan> {
    serde_json::from_str(text).map_err(|_| ToolError::Corrupt {
        what: "plan of a call in the package worker's journal".to_owned(),
    })
}

/// Packages that are not the same in both.
pub(crate) fn changed(before: &Photo, after: &Photo) -> Vec<Changed> {
    let all: BTreeMap<_, _> = before.set.iter().chain(&after.set).collect();
    let names = all
        .keys()
        .filter(|name| before.set.get(**name) != after.set.get(**name));
    names
        .map(|name| {
            let version = |photo: &Photo| {
                let it = photo.set.get(*name).filter(|it| it.state.is_there());
                it.map(|it| it.version.clone())
            };
            Changed {
                name: (*name).clone(),
                version_before: version(before),
                version_now: version(after),
                state: after.set.get(*name).map_or(State::NotInstalled, |it| it.state),
            }
        })
        .collect()
}

/// `2026-11-23 00:03:35 upgrade foo:amd64 1.0 2.0`.
fn dpkg_lines(text: &str) -> Vec<LogLine> {
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let &[day, time, action, name, before, after] = words.as_slice() else {
            return None;
        };
        let version = |text: &str| (text != "<none>" && !text.is_empty()).then(|| text.to_owned());
        ACTIONS.contains(&action).then(|| LogLine {
            time_local: format!("{day} {time}"),
            action: action.to_owned(),
            name: name.split(':').next().unwrap_or(name).to_owned(),
            version_before: version(before),
            version_after: version(after),
        })
    });
    lines.collect()
}

fn apt_runs(text: &str) -> Vec<AptRun> {
    let paragraphs = text.split("\n\n").filter_map(|paragraph| {
        let mut run = AptRun {
            time_local: String::new(),
            command: String::new(),
            requested_by: None,
            changes: Vec::new(),
            error: None,
        };
        for line in paragraph.lines() {
            let Some((field, value)) = line.split_once(": ") else {
                continue;
            };
            match field {
                "Start-Date" => value.clone_into(&mut run.time_local),
                "Commandline" => value.clone_into(&mut run.command),
                "Requested-By" => run.requested_by = Some(value.to_owned()),
                "Error" => run.error = Some(value.to_owned()),
                "End-Date" => {}
                _ => run.changes.push(line.to_owned()),
            }
        }
        (!run.time_local.is_empty()).then_some(run)
    });
    paragraphs.collect()
}

/// Whether a change names a package: `Install: nginx:amd64 (1.22.1-9), libx:amd64 (2)`.
fn names(change: &str, name: &str) -> bool {
    let list = change.split_once(": ").map_or("", |(_, list)| list);
    list.split("), ")
        .any(|it| it.split([':', ' ']).next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_are_read_as_apt_and_dpkg_write_them() {
        let lines = dpkg_lines(
            "2026-11-23 00:03:35 startup archives unpack\n2026-11-23 00:03:35 install foo:all <none> 1.0\n\
             2026-11-23 00:03:35 status unpacked foo:all 1.0\n2026-11-23 00:03:36 upgrade foo:all 1.0 2.0\n",
        );
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (
                lines[0].version_before.as_deref(),
                lines[0].version_after.as_deref()
            ),
            (None, Some("1.0"))
        );
        let runs = apt_runs(
            "\nStart-Date: 2026-11-23  00:03:35\nCommandline: apt-get install foo\nRequested-By: ann (1000)\n\
             Install: foo:amd64 (1.0), libfoo:amd64 (2.0, automatic)\nEnd-Date: 2026-11-23  00:03:35\n\n\
             Start-Date: 2026-11-24  00:00:00\nRemove: bar:amd64 (1)\nError: Sub-process returned 1\n",
        );
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0].requested_by.as_deref(), Some("ann (1000)"));
        assert!(names(&runs[0].changes[0], "libfoo") && !names(&runs[0].changes[0], "lib"));
        assert!(runs[1].error.is_some());
    }
}
