//! What can go wrong in the orchestrator, with stable codes.

use crate::analyze::AnalyzeError;
use crate::intent::IntentError;
use crate::locks::Resource;
use crate::model::ApplyError;
use crate::runbook::RunbookError;
use crate::schedule::ScheduleError;
use aios_core::error::{Class, Coded, Report};
use aios_core::id::GoalId;
use aios_database::DatabaseError;

/// An error of the orchestrator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be read or written.
    #[error("the goal journal cannot be used: {0}")]
    Journal(#[from] rusqlite::Error),
    /// The journal's database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A stored row cannot be understood.
    #[error("the goal journal holds something that cannot be read: {0}")]
    Corrupt(String),
    /// The journal's thread has ended.
    #[error("the goal journal is closed")]
    JournalClosed,
    /// An event does not fit the goal.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A goal id or part of one that fits nothing.
    #[error("there is no goal `{0}`")]
    NoGoal(String),
    /// A part of an id that fits several goals.
    #[error("`{0}` fits more than one goal")]
    Ambiguous(String),
    /// A field of a request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// Field as the API names it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller may not do that.
    #[error("{0}")]
    Refused(String),
    /// The goal's state does not allow it.
    #[error("{0}")]
    State(String),
    /// A client id that was used for another goal.
    #[error("client_id {0} was used before for another request")]
    ClientId(String),
    /// Another service cannot be reached.
    #[error("{service} cannot be reached: {problem}")]
    Unreachable {
        /// Service.
        service: &'static str,
        /// What was seen.
        problem: String,
    },
    /// Another service refused.
    #[error("{0}")]
    Peer(Report),
    /// A runbook cannot be loaded.
    #[error(transparent)]
    Runbook(#[from] RunbookError),
    /// The words cannot be understood.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// No agent could be had for a task.
    #[error("no agent for {skill} in {waited_ms} ms: {problem}")]
    NoAgent {
        /// Skill wanted.
        skill: String,
        /// How long it was waited for.
        waited_ms: u64,
        /// What was seen last.
        problem: String,
    },
    /// An agent broke the rules of the session.
    #[error("{0}")]
    Session(String),
    /// An agent said of a task that is not its own.
    #[error("task {task} is not assigned to agent {agent}")]
    NotYourTask {
        /// Task named.
        task: String,
        /// Agent that named it.
        agent: String,
    },
    /// A replayed call differs from the recorded one.
    #[error("step {step} was recorded as {recorded} and is now asked as {asked}")]
    ReplayDiffers {
        /// Step.
        step: u64,
        /// What is recorded.
        recorded: String,
        /// What is asked.
        asked: String,
    },
    /// No model is there to think with.
    #[error("no model is configured")]
    NoModel,
    /// The agent went away too often.
    #[error("the agent of task {task} went away {times} times without getting further")]
    AgentLost {
        /// Name of the task.
        task: String,
        /// How often.
        times: u32,
    },
    /// The agent said nothing about a task for too long.
    #[error("the agent said nothing about task {task} for {ms} ms")]
    AgentSilent {
        /// Name of the task.
        task: String,
        /// How long.
        ms: u64,
    },
    /// A person said no, or nobody said anything.
    #[error("the approval of {tool} was {outcome}{by}")]
    NotApproved {
        /// Tool.
        tool: String,
        /// `declined`, `expired`, `withdrawn`.
        outcome: String,
        /// ` by NAME`, or empty.
        by: String,
    },
    /// What was to be proved does not hold.
    #[error("the verification failed: {0}")]
    NotVerified(String),
    /// The goal was cancelled while this was going on.
    #[error("the goal was cancelled")]
    Cancelled,
    /// The goal cannot be undone.
    #[error("goal {goal} cannot be undone: {why}")]
    NotUndoable {
        /// The goal.
        goal: GoalId,
        /// Why.
        why: String,
    },
    /// A step ended without success, and the task cannot go on.
    #[error("step {step} ({tool}) was {state}: {}", problem.message)]
    StepFailed {
        /// Step.
        step: u64,
        /// Tool.
        tool: String,
        /// `failed` or `denied`.
        state: &'static str,
        /// What was said.
        problem: Report,
    },
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What was seen.
        source: std::io::Error,
    },
    /// The caller is a local user whom nobody enrolled.
    #[error("{name} is not an enrolled person")]
    NotEnrolled {
        /// User name.
        name: String,
    },
    /// The goal is another person's.
    #[error("goal {goal} is {owner}'s")]
    NotYours {
        /// The goal.
        goal: GoalId,
        /// User name of who stated it.
        owner: String,
    },
    /// A diagnosis cannot read its evidence.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// A task that only looks was to change something.
    #[error("task `{task}` only looks, and {tool} changes something")]
    LooksOnly {
        /// The task.
        task: String,
        /// The tool.
        tool: String,
    },
    /// Goals would wait for each other for ever.
    #[error("it would wait for goal {holder}, which has {what}, and that one waits for it")]
    Circle {
        /// The other goal.
        holder: GoalId,
        /// What it has.
        what: Resource,
    },
    /// A step would begin to change something when the window of its goal's schedule is over.
    #[error("{tool} is not begun any more: the window of the schedule ended at {}", crate::model::cause::utc(*until_ms))]
    WindowOver {
        /// Tool.
        tool: String,
        /// End of the window, UTC milliseconds.
        until_ms: i64,
    },
    /// A schedule or trigger is wrong.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The service is ending.
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
}

impl Error {
    /// A wrong field.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::BadField {
            field,
            problem: problem.into(),
        }
    }

    /// The error as data. What another service said keeps that service's code.
    pub fn report(&self) -> Report {
        match self {
            Self::Peer(report) => report.clone(),
            Self::StepFailed { problem, .. } => Report {
                code: problem.code.clone(),
                ..Report::of(self)
            },
            _ => Report::of(self),
        }
    }

    /// The error as a gRPC status.
    pub fn status(&self) -> tonic::Status {
        aios_core::rpc::status_of_report(&self.report(), self.class())
    }

    /// Whether trying again later may help without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Journal(_) | Self::Unreachable { .. })
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Journal(_) => "AIOS-ORCH-0001",
            Self::Database(error) => error.code(),
            Self::Corrupt(_) => "AIOS-ORCH-0003",
            Self::JournalClosed => "AIOS-ORCH-0004",
            Self::Apply(_) => "AIOS-ORCH-0005",
            Self::NoGoal(_) => "AIOS-ORCH-0006",
            Self::Ambiguous(_) => "AIOS-ORCH-0007",
            Self::BadField { .. } => "AIOS-ORCH-0008",
            Self::Refused(_) => "AIOS-ORCH-0009",
            Self::State(_) => "AIOS-ORCH-0010",
            Self::ClientId(_) => "AIOS-ORCH-0011",
            Self::Unreachable { .. } => "AIOS-ORCH-0012",
            Self::Peer(_) => "AIOS-ORCH-0013",
            Self::Runbook(_) => "AIOS-ORCH-0014",
            Self::Intent(_) => "AIOS-ORCH-0015",
            Self::NoAgent { .. } => "AIOS-ORCH-0016",
            Self::Session(_) => "AIOS-ORCH-0017",
            Self::NotYourTask { .. } => "AIOS-ORCH-0018",
            Self::ReplayDiffers { .. } => "AIOS-ORCH-0019",
            Self::NoModel => "AIOS-ORCH-0020",
            Self::AgentLost { .. } => "AIOS-ORCH-0021",
            Self::AgentSilent { .. } => "AIOS-ORCH-0022",
            Self::NotApproved { .. } => "AIOS-ORCH-0023",
            Self::NotVerified(_) => "AIOS-ORCH-0024",
            Self::Cancelled => "AIOS-ORCH-0025",
            Self::NotUndoable { .. } => "AIOS-ORCH-0026",
            Self::StepFailed { .. } => "AIOS-ORCH-0027",
            Self::Io { .. } => "AIOS-ORCH-0028",
            Self::ShuttingDown => "AIOS-ORCH-0029",
            Self::NotEnrolled { .. } => "AIOS-ORCH-0030",
            Self::NotYours { .. } => "AIOS-ORCH-0031",
            Self::Analyze(_) => "AIOS-ORCH-0033",
            Self::LooksOnly { .. } => "AIOS-ORCH-0034",
            Self::Circle { .. } => "AIOS-ORCH-0069",
            Self::WindowOver { .. } => "AIOS-ORCH-0071",
            Self::Schedule(error) => error.code(),
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Journal(_) | Self::Io { .. } => {
                "free space or repair the disk that holds the state directory; the goal goes on by itself"
            }
            Self::Database(error) => return error.next_step(),
            Self::Corrupt(_) => {
                "keep a copy of the orchestrator's state directory and report this"
            }
            Self::JournalClosed | Self::ShuttingDown => "try again when the orchestrator runs",
            Self::Apply(_) | Self::State(_) => "look at the goal with `aiosctl goal show ID`",
            Self::NoGoal(_) | Self::Ambiguous(_) => "copy a whole id from `aiosctl goal list --json`",
            Self::BadField { .. } => "correct the field and send the request again",
            Self::Refused(_) => "ask as an enrolled person, from outside every container and worker",
            Self::ClientId(_) => "make a new client_id for a new goal",
            Self::Unreachable { .. } => "look at the service with `aiosctl service status`",
            Self::Peer(report) => return report.next_step.clone(),
            Self::Runbook(_) => "correct the runbook file and restart the orchestrator",
            Self::Intent(error) => return error.next_step(),
            Self::Schedule(error) => return error.next_step(),
            Self::NoAgent { .. } => "look at the agents with `aiosctl agent list` and at the sandbox's log",
            Self::Session(_) => "repair the agent; its log is in `aiosctl agent logs ID`",
            Self::NotYourTask { .. } => "send messages only for tasks that this session was given",
            Self::ReplayDiffers { .. } => "an agent must make the same calls again after a restart",
            Self::NoModel => "configure a model, or do the task without one",
            Self::AgentLost { .. } | Self::AgentSilent { .. } => {
                "read the agent's log with `aiosctl agent logs ID`, then state the goal again"
            }
            Self::NotApproved { .. } => "state the goal again and approve the step if you want it done",
            Self::NotVerified(_) => {
                "look at the steps with `aiosctl goal show ID`; `aiosctl goal undo ID` takes changes back"
            }
            Self::Analyze(_) => {
                "look at the steps with `aiosctl goal show ID`; `aiosctl runbook test FILE` tries the runbook"
            }
            Self::LooksOnly { .. } => "call it in a remedy of the runbook instead; nothing was changed",
            Self::Circle { .. } => "state the goal again when the other one has ended",
            Self::WindowOver { .. } => {
                "wait for the next window, or state the goal yourself with `aiosctl goal run` if it shall be now"
            }
            Self::Cancelled => "state the goal again if it is still wanted",
            Self::NotUndoable { .. } => "look at what it changed with `aiosctl goal show ID`",
            Self::StepFailed { problem, .. } => return problem.next_step.clone(),
            Self::NotEnrolled { name } => {
                return format!("let root enrol you: `sudo aiosctl person enrol --user {name}`");
            }
            Self::NotYours { owner, .. } => {
                return format!("ask {owner}, or do it as root with `sudo aiosctl`");
            }
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Journal(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::DiskFull =>
            {
                Class::ResourceExhausted
            }
            Self::Database(error) => error.class(),
            Self::Journal(_) | Self::Corrupt(_) | Self::Io { .. } => Class::Internal,
            Self::JournalClosed | Self::Unreachable { .. } | Self::NoAgent { .. } | Self::ShuttingDown => {
                Class::Unavailable
            }
            Self::NoGoal(_) => Class::NotFound,
            Self::Refused(_)
            | Self::NotYourTask { .. }
            | Self::NotApproved { .. }
            | Self::WindowOver { .. }
            | Self::NotEnrolled { .. }
            | Self::NotYours { .. } => Class::PermissionDenied,
            Self::ClientId(_) => Class::AlreadyExists,
            Self::Schedule(error) => error.class(),
            Self::Cancelled => Class::Cancelled,
            Self::AgentSilent { .. } => Class::DeadlineExceeded,
            Self::NoModel => Class::Unimplemented,
            Self::Ambiguous(_) | Self::BadField { .. } | Self::Runbook(_) | Self::Intent(_) => {
                Class::InvalidArgument
            }
            Self::Apply(_)
            | Self::State(_)
            | Self::Peer(_)
            | Self::Session(_)
            | Self::ReplayDiffers { .. }
            | Self::AgentLost { .. }
            | Self::NotVerified(_)
            | Self::Analyze(_)
            | Self::LooksOnly { .. }
            | Self::Circle { .. }
            | Self::NotUndoable { .. }
            | Self::StepFailed { .. } => Class::FailedPrecondition,
        }
    }
}
