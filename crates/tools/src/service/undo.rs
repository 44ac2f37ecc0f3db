//! service.undo: what ran runs again, what did not does not, and the same is enabled.

use super::Services;
use super::change::in_the_way;
use super::plan::{Deed, Plan, Seen, again, identities};
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use serde_json::Value;

impl Services {
    /// The services concerned as they are now, which must be as the execution left them.
    fn unchanged(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Vec<Seen>> {
        let plan = &target.plan;
        if !plan.reversible {
            return Err(ToolError::NotUndoable {
                key: target.key.to_string(),
                why: "it restarted a service that worked, and nothing of that can be taken back".to_owned(),
            });
        }
        let now = self.init.list(call.budget)?;
        let seen = again(&plan.before, &now);
        let mut differences: Vec<String> = plan
            .after
            .iter()
            .filter_map(|left| match seen.iter().find(|seen| seen.name == left.name) {
                Some(seen) => left.difference(seen),
                None => Some(format!("{} is gone", left.name)),
            })
            .collect();
        // A service that was started since would be stopped along the way.
        let stops = |past: &&Seen| seen.iter().any(|now| now.name == past.name && now.wanted);
        let stopped: Vec<Seen> = plan.before.iter().filter(stops).cloned().collect();
        differences.extend(in_the_way(&stopped, &now));
        if differences.is_empty() {
            return Ok(seen);
        }
        Err(ToolError::UndoConflict {
            key: target.key.to_string(),
            differences: differences.join("; "),
        })
    }

    pub(super) fn prepare_restore(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        let now = self.unchanged(call, target)?;
        let pairs = || target.plan.before.iter().zip(&now);
        let list = |words: &str, which: fn(&Seen, &Seen) -> bool| {
            let names: Vec<&str> = pairs()
                .filter(|(past, now)| which(past, now))
                .map(|(past, _)| past.name.as_str())
                .collect();
            (!names.is_empty()).then(|| format!("{words} {}", names.join(", ")))
        };
        let parts: Vec<String> = [
            list("stop", |past, now| !past.wanted && now.wanted),
            list("start", |past, now| past.wanted && !now.wanted),
            list("enable", |past, now| past.enabled && !now.enabled),
            list("disable", |past, now| !past.enabled && now.enabled),
        ]
        .into_iter()
        .flatten()
        .collect();
        let stops = pairs().any(|(past, now)| !past.wanted && now.wanted);
        let what = if parts.is_empty() {
            "nothing is otherwise than before".to_owned()
        } else {
            parts.join("; ")
        };
        Ok(Prepared {
            identities: identities(&now),
            required: target.required.clone(),
            risk: if stops { Risk::Medium } else { Risk::Low },
            mutating: true,
            reversible: true,
            files: 0,
            bytes: 0,
            summary: format!("Undo {}: {what}", target.key),
        })
    }

    pub(super) fn plan_restore(
        &self,
        call: &Call<'_>,
        target: &Target<Plan>,
        prepared: &[Identity],
    ) -> Result<Plan> {
        let now = self.unchanged(call, target)?;
        same_identities(prepared, &identities(&now))?;
        Ok(Plan {
            key: call.key.to_string(),
            deed: Deed::Restore {
                to: target.plan.before.clone(),
            },
            reversible: true,
            before: now,
            after: Vec::new(),
            result: Value::Null,
        })
    }
}
