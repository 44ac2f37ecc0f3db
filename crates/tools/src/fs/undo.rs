//! fs.undo: brings every place of a finished execution back to what it was, exactly; or those places
//! that nobody changed since. What is where now is found out in [`super::survey`].

use super::args::{LeftPlace, UndoArgs, UndoResult};
use super::image::Image;
use super::plan::{Change, DirTimes, Plan, Step};
use super::survey::{Spot, Survey, survey};
use super::{Fs, bad_input, kind_name, same_identities, tag, typed, value_of};
use crate::error::{Result, ToolError};
use crate::fs::resolve::absent;
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_core::id::TaskId;
use aios_proto::common::v1::Identity;
use std::collections::HashMap;

const NAME: &str = "fs.undo";
/// Most differences that an error lists.
const SHOWN: usize = 5;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<UndoArgs, UndoResult>(About {
        name: NAME,
        summary: "Undoes a finished call exactly; refused when somebody changed the place since, or done for what nobody changed.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:ACTION:PATH",
        timeout_ms: 120_000,
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

/// What can be undone; an error when that is not all, unless only what is untouched was asked for.
fn undoable(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, kept: bool) -> Result<Survey> {
    let args: UndoArgs = typed(NAME, call.args)?;
    let found = survey(fs, call, target, kept)?;
    let nothing = found.spots.is_empty() && !target.plan.changes.is_empty();
    if !found.left.is_empty() && (!args.untouched_only || nothing) {
        return Err(conflict(target, &found.left));
    }
    for spot in &found.spots {
        if let Image::File { sha256, .. } = &spot.back
            && !fs.store.has(sha256)
        {
            return Err(ToolError::NotUndoable {
                key: target.key.to_string(),
                why: format!(
                    "the snapshot of `{}` was kept for its time and then removed",
                    spot.path()
                ),
            });
        }
    }
    Ok(found)
}

fn conflict(target: &Target<Plan>, left: &[LeftPlace]) -> ToolError {
    let mut shown = left
        .iter()
        .take(SHOWN)
        .map(|it| format!("{}: {}", it.path, it.why))
        .collect::<Vec<_>>()
        .join("; ");
    if left.len() > SHOWN {
        shown.push_str(&format!("; and {} more", left.len() - SHOWN));
    }
    ToolError::UndoConflict {
        key: target.key.to_string(),
        differences: shown,
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
    let found = undoable(fs, call, target, false)?;
    let identities = identities_of(&found.spots);
    let files = identities.len() as u64;
    let bytes = bytes_of(&found.spots);
    // Giving back what was deleted is small; taking away or replacing what is there now is more.
    let risk = if found.spots.iter().all(|spot| spot.now == Image::Absent) {
        Risk::Low
    } else {
        Risk::Medium
    };
    let mut summary = format!("Undo {}: restore {files} places, {bytes} bytes", target.key);
    if !found.left.is_empty() {
        summary.push_str(&format!("; leave {} that were changed since", found.left.len()));
    }
    Ok(Prepared {
        summary,
        required: target.required.clone(),
        identities,
        risk,
        mutating: true,
        reversible: true,
        files,
        bytes,
    })
}

fn bytes_of(spots: &[Spot]) -> u64 {
    spots.iter().map(|spot| spot.back.bytes()).sum()
}

fn identities_of(spots: &[Spot]) -> Vec<Identity> {
    let mut identities: Vec<Identity> = spots
        .iter()
        .map(|spot| identity(&spot.path(), &spot.now))
        .collect();
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities
}

fn identity(path: &str, image: &Image) -> Identity {
    let (Some(kind), Some((dev, ino))) = (image.kind(), image.inode()) else {
        return absent(path);
    };
    Identity {
        path: path.to_owned(),
        dev,
        ino,
        kind: kind_name(kind).to_owned(),
    }
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
    let found = undoable(fs, call, target, true)?;
    same_identities(identities, &identities_of(&found.spots))?;
    let mut restored: Vec<String> = found.spots.iter().map(Spot::path).collect();
    restored.sort();
    let mut left = found.left;
    left.sort_by(|a, b| a.path.cmp(&b.path));
    let result = value_of(&UndoResult {
        files: restored.len() as u64,
        bytes: bytes_of(&found.spots),
        restored,
        left,
    })?;
    let steps: Vec<Step> = found
        .spots
        .iter()
        .map(|spot| step_of(spot, &found.spots))
        .collect::<Result<_>>()?;
    let changes = found
        .spots
        .into_iter()
        .zip(steps)
        .map(|(spot, step)| Change {
            seen: spot.seen,
            ..Change::new(spot.anchor, spot.now, step)
        })
        .collect();
    let mut plan = Plan::new(tag(call), changes, result)?;
    give_times_back(fs, &mut plan, &target.plan);
    Ok(plan)
}

/// Directories get their earlier times back when nothing but the execution changed them.
fn give_times_back(fs: &Fs, plan: &mut Plan, target: &Plan) {
    let then: HashMap<(u64, u64), &DirTimes> = target
        .dirs
        .iter()
        .map(|dir| {
            let inode = (dir.anchor.dev, dir.anchor.ino);
            (fs.successors.follow(inode, target.left_at()).inode, dir)
        })
        .collect();
    for dir in &mut plan.dirs {
        let known = then.get(&(dir.anchor.dev, dir.anchor.ino));
        dir.restore = known
            .filter(|then| then.after.is_some_and(|after| after.1 == dir.before.1))
            .map(|then| then.before);
    }
}

/// How a place becomes what it was.
fn step_of(spot: &Spot, all: &[Spot]) -> Result<Step> {
    Ok(match (&spot.back, &spot.now) {
        // It goes to the place that it came from.
        (Image::Absent, Image::Node { .. }) => Step::Leave,
        (Image::Absent, _) => Step::Delete,
        (back @ Image::Node { .. }, now) if now.inode() != back.inode() => {
            let from = all
                .iter()
                .find(|other| other.now.inode() == back.inode() && matches!(other.now, Image::Node { .. }))
                .ok_or_else(|| ToolError::Defect("a moved thing has no place".to_owned()))?;
            let (dev, ino) = back.inode().unwrap_or_default();
            Step::Rename {
                from: from.anchor.clone(),
                dev,
                ino,
            }
        }
        (back, _) => Step::Restore { image: back.clone() },
    })
}
