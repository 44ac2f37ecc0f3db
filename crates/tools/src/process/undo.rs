//! process.undo: gives a process back what a finished call took from it, when it is still the same process
//! and nobody changed it since.

use super::args::{LimitNow, UndoArgs, UndoResult};
use super::limits;
use super::plan::{Action, Plan};
use super::table::Proc;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::{bad_input, value_of};
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_core::id::TaskId;
use aios_proto::common::v1::Identity;

const NAME: &str = "process.undo";

pub(super) fn canonical(mut args: UndoArgs) -> Result<UndoArgs> {
    let task = TaskId::parse(&args.task_id).map_err(|error| bad_input(NAME, "task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad_input(NAME, "step", "must be at least 1"));
    }
    args.task_id = task.to_string();
    Ok(args)
}

/// The opposite of what was done, which must still hold.
fn opposite(target: &Target<Plan>) -> Result<(Proc, Action, String)> {
    let not = |why: String| ToolError::NotUndoable {
        key: target.key.to_string(),
        why,
    };
    match &target.plan.action {
        Action::Signal { process, name, .. } => Err(not(format!(
            "process {} has got signal {name}, which cannot be called back",
            process.pid
        ))),
        Action::Spawn(launch) => Err(not(format!("what {} did is not known", launch.path))),
        Action::Stop {
            process,
            stop,
            was_stopped,
        } => {
            living(target, *process)?;
            let stopped = process.seen().is_some_and(|seen| seen.is_stopped());
            if stopped != *stop {
                let now = if stopped { "is stopped" } else { "runs" };
                return Err(conflict(target, format!("process {} {now} now", process.pid)));
            }
            let action = Action::Stop {
                process: *process,
                stop: *was_stopped,
                was_stopped: *stop,
            };
            let words = if *was_stopped { "it is stopped" } else { "it runs" };
            Ok((*process, action, words.to_owned()))
        }
        Action::Limits {
            process,
            before,
            after,
        } => {
            living(target, *process)?;
            unchanged(target, *process, after)?;
            let action = Action::Limits {
                process: *process,
                before: after.clone(),
                after: before.clone(),
            };
            Ok((*process, action, limits::words(before)))
        }
    }
}

fn living(target: &Target<Plan>, process: Proc) -> Result<()> {
    let alive = process
        .seen()
        .is_some_and(|seen| !matches!(seen.stat.state, 'Z' | 'X' | 'x'));
    if alive {
        return Ok(());
    }
    Err(ToolError::NotUndoable {
        key: target.key.to_string(),
        why: format!(
            "process {} has ended, and what was changed ended with it",
            process.pid
        ),
    })
}

fn unchanged(target: &Target<Plan>, process: Proc, after: &[LimitNow]) -> Result<()> {
    let all = limits::now(process)?;
    let differing: Vec<LimitNow> = all
        .into_iter()
        .filter(|now| {
            after
                .iter()
                .any(|left| left.resource == now.resource && left != now)
        })
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(conflict(
        target,
        format!("process {} has {} now", process.pid, limits::words(&differing)),
    ))
}

fn conflict(target: &Target<Plan>, differences: String) -> ToolError {
    ToolError::UndoConflict {
        key: target.key.to_string(),
        differences,
    }
}

pub(super) fn prepare(target: &Target<Plan>) -> Result<Prepared> {
    let (process, _, restored) = opposite(target)?;
    Ok(Prepared {
        identities: vec![process.identity()],
        required: target.required.clone(),
        risk: Risk::Low,
        mutating: true,
        reversible: true,
        files: 0,
        bytes: 0,
        summary: format!("Undo {} on process {}: {restored}", target.key, process.pid),
    })
}

pub(super) fn plan(call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
    let (process, action, restored) = opposite(target)?;
    same_identities(identities, &[process.identity()])?;
    Ok(Plan {
        tag: super::tag(call),
        action,
        result: value_of(&UndoResult {
            pid: process.pid,
            start_ticks: process.start,
            restored,
        })?,
    })
}
