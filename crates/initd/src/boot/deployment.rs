//! Which image runs, and whether this boot is a trial of it.

use super::{Outcome, Setup};
use crate::deployment::Running;
use crate::error::Result;
use crate::supervise::World;

/// Finds out, and notes what that says of an image that was tried.
pub(super) fn observe(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    let Some(running) = Running::observe(&world.places())? else {
        return Ok(Outcome::Skipped("not installed by bootc"));
    };
    let summary = running.summary();
    world.deployment = Some(running);
    Ok(Outcome::Done(summary))
}
