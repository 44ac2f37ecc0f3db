//! All agents: starting one of a kind, finding one, and the gate that an emergency stop closes.

use aios_core::id::AgentId;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::guard::v1::{GuardEvent, WatchRequest, guard_event::Event};
use aios_proto::sandbox::v1::AgentContainer;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::agent::{Command, Engine, Gate, Life, Reply, State};
use crate::audit::Audit;
use crate::error::SandboxError;
use crate::image::Image;
use crate::kind::Kind;
use crate::machine::Enforced;
use crate::podman::{Bind, Limits, Spec};

/// Why the gate is closed at first.
const NOT_HEARD: &str = "the guard has not been heard yet";
/// How long a request to run an agent waits for the guard's first word.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// PID 1 in the agent image.
const SHIM: &str = "/usr/lib/aios/bin/aios-shim";
/// How long PID 1 may take to confine itself; emulated machines are ten times slower.
const CONFINING: Duration = Duration::from_secs(20);
/// What the container sees of its door.
const DOOR: &str = "/run/aios";
/// Label of every container of ours.
pub const LABEL: &str = "aios.agent_id";
/// First user inside containers; each agent has one of its own, so that no door mistakes another.
const FIRST_USER: u32 = 10_000;
/// Commands that wait for one agent.
const WAITING: usize = 8;
/// How long a caller of RunAgent waits; emulated machines are ten times slower.
const COMING_UP: Duration = Duration::from_secs(90);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// What all agents share.
pub struct Shared {
    /// Kinds by name.
    pub kinds: BTreeMap<String, Kind>,
    /// The agent image.
    pub image: Image,
    /// What this machine enforces.
    pub enforced: Arc<Enforced>,
    /// Whether containers get cgroups of their own.
    pub cgroups: bool,
    /// Containers.
    pub engine: Arc<dyn Engine>,
    /// The orchestrator.
    pub orchestrator: Channel,
    /// The audit log.
    pub audit: Audit,
    /// Owner of the agents' tasks.
    pub tasks: Tasks,
    /// Directory of the doors.
    pub doors: PathBuf,
    /// Most agents at once.
    pub max_agents: u32,
    /// Whether agents run where the machine lacks something.
    pub allow_degraded: bool,
    /// Time that an agent gets to end by itself.
    pub grace: Duration,
}

/// All agents.
pub struct Fleet {
    shared: Shared,
    gate: watch::Sender<Gate>,
    agents: Mutex<BTreeMap<AgentId, Handle>>,
}

struct Handle {
    user: u32,
    commands: mpsc::Sender<Command>,
    seen: watch::Receiver<AgentContainer>,
}

impl Fleet {
    /// No agents yet; the doors stay closed until the guard has said that they may be open.
    pub fn new(shared: Shared) -> Self {
        let (gate, _) = watch::channel(Gate::Closed(NOT_HEARD.to_owned()));
        Self {
            shared,
            gate,
            agents: Mutex::default(),
        }
    }

    /// Opens or closes all doors.
    pub fn set_gate(&self, gate: Gate) {
        self.gate.send_if_modified(|now| {
            let changed = *now != gate;
            if changed {
                tracing::warn!(?gate, "front doors");
                *now = gate;
            }
            changed
        });
    }

    /// Whether doors may be open.
    pub fn gate(&self) -> Gate {
        self.gate.borrow().clone()
    }

    /// What this machine enforces.
    pub fn enforced(&self) -> &Enforced {
        &self.shared.enforced
    }

    fn kind(&self, kind: &str) -> Result<&Kind, SandboxError> {
        let kinds = &self.shared.kinds;
        kinds.get(kind).ok_or_else(|| SandboxError::UnknownKind {
            kind: kind.chars().take(80).collect(),
            known: kinds.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// Starts an agent and does not wait for it.
    ///
    /// # Errors
    /// The kind is unknown, or there are too many agents.
    pub fn begin(&self, kind: &str) -> Result<AgentId, SandboxError> {
        let shared = &self.shared;
        let kind = self.kind(kind)?.clone();
        let id = AgentId::new();
        let mut agents = self.agents();
        let user = free_user(&agents, shared.max_agents).ok_or(SandboxError::Full {
            limit: shared.max_agents,
        })?;
        let name = format!("aios-{}-{id}", kind.kind.trim_end_matches("_agent"));
        let door_directory = shared.doors.join(id.to_string());
        let spec = self.spec(&name, id, &kind, user, &door_directory);
        let (commands, received) = mpsc::channel(WAITING);
        let (show, seen) = watch::channel(AgentContainer {
            agent_id: id.to_string(),
            kind: kind.kind.clone(),
            name,
            state: State::Starting.name().to_owned(),
            image_digest: shared.image.digest.clone(),
            ..AgentContainer::default()
        });
        let life = Life {
            id,
            kind,
            spec,
            door_directory,
            enforced: shared.enforced.clone(),
            engine: shared.engine.clone(),
            orchestrator: shared.orchestrator.clone(),
            audit: shared.audit.clone(),
            tasks: shared.tasks.clone(),
            commands: received,
            gate: self.gate.subscribe(),
            seen: show,
            grace: shared.grace,
            confining: CONFINING,
        };
        agents.insert(id, Handle { user, commands, seen });
        shared.tasks.spawn("agent", life.live());
        Ok(id)
    }

    fn spec(&self, name: &str, id: AgentId, kind: &Kind, user: u32, door: &std::path::Path) -> Spec {
        let shared = &self.shared;
        let limits = Limits {
            memory_max_bytes: kind.memory_max_bytes,
            pids_max: kind.pids_max,
            cpus: kind.cpus,
            tmp_max_bytes: kind.tmp_max_bytes,
        };
        let mut command = vec!["--".to_owned()];
        command.extend(kind.command.iter().cloned());
        let spec = Spec::confined(name, &shared.image.id, user, &limits)
            .command(SHIM, &command)
            .env(
                "AIOS_SHIM_APPARMOR",
                shared.enforced.apparmor.as_deref().unwrap_or_default(),
            )
            .env(
                "AIOS_SHIM_DEGRADED",
                if shared.allow_degraded { "yes" } else { "no" },
            )
            .label(LABEL, &id.to_string())
            .label("aios.kind", &kind.kind)
            .bind(&Bind {
                source: door.to_owned(),
                destination: DOOR,
            })
            .cgroup_parent(shared.enforced.cgroup_parent.as_deref());
        if shared.cgroups {
            spec
        } else {
            spec.without_cgroup()
        }
    }

    /// Starts an agent and waits until its container runs.
    ///
    /// # Errors
    /// As [`Fleet::begin`]; or it did not come up, and is not tried again then.
    pub async fn run(&self, kind: &str) -> Result<AgentContainer, SandboxError> {
        self.kind(kind)?;
        if let Gate::Closed(why) = self.gate_once_heard().await {
            return Err(SandboxError::NotStarted {
                id: String::new(),
                why: format!("the front doors are closed: {why}"),
            });
        }
        let id = self.begin(kind)?;
        let mut seen = self.handle(&id.to_string())?.1;
        let settled = seen.wait_for(|it| it.state != State::Starting.name());
        let container = match tokio::time::timeout(COMING_UP, settled).await {
            Ok(Ok(container)) => container.clone(),
            Ok(Err(_)) => return Err(SandboxError::Ending),
            Err(_) => {
                return Err(SandboxError::NotStarted {
                    id: id.to_string(),
                    why: "it took too long".to_owned(),
                });
            }
        };
        if container.state == State::Running.name() {
            return Ok(container);
        }
        let why = container.message;
        self.stop(&id.to_string()).await?;
        Err(SandboxError::NotStarted {
            id: id.to_string(),
            why,
        })
    }

    /// The gate as the guard has it: whoever asks right after a start waits for its first word.
    async fn gate_once_heard(&self) -> Gate {
        let mut gate = self.gate.subscribe();
        let heard = gate.wait_for(|gate| *gate != Gate::Closed(NOT_HEARD.to_owned()));
        // Nobody is served by a longer wait: the answer says that the guard is away.
        drop(tokio::time::timeout(FIRST_WORD, heard).await);
        self.gate()
    }

    /// Every agent, oldest first.
    pub fn list(&self) -> Vec<AgentContainer> {
        self.agents()
            .values()
            .map(|handle| handle.seen.borrow().clone())
            .collect()
    }

    /// One agent.
    ///
    /// # Errors
    /// The id is none, or nobody's.
    pub fn show(&self, id: &str) -> Result<AgentContainer, SandboxError> {
        self.handle(id).map(|(_, seen)| seen.borrow().clone())
    }

    /// Freezes an agent, or stops it where the machine cannot freeze.
    ///
    /// # Errors
    /// There is no such agent.
    pub async fn freeze(&self, id: &str) -> Result<AgentContainer, SandboxError> {
        self.tell(id, Command::Freeze).await
    }

    /// Thaws it.
    ///
    /// # Errors
    /// There is no such agent, or an emergency stop holds it.
    pub async fn thaw(&self, id: &str) -> Result<AgentContainer, SandboxError> {
        self.tell(id, Command::Thaw).await
    }

    /// Stops an agent and removes its container.
    ///
    /// # Errors
    /// There is no such agent.
    pub async fn stop(&self, id: &str) -> Result<AgentContainer, SandboxError> {
        let last = self.tell(id, Command::Stop).await?;
        self.agents().remove(&AgentId::parse(id)?);
        Ok(last)
    }

    async fn tell(&self, id: &str, command: fn(Reply) -> Command) -> Result<AgentContainer, SandboxError> {
        let (commands, _) = self.handle(id)?;
        let (reply, answer) = oneshot::channel();
        commands
            .send(command(reply))
            .await
            .map_err(|_| SandboxError::Ending)?;
        answer.await.map_err(|_| SandboxError::Ending)?
    }

    fn handle(
        &self,
        id: &str,
    ) -> Result<(mpsc::Sender<Command>, watch::Receiver<AgentContainer>), SandboxError> {
        let parsed = AgentId::parse(id)?;
        let agents = self.agents();
        let handle = agents
            .get(&parsed)
            .ok_or_else(|| SandboxError::UnknownAgent { id: id.to_owned() })?;
        Ok((handle.commands.clone(), handle.seen.clone()))
    }

    fn agents(&self) -> MutexGuard<'_, BTreeMap<AgentId, Handle>> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the instances that the kinds ask for.
    pub fn begin_configured(&self) {
        for kind in self.shared.kinds.values() {
            for _ in 0..kind.instances {
                if let Err(error) = self.begin(&kind.kind) {
                    tracing::error!(%error, kind = kind.kind, "a configured agent was not started");
                }
            }
        }
    }
}

fn free_user(agents: &BTreeMap<AgentId, Handle>, limit: u32) -> Option<u32> {
    (FIRST_USER..FIRST_USER + limit).find(|user| agents.values().all(|handle| handle.user != *user))
}

/// Follows the guard: an emergency stop closes the gate, its end opens it. While the guard cannot be
/// heard the gate stays as it is; nothing mutates without it anyway.
pub async fn follow_guard(fleet: Arc<Fleet>, guard: Channel, shutdown: CancellationToken) {
    let mut client = GuardClient::new(guard);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            ended = hear(&fleet, &mut client) => {
                if let Err(status) = ended {
                    tracing::debug!(%status, "the guard's events ended");
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(BETWEEN_TRIES) => {}
        }
    }
}

async fn hear(fleet: &Fleet, client: &mut GuardClient<Channel>) -> Result<(), tonic::Status> {
    let mut events = client.watch(WatchRequest {}).await?.into_inner();
    while let Some(GuardEvent { event }) = events.message().await? {
        if let Some(Event::Emergency(state)) = event {
            fleet.set_gate(if state.stopped {
                Gate::Closed(format!("emergency stop by {}: {}", state.by, state.reason))
            } else {
                Gate::Open
            });
        }
    }
    Ok(())
}
