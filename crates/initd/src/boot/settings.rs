//! Settings of the kernel that are no sysctl: mount propagation, the loopback interface.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use crate::sys;
use nix::mount::{MsFlags, mount};

/// Rootless containers need mounts below `/` to propagate.
pub(super) fn share_root(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(InitError::system("cannot share /"))?;
    Ok(Outcome::Done(String::new()))
}

/// Brings `lo` up.
pub(super) fn loopback(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    sys::interface_up("lo").map_err(InitError::system("cannot bring lo up"))?;
    Ok(Outcome::Done(String::new()))
}
