//! os.undo: what was staged is dropped, what was rolled back is rolled forward. Refused when somebody changed it since.

use super::Os;
use super::change::identity;
use super::plan::{Photo, Plan, Work};
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use serde_json::Value;
use std::collections::BTreeMap;

/// What an undo is about to do.
struct Way {
    work: Work,
    now: Photo,
    identity: Identity,
    summary: String,
}

impl Os {
    fn way_back(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Way> {
        let plan = &target.plan;
        let refused = |why: &str| ToolError::NotUndoable {
            key: target.key.to_string(),
            why: why.to_owned(),
        };
        let why_not = match &plan.work {
            Work::Reboot { .. } => Some("the machine started again"),
            Work::Unstage { .. } => {
                Some("what was dropped has to be fetched again: use os.upgrade or os.switch")
            }
            Work::Lay { recipe: None, .. } => {
                Some("what was taken off has to be made again: use pkg.install")
            }
            Work::Rollback if !plan.reversible => {
                Some("an image on trial would count as trusted: use os.rollback")
            }
            Work::Nothing | Work::Stage { .. } | Work::Derive { .. } | Work::Lay { .. } | Work::Rollback => {
                None
            }
        };
        if let Some(why) = why_not {
            return Err(refused(why));
        }
        let after = plan
            .after
            .as_ref()
            .ok_or_else(|| refused("its journal entry does not say what it left"))?;
        let now = self.now(call.budget)?;
        if let Some(differences) = plan.work.difference(after, &now) {
            return Err(ToolError::UndoConflict {
                key: target.key.to_string(),
                differences,
            });
        }
        let (work, identity, what) = match (&plan.work, &after.staged) {
            (Work::Stage { .. } | Work::Derive { .. }, Some(staged)) => (
                Work::Unstage {
                    id: staged.id.clone(),
                },
                identity(staged.id.clone(), "deployment"),
                format!("drop {}, which is staged", staged.title()),
            ),
            (Work::Lay { name: Some(name), .. }, _) => (
                Work::Lay {
                    name: plan.before.laid.clone(),
                    recipe: None,
                    had: BTreeMap::new(),
                },
                identity(name.clone(), "packages"),
                "take the packages off that were there until the next start".to_owned(),
            ),
            (Work::Rollback, _) => {
                let next = plan.before.next().1;
                let what = format!("start {} the next time", next.title());
                (Work::Rollback, identity(next.id.clone(), "deployment"), what)
            }
            _ => (
                Work::Nothing,
                identity(now.booted.id.clone(), "deployment"),
                "nothing was changed".to_owned(),
            ),
        };
        Ok(Way {
            work,
            identity,
            summary: format!("Undo {}: {what}", target.key),
            now,
        })
    }

    pub(crate) fn prepare_back(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        let way = self.way_back(call, target)?;
        let reversible = way.work.comes_back();
        Ok(Prepared {
            identities: vec![way.identity],
            required: target.required.clone(),
            risk: if reversible { Risk::Medium } else { Risk::High },
            mutating: true,
            reversible,
            files: 0,
            bytes: 0,
            summary: way.summary,
        })
    }

    pub(crate) fn plan_back(
        &self,
        call: &Call<'_>,
        target: &Target<Plan>,
        prepared: &[Identity],
    ) -> Result<Plan> {
        let way = self.way_back(call, target)?;
        same_identities(prepared, std::slice::from_ref(&way.identity))?;
        Ok(Plan {
            call: call.key.to_string(),
            reversible: way.work.comes_back(),
            work: way.work,
            before: way.now,
            after: None,
            result: Value::Null,
        })
    }
}
