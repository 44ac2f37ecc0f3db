//! pkg.configure: finishes what dpkg left half done. Half configured is no state that anybody could want
//! back, so this is the one change of packages without an undo, and a person is asked for it.

use super::args::{ConfigureResult, StillUnsettled};
use super::change::{access, conffiles, granted, photo};
use super::error::PkgError;
use super::plan::{Photo, Plan, Work, set_of};
use super::status::{Known, State, known, unsettled};
use super::{HOST, Pkg, files, lock};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::value_of;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

pub(crate) fn prepare(pkg: &Pkg, call: &Call<'_>) -> Result<Prepared> {
    let required = vec![access("configure", HOST)?];
    granted(call, &required)?;
    let known = known(&pkg.root)?;
    let half = unsettled(&known);
    let told: Vec<String> = half
        .iter()
        .map(|(name, package)| format!("{name} {} ({})", package.version, package.state.word()))
        .collect();
    let nothing = half.is_empty();
    Ok(Prepared {
        identities: half_done(&known),
        required,
        risk: if nothing { Risk::Low } else { Risk::High },
        mutating: true,
        // Half configured is no state that anybody could want back.
        reversible: nothing,
        files: half.len() as u64,
        bytes: 0,
        summary: if nothing {
            "Nothing to configure: no package is half done".to_owned()
        } else {
            format!(
                "Finish the configuration of {}; it cannot be undone",
                told.join(", ")
            )
        },
    })
}

fn half_done(known: &Known) -> Vec<Identity> {
    unsettled(known)
        .into_iter()
        .map(|(name, package)| Identity {
            path: format!("{name}={}", package.version),
            kind: format!("{}-package", package.state.word()),
            ..Identity::default()
        })
        .collect()
}

pub(crate) fn plan(pkg: &Pkg, call: &Call<'_>, prepared: &[Identity]) -> Result<Plan> {
    lock::wait(&pkg.root, call.budget)?;
    let known = known(&pkg.root)?;
    same_identities(prepared, &half_done(&known))?;
    let half = unsettled(&known);
    let paths = conffiles(&known, half.iter().map(|(name, _)| *name));
    Ok(Plan {
        call: call.key.to_string(),
        work: Work::Configure,
        before: Photo {
            files: files::photograph(&pkg.root, &pkg.store, &paths, call.budget)?,
            links: files::links(&pkg.root)?,
            set: set_of(&known),
        },
        after: None,
        result: serde_json::Value::Null,
    })
}

/// Finishes what can be finished. That some packages cannot is part of the answer; when none can, it fails.
pub(crate) fn apply(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<()> {
    lock::wait(&pkg.root, budget)?;
    let failure = match pkg.root.dpkg(&["--configure", "-a"]).run(budget) {
        Ok(_) => None,
        Err(error @ ToolError::Pkg(PkgError::Program { .. })) => Some(error),
        Err(error) => return Err(error),
    };
    let left = note(pkg, plan, failure.as_ref(), budget)?;
    match failure {
        Some(error) if left.configured.is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// Notes what became of the packages that were half done.
pub(crate) fn note(
    pkg: &Pkg,
    plan: &mut Plan,
    failure: Option<&ToolError>,
    budget: &Budget,
) -> Result<ConfigureResult> {
    let after = photo(pkg, plan, budget)?;
    let was_half = plan.before.set.iter().filter(|(_, was)| was.state.is_unsettled());
    let configured = was_half
        .filter(|(name, _)| {
            after
                .set
                .get(*name)
                .is_some_and(|it| it.state == State::Installed)
        })
        .map(|(name, _)| name.clone())
        .collect();
    let left = unsettled(&known(&pkg.root)?)
        .into_iter()
        .map(|(name, package)| StillUnsettled {
            name: name.clone(),
            state: package.state,
        })
        .collect();
    let result = ConfigureResult {
        configured,
        left,
        said: failure.map_or_else(String::new, ToString::to_string),
    };
    plan.result = value_of(&result)?;
    plan.after = Some(after);
    Ok(result)
}
