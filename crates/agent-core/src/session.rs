//! One agent's session: the only conversation an agent has with anything.
//!
//! Who the agent is comes from the sandbox, which knows by the front door; nothing that the agent says
//! about itself is believed beyond its skills. A message for a task that it was not given is refused
//! and recorded in the audit log.

use crate::callers::AgentIdentity;
use crate::core::Core;
use crate::error::Error;
use crate::router::AgentEntry;
use aios_core::id::{AgentId, TaskId};
use aios_proto::agent::v1::{
    AgentMessage, CallResult, CancelTask, Drain, Hello, MemoryCall, OrchestratorMessage, Progress,
    TaskAssignment, TaskResult, ThinkCall, ToolCall, Welcome, agent_message, call_result,
    orchestrator_message::Message,
};
use aios_proto::guard::v1::RecordRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// Messages to an agent that may wait; an agent that reads none of them is cut off.
const OUTBOX: usize = 64;
/// Messages of an agent about one task that may wait; more at once break the session's rules.
pub const TASK_INBOX: usize = 64;
/// Time allowed for the first message.
const HELLO: Duration = Duration::from_secs(10);
/// Refused messages after which an agent is cut off.
const MAX_REFUSED: u32 = 20;
/// Time that an agent is given to finish when the orchestrator ends, milliseconds.
const GRACE_MS: u64 = 2_000;
/// Most tasks that one agent may take at once.
const MAX_TASKS: u32 = 16;

static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// What the engine says to a session.
#[derive(Debug)]
pub enum ToSession {
    /// A task for the agent; its words about it go to the sender.
    Assign(Box<TaskAssignment>, mpsc::Sender<FromAgent>),
    /// A message for the agent.
    Send(Message),
    /// The task is no longer the agent's; it is told to stop with this reason when there is one.
    End(TaskId, Option<String>),
}

/// What an agent says about a task that it has.
#[derive(Debug)]
pub enum FromAgent {
    /// It wants a tool.
    Tool(ToolCall),
    /// It wants memory.
    Memory(MemoryCall),
    /// It wants a model.
    Think(ThinkCall),
    /// How far it is.
    Progress(Progress),
    /// It has ended the task.
    Result(TaskResult),
}

impl FromAgent {
    fn task_id(&self) -> &str {
        match self {
            Self::Tool(call) => &call.task_id,
            Self::Memory(call) => &call.task_id,
            Self::Think(call) => &call.task_id,
            Self::Progress(progress) => &progress.task_id,
            Self::Result(result) => &result.task_id,
        }
    }

    /// The step and the right envelope for its answer, when it is a call.
    fn answer(&self, result: CallResult) -> Option<Message> {
        match self {
            Self::Tool(_) => Some(Message::ToolResult(result)),
            Self::Memory(_) => Some(Message::MemoryResult(result)),
            Self::Think(_) => Some(Message::ThinkResult(result)),
            Self::Progress(_) | Self::Result(_) => None,
        }
    }

    fn step(&self) -> u64 {
        match self {
            Self::Tool(call) => call.step,
            Self::Memory(call) => call.step,
            Self::Think(call) => call.step,
            Self::Progress(_) | Self::Result(_) => 0,
        }
    }
}

/// What the server streams to the agent.
pub type Outbox = mpsc::Receiver<Result<OrchestratorMessage, Status>>;

/// Runs the session of an agent that the sandbox vouches for, until either side ends it.
pub fn open(core: &Arc<Core>, identity: AgentIdentity, inbound: Streaming<AgentMessage>) -> Outbox {
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let session = Session {
        number: SESSIONS.fetch_add(1, Ordering::Relaxed),
        core: Arc::clone(core),
        identity,
        outbox,
        inboxes: BTreeMap::new(),
        refused: 0,
    };
    core.tasks.spawn("agent session", session.run(inbound));
    outgoing
}

struct Session {
    number: u64,
    core: Arc<Core>,
    identity: AgentIdentity,
    outbox: mpsc::Sender<Result<OrchestratorMessage, Status>>,
    inboxes: BTreeMap<TaskId, mpsc::Sender<FromAgent>>,
    refused: u32,
}

impl Session {
    async fn run(mut self, inbound: Streaming<AgentMessage>) {
        let agent = self.identity.agent;
        match self.converse(inbound).await {
            Ok(()) => tracing::info!(%agent, kind = self.identity.kind, "an agent's session ended"),
            Err(error) => {
                tracing::warn!(%agent, kind = self.identity.kind, %error, "an agent's session was ended");
                // The agent may be gone already; then nobody reads this.
                drop(self.outbox.try_send(Err(error.status())));
            }
        }
        self.core
            .router
            .disconnect(agent, self.number, self.core.clock.now_ms())
            .await;
    }

    async fn converse(&mut self, mut inbound: Streaming<AgentMessage>) -> Result<(), Error> {
        let end = self.core.tasks.token();
        let hello = tokio::select! {
            hello = self.hello(&mut inbound) => hello?,
            () = end.cancelled() => return Ok(()),
        };
        let (door, mut orders) = mpsc::channel(OUTBOX);
        self.core.router.connect(self.entry(hello, door)).await;
        let heartbeat = Duration::from_millis(self.core.config.heartbeat_ms);
        self.send(Message::Welcome(Welcome {
            agent_id: self.identity.agent.to_string(),
            heartbeat_ms: self.core.config.heartbeat_ms,
        }))?;
        let mut deadline = Instant::now() + heartbeat * 3;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order)?,
                    // A later session of this agent took our place in the pool.
                    None => return Err(Error::Session("the agent opened another session".to_owned())),
                },
                message = inbound.message() => match message {
                    Ok(Some(message)) => {
                        deadline = Instant::now() + heartbeat * 3;
                        self.core.router.seen(self.identity.agent, self.core.clock.now_ms()).await;
                        self.hear(message)?;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        return Err(Error::Session(format!("the stream broke: {}", status.message())));
                    }
                },
                () = tokio::time::sleep_until(deadline) => {
                    return Err(Error::Session(format!("no word from the agent in {} ms", 3 * self.core.config.heartbeat_ms)));
                }
                () = end.cancelled() => {
                    return self.send(Message::Drain(Drain { grace_ms: GRACE_MS }));
                }
            }
        }
    }

    async fn hello(&self, inbound: &mut Streaming<AgentMessage>) -> Result<Hello, Error> {
        let broken = |what: &str| Error::Session(what.to_owned());
        let first = tokio::time::timeout(HELLO, inbound.message()).await;
        let first = first.map_err(|_| broken("the agent did not say hello in time"))?;
        let first = first.map_err(|status| broken(status.message()))?;
        let Some(AgentMessage {
            message: Some(agent_message::Message::Hello(hello)),
        }) = first
        else {
            return Err(broken("the first message of a session is a hello"));
        };
        let plain = |skill: &String| {
            !skill.is_empty() && skill.len() <= 100 && skill.chars().all(|it| it.is_ascii_graphic())
        };
        if hello.skills.is_empty() || hello.skills.len() > 100 || !hello.skills.iter().all(plain) {
            return Err(broken(
                "a hello names 1 to 100 skills like `maintenance.free_space`",
            ));
        }
        if hello.max_tasks == 0 {
            return Err(broken("a hello names at least one task at once"));
        }
        Ok(hello)
    }

    fn entry(&self, hello: Hello, door: mpsc::Sender<ToSession>) -> AgentEntry {
        tracing::info!(
            agent = %self.identity.agent,
            kind = self.identity.kind,
            sdk = hello.sdk_version,
            skills = ?hello.skills,
            "an agent is here"
        );
        AgentEntry {
            agent: self.identity.agent,
            kind: self.identity.kind.clone(),
            container_id: self.identity.container_id.clone(),
            skills: hello.skills,
            max_tasks: usize::try_from(hello.max_tasks.min(MAX_TASKS)).unwrap_or(1),
            active: BTreeSet::new(),
            connected: true,
            last_seen_ms: self.core.clock.now_ms(),
            session: self.number,
            door,
        }
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        self.outbox
            .try_send(Ok(OrchestratorMessage {
                message: Some(message),
            }))
            .map_err(|_| Error::Session("the agent does not read what it is sent".to_owned()))
    }

    fn obey(&mut self, order: ToSession) -> Result<(), Error> {
        match order {
            ToSession::Assign(assignment, inbox) => {
                if let Ok(task) = TaskId::parse(&assignment.task_id) {
                    self.inboxes.insert(task, inbox);
                }
                self.send(Message::Task(*assignment))
            }
            ToSession::Send(message) => self.send(message),
            ToSession::End(task, reason) => {
                self.inboxes.remove(&task);
                match reason {
                    Some(reason) => self.send(Message::Cancel(CancelTask {
                        task_id: task.to_string(),
                        reason,
                    })),
                    None => Ok(()),
                }
            }
        }
    }

    fn hear(&mut self, message: AgentMessage) -> Result<(), Error> {
        let word = match message.message {
            Some(agent_message::Message::ToolCall(call)) => FromAgent::Tool(call),
            Some(agent_message::Message::MemoryCall(call)) => FromAgent::Memory(call),
            Some(agent_message::Message::ThinkCall(call)) => FromAgent::Think(call),
            Some(agent_message::Message::Progress(progress)) => FromAgent::Progress(progress),
            Some(agent_message::Message::TaskResult(result)) => FromAgent::Result(result),
            Some(agent_message::Message::Heartbeat(_)) => return Ok(()),
            Some(agent_message::Message::Hello(_)) => {
                return Err(Error::Session("a session has one hello".to_owned()));
            }
            None => return Err(Error::Session("a message without content".to_owned())),
        };
        let inbox = TaskId::parse(word.task_id())
            .ok()
            .and_then(|task| self.inboxes.get(&task));
        let Some(inbox) = inbox else {
            return self.refuse(&word);
        };
        match inbox.try_send(word) {
            Ok(()) => Ok(()),
            // The task was taken away a moment ago: the agent is being told.
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::Session(format!(
                "more than {TASK_INBOX} messages at once about one task"
            ))),
        }
    }

    /// Refuses a message about a task that the agent does not have, and has it recorded.
    fn refuse(&mut self, word: &FromAgent) -> Result<(), Error> {
        let error = Error::NotYourTask {
            task: word.task_id().chars().take(80).collect(),
            agent: self.identity.agent.to_string(),
        };
        tracing::warn!(%error, "a message of an agent was refused");
        self.refused += 1;
        if self.refused > MAX_REFUSED {
            return Err(Error::Session(format!(
                "more than {MAX_REFUSED} messages about tasks of others"
            )));
        }
        self.record_refusal(&error);
        let result = CallResult {
            task_id: word.task_id().to_owned(),
            step: word.step(),
            result: Some(call_result::Result::Error(error.report().into())),
            tainted: false,
        };
        match word.answer(result) {
            Some(message) => self.send(message),
            None => Ok(()),
        }
    }

    fn record_refusal(&self, error: &Error) {
        let record = RecordRequest {
            kind: "session.refused".to_owned(),
            agent_id: self.identity.agent.to_string(),
            details_json: serde_json::json!({
                "error": error.report(),
                "kind": self.identity.kind,
                "container": self.identity.container_id,
            })
            .to_string(),
            ..RecordRequest::default()
        };
        let clients = self.core.clients.clone();
        self.core.tasks.spawn("audit of a refusal", async move {
            if let Err(error) = clients.record(record).await {
                tracing::error!(%error, "a refused message could not be recorded in the audit log");
            }
        });
    }
}

/// The identity of an agent whose task this is, for answers that are not part of a session.
impl AgentIdentity {
    /// An identity as the sandbox states it.
    ///
    /// # Errors
    /// The agent id is no UUID, or the kind is empty.
    pub fn parse(agent: &str, kind: &str, container_id: &str) -> Result<Self, Error> {
        let agent = AgentId::parse(agent).map_err(|error| Error::Refused(error.to_string()))?;
        if kind.is_empty() {
            return Err(Error::Refused(
                "the sandbox did not say of which kind the agent is".to_owned(),
            ));
        }
        Ok(Self {
            agent,
            kind: kind.to_owned(),
            container_id: container_id.to_owned(),
        })
    }
}
