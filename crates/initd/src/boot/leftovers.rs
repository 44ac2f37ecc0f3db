//! What an initramfs with systemd in it leaves in `/run`: sockets that nobody answers any more, and the signs by which programs
//! believe that systemd runs (sd_booted(3)).

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const LEFT: &str = "/run/systemd";

/// Removes it.
pub(super) fn remove(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    match fs::remove_dir_all(Path::new(LEFT)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Skipped("nothing was left")),
        removed => {
            removed.map_err(InitError::path("cannot remove", LEFT))?;
            Ok(Outcome::Done(LEFT.to_owned()))
        }
    }
}
