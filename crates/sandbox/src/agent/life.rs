//! The state machine.

use aios_core::clock::{Clock, SystemClock};
use aios_core::error::Report;
use aios_core::id::AgentId;
use aios_core::tasks::Tasks;
use aios_proto::sandbox::v1::AgentContainer;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::engine::{Engine, Process};
use crate::audit::Audit;
use crate::door::{Door, Resident};
use crate::error::SandboxError;
use crate::isolation::Observed;
use crate::kind::Kind;
use crate::machine::Enforced;
use crate::podman::Spec;

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// States, as `AgentContainer.state` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its container is being made or is about to be started again.
    Starting,
    /// Its container runs and its door is open.
    Running,
    /// Its processes stand still.
    Frozen,
    /// Its container does not run.
    Stopped,
    /// It did not come up; it is tried again.
    Failed,
}

impl State {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// Whether front doors may be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// They may.
    Open,
    /// They may not, because…
    Closed(String),
}

/// The answer to a command.
pub type Reply = oneshot::Sender<Result<AgentContainer, SandboxError>>;

/// What an agent can be told.
#[derive(Debug)]
pub enum Command {
    /// Stand still.
    Freeze(Reply),
    /// Go on.
    Thaw(Reply),
    /// End, and remove the container.
    Stop(Reply),
}

/// One agent.
pub struct Life {
    /// Instance.
    pub id: AgentId,
    /// Kind.
    pub kind: Kind,
    /// The container to make.
    pub spec: Spec,
    /// The directory of its door.
    pub door_directory: PathBuf,
    /// What this machine enforces.
    pub enforced: Arc<Enforced>,
    /// Containers.
    pub engine: Arc<dyn Engine>,
    /// The orchestrator.
    pub orchestrator: Channel,
    /// The audit log.
    pub audit: Audit,
    /// Owner of the door's task; ends the agent when it ends.
    pub tasks: Tasks,
    /// Messages.
    pub commands: mpsc::Receiver<Command>,
    /// Whether doors may be open.
    pub gate: watch::Receiver<Gate>,
    /// What others see.
    pub seen: watch::Sender<AgentContainer>,
    /// Time that the agent gets to end by itself.
    pub grace: Duration,
    /// Time that PID 1 gets to confine itself.
    pub confining: Duration,
}

/// Where the agent stands, with what it holds there.
enum Phase {
    Start,
    Running(Process, Door),
    /// Paused by the kernel; `emergency` thaws with the gate, else a person must.
    Paused {
        process: Process,
        emergency: bool,
    },
    /// Not running; likewise.
    Idle {
        emergency: bool,
    },
    Wait(Duration),
    End(Option<Reply>),
}

/// What the agent remembers between phases.
struct Memory {
    container: Option<String>,
    pause: Duration,
    running_since: Instant,
}

impl Life {
    /// Lives until it is stopped, or its owner ends.
    pub async fn live(mut self) {
        let first = Duration::from_millis(self.kind.restart.initial_ms);
        let mut memory = Memory {
            container: None,
            pause: first,
            running_since: Instant::now(),
        };
        let mut phase = Phase::Start;
        loop {
            phase = match phase {
                Phase::Start => self.start(&mut memory).await,
                Phase::Running(process, door) => self.attend(process, door, &mut memory).await,
                Phase::Paused { process, emergency } => {
                    self.stand_still(process, emergency, &mut memory).await
                }
                Phase::Idle { emergency } => self.idle(emergency).await,
                Phase::Wait(pause) => self.wait(pause).await,
                Phase::End(reply) => return self.end(reply, &memory).await,
            }
        }
    }

    fn show(&self, state: State, message: &str, change: impl FnOnce(&mut AgentContainer)) {
        self.seen.send_modify(|seen| {
            state.name().clone_into(&mut seen.state);
            message.clone_into(&mut seen.message);
            if state != State::Running && state != State::Frozen {
                seen.pid = 0;
                seen.isolation.clear();
            }
            change(seen);
        });
    }

    fn record(&self, kind: &str, mut details: serde_json::Value) {
        let seen = self.seen.borrow();
        if let Some(map) = details.as_object_mut() {
            map.insert("agent_kind".to_owned(), json!(self.kind.kind));
            map.insert("container_id".to_owned(), json!(seen.container_id));
        }
        self.audit.record(kind, &self.id.to_string(), details);
    }

    async fn start(&mut self, memory: &mut Memory) -> Phase {
        let gate = self.gate.borrow_and_update().clone();
        if let Gate::Closed(why) = gate {
            self.show(State::Stopped, &why, |_| {});
            return Phase::Idle { emergency: true };
        }
        self.show(State::Starting, "", |_| {});
        match self.bring_up(memory).await {
            Ok((process, door)) => Phase::Running(process, door),
            Err(error) => {
                let report = Report::of(&error);
                tracing::error!(agent = %self.id, %report, "an agent did not come up");
                self.record(
                    "agent.failed",
                    json!({ "code": report.code, "why": report.message }),
                );
                // The container is made anew, in case it is what is wrong.
                if let Some(container) = memory.container.take() {
                    self.remove(&container).await;
                }
                self.show(State::Failed, &report.to_string(), |_| {});
                self.next_wait(memory)
            }
        }
    }

    async fn bring_up(&mut self, memory: &mut Memory) -> Result<(Process, Door), SandboxError> {
        let container = match &memory.container {
            Some(container) => container.clone(),
            None => {
                Door::make_directory(&self.door_directory)?;
                let container = self.engine.create(&self.spec).await?;
                memory.container = Some(container.clone());
                container
            }
        };
        let door = self.open_door(&container)?;
        let mut process = self.engine.start(&container).await?;
        let (observed, isolation) = self.confined(&mut process).await?;
        self.tell_of_start(&container, &isolation, &mut process).await?;
        door.admit(observed.uid);
        memory.running_since = Instant::now();
        self.show(State::Running, "", |seen| {
            seen.container_id.clone_from(&container);
            seen.pid = process.pid;
            seen.isolation = isolation;
            seen.started_at_ms = SystemClock.now_ms();
        });
        tracing::info!(agent = %self.id, kind = self.kind.kind, container, pid = process.pid, "an agent runs");
        Ok((process, door))
    }

    /// The guard mints tokens for agents that it knows to run, so it is told before the door opens.
    async fn tell_of_start(
        &self,
        container: &str,
        isolation: &[String],
        process: &mut Process,
    ) -> Result<(), SandboxError> {
        let (restarts, image) = {
            let seen = self.seen.borrow();
            (seen.restarts, seen.image_digest.clone())
        };
        let details = json!({
            "agent_kind": self.kind.kind,
            "container_id": container,
            "image_digest": image,
            "isolation": isolation,
            "restarts": restarts,
        });
        let id = self.id.to_string();
        tokio::select! {
            told = self.audit.record_and_wait("agent.started", &id, details) => told,
            () = &mut process.ended => {
                Err(SandboxError::NotStarted { id: id.clone(), why: "its first process ended at once".to_owned() })
            }
            () = self.tasks.token().cancelled_owned() => Err(SandboxError::Ending),
        }
    }

    fn open_door(&self, container: &str) -> Result<Door, SandboxError> {
        let resident = Resident {
            agent_id: self.id.to_string(),
            kind: self.kind.kind.clone(),
            container_id: container.to_owned(),
        };
        let (door, serving) = Door::open(
            &self.door_directory,
            resident,
            self.orchestrator.clone(),
            self.audit.clone(),
        )?;
        self.tasks.spawn("front door", serving);
        Ok(door)
    }

    /// Waits until the kernel says that the container is confined as it must be.
    async fn confined(&self, process: &mut Process) -> Result<(Observed, Vec<String>), SandboxError> {
        let deadline = Instant::now() + self.confining;
        loop {
            let missing = match self.engine.observe(process.pid) {
                Ok(observed) => match observed.check(&self.kind, &self.enforced) {
                    Ok(isolation) => return Ok((observed, isolation)),
                    Err(missing) => missing,
                },
                Err(error) => format!("its process cannot be looked at: {error}"),
            };
            tokio::select! {
                () = &mut process.ended => {
                    let id = self.id.to_string();
                    return Err(SandboxError::NotStarted { id, why: "its first process ended at once".to_owned() });
                }
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
            }
            if Instant::now() > deadline {
                return Err(SandboxError::NotConfined { missing });
            }
        }
    }

    async fn attend(&mut self, mut process: Process, door: Door, memory: &mut Memory) -> Phase {
        tokio::select! {
            () = &mut process.ended => {
                door.close();
                self.after_exit(memory).await
            }
            command = self.commands.recv() => match command {
                Some(Command::Freeze(reply)) => {
                    door.close();
                    self.freeze(process, false, "frozen on request", Some(reply), memory).await
                }
                Some(Command::Thaw(reply)) => {
                    self.answer(Some(reply));
                    Phase::Running(process, door)
                }
                Some(Command::Stop(reply)) => Phase::End(Some(reply)),
                None => Phase::End(None),
            },
            () = self.tasks.token().cancelled_owned() => Phase::End(None),
            changed = self.gate.changed() => {
                let closed = match &*self.gate.borrow_and_update() {
                    Gate::Closed(why) if changed.is_ok() => Some(why.clone()),
                    _ => None,
                };
                match closed {
                    Some(why) => {
                        door.close();
                        self.freeze(process, true, &why, None, memory).await
                    }
                    None if changed.is_ok() => Phase::Running(process, door),
                    None => Phase::End(None),
                }
            }
        }
    }

    async fn freeze(
        &mut self,
        process: Process,
        emergency: bool,
        why: &str,
        reply: Option<Reply>,
        memory: &mut Memory,
    ) -> Phase {
        let container = memory.container.clone().unwrap_or_default();
        let paused = if self.enforced.limits() {
            self.engine.pause(&container).await
        } else {
            Ok(())
        };
        let stopped = match paused {
            Ok(()) if self.enforced.limits() => false,
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, agent = %self.id, "an agent could not be frozen; it is stopped");
                true
            }
        };
        if stopped {
            self.stop(&container).await;
            let message = format!("{why}; stopped, because this machine cannot freeze");
            self.show(State::Stopped, &message, |_| {});
        } else {
            self.show(State::Frozen, why, |_| {});
        }
        self.record(
            "agent.frozen",
            json!({ "why": why, "by": if stopped { "stop" } else { "cgroup" } }),
        );
        self.answer(reply);
        if stopped {
            Phase::Idle { emergency }
        } else {
            Phase::Paused { process, emergency }
        }
    }

    async fn stand_still(&mut self, mut process: Process, emergency: bool, memory: &mut Memory) -> Phase {
        let container = memory.container.clone().unwrap_or_default();
        tokio::select! {
            () = &mut process.ended => return self.after_exit(memory).await,
            again = self.called_again(emergency) => match again {
                Again::Thaw(reply) => {
                    let phase = match self.thaw(&container, process.pid).await {
                        Ok(door) => Phase::Running(process, door),
                        Err(error) => {
                            tracing::error!(%error, agent = %self.id, "an agent could not be thawed; it is started anew");
                            self.stop(&container).await;
                            Phase::Start
                        }
                    };
                    self.answer(reply);
                    phase
                }
                Again::Stay(reply) => {
                    self.answer(Some(reply));
                    Phase::Paused { process, emergency: false }
                }
                Again::End(reply) => {
                    // A frozen process cannot end by itself.
                    if let Err(error) = self.engine.unpause(&container).await {
                        tracing::warn!(%error, agent = %self.id, "an agent could not be thawed before its end");
                    }
                    Phase::End(reply)
                }
            },
        }
    }

    async fn thaw(&self, container: &str, pid: u32) -> Result<Door, SandboxError> {
        let door = self.open_door(container)?;
        self.engine.unpause(container).await?;
        let observed = self
            .engine
            .observe(pid)
            .map_err(|error| SandboxError::NotStarted {
                id: self.id.to_string(),
                why: format!("its process cannot be looked at: {error}"),
            })?;
        door.admit(observed.uid);
        self.show(State::Running, "", |_| {});
        self.record("agent.thawed", json!({}));
        Ok(door)
    }

    async fn idle(&mut self, emergency: bool) -> Phase {
        match self.called_again(emergency).await {
            Again::Thaw(reply) => {
                self.record("agent.thawed", json!({}));
                self.show(State::Starting, "", |_| {});
                self.answer(reply);
                Phase::Start
            }
            Again::Stay(reply) => {
                self.answer(Some(reply));
                Phase::Idle { emergency: false }
            }
            Again::End(reply) => Phase::End(reply),
        }
    }

    /// Waits until a frozen or stopped agent is called on again.
    async fn called_again(&mut self, emergency: bool) -> Again {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Thaw(reply)) => {
                        // Nothing but the end of the stop opens closed doors.
                        if let Gate::Closed(_) = &*self.gate.borrow() {
                            let error = SandboxError::State { id: self.id.to_string(), state: "held by an emergency stop", action: "thawed" };
                            self.refuse(reply, error);
                            continue;
                        }
                        return Again::Thaw(Some(reply));
                    }
                    Some(Command::Freeze(reply)) => return Again::Stay(reply),
                    Some(Command::Stop(reply)) => return Again::End(Some(reply)),
                    None => return Again::End(None),
                },
                () = self.tasks.token().cancelled_owned() => return Again::End(None),
                changed = self.gate.changed(), if emergency => {
                    if changed.is_err() {
                        return Again::End(None);
                    }
                    if *self.gate.borrow_and_update() == Gate::Open {
                        return Again::Thaw(None);
                    }
                }
            }
        }
    }

    async fn after_exit(&mut self, memory: &mut Memory) -> Phase {
        let container = memory.container.clone().unwrap_or_default();
        let why = match self.engine.exit(&container).await {
            Ok(exit) if exit.out_of_memory => "out of memory".to_owned(),
            Ok(exit) => format!("exit code {}", exit.code),
            Err(error) => {
                memory.container = None;
                format!("exit code unknown: {error}")
            }
        };
        tracing::warn!(agent = %self.id, why, "an agent's container ended");
        self.record("agent.exited", json!({ "why": why }));
        self.show(
            State::Starting,
            &format!("ended with {why}; starts again"),
            |seen| seen.restarts += 1,
        );
        let healthy = Duration::from_millis(self.kind.restart.reset_ms);
        if memory.running_since.elapsed() >= healthy {
            memory.pause = Duration::from_millis(self.kind.restart.initial_ms);
        }
        self.next_wait(memory)
    }

    fn next_wait(&self, memory: &mut Memory) -> Phase {
        let pause = memory.pause;
        memory.pause = (pause * 2).min(Duration::from_millis(self.kind.restart.max_ms));
        Phase::Wait(pause)
    }

    async fn wait(&mut self, pause: Duration) -> Phase {
        tokio::select! {
            () = tokio::time::sleep(pause) => Phase::Start,
            command = self.commands.recv() => match command {
                Some(Command::Freeze(reply)) => {
                    self.show(State::Stopped, "frozen on request before it came up again", |_| {});
                    self.answer(Some(reply));
                    Phase::Idle { emergency: false }
                }
                Some(Command::Thaw(reply)) => {
                    self.answer(Some(reply));
                    Phase::Start
                }
                Some(Command::Stop(reply)) => Phase::End(Some(reply)),
                None => Phase::End(None),
            },
            () = self.tasks.token().cancelled_owned() => Phase::End(None),
        }
    }

    async fn end(self, reply: Option<Reply>, memory: &Memory) {
        if let Some(container) = &memory.container {
            self.stop(container).await;
            self.remove(container).await;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.door_directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a door's directory could not be removed");
        }
        self.show(State::Stopped, "", |_| {});
        self.record("agent.stopped", json!({}));
        self.answer(reply);
    }

    async fn stop(&self, container: &str) {
        if let Err(error) = self.engine.stop(container, self.grace).await {
            tracing::error!(%error, agent = %self.id, "an agent's container could not be stopped");
        }
    }

    async fn remove(&self, container: &str) {
        if let Err(error) = self.engine.remove(container).await {
            tracing::error!(%error, agent = %self.id, "an agent's container could not be removed");
        }
    }

    fn answer(&self, reply: Option<Reply>) {
        if let Some(reply) = reply
            && reply.send(Ok(self.seen.borrow().clone())).is_err()
        {
            tracing::debug!(agent = %self.id, "nobody waits for the answer any more");
        }
    }

    fn refuse(&self, reply: Reply, error: SandboxError) {
        if reply.send(Err(error)).is_err() {
            tracing::debug!(agent = %self.id, "nobody waits for the answer any more");
        }
    }
}

/// What ends a stillness.
enum Again {
    Thaw(Option<Reply>),
    Stay(Reply),
    End(Option<Reply>),
}
