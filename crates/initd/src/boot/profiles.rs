//! AppArmor: the image carries profiles in the kernel's own form; they are handed over as they are.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_confine::machine::Feature;
use std::fs;

const REPLACE: &str = "/sys/kernel/security/apparmor/.replace";

/// Loads `vendor/apparmor/compiled/*`.
pub(super) fn load(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !world.machine.has(Feature::AppArmor) {
        return Ok(Outcome::Skipped("this kernel has no AppArmor"));
    }
    let directory = world.paths.vendor.join("apparmor").join("compiled");
    let entries = fs::read_dir(&directory).map_err(InitError::path("cannot read", &directory))?;
    let mut loaded = 0_u32;
    for entry in entries {
        let path = entry.map_err(InitError::path("cannot read", &directory))?.path();
        let profile = fs::read(&path).map_err(InitError::path("cannot read", &path))?;
        // The kernel takes a profile in one write.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(REPLACE)
            .map_err(InitError::path("cannot open", REPLACE))?;
        std::io::Write::write_all(&mut file, &profile)
            .map_err(InitError::path("the kernel refused", &path))?;
        loaded += 1;
    }
    Ok(Outcome::Done(format!("{loaded} profiles")))
}
