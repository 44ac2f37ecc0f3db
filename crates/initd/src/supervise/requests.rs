//! What the API asks of the manager, and who still waits for an answer.

use super::logs::Logs;
use super::manager::Manager;
use super::rules::Caller;
use super::unit::{State, Unit};
use crate::error::{InitError, Result};
use crate::link::End;
use aios_proto::init::v1::{
    BootPhase, DeploymentInfo, FinalizeAtShutdownResponse, GetBootResponse, ReloadServicesResponse,
    ReportHealthResponse, ServiceInfo,
};
use tokio::sync::oneshot;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A question or an order.
#[derive(Debug)]
pub(crate) enum Request {
    List(Reply<Vec<ServiceInfo>>),
    Get(String, Reply<ServiceInfo>),
    Change(Change, Caller, String, Reply<ServiceInfo>),
    Reload(Reply<ReloadServicesResponse>),
    Boot(Reply<GetBootResponse>),
    Knows(String, Reply<()>),
    Deployment(Reply<DeploymentInfo>),
    Health(Vec<String>, Reply<ReportHealthResponse>),
    Finalize(Reply<FinalizeAtShutdownResponse>),
    Lay(String, Reply<()>),
    Shutdown(End, Reply<()>),
}

/// Orders about one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
}

impl Change {
    /// Name of the rpc that asks for it.
    pub(super) fn rpc(self) -> &'static str {
        match self {
            Self::Start => "StartService",
            Self::Stop => "StopService",
            Self::Restart => "RestartService",
            Self::Enable => "EnableService",
            Self::Disable => "DisableService",
        }
    }

    /// The verb.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

/// Someone who waits for a change.
#[derive(Debug)]
pub(crate) struct Waiter {
    change: Change,
    name: String,
    /// The service's start number when it was asked.
    run: u64,
    reply: Reply<ServiceInfo>,
}

impl Manager {
    pub(super) fn logs(&self) -> Logs {
        self.logs.clone()
    }

    pub(super) fn asked(&mut self, request: Request) {
        // A caller that went away needs no answer.
        match request {
            Request::List(reply) => {
                let _gone = reply.send(self.list());
            }
            Request::Get(name, reply) => {
                let _gone = reply.send(self.unit(&name).and_then(|unit| self.info(unit)));
            }
            Request::Knows(name, reply) => {
                let _gone = reply.send(self.unit(&name).map(|_| ()));
            }
            Request::Boot(reply) => {
                let _gone = reply.send(Ok(self.boot_answer()));
            }
            Request::Change(change, caller, name, reply) => match self.may(caller, change, &name) {
                Ok(()) => self.change(change, name, reply),
                Err(error) => {
                    let _gone = reply.send(Err(error));
                }
            },
            Request::Reload(reply) => {
                let _gone = reply.send(self.reload());
            }
            Request::Deployment(reply) => {
                let _gone = reply.send(Ok(self.deployment_answer()));
            }
            Request::Health(problems, reply) => self.health(&problems, reply),
            Request::Finalize(reply) => {
                let _gone = reply.send(self.may_finalize());
            }
            Request::Lay(name, reply) => {
                let _gone = reply.send(self.lay_packages(&name));
            }
            Request::Shutdown(end, reply) => {
                // PID 1 knows before the answer does.
                self.end(end);
                let _gone = reply.send(Ok(()));
            }
        }
    }

    pub(super) fn unit(&self, name: &str) -> Result<&Unit> {
        self.units.get(name).ok_or_else(|| {
            let near = self
                .order
                .iter()
                .find(|known| known.ends_with(name) || known.starts_with(name));
            let hint = near
                .map(|known| format!("; did you mean `{known}`?"))
                .unwrap_or_default();
            InitError::Unknown {
                name: name.chars().take(80).collect(),
                hint,
            }
        })
    }

    fn change(&mut self, change: Change, name: String, reply: Reply<ServiceInfo>) {
        let known = self.unit(&name).map(|unit| (unit.run, unit.state));
        let (run, state) = match known {
            Ok(known) => known,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        if self.ending.is_some() {
            let _gone = reply.send(Err(InitError::Ending));
            return;
        }
        match change {
            Change::Enable | Change::Disable => {
                let _gone = reply.send(self.switch(&name, change == Change::Enable));
                return;
            }
            Change::Stop => {
                self.not_shed(&name);
                self.unwant(&name);
            }
            Change::Start => self.start_by_person(&name),
            Change::Restart => {
                if matches!(state, State::Starting | State::Ready) {
                    self.ask_to_end(&name);
                }
                self.do_again(&name);
                self.start_by_person(&name);
            }
        }
        self.waiters.push(Waiter {
            change,
            name,
            run,
            reply,
        });
    }

    fn switch(&mut self, name: &str, enabled: bool) -> Result<ServiceInfo> {
        let by_file = self.unit(name)?.enabled_by_file;
        self.switches.set(name, enabled, by_file)?;
        if let Some(unit) = self.units.get_mut(name) {
            unit.spec.enabled = enabled;
        }
        tracing::info!(service = name, enabled, "switched");
        self.info(self.unit(name)?)
    }

    /// What was done is done again.
    fn do_again(&mut self, name: &str) {
        if let Some(unit) = self.units.get_mut(name)
            && unit.state == State::Done
        {
            unit.state = State::Waiting;
        }
    }

    /// Starts at once, without the rest of a pause, and counts restarts anew.
    fn start_by_person(&mut self, name: &str) {
        self.want(name);
        if let Some(unit) = self.units.get_mut(name) {
            unit.shed = 0;
            unit.restarts = 0;
            unit.failures = 0;
            if matches!(unit.state, State::Backoff | State::Listening | State::Failed) {
                unit.state = State::Waiting;
            }
        }
    }

    /// Answers those whose change is made or has failed.
    pub(super) fn answer(&mut self) {
        let mut open = Vec::new();
        for waiter in std::mem::take(&mut self.waiters) {
            match self.result_of(&waiter) {
                Some(result) => {
                    let _gone = waiter.reply.send(result);
                }
                None => open.push(waiter),
            }
        }
        self.waiters = open;
    }

    fn result_of(&self, waiter: &Waiter) -> Option<Result<ServiceInfo>> {
        let unit = match self.unit(&waiter.name) {
            Ok(unit) => unit,
            Err(error) => return Some(Err(error)),
        };
        let failed = || InitError::NotStarted {
            service: waiter.name.clone(),
            reason: unit.last_exit.clone(),
        };
        match (waiter.change, unit.state) {
            (Change::Stop, State::Stopped | State::Failed) => Some(self.info(unit)),
            (Change::Stop, _) => None,
            (Change::Restart, State::Ready | State::Done) if unit.run == waiter.run => None,
            (_, State::Ready | State::Done) => Some(self.info(unit)),
            (_, State::Failed | State::Backoff | State::Stopped) => Some(Err(failed())),
            (_, State::Waiting) if !self.is_on_its_way(unit) => {
                let service = waiter.name.clone();
                Some(Err(InitError::NotStarted {
                    service,
                    reason: "something that it needs is not ready".into(),
                }))
            }
            _ => None,
        }
    }

    fn boot_answer(&self) -> GetBootResponse {
        let phases = self.boot.phases.iter().map(|phase| BootPhase {
            name: phase.name.clone(),
            start_ms: phase.start_ms,
            duration_ms: phase.duration_ms,
            state: phase.state.clone(),
            message: phase.message.clone(),
        });
        GetBootResponse {
            phases: phases.collect(),
            booted: self.world.booted,
            degradations: self
                .world
                .machine
                .degradations()
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}
