//! The `service` namespace: looking at services and their logs, and starting, stopping, restarting, enabling and
//! disabling them, all through `aios-init`. Its worker needs no capability: init knows it by its uid and
//! has rules of its own for it (`crates/initd/src/supervise/rules.rs`), which a defect here does not pass.
//!
//! It reads and writes no service files.

mod change;
pub mod error;
pub mod init;
mod look;
pub mod plan;
pub mod types;
mod undo;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, plain_name, typed, unknown, value_of};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::clock::Clock;
use aios_core::id::TaskId;
use aios_proto::common::v1::Identity;
use change::order_of;
use init::Init;
use plan::{Plan, Seen, identities};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use types::{ChangeArgs, Changed, List, ListArgs, Logs, LogsArgs, NameArgs, Status, UndoArgs};

/// Resource of the capability for all services together: `service:list:host`.
const HOST: &str = "host";
/// Most names that one call may give.
const NAMES: usize = 100;
/// Longest text to look for, bytes.
const LONGEST: usize = 1000;

/// The namespace.
pub struct Services {
    init: Init,
    clock: Arc<dyn Clock>,
    specs: Vec<ToolSpec>,
}

/// A tool that only looks.
fn looking<I, O>(name: &'static str, capability: &'static str, summary: &'static str) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability,
        timeout_ms: 5_000,
    })
}

/// A tool that changes services.
fn changing<I>(
    name: &'static str,
    capability: &'static str,
    (risk, idempotent, reversible): (Risk, bool, bool),
    timeout_ms: u64,
    summary: &'static str,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, Changed>(About {
        name,
        summary,
        risk,
        idempotent,
        reversible,
        capability,
        timeout_ms,
    })
}

/// The service tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        looking::<ListArgs, List>(
            "service.list",
            "service:list:host",
            "Lists every service with its state and whether it is started at boot.",
        ),
        looking::<NameArgs, Status>(
            "service.status",
            "service:status:NAME",
            "Tells all about one service: state, last ends with their causes, what its files say, resources.",
        ),
        looking::<LogsArgs, Logs>(
            "service.logs",
            "service:logs:NAME",
            "Reads the last lines that a service wrote, from a time on or with a text in them.",
        ),
        changing::<ChangeArgs>(
            "service.start",
            "service:start:NAME",
            (Risk::Low, true, true),
            120_000,
            "Starts a service and what it needs, and waits until it is up; else takes it back and says why.",
        ),
        changing::<ChangeArgs>(
            "service.stop",
            "service:stop:NAME",
            (Risk::Medium, true, true),
            60_000,
            "Stops a service and what needs it; undo starts again what ran.",
        ),
        changing::<ChangeArgs>(
            "service.restart",
            "service:restart:NAME",
            (Risk::High, false, false),
            120_000,
            "Stops and starts a service and waits until it is up; cannot be undone when it worked before.",
        ),
        changing::<NameArgs>(
            "service.enable",
            "service:enable:NAME",
            (Risk::Low, true, true),
            10_000,
            "Has a service started at boot; starts nothing now.",
        ),
        changing::<NameArgs>(
            "service.disable",
            "service:disable:NAME",
            (Risk::Low, true, true),
            10_000,
            "Has a service not started at boot, unless an enabled one needs or wants it; stops nothing now.",
        ),
        changing::<UndoArgs>(
            "service.undo",
            "service:ACTION:NAME",
            (Risk::Medium, false, true),
            120_000,
            "Undoes a finished call: what ran runs, what was enabled is; refused when somebody changed it since.",
        ),
    ]
}

impl Services {
    /// The services of this init.
    pub fn new(init: Init, clock: Arc<dyn Clock>) -> Self {
        Self {
            init,
            clock,
            specs: specs(),
        }
    }

    /// What the call needs on a service, if it is granted.
    fn grant(&self, call: &Call<'_>, name: &str) -> Result<Access> {
        let action = call.tool.split_once('.').map_or("", |(_, action)| action);
        let access = Access::new("service", action, name).map_err(ToolError::auth)?;
        if call.caps.allows_access(&access) {
            return Ok(access);
        }
        Err(ToolError::NotGranted {
            namespace: "service".to_owned(),
            action: action.to_owned(),
            path: name.to_owned(),
        })
    }

    fn prepare_look(&self, call: &Call<'_>) -> Result<Prepared> {
        let (identity, summary) = match call.tool {
            "service.list" => {
                let all = Identity {
                    path: HOST.to_owned(),
                    kind: "service".to_owned(),
                    ..Identity::default()
                };
                (all, "List the services".to_owned())
            }
            "service.status" => {
                let args: NameArgs = typed(call.tool, call.args)?;
                let words = format!("Look at the service {}", args.name);
                (self.identity(call, &args.name)?, words)
            }
            "service.logs" => {
                let args: LogsArgs = typed(call.tool, call.args)?;
                let words = format!("Read the log of the service {}", args.name);
                (self.identity(call, &args.name)?, words)
            }
            other => return unknown(other),
        };
        Ok(Prepared {
            required: vec![self.grant(call, &identity.path)?],
            identities: vec![identity],
            risk: Risk::Read,
            mutating: false,
            reversible: true,
            files: 0,
            bytes: 0,
            summary,
        })
    }

    fn identity(&self, call: &Call<'_>, name: &str) -> Result<Identity> {
        self.grant(call, name)?;
        let seen = Seen::of(&self.init.get(name, call.budget)?);
        identities([&seen])
            .pop()
            .ok_or_else(|| ToolError::Defect("a service without an identity".to_owned()))
    }
}

/// Names in their one canonical form.
fn names(tool: &str, mut args: ChangeArgs) -> Result<ChangeArgs> {
    plain_name(tool, "name", &args.name)?;
    for name in &args.names {
        plain_name(tool, "names", name)?;
    }
    if args.names.len() > NAMES {
        return Err(bad_input(tool, "names", format!("holds more than {NAMES} names")));
    }
    args.names.sort_unstable();
    args.names.dedup();
    Ok(args)
}

fn logs(tool: &str, args: LogsArgs) -> Result<LogsArgs> {
    plain_name(tool, "name", &args.name)?;
    if !(1..=1000).contains(&args.lines) {
        return Err(bad_input(tool, "lines", "must be 1 to 1000"));
    }
    let text = args.contains.as_deref();
    if text.is_some_and(|text| text.is_empty() || text.len() > LONGEST) {
        return Err(bad_input(
            tool,
            "contains",
            format!("must be 1 to {LONGEST} bytes"),
        ));
    }
    Ok(args)
}

fn undo(tool: &str, mut args: UndoArgs) -> Result<UndoArgs> {
    let task = TaskId::parse(&args.task_id).map_err(|error| bad_input(tool, "task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad_input(tool, "step", "must be at least 1"));
    }
    args.task_id = task.to_string();
    Ok(args)
}

impl Namespace for Services {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "service"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        self.specs.clone()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        let Some(spec) = self.specs.iter().find(|spec| spec.name == tool) else {
            return unknown(tool);
        };
        let args = spec.check_input(args_json)?;
        match tool {
            "service.start" | "service.stop" | "service.restart" => {
                value_of(&names(tool, typed(tool, &args)?)?)
            }
            "service.status" | "service.enable" | "service.disable" => {
                let NameArgs { name } = typed(tool, &args)?;
                plain_name(tool, "name", &name)?;
                Ok(args)
            }
            "service.logs" => value_of(&logs(tool, typed(tool, &args)?)?),
            "service.undo" => value_of(&undo(tool, typed(tool, &args)?)?),
            _ => Ok(args),
        }
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match order_of(call.tool) {
            Some(order) => self.prepare_change(call, order),
            None => self.prepare_look(call),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        self.prepare_restore(call, target)
    }

    fn read(&self, call: &Call<'_>, prepared: &[Identity]) -> Result<Value> {
        same_identities(prepared, &self.prepare_look(call)?.identities)?;
        match call.tool {
            "service.list" => value_of(&look::list(&self.init, call.budget)?),
            "service.status" => {
                let args: NameArgs = typed(call.tool, call.args)?;
                let info = self.init.get(&args.name, call.budget)?;
                value_of(&look::status(&info, &self.init.list(call.budget)?))
            }
            "service.logs" => {
                let args: LogsArgs = typed(call.tool, call.args)?;
                value_of(&look::logs(&self.init, &args, call.budget)?)
            }
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, prepared: &[Identity]) -> Result<Plan> {
        match order_of(call.tool) {
            Some(order) => self.plan_change(call, order, prepared),
            None => unknown(call.tool),
        }
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, prepared: &[Identity]) -> Result<Plan> {
        self.plan_restore(call, target, prepared)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        self.carry_out(plan, budget)
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        self.take_back(plan)
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        self.look_after_crash(plan)
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }
}
