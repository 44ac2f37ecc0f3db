//! The `process` namespace: what runs, starting and ending it, and what it may use. One file a tool.
//!
//! A process is named by its number and when it started, so that a number that was given away never means
//! another process. What aiOS and the machine stand on is protected ([`protect`]); a program that is
//! started is confined and ends with the call ([`run`]). It starts no services: init does.

pub mod args;
mod eyes;
mod files;
mod info;
mod limits;
mod list;
pub mod plan;
mod protect;
mod run;
mod signal;
mod spawn;
pub mod table;
mod undo;
mod wait;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_auth::peer::Roles;
use aios_proto::common::v1::Identity;
use args::{
    InfoResult, LimitsResult, ListArgs, ListResult, OneArgs, OpenFilesArgs, OpenFilesResult, SetLimitsArgs,
    SignalArgs, SignalResult, SpawnArgs, SpawnResult, TreeArgs, TreeResult, UndoArgs, UndoResult, WaitArgs,
    WaitResult,
};
use plan::{Action, Mark, Marks, Plan};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use table::{Proc, Seen};

/// Resource of a capability for all processes: `process:list:host`.
const HOST: &str = "host";
/// Default time allowed, milliseconds.
const TIMEOUT_MS: u64 = 15_000;
/// Longest wait for a process, milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;

/// The process namespace.
#[derive(Debug)]
pub struct Process {
    roles: Roles,
    marks: Marks,
}

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
        timeout_ms: if name == "process.wait" {
            LONGEST_WAIT_MS + TIMEOUT_MS
        } else {
            TIMEOUT_MS
        },
    })
}

/// The process tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        looking::<ListArgs, ListResult>(
            "process.list",
            "process:list:host",
            "Lists processes by name, user or state.",
        ),
        looking::<TreeArgs, TreeResult>(
            "process.tree",
            "process:tree:host",
            "Lists processes below those that started them.",
        ),
        looking::<OpenFilesArgs, OpenFilesResult>(
            "process.open_files",
            "process:open_files:host",
            "Lists files that processes hold open, above all deleted ones that still take space.",
        ),
        looking::<OneArgs, InfoResult>(
            "process.info",
            "process:info:PID",
            "Says everything about one process: program, files, sockets, limits, control group.",
        ),
        looking::<WaitArgs, WaitResult>(
            "process.wait",
            "process:wait:PID",
            "Waits until a process ends or the time is up.",
        ),
        looking::<OneArgs, LimitsResult>(
            "process.limits",
            "process:limits:PID",
            "Says what a process may use.",
        ),
        ToolSpec::of::<SetLimitsArgs, LimitsResult>(About {
            name: "process.set_limits",
            summary: "Changes what a process may use; undo restores the earlier limits while it lives.",
            risk: Risk::Medium,
            idempotent: true,
            reversible: true,
            capability: "process:set_limits:PID",
            timeout_ms: TIMEOUT_MS,
        }),
        ToolSpec::of::<SignalArgs, SignalResult>(About {
            name: "process.signal",
            summary: "Sends a signal; STOP and CONT can be undone, nothing else can.",
            risk: Risk::High,
            idempotent: false,
            reversible: false,
            capability: "process:signal:PID",
            timeout_ms: TIMEOUT_MS,
        }),
        ToolSpec::of::<SpawnArgs, SpawnResult>(About {
            name: "process.spawn",
            summary: "Runs a program without privileges or network, to its end or until its time is up.",
            risk: Risk::High,
            idempotent: false,
            reversible: false,
            capability: "process:spawn:PATH",
            timeout_ms: spawn::LONGEST_MS + TIMEOUT_MS,
        }),
        ToolSpec::of::<UndoArgs, UndoResult>(About {
            name: "process.undo",
            summary: "Undoes STOP, CONT or a change of limits; refused when somebody changed it since.",
            risk: Risk::Low,
            idempotent: false,
            reversible: true,
            capability: "process:ACTION:PID",
            timeout_ms: TIMEOUT_MS,
        }),
    ]
}

/// Task and step of a call, as a file name.
fn tag(call: &Call<'_>) -> String {
    call.key.to_string().replace('/', "-")
}

impl Process {
    /// The namespace; what a crash must not lose lies in `marks`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(roles: Roles, marks: PathBuf) -> Result<Self> {
        Ok(Self {
            roles,
            marks: Marks::open(marks)?,
        })
    }

    fn granted(call: &Call<'_>, action: &str, resource: &str) -> Result<Access> {
        let access = Access::new("process", action, resource).map_err(ToolError::auth)?;
        if call.caps.allows_access(&access) {
            return Ok(access);
        }
        Err(ToolError::NotGranted {
            namespace: "process".to_owned(),
            action: action.to_owned(),
            path: resource.to_owned(),
        })
    }

    /// The one process that a call names, when it is granted and is the one meant.
    fn target(call: &Call<'_>, action: &str) -> Result<(Access, Seen)> {
        let (pid, start_ticks) = named(call)?;
        let access = Self::granted(call, action, &pid.to_string())?;
        let seen = table::seen(pid).ok_or_else(|| table::missing(pid))?;
        match start_ticks {
            Some(start) if start != seen.stat.starttime => Err(ToolError::Changed {
                path: format!("process {pid}"),
                difference: format!(
                    "it started at tick {}, not {start}: the number was given to another process",
                    seen.stat.starttime
                ),
            }),
            _ => Ok((access, seen)),
        }
    }

    /// The same for a call that changes it.
    fn changeable(&self, call: &Call<'_>, action: &str) -> Result<(Access, Seen)> {
        let (access, seen) = Self::target(call, action)?;
        protect::refuse(&seen, &self.roles)?;
        if matches!(seen.stat.state, 'Z' | 'X' | 'x') {
            return Err(ToolError::WrongKind {
                path: seen.title(),
                is: "zombie, which only its parent can end",
                wanted: "a process that lives",
            });
        }
        Ok((access, seen))
    }

    fn prepare_signal(&self, call: &Call<'_>) -> Result<Prepared> {
        let args: SignalArgs = typed(call.tool, call.args)?;
        let (name, _) = signal::parse(&args.signal)?;
        let (access, seen) = self.changeable(call, "signal")?;
        let reversible = signal::stops(name).is_some();
        let warning = if reversible { "" } else { "; this cannot be undone" };
        Ok(Prepared {
            identities: vec![seen.proc().identity()],
            required: vec![access],
            risk: if reversible { Risk::Medium } else { Risk::High },
            mutating: true,
            reversible,
            files: 0,
            bytes: 0,
            summary: format!("Send {name} to {}{warning}", seen.title()),
        })
    }

    fn prepare_limits(&self, call: &Call<'_>) -> Result<Prepared> {
        let args: SetLimitsArgs = typed(call.tool, call.args)?;
        let (access, seen) = self.changeable(call, "set_limits")?;
        let (_, after) = limits::change(seen.proc(), &args)?;
        Ok(Prepared {
            identities: vec![seen.proc().identity()],
            required: vec![access],
            risk: Risk::Medium,
            mutating: true,
            reversible: true,
            files: 0,
            bytes: 0,
            summary: format!("Limit {} to {}", seen.title(), limits::words(&after)),
        })
    }

    fn plan_signal(&self, call: &Call<'_>, identities: &[Identity]) -> Result<(Action, Value)> {
        let args: SignalArgs = typed(call.tool, call.args)?;
        let (name, number) = signal::parse(&args.signal)?;
        let (_, seen) = self.changeable(call, "signal")?;
        let process = seen.proc();
        same_identities(identities, &[process.identity()])?;
        let result = value_of(&SignalResult {
            pid: process.pid,
            start_ticks: process.start,
            signal: name.to_owned(),
            ended: false,
            stopped: signal::stops(name) == Some(true),
        })?;
        let action = match signal::stops(name) {
            Some(stop) => Action::Stop {
                process,
                stop,
                was_stopped: seen.is_stopped(),
            },
            None => Action::Signal {
                process,
                number,
                name: name.to_owned(),
            },
        };
        Ok((action, result))
    }

    fn plan_limits(&self, call: &Call<'_>, identities: &[Identity]) -> Result<(Action, Value)> {
        let args: SetLimitsArgs = typed(call.tool, call.args)?;
        let (_, seen) = self.changeable(call, "set_limits")?;
        let process = seen.proc();
        same_identities(identities, &[process.identity()])?;
        let (before, after) = limits::change(process, &args)?;
        let result = value_of(&limits::result(process, after.clone()))?;
        Ok((
            Action::Limits {
                process,
                before,
                after,
            },
            result,
        ))
    }

    /// What is left of a call that a mark tells of cannot be taken back.
    fn half_done(&self, plan: &Plan) -> Result<()> {
        let why = match self.marks.read(&plan.tag)? {
            None => return Ok(()),
            Some(Mark::Begun) => "it was about to be done, and nobody can know whether it was",
            Some(Mark::Running { process }) => {
                run::end_session(process)?;
                "the program ran, and nobody can know how far it came; what was left of it was killed"
            }
            Some(Mark::Ended { result, .. }) => {
                self.marks.write(&plan.tag, &Mark::Ended { result, kept: true })?;
                "it was done, but the journal could not take its result; it will at the next start"
            }
        };
        Err(ToolError::HalfDone {
            key: plan.tag.clone(),
            why: why.to_owned(),
        })
    }
}

/// The process that the arguments name.
fn named(call: &Call<'_>) -> Result<(i32, Option<u64>)> {
    let pid = call.args.get("pid").and_then(Value::as_i64);
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    let start = call.args.get("start_ticks").and_then(Value::as_u64);
    pid.map(|pid| (pid, start))
        .ok_or_else(|| bad_input(call.tool, "pid", "must be a process id"))
}

/// What a call that only reads touches.
fn reading(identity: Identity, required: Access, summary: String) -> Prepared {
    Prepared {
        identities: vec![identity],
        required: vec![required],
        risk: Risk::Read,
        mutating: false,
        reversible: true,
        files: 0,
        bytes: 0,
        summary,
    }
}

fn everything() -> Identity {
    Identity {
        path: HOST.to_owned(),
        kind: "process".to_owned(),
        ..Identity::default()
    }
}

fn action_of(tool: &str) -> &str {
    tool.split_once('.').map_or("", |(_, action)| action)
}

/// Arguments in their one canonical form.
fn canonical(tool: &str, args: &Value) -> Result<Value> {
    if args.get("pid").and_then(Value::as_i64).is_some_and(|pid| pid < 1) {
        return Err(bad_input(tool, "pid", "must be at least 1"));
    }
    if args
        .get("limit")
        .and_then(Value::as_u64)
        .is_some_and(|limit| !(1..=5000).contains(&limit))
    {
        return Err(bad_input(tool, "limit", "must be 1 to 5000"));
    }
    match tool {
        "process.list" => list::check(&typed(tool, args)?)?,
        "process.tree" if args.get("depth").and_then(Value::as_u64) > Some(100) => {
            return Err(bad_input(tool, "depth", "must be 0 to 100"));
        }
        "process.wait" if args.get("wait_ms").and_then(Value::as_u64) > Some(LONGEST_WAIT_MS) => {
            return Err(bad_input(tool, "wait_ms", "must be 0 to 60000"));
        }
        "process.open_files" => {
            let mut args: OpenFilesArgs = typed(tool, args)?;
            args.under = args
                .under
                .as_deref()
                .map(crate::fs::resolve::normalize)
                .transpose()?;
            return value_of(&args);
        }
        "process.signal" => {
            let mut args: SignalArgs = typed(tool, args)?;
            signal::parse(&args.signal)?.0.clone_into(&mut args.signal);
            return value_of(&args);
        }
        "process.set_limits" => {
            let mut args: SetLimitsArgs = typed(tool, args)?;
            limits::check(&mut args)?;
            return value_of(&args);
        }
        "process.spawn" => return value_of(&spawn::canonical(typed(tool, args)?)?),
        "process.undo" => return value_of(&undo::canonical(typed(tool, args)?)?),
        _ => {}
    }
    Ok(args.clone())
}

impl Namespace for Process {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "process"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        let specs = specs();
        let Some(spec) = specs.iter().find(|spec| spec.name == tool) else {
            return unknown(tool);
        };
        canonical(tool, &spec.check_input(args_json)?)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        let action = action_of(call.tool);
        match call.tool {
            "process.list" | "process.tree" | "process.open_files" => {
                let access = Self::granted(call, action, HOST)?;
                let summary = format!("Look at processes ({action})");
                Ok(reading(everything(), access, summary))
            }
            "process.info" | "process.wait" | "process.limits" => {
                let (access, seen) = Self::target(call, action)?;
                let summary = format!("Look at {} ({action})", seen.title());
                Ok(reading(seen.proc().identity(), access, summary))
            }
            "process.signal" => self.prepare_signal(call),
            "process.set_limits" => self.prepare_limits(call),
            "process.spawn" => spawn::prepare(self, call),
            other => unknown(other),
        }
    }

    fn prepare_undo(&self, _call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        undo::prepare(target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        let (tool, args, budget) = (call.tool, call.args, call.budget);
        if matches!(tool, "process.list" | "process.tree" | "process.open_files") {
            Self::granted(call, action_of(tool), HOST)?;
            same_identities(identities, &[everything()])?;
            return match tool {
                "process.list" => value_of(&list::list(&typed(tool, args)?, budget)?),
                "process.tree" => value_of(&list::tree(&typed(tool, args)?, budget)?),
                _ => value_of(&files::open_files(&typed(tool, args)?, budget)?),
            };
        }
        let (pid, _) = named(call)?;
        Self::granted(call, action_of(tool), &pid.to_string())?;
        // The one that was authorized: that it has ended meanwhile is what a wait is for.
        let proc = match identities {
            [identity] => Proc::of(identity).filter(|proc| proc.pid == pid),
            _ => None,
        };
        let proc = proc.ok_or_else(|| ToolError::Changed {
            path: format!("process {pid}"),
            difference: "the call looks at something else than what was authorized".to_owned(),
        })?;
        match tool {
            "process.info" => value_of(&info::info(proc)?),
            "process.limits" => value_of(&limits::limits(proc)?),
            "process.wait" => {
                let args: WaitArgs = typed(tool, args)?;
                value_of(&wait::wait(proc, args.wait_ms, budget)?)
            }
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        let (action, result) = match call.tool {
            "process.signal" => self.plan_signal(call, identities)?,
            "process.set_limits" => self.plan_limits(call, identities)?,
            "process.spawn" => (Action::Spawn(spawn::plan(self, call, identities)?), Value::Null),
            other => return unknown(other),
        };
        Ok(Plan {
            tag: tag(call),
            action,
            result,
        })
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        undo::plan(call, target, identities)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        match &plan.action {
            Action::Stop { process, stop, .. } => signal::set_stopped(*process, *stop)?,
            Action::Limits { process, after, .. } => limits::set(*process, after)?,
            Action::Signal {
                process,
                number,
                name,
            } => plan.result = signal::send(&self.marks, &plan.tag, *process, *number, name)?,
            Action::Spawn(launch) => plan.result = spawn::apply(&self.marks, &plan.tag, launch, budget)?,
        }
        Ok(())
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        match &plan.action {
            Action::Stop {
                process,
                stop,
                was_stopped,
            } => signal::take_back(*process, *stop, *was_stopped),
            Action::Limits { process, before, .. } => match limits::set(*process, before) {
                // It has ended, and its limits with it.
                Err(ToolError::NotFound { .. }) => Ok(()),
                other => other,
            },
            Action::Signal { .. } | Action::Spawn(_) => self.half_done(plan),
        }
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        match &plan.action {
            Action::Stop { process, stop, .. } => {
                Ok(process.seen().is_some_and(|seen| seen.is_stopped() == *stop))
            }
            Action::Limits { process, after, .. } => limits::hold(*process, after),
            Action::Signal { .. } | Action::Spawn(_) => {
                let known = match (self.marks.read(&plan.tag)?, &plan.action) {
                    (Some(Mark::Ended { result, .. }), _) => Some(result),
                    (Some(_), Action::Signal { process, name, .. }) => signal::evident(*process, name)?,
                    _ => None,
                };
                let done = known.is_some();
                plan.result = known.unwrap_or_default();
                Ok(done)
            }
        }
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }

    fn resource<'a>(&self, identity: &'a Identity) -> &'a str {
        let path = identity.path.as_str();
        match Proc::of(identity) {
            Some(_) => path.split_once(':').map_or(path, |(pid, _)| pid),
            None => path,
        }
    }
}
