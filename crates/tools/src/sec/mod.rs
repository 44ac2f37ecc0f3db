//! The `sec` namespace: weaknesses of the machine, found by looking, each with evidence and what mends it.
//! One file a tool. It mends nothing itself: what it finds is changed by the namespace whose it is.
//!
//! Its worker may read every file that a grant names ([`machine`] and the trees of [`check_permissions`] and
//! others) and write none of them. Two tools change something: a baseline is the worker's own state, and a new
//! key is written only where the worker's own user may write.
//!
//! [`check_permissions`]: types::PermissionsArgs

mod baseline;
mod cert;
mod change;
mod integrity;
pub mod machine;
mod packages;
mod permissions;
mod ports;
mod scan;
mod suid;
mod tree;
pub mod types;

pub use change::Plan;
pub use types::{AuditArgs, AuditEntry, AuditResult};

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::resolve::{Follow, Place, Resolver};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::clock::Clock;
use aios_core::id::GoalId;
use aios_proto::common::v1::Identity;
use baseline::Baselines;
use cert::generate::Keys;
use machine::Machine;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The audit log as a resource of a capability: `sec:audit_query:log`.
const LOG: &str = "log";
/// The machine as a whole.
const HOST: &str = crate::host::HOST;
/// The tool that the tool service answers itself; see `docs/decisions/0011-security-worker.md`.
pub const AUDIT_QUERY: &str = "sec.audit_query";
/// Most records of the audit log that one query looks through.
const MOST_SCANNED: u64 = 20_000;

/// The sec namespace.
pub struct Sec {
    machine: Machine,
    resolver: Resolver,
    baselines: Baselines,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

/// The sec tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        permissions::spec(),
        suid::spec(),
        integrity::baseline_spec(),
        integrity::check_spec(),
        scan::spec(),
        ports::spec(),
        audit_spec(),
        cert::info::spec(),
        cert::generate::spec(),
        change::spec(),
    ]
}

fn audit_spec() -> ToolSpec {
    ToolSpec::of::<AuditArgs, AuditResult>(About {
        name: AUDIT_QUERY,
        summary: "Finds records of the aiOS audit log by goal, tool, kind, person and time, without their payloads.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:audit_query:log",
        timeout_ms: 30_000,
    })
}

impl Sec {
    /// The namespace over one machine, with its own state in a directory.
    ///
    /// # Errors
    /// The state cannot be used.
    pub fn open(machine: Machine, resolver: Resolver, state: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self {
            machine,
            resolver,
            baselines: Baselines::open(state)?,
            keys: Keys::default(),
            clock,
        })
    }

    /// Resolves the directory of a reading call and proves that it is what was prepared.
    fn target(&self, call: &Call<'_>, identities: &[Identity], action: &str, path: &str) -> Result<Place> {
        let place = self.resolver.resolve(call.caps, action, path, Follow::Yes)?;
        same_identities(identities, &[place.identity()])?;
        Ok(place)
    }

    /// Which paths a call may name.
    fn granted<'a>(&'a self, call: &'a Call<'_>, action: &'a str) -> impl Fn(&str) -> bool + 'a {
        move |path| call.caps.allows("sec", action, path) && !self.resolver.is_protected(action, path)
    }
}

fn access(action: &str, resource: &str) -> Result<Access> {
    Access::new("sec", action, resource).map_err(ToolError::auth)
}

/// What a call that only looks at `places` touches.
fn looking(action: &str, places: &[&Place], summary: String) -> Result<Prepared> {
    let mut identities: Vec<Identity> = places.iter().map(|place| place.identity()).collect();
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities.dedup();
    let required: Result<Vec<Access>> = places.iter().map(|place| access(action, &place.path)).collect();
    Ok(reading(identities, required?, summary))
}

/// What a call that looks at one thing without a path touches.
fn looking_at(call: &Call<'_>, action: &str, resource: &str, summary: &str) -> Result<Prepared> {
    let access = access(action, resource)?;
    if !call.caps.allows_access(&access) {
        return Err(ToolError::NotGranted {
            namespace: "sec".to_owned(),
            action: action.to_owned(),
            path: resource.to_owned(),
        });
    }
    let identity = Identity {
        path: resource.to_owned(),
        kind: "sec".to_owned(),
        ..Identity::default()
    };
    Ok(reading(vec![identity], vec![access], summary.to_owned()))
}

fn reading(identities: Vec<Identity>, required: Vec<Access>, summary: String) -> Prepared {
    Prepared {
        identities,
        required,
        risk: Risk::Read,
        mutating: false,
        reversible: true,
        files: 0,
        bytes: 0,
        summary,
    }
}

fn check_limit(tool: &str, limit: u32) -> Result<()> {
    if (1..=types::MAX_FINDINGS).contains(&limit) {
        Ok(())
    } else {
        Err(bad_input(tool, "limit", "must be 1 to 1000"))
    }
}

fn canonical_audit(mut args: AuditArgs) -> Result<AuditArgs> {
    check_limit(AUDIT_QUERY, args.limit)?;
    if !(1..=MOST_SCANNED).contains(&args.scan_last) {
        return Err(bad_input(AUDIT_QUERY, "scan_last", "must be 1 to 20000"));
    }
    if let Some(goal) = &args.goal_id {
        let goal =
            GoalId::parse(goal).map_err(|error| bad_input(AUDIT_QUERY, "goal_id", error.to_string()))?;
        args.goal_id = Some(goal.to_string());
    }
    Ok(args)
}

impl Namespace for Sec {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "sec"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        let Some(spec) = specs().into_iter().find(|spec| spec.name == tool) else {
            return unknown(tool);
        };
        let args = spec.check_input(args_json)?;
        match tool {
            permissions::NAME => value_of(&permissions::canonical(typed(tool, &args)?)?),
            suid::NAME => value_of(&suid::canonical(typed(tool, &args)?)?),
            integrity::BASELINE => value_of(&integrity::canonical_baseline(typed(tool, &args)?)?),
            integrity::CHECK => value_of(&integrity::canonical_check(typed(tool, &args)?)?),
            scan::NAME => value_of(&scan::canonical(typed(tool, &args)?)?),
            cert::info::NAME => value_of(&cert::info::canonical(typed(tool, &args)?)?),
            cert::generate::NAME => value_of(&cert::generate::canonical(typed(tool, &args)?)?),
            change::NAME => value_of(&change::canonical(typed(tool, &args)?)?),
            AUDIT_QUERY => value_of(&canonical_audit(typed(tool, &args)?)?),
            _ => Ok(args),
        }
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            permissions::NAME => permissions::prepare(self, call),
            suid::NAME => suid::prepare(self, call),
            integrity::BASELINE => integrity::prepare_baseline(self, call),
            integrity::CHECK => integrity::prepare_check(self, call),
            scan::NAME => looking_at(call, "scan", HOST, "Look for weaknesses of this machine"),
            ports::NAME => looking_at(call, "open_ports", HOST, "List the open ports of this machine"),
            AUDIT_QUERY => looking_at(call, "audit_query", LOG, "Search the audit log"),
            cert::info::NAME => cert::info::prepare(self, call),
            cert::generate::NAME => cert::generate::prepare(self, call),
            other => unknown(other),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        change::prepare_undo(self, call, target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        match call.tool {
            permissions::NAME => value_of(&permissions::run(self, call, identities)?),
            suid::NAME => value_of(&suid::run(self, call, identities)?),
            integrity::CHECK => value_of(&integrity::run_check(self, call, identities)?),
            cert::info::NAME => value_of(&cert::info::run(self, call, identities)?),
            scan::NAME => {
                same_identities(identities, &self.prepare(call)?.identities)?;
                value_of(&scan::run(
                    &self.machine,
                    &self.resolver,
                    &typed(call.tool, call.args)?,
                    call.budget,
                )?)
            }
            ports::NAME => {
                same_identities(identities, &self.prepare(call)?.identities)?;
                value_of(&ports::run(
                    &self.machine,
                    &typed(call.tool, call.args)?,
                    call.budget,
                )?)
            }
            // The log is the guard's, and its socket is not in this worker's view.
            AUDIT_QUERY => Err(ToolError::Defect(
                "the tool service answers sec.audit_query itself".to_owned(),
            )),
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        match call.tool {
            integrity::BASELINE => integrity::plan_baseline(self, call, identities),
            cert::generate::NAME => cert::generate::plan(self, call, identities),
            other => unknown(other),
        }
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        change::plan_undo(self, call, target, identities)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        change::apply(self, plan, budget)
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        change::roll_back(self, plan)
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        change::finish(self, plan)
    }

    fn result(&self, plan: &Plan) -> Value {
        change::result(plan)
    }
}
