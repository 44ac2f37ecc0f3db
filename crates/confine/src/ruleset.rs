//! Landlock rules, built before the fork; the child only enforces the descriptor.

use crate::error::{ConfineError, Result};
use crate::plan;
use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    Scope,
};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The level that is asked for; older kernels enforce the part that they know.
const LEVEL: ABI = ABI::V6;

/// Whether this kernel enforces Landlock at all.
pub(crate) fn supported() -> bool {
    Ruleset::default()
        .handle_access(AccessFs::Execute)
        .and_then(Ruleset::create)
        .is_ok_and(|created| Option::<OwnedFd>::from(created).is_some())
}

/// Builds the ruleset.
pub(crate) fn build(rules: &plan::Landlock) -> Result<OwnedFd> {
    let failed = |error: landlock::RulesetError| ConfineError::Landlock(error.to_string());
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(LEVEL))
        .map_err(failed)?;
    if rules.scoped {
        ruleset = ruleset.scope(Scope::from_all(LEVEL)).map_err(failed)?;
    }
    let created = ruleset.create().map_err(failed)?;
    let created = allow(created, &rules.read, false)?;
    let created = allow(created, &rules.write, true)?;
    Option::<OwnedFd>::from(created).ok_or(ConfineError::Missing { what: "Landlock" })
}

fn allow(mut created: RulesetCreated, paths: &[PathBuf], write: bool) -> Result<RulesetCreated> {
    for path in paths {
        let fd = PathFd::new(path)
            .map_err(|error| ConfineError::Landlock(format!("{}: {error}", path.display())))?;
        let wanted = if write {
            AccessFs::from_all(LEVEL)
        } else {
            AccessFs::from_read(LEVEL)
        };
        // A rule on a plain file may only carry rights that a file can have.
        let rights = if path.is_dir() {
            wanted
        } else {
            wanted & AccessFs::from_file(LEVEL)
        };
        created = created
            .add_rule(PathBeneath::new(fd, rights))
            .map_err(|error| ConfineError::Landlock(format!("{}: {error}", path.display())))?;
    }
    Ok(created)
}
