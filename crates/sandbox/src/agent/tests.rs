//! The life of an agent on a double of the machine.

use super::*;
use crate::audit::Audit;
use crate::door::SOCKET;
use crate::error::SandboxError;
use crate::isolation::Observed;
use crate::machine::Enforced;
use crate::podman::{Limits, Spec};
use aios_core::id::AgentId;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::sandbox::v1::AgentContainer;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

const PATIENCE: Duration = Duration::from_secs(20);

/// Containers that exist only in this test.
#[derive(Default)]
struct Double {
    done: Mutex<Vec<String>>,
    running: Mutex<Vec<oneshot::Sender<()>>>,
    unconfined: Mutex<bool>,
}

impl Double {
    fn note(&self, what: &str) -> Result<(), SandboxError> {
        self.done.lock().unwrap().push(what.to_owned());
        Ok(())
    }
    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
    /// The container's process ends.
    fn crash(&self) {
        self.running.lock().unwrap().clear();
    }
}

#[tonic::async_trait]
impl Engine for Double {
    async fn create(&self, _: &Spec) -> Result<String, SandboxError> {
        self.note("create").map(|()| "c1".to_owned())
    }
    async fn start(&self, _: &str) -> Result<Process, SandboxError> {
        self.note("start")?;
        let (end, ended) = oneshot::channel::<()>();
        self.running.lock().unwrap().push(end);
        let ended = Box::pin(async move {
            ended.await.unwrap_err();
        });
        Ok(Process { pid: 4242, ended })
    }
    async fn exit(&self, _: &str) -> Result<Exit, SandboxError> {
        Ok(Exit {
            code: 137,
            out_of_memory: false,
        })
    }
    fn observe(&self, _: u32) -> io::Result<Observed> {
        Ok(Observed {
            uid: 7,
            no_new_privs: !*self.unconfined.lock().unwrap(),
            seccomp: true,
            no_capabilities: true,
            read_only: true,
            no_network: true,
            apparmor: String::new(),
            limits: (128 << 20, 64),
        })
    }
    async fn pause(&self, _: &str) -> Result<(), SandboxError> {
        self.note("pause")
    }
    async fn unpause(&self, _: &str) -> Result<(), SandboxError> {
        self.note("unpause")
    }
    async fn stop(&self, _: &str, _: Duration) -> Result<(), SandboxError> {
        self.crash();
        self.note("stop")
    }
    async fn remove(&self, _: &str) -> Result<(), SandboxError> {
        self.note("remove")
    }
}

struct Rig {
    engine: Arc<Double>,
    commands: mpsc::Sender<Command>,
    gate: watch::Sender<Gate>,
    seen: watch::Receiver<AgentContainer>,
    recorded: Arc<Mutex<Vec<String>>>,
    door: tempfile::TempDir,
    tasks: Tasks,
}

impl Rig {
    fn new(gate: Gate, limits: bool) -> Self {
        let engine = Arc::new(Double::default());
        let door = tempfile::tempdir().unwrap();
        let (commands, received) = mpsc::channel(8);
        let (gate, watched) = watch::channel(gate);
        let (show, seen) = watch::channel(AgentContainer::default());
        let (audit, sending) = Audit::new();
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let tasks = Tasks::new();
        tasks.spawn("audit", sending.write_all(recorded.clone()));
        let text = "kind = \"a\"\ncommand = [\"/x\"]\n[restart]\ninitial_ms = 1\nmax_ms = 5\n";
        let kind = crate::kind::parse("a.toml", text).unwrap();
        let limit = Limits {
            memory_max_bytes: 1,
            pids_max: 1,
            cpus: 1.0,
            tmp_max_bytes: 1,
        };
        let enforced = Enforced {
            cgroup_parent: limits.then(|| "/agents/pods".into()),
            apparmor: None,
            landlock: false,
            degradations: Vec::new(),
        };
        let life = Life {
            id: AgentId::new(),
            kind,
            spec: Spec::confined("n", "i", 1, &limit),
            door_directory: door.path().join("d"),
            enforced: Arc::new(enforced),
            engine: engine.clone(),
            orchestrator: rpc::channel(Path::new("/nonexistent")),
            audit,
            tasks: tasks.clone(),
            commands: received,
            gate: watched,
            seen: show,
            grace: Duration::from_secs(1),
            confining: Duration::from_millis(60),
        };
        tasks.spawn("life", life.live());
        Self {
            engine,
            commands,
            gate,
            seen,
            recorded,
            door,
            tasks,
        }
    }

    async fn until(&mut self, what: impl Fn(&AgentContainer) -> bool) -> AgentContainer {
        tokio::time::timeout(PATIENCE, self.seen.wait_for(what))
            .await
            .unwrap()
            .unwrap()
            .clone()
    }

    async fn state(&mut self, state: State) -> AgentContainer {
        self.until(|seen| seen.state == state.name()).await
    }

    async fn tell(&self, command: fn(Reply) -> Command) -> Result<AgentContainer, SandboxError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.unwrap();
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap()
    }

    fn door_is_open(&self) -> bool {
        self.door.path().join("d").join(SOCKET).exists()
    }

    fn recorded(&self) -> Vec<String> {
        self.recorded.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn an_agent_runs_once_it_is_confined_and_its_start_is_recorded() {
    let mut rig = Rig::new(Gate::Open, false);
    let seen = rig.state(State::Running).await;
    assert_eq!((seen.pid, seen.restarts), (4242, 0));
    assert!(seen.isolation.contains(&"no-new-privileges".to_owned()));
    assert_eq!(rig.engine.done(), ["create", "start"]);
    assert_eq!(rig.recorded(), ["agent.started"]);
    assert!(rig.door_is_open());
}

#[tokio::test]
async fn an_agent_that_dies_is_started_again_in_the_same_container() {
    let mut rig = Rig::new(Gate::Open, false);
    rig.state(State::Running).await;
    for restarts in 1..4 {
        rig.engine.crash();
        let again = |seen: &AgentContainer| seen.restarts == restarts && seen.state == State::Running.name();
        rig.until(again).await;
    }
    assert_eq!(rig.engine.done(), ["create", "start", "start", "start", "start"]);
    assert_eq!(
        rig.recorded()
            .iter()
            .filter(|kind| *kind == "agent.exited")
            .count(),
        3
    );
}

#[tokio::test]
async fn a_container_that_is_not_confined_is_removed_and_its_door_never_opens() {
    let mut rig = Rig::new(Gate::Open, false);
    // Set before the life's first step: the test has one thread.
    *rig.engine.unconfined.lock().unwrap() = true;
    let seen = rig.state(State::Failed).await;
    assert!(seen.message.contains("AIOS-SANDBOX-0010"), "{}", seen.message);
    assert!(seen.message.contains("no-new-privileges"), "{}", seen.message);
    assert!(rig.engine.done().contains(&"remove".to_owned()));
    assert!(!rig.recorded().contains(&"agent.started".to_owned()));
}

#[tokio::test]
async fn freezing_pauses_where_the_machine_can_and_stops_where_it_cannot() {
    for (limits, state, wanted) in [(true, State::Frozen, "pause"), (false, State::Stopped, "stop")] {
        let mut rig = Rig::new(Gate::Open, limits);
        rig.state(State::Running).await;
        let frozen = rig.tell(Command::Freeze).await.unwrap();
        assert_eq!(frozen.state, state.name());
        assert_eq!(frozen.message.contains("cannot freeze"), !limits);
        assert!(rig.engine.done().contains(&wanted.to_owned()));
        assert!(!rig.door_is_open(), "limits {limits}");
        rig.tell(Command::Thaw).await.unwrap();
        rig.state(State::Running).await;
        assert!(rig.door_is_open());
    }
}

#[tokio::test]
async fn an_emergency_stop_closes_the_door_until_it_is_lifted() {
    for limits in [true, false] {
        let mut rig = Rig::new(Gate::Open, limits);
        rig.state(State::Running).await;
        rig.gate
            .send(Gate::Closed("emergency stop by ann: test".to_owned()))
            .unwrap();
        let held = rig.until(|seen| seen.state != State::Running.name()).await;
        assert!(held.message.contains("emergency stop by ann"), "{}", held.message);
        assert!(!rig.door_is_open());
        let refused = rig.tell(Command::Thaw).await.unwrap_err();
        assert!(matches!(refused, SandboxError::State { .. }), "{refused}");
        rig.gate.send(Gate::Open).unwrap();
        rig.state(State::Running).await;
        assert!(rig.door_is_open());
    }
}

#[tokio::test]
async fn what_a_person_froze_stays_frozen_after_an_emergency_stop() {
    let mut rig = Rig::new(Gate::Open, true);
    rig.state(State::Running).await;
    rig.tell(Command::Freeze).await.unwrap();
    rig.gate.send(Gate::Closed("stop".to_owned())).unwrap();
    rig.gate.send(Gate::Open).unwrap();
    assert_eq!(
        rig.tell(Command::Freeze).await.unwrap().state,
        State::Frozen.name()
    );
}

#[tokio::test]
async fn nothing_starts_while_the_doors_are_closed() {
    let mut rig = Rig::new(Gate::Closed("the guard has not been heard yet".to_owned()), false);
    let seen = rig.state(State::Stopped).await;
    assert!(seen.message.contains("the guard"));
    assert!(rig.engine.done().is_empty());
    rig.gate.send(Gate::Open).unwrap();
    rig.state(State::Running).await;
}

#[tokio::test]
async fn stopping_ends_and_removes_the_container_and_its_door() {
    let mut rig = Rig::new(Gate::Open, false);
    rig.state(State::Running).await;
    assert_eq!(
        rig.tell(Command::Stop).await.unwrap().state,
        State::Stopped.name()
    );
    assert_eq!(rig.engine.done(), ["create", "start", "stop", "remove"]);
    assert!(!rig.door.path().join("d").exists());
    assert!(rig.recorded().contains(&"agent.stopped".to_owned()));
}

#[tokio::test]
async fn the_end_of_the_service_is_the_end_of_its_agents() {
    let mut rig = Rig::new(Gate::Open, true);
    rig.state(State::Running).await;
    rig.tell(Command::Freeze).await.unwrap();
    rig.tasks.token().cancel();
    rig.state(State::Stopped).await;
    // A frozen process cannot end by itself, so it is thawed first.
    assert_eq!(
        rig.engine.done(),
        ["create", "start", "pause", "unpause", "stop", "remove"]
    );
}
