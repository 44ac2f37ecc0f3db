//! Which image runs, and whether this boot is a trial of it.

use super::{Outcome, Setup};
use crate::deployment::Running;
use crate::error::Result;
use crate::supervise::World;

/// The service that judges a boot.
const HEALTH: &str = "aios-health";

/// Finds out, and notes what that says of an image that was tried.
pub(super) fn observe(world: &mut World, setup: &mut Setup) -> Result<Outcome> {
    // Every boot of a machine is judged, whoever installed it.
    setup.start(HEALTH);
    let Some(running) = Running::observe(&world.places())? else {
        return Ok(Outcome::Skipped("not installed by bootc"));
    };
    let summary = running.summary();
    world.deployment = Some(running);
    Ok(Outcome::Done(summary))
}
