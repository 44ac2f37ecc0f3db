//! What the changing calls of this namespace change: which baseline a name points to, and the two files of a
//! new key. The journal keeps the plan, and a plan never holds a private key.

use super::Sec;
use super::baseline::Pointer;
use super::cert::files::{Making, Removal};
use super::types::UndoResult;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::args::UndoArgs;
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, value_of};
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_core::id::TaskId;
use aios_proto::common::v1::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) const NAME: &str = "sec.undo";

/// What one call changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Plan {
    /// Which baseline a name points to.
    Baseline(BaselineChange),
    /// A new key with its certificate or request.
    Making(Box<Making>),
    /// Such a key is taken away again.
    Removal(Removal),
}

/// A name points to another baseline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaselineChange {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) before: Option<Pointer>,
    pub(super) after: Option<Pointer>,
    pub(super) result: Value,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<UndoArgs, UndoResult>(About {
        name: NAME,
        summary: "Undoes a finished call: brings back the earlier baseline, or takes the new key and certificate away.",
        risk: Risk::High,
        idempotent: false,
        // A key that was taken away exists nowhere any more.
        reversible: false,
        capability: "sec:ACTION:PATH",
        timeout_ms: 60_000,
    })
}

pub(super) fn canonical(mut args: UndoArgs) -> Result<UndoArgs> {
    let task = TaskId::parse(&args.task_id).map_err(|error| bad_input(NAME, "task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad_input(NAME, "step", "must be at least 1"));
    }
    args.task_id = task.to_string();
    Ok(args)
}

pub(super) fn prepare_undo(sec: &Sec, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
    match &target.plan {
        Plan::Baseline(change) => {
            change.still_there(sec, target)?;
            Ok(Prepared {
                identities: vec![change.identity()],
                required: target.required.clone(),
                risk: Risk::Low,
                mutating: true,
                reversible: true,
                files: 0,
                bytes: 0,
                summary: match &change.before {
                    Some(_) => format!(
                        "Bring back the earlier baseline `{}` of {}",
                        change.name, change.path
                    ),
                    None => format!("Forget the baseline `{}` of {}", change.name, change.path),
                },
            })
        }
        Plan::Making(making) => making.prepare_removal(sec, call, target),
        Plan::Removal(_) => Err(gone(target)),
    }
}

pub(super) fn plan_undo(
    sec: &Sec,
    call: &Call<'_>,
    target: &Target<Plan>,
    identities: &[Identity],
) -> Result<Plan> {
    match &target.plan {
        Plan::Baseline(change) => {
            same_identities(identities, &[change.identity()])?;
            change.still_there(sec, target)?;
            Ok(Plan::Baseline(BaselineChange {
                before: change.after.clone(),
                after: change.before.clone(),
                result: value_of(&UndoResult {
                    restored: vec![change.path.clone()],
                })?,
                ..change.clone()
            }))
        }
        Plan::Making(making) => Ok(Plan::Removal(making.plan_removal(sec, call, target, identities)?)),
        Plan::Removal(_) => Err(gone(target)),
    }
}

fn gone(target: &Target<Plan>) -> ToolError {
    ToolError::NotUndoable {
        key: target.key.to_string(),
        why: "the key that it took away exists nowhere any more; make a new one".to_owned(),
    }
}

impl BaselineChange {
    fn identity(&self) -> Identity {
        Identity {
            path: self.path.clone(),
            kind: "baseline".to_owned(),
            ..Identity::default()
        }
    }

    fn still_there(&self, sec: &Sec, target: &Target<Plan>) -> Result<()> {
        if sec.baselines.pointer(&self.path, &self.name)? == self.after {
            return Ok(());
        }
        Err(ToolError::UndoConflict {
            key: target.key.to_string(),
            differences: format!("the name `{}` has another baseline now", self.name),
        })
    }

    fn point(&self, sec: &Sec, to: Option<&Pointer>) -> Result<()> {
        sec.baselines.point(&self.path, &self.name, to)
    }
}

pub(super) fn apply(sec: &Sec, plan: &mut Plan, budget: &Budget) -> Result<()> {
    match plan {
        Plan::Baseline(change) => change.point(sec, change.after.as_ref()),
        Plan::Making(making) => making.apply(sec, budget),
        Plan::Removal(removal) => removal.apply(),
    }
}

pub(super) fn roll_back(sec: &Sec, plan: &Plan) -> Result<()> {
    match plan {
        Plan::Baseline(change) => change.point(sec, change.before.as_ref()),
        Plan::Making(making) => making.roll_back(sec),
        Plan::Removal(removal) => removal.roll_back(),
    }
}

pub(super) fn finish(sec: &Sec, plan: &mut Plan) -> Result<bool> {
    match plan {
        Plan::Baseline(change) => Ok(sec.baselines.pointer(&change.path, &change.name)? == change.after),
        // A key that a crash interrupted was told to nobody: it is taken back and made anew.
        Plan::Making(_) => Ok(false),
        Plan::Removal(removal) => removal.finish(),
    }
}

pub(super) fn result(plan: &Plan) -> Value {
    match plan {
        Plan::Baseline(change) => change.result.clone(),
        Plan::Making(making) => making.result(),
        Plan::Removal(removal) => removal.result(),
    }
}
