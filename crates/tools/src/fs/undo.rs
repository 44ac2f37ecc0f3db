//! fs.undo: brings every place of a finished execution back to what it was, exactly.

use super::args::{UndoArgs, UndoResult};
use super::image::Image;
use super::plan::{Change, DirTimes, Plan, Step, keep, look};
use super::resolve::{Anchor, Follow, absent, kind_name};
use super::{Fs, bad_input, same_identities, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_core::id::TaskId;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.undo";
/// Most differences that an error lists.
const SHOWN: usize = 5;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<UndoArgs, UndoResult>(About {
        name: NAME,
        summary: "Undoes a finished call exactly; refused when somebody changed the place since.",
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

/// Resolves the place again within the undoing token's grants: it must still be the same directory.
fn admit(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, anchor: &Anchor) -> Result<()> {
    let path = anchor.path();
    let needed = target.required.iter().filter(|access| access.resource() == path);
    let mut actions = needed
        .map(|access| access.action().to_owned())
        .collect::<Vec<_>>();
    if actions.is_empty() {
        actions.push("write".to_owned());
    }
    for action in actions {
        let place = fs.resolve(call, &action, &path, Follow::No)?;
        if (place.anchor.dev, place.anchor.ino) != (anchor.dev, anchor.ino) {
            return Err(conflict(
                target,
                &[format!("{}: its directory is another one now", path)],
            ));
        }
    }
    Ok(())
}

fn conflict(target: &Target<Plan>, differences: &[String]) -> ToolError {
    let mut shown = differences
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if differences.len() > SHOWN {
        shown.push_str(&format!("; and {} more", differences.len() - SHOWN));
    }
    ToolError::UndoConflict {
        key: target.key.to_string(),
        differences: shown,
    }
}

/// What is at each place now, which must be what the execution left there.
fn unchanged(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, kept: bool) -> Result<Vec<Image>> {
    let mut images = Vec::with_capacity(target.plan.changes.len());
    let mut differences = Vec::new();
    for change in &target.plan.changes {
        call.budget.check()?;
        admit(fs, call, target, &change.anchor)?;
        let now = if kept {
            keep(&change.anchor, &fs.store, call.budget)
        } else {
            look(&change.anchor, call.budget)
        };
        let path = change.anchor.path();
        match now {
            Ok(now) => {
                let left = change.after.as_ref().unwrap_or(&Image::Absent);
                if let Some(difference) = left.difference(&now) {
                    differences.push(format!("{path}: {difference}"));
                }
                images.push(now);
            }
            Err(ToolError::Changed { difference, .. }) => differences.push(format!("{path}: {difference}")),
            Err(ToolError::WrongKind { is, .. }) => differences.push(format!("{path}: a {is} is there now")),
            Err(error) => return Err(error),
        }
    }
    if differences.is_empty() {
        Ok(images)
    } else {
        Err(conflict(target, &differences))
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
    let images = unchanged(fs, call, target, false)?;
    let identities = identities_of(target, &images);
    let files = identities.len() as u64;
    let bytes = target.plan.bytes();
    // Giving back what was deleted is small; taking away or replacing what is there now is more.
    let risk = if images.iter().all(|now| *now == Image::Absent) {
        Risk::Low
    } else {
        Risk::Medium
    };
    Ok(Prepared {
        summary: format!("Undo {}: restore {files} places, {bytes} bytes", target.key),
        required: target.required.clone(),
        identities,
        risk,
        mutating: true,
        reversible: true,
        files,
        bytes,
    })
}

fn identities_of(target: &Target<Plan>, images: &[Image]) -> Vec<Identity> {
    let pairs = target.plan.changes.iter().zip(images);
    let mut identities: Vec<Identity> = pairs
        .map(|(change, now)| identity(&change.anchor.path(), now))
        .collect();
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities
}

fn identity(path: &str, image: &Image) -> Identity {
    let kind = match image {
        Image::Absent => return absent(path),
        Image::File { .. } => kind_name(super::args::Kind::File),
        Image::Symlink { .. } => kind_name(super::args::Kind::Symlink),
    };
    let (dev, ino) = image.inode().unwrap_or_default();
    Identity {
        path: path.to_owned(),
        dev,
        ino,
        kind: kind.to_owned(),
    }
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
    let images = unchanged(fs, call, target, true)?;
    same_identities(identities, &identities_of(target, &images))?;
    let changes: Vec<Change> = target
        .plan
        .changes
        .iter()
        .zip(images)
        .map(|(change, now)| Change {
            anchor: change.anchor.clone(),
            before: now,
            step: back_to(&change.before),
            after: None,
        })
        .collect();
    let mut restored: Vec<String> = changes.iter().map(|change| change.anchor.path()).collect();
    restored.sort();
    let result = value_of(&UndoResult {
        files: restored.len() as u64,
        bytes: target.plan.bytes(),
        restored,
    })?;
    let mut plan = Plan::new(call.key.to_string().replace('/', "-"), changes, result)?;
    for dir in &mut plan.dirs {
        dir.restore = times_to_give_back(dir, &target.plan);
    }
    Ok(plan)
}

fn back_to(image: &Image) -> Step {
    match image {
        Image::Absent => Step::Delete,
        image => Step::Restore { image: image.clone() },
    }
}

/// A directory gets its earlier times back when nothing but the execution changed them.
fn times_to_give_back(dir: &DirTimes, target: &Plan) -> Option<(super::image::Moment, super::image::Moment)> {
    let then = target
        .dirs
        .iter()
        .find(|it| (it.anchor.dev, it.anchor.ino) == (dir.anchor.dev, dir.anchor.ino))?;
    (then.after?.1 == dir.before.1).then_some(then.before)
}
