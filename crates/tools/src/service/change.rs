//! service.start, stop, restart, enable, disable: what a call would change, changing it, taking it back, and
//! finding out after a crash whether it had been done.
//!
//! A start can be stopped again and a stop started again, so both are undone exactly: what ran runs, what did
//! not does not, and the same is enabled. What a process had in its memory comes back with none of them. A
//! restart of a service that works has nothing that could be taken back, so a person is asked; a restart of one
//! that does not work loses nothing good, and undoing it leaves it as much to run as it was before.

use super::Services;
use super::error::ServiceError;
use super::init::Order;
use super::plan::{Deed, Plan, Seen, again, concerned, identities, needing};
use super::types::ChangeArgs;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::typed;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use aios_proto::init::v1::ServiceInfo;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A service that has been ready so long has something to lose by a restart.
const WORKS_MS: i64 = 10_000;
/// How long a service that never says that it is ready must stay up to count as started.
const STEADY: Duration = Duration::from_secs(1);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a service may go on changing before it is judged after a crash.
const SETTLING: Duration = Duration::from_secs(20);
/// Time for taking back.
const TAKING_BACK_MS: u64 = 120_000;
/// Time for a look after the call's own time is over.
const LOOKING_MS: u64 = 5_000;
/// Lines of a log that an error shows, and the longest of them, characters.
const SHOWN: (u32, usize) = (10, 200);

/// The order that a tool stands for.
pub(super) fn order_of(tool: &str) -> Option<Order> {
    Some(match tool {
        "service.start" => Order::Start,
        "service.stop" => Order::Stop,
        "service.restart" => Order::Restart,
        "service.enable" => Order::Enable,
        "service.disable" => Order::Disable,
        _ => return None,
    })
}

/// Whether what a service does would be broken off by a restart.
fn works(info: &ServiceInfo, now_ms: i64) -> bool {
    info.state == "ready" && now_ms - info.ready_since_ms >= WORKS_MS
}

fn is_up(info: &ServiceInfo) -> bool {
    matches!(info.state.as_str(), "ready" | "listening")
}

/// Risk, and whether an undo restores exactly.
fn weight(order: Order, info: &ServiceInfo, now_ms: i64) -> (Risk, bool) {
    match order {
        Order::Start | Order::Enable | Order::Disable => (Risk::Low, true),
        Order::Stop => (Risk::Medium, true),
        Order::Restart if works(info, now_ms) => (Risk::High, false),
        Order::Restart => (Risk::Medium, true),
    }
}

/// Refuses what init would refuse, before anybody is asked to approve it.
fn check_core(order: Order, name: &str, concerned: &[&ServiceInfo]) -> Result<()> {
    let own = concerned
        .iter()
        .find(|info| info.core && !(order == Order::Restart && info.name == name));
    let Some(own) = own else { return Ok(()) };
    let why = if own.name == name {
        format!("{name} is part of aiOS itself, or aiOS needs it: a tool may only restart it")
    } else {
        format!("{} would change with it, and is part of aiOS itself", own.name)
    };
    Err(ServiceError::Refused { why }.into())
}

fn summary(order: Order, info: &ServiceInfo, concerned: &[&ServiceInfo]) -> String {
    let others: Vec<&str> = concerned
        .iter()
        .map(|other| other.name.as_str())
        .filter(|other| *other != info.name)
        .collect();
    let (name, state, others) = (&info.name, &info.state, others.join(", "));
    match (order, others.is_empty()) {
        (Order::Start, true) if info.wanted => format!("Start {name}, which is `{state}` already"),
        (Order::Start, true) => format!("Start {name}"),
        (Order::Start, false) => format!("Start {name}, and {others}, which it needs or wants"),
        (Order::Stop, true) if !info.wanted => format!("Stop {name}, which is `{state}` already"),
        (Order::Stop, true) => format!("Stop {name}"),
        (Order::Stop, false) => format!("Stop {name}, and {others}, which cannot run without it"),
        (Order::Restart, true) => format!("Restart {name}, which is `{state}`"),
        (Order::Restart, false) => format!("Restart {name}, which is `{state}`, and start {others}"),
        (Order::Enable, _) => format!("Have {name} started at boot"),
        (Order::Disable, _) => format!("Have {name} not started at boot"),
    }
}

impl Services {
    pub(super) fn prepare_change(&self, call: &Call<'_>, order: Order) -> Result<Prepared> {
        let args: ChangeArgs = name_args(call.tool, order, call.args)?;
        self.grant(call, &args.name)?;
        let now = self.init.list(call.budget)?;
        let info = known(&args.name, &now)?;
        let concerned = concerned(order, &args.name, &now);
        check_core(order, &args.name, &concerned)?;
        let required = concerned
            .iter()
            .map(|info| self.grant(call, &info.name))
            .collect::<Result<_>>()?;
        let (risk, reversible) = weight(order, info, self.clock.now_ms());
        let seen: Vec<Seen> = concerned.iter().map(|info| Seen::of(info)).collect();
        Ok(Prepared {
            identities: identities(&seen),
            required,
            risk,
            mutating: true,
            reversible,
            files: 0,
            bytes: 0,
            summary: summary(order, info, &concerned),
        })
    }

    pub(super) fn plan_change(&self, call: &Call<'_>, order: Order, prepared: &[Identity]) -> Result<Plan> {
        let args: ChangeArgs = name_args(call.tool, order, call.args)?;
        let now = self.init.list(call.budget)?;
        let info = known(&args.name, &now)?;
        let before: Vec<Seen> = concerned(order, &args.name, &now)
            .into_iter()
            .map(Seen::of)
            .collect();
        same_identities(prepared, &identities(&before))?;
        Ok(Plan {
            key: call.key.to_string(),
            reversible: weight(order, info, self.clock.now_ms()).1,
            deed: Deed::Order {
                order,
                name: args.name,
            },
            before,
            after: Vec::new(),
            result: Value::Null,
        })
    }

    pub(super) fn carry_out(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        match &plan.deed {
            Deed::Order { order, name } => {
                let started_ms = plan.before.iter().find(|seen| seen.name == *name);
                let started_ms = started_ms.map_or(0, |seen| seen.started_ms);
                match (order, self.init.order(*order, name, budget)) {
                    (Order::Start, answer) => self.came_up(name, answer, budget)?,
                    (Order::Restart, Err(ToolError::Unreachable { service, why })) => {
                        // The supervisor was replaced meanwhile. It may have heard the order or not.
                        let info = self.init.get(name, budget)?;
                        if info.started_ms == started_ms {
                            return Err(ToolError::Unreachable { service, why });
                        }
                        self.came_up(name, Ok(info), budget)?;
                    }
                    (Order::Restart, answer) => self.came_up(name, answer, budget)?,
                    (_, answer) => drop(answer?),
                }
            }
            Deed::Restore { to } => self.restore(to, budget)?,
        }
        plan.done(&self.init.list(budget)?)
    }

    /// Whether a service that was started is up, and stays so when only that shows that it works.
    fn came_up(&self, name: &str, answer: Result<ServiceInfo>, budget: &Budget) -> Result<()> {
        let first = match answer {
            Err(ToolError::Service(ServiceError::Init { .. })) => return Err(self.not_up(name)),
            other => other?,
        };
        let says_so = first.config.as_ref().is_some_and(|config| config.ready != "none");
        if says_so && is_up(&first) {
            return Ok(());
        }
        let since = Instant::now();
        while since.elapsed() < STEADY {
            self.init.pause(GLANCE, budget)?;
            let now = self.init.get(name, budget)?;
            if now.run != first.run || !is_up(&now) {
                return Err(self.not_up(name));
            }
        }
        Ok(())
    }

    /// The real state of a service that did not come up, and the last it said.
    fn not_up(&self, name: &str) -> ToolError {
        let budget = Budget::of_ms(LOOKING_MS);
        // What it wrote last may still be on its way from the pipe.
        if let Err(error) = self.init.pause(GLANCE, &budget) {
            return error;
        }
        let (info, lines) = match (
            self.init.get(name, &budget),
            self.init.logs(name, SHOWN.0, &budget),
        ) {
            (Ok(info), Ok(lines)) => (info, lines),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.text.chars().take(SHOWN.1).collect())
            .collect();
        ServiceError::NotUp {
            name: name.to_owned(),
            state: info.state,
            last_exit: match info.last_exit.as_str() {
                "" => "it has not ended yet".to_owned(),
                exit => format!("it last ended with `{exit}`"),
            },
            log: match lines.as_slice() {
                [] => "it logged nothing".to_owned(),
                lines => format!("its last lines: {}", lines.join(" | ")),
            },
        }
        .into()
    }

    /// Makes services what they were: stops what did not run, those first that need others; starts what ran.
    fn restore(&self, to: &[Seen], budget: &Budget) -> Result<()> {
        let now = self.init.list(budget)?;
        let past = |info: &ServiceInfo| to.iter().find(|seen| seen.name == info.name);
        if let Some(difference) = in_the_way(to, &now) {
            return Err(ToolError::Changed {
                path: to.first().map_or_else(String::new, |seen| seen.name.clone()),
                difference,
            });
        }
        for info in now.iter().rev() {
            if past(info).is_some_and(|past| !past.wanted && info.wanted) {
                self.init.order(Order::Stop, &info.name, budget)?;
            }
        }
        for info in &now {
            let Some(past) = past(info) else { continue };
            if past.wanted && !info.wanted {
                let answer = self.init.order(Order::Start, &info.name, budget);
                match self.came_up(&info.name, answer, budget) {
                    // It did not work before either, and is to run again as it was.
                    Err(ToolError::Service(ServiceError::NotUp { .. })) if past.state != "ready" => {}
                    other => other?,
                }
            }
            if past.enabled != info.enabled {
                let order = if past.enabled {
                    Order::Enable
                } else {
                    Order::Disable
                };
                self.init.order(order, &info.name, budget)?;
            }
        }
        Ok(())
    }

    pub(super) fn take_back(&self, plan: &Plan) -> Result<()> {
        // A restart of what worked has nothing to take back: init goes on trying to run it.
        if !plan.reversible {
            return Ok(());
        }
        self.restore(&plan.before, &Budget::of_ms(TAKING_BACK_MS))
            .map_err(|error| ToolError::HalfDone {
                key: plan.key.clone(),
                why: error.to_string(),
            })
    }

    /// Looks what became of an interrupted call; never does anything again.
    pub(super) fn look_after_crash(&self, plan: &mut Plan) -> Result<bool> {
        let now = self.settled(plan)?;
        let seen = again(&plan.before, &now);
        let of = |name: &str| now.iter().find(|info| info.name == name);
        let done = match &plan.deed {
            Deed::Order { order, name } => match order {
                Order::Start => of(name).is_some_and(is_up),
                Order::Stop => seen.iter().all(|seen| !seen.wanted),
                // Whatever came of it: a second restart would be one too many.
                Order::Restart => {
                    let before = plan.before.iter().find(|seen| seen.name == *name);
                    let then = before.map_or(0, |seen| seen.started_ms);
                    of(name).is_some_and(|info| info.started_ms != then)
                }
                Order::Enable => of(name).is_some_and(|info| info.enabled),
                Order::Disable => of(name).is_some_and(|info| !info.enabled),
            },
            Deed::Restore { to } => to.iter().all(|past| {
                of(&past.name).is_some_and(|now| (past.wanted, past.enabled) == (now.wanted, now.enabled))
            }),
        };
        if done {
            plan.done(&now)?;
        }
        Ok(done)
    }

    /// All services, once those of a plan are not on their way any more or have been for long.
    fn settled(&self, plan: &Plan) -> Result<Vec<ServiceInfo>> {
        let (since, budget) = (Instant::now(), Budget::of_ms(TAKING_BACK_MS));
        loop {
            let now = self.init.list(&budget)?;
            let changing = |info: &&ServiceInfo| {
                let moves = matches!(info.state.as_str(), "starting" | "stopping" | "waiting");
                moves && plan.before.iter().any(|seen| seen.name == info.name)
            };
            if now.iter().find(changing).is_none() || since.elapsed() >= SETTLING {
                return Ok(now);
            }
            self.init.pause(GLANCE, &budget)?;
        }
    }
}

/// A service that runs, is no part of what is restored, and would be stopped by it; none when nothing is in the way.
pub(super) fn in_the_way(to: &[Seen], now: &[ServiceInfo]) -> Option<String> {
    let stays = |name: &str| {
        let runs = now.iter().any(|info| info.name == name && info.wanted);
        runs && !to.iter().any(|past| past.name == name && !past.wanted)
    };
    to.iter().filter(|past| !past.wanted).find_map(|past| {
        let other = needing(&past.name, now).into_iter().find(|name| stays(name))?;
        Some(format!("{other} is to run now and needs {}", past.name))
    })
}

/// What init knows of a service.
fn known<'a>(name: &str, now: &'a [ServiceInfo]) -> Result<&'a ServiceInfo> {
    now.iter().find(|info| info.name == name).ok_or_else(|| {
        let why = format!("init knows no service named {name:?}");
        ServiceError::Unknown { why }.into()
    })
}

fn name_args(tool: &str, order: Order, args: &Value) -> Result<ChangeArgs> {
    match order {
        Order::Start | Order::Stop | Order::Restart => typed(tool, args),
        Order::Enable | Order::Disable => {
            let super::types::NameArgs { name } = typed(tool, args)?;
            Ok(ChangeArgs {
                name,
                names: Vec::new(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: &str, ready_since_ms: i64) -> ServiceInfo {
        ServiceInfo {
            name: "web".into(),
            state: state.into(),
            ready_since_ms,
            wanted: state != "stopped",
            ..ServiceInfo::default()
        }
    }

    #[test]
    fn only_the_restart_of_what_works_cannot_be_undone() {
        for (order, state, since, wanted) in [
            (Order::Start, "stopped", 0, (Risk::Low, true)),
            (Order::Stop, "ready", 1, (Risk::Medium, true)),
            (Order::Restart, "ready", 1, (Risk::High, false)),
            (Order::Restart, "ready", 95_000, (Risk::Medium, true)),
            (Order::Restart, "backoff", 0, (Risk::Medium, true)),
            (Order::Restart, "failed", 0, (Risk::Medium, true)),
            (Order::Disable, "ready", 1, (Risk::Low, true)),
        ] {
            assert_eq!(
                weight(order, &info(state, since), 100_000),
                wanted,
                "{order:?} {state}"
            );
        }
    }

    #[test]
    fn a_part_of_aios_is_only_restarted() {
        let core = ServiceInfo {
            core: true,
            ..info("ready", 1)
        };
        let other = ServiceInfo {
            name: "app".into(),
            ..info("ready", 1)
        };
        for order in [Order::Start, Order::Stop, Order::Enable, Order::Disable] {
            assert!(
                check_core(order, "web", &[&core]).unwrap_err().is_denial(),
                "{order:?}"
            );
        }
        assert!(check_core(Order::Restart, "web", &[&core]).is_ok());
        assert!(check_core(Order::Restart, "app", &[&core, &other]).is_err());
        assert!(check_core(Order::Stop, "app", &[&other]).is_ok());
    }
}
