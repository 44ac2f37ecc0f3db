//! A task done by an agent: finding one, giving it the task with what is already done of it, making
//! its calls, and starting over with another when it goes away.

use crate::core::Core;
use crate::error::Error;
use crate::executor::{self, TaskEnd};
use crate::model::event::{Decision, Event};
use crate::model::{Goal, Step, Task};
use crate::router::{Seat, Want};
use crate::session::{FromAgent, TASK_INBOX, ToSession};
use crate::steps::{Call, Steps};
use aios_core::id::{GoalId, TaskId};
use aios_proto::agent::v1::{
    CallResult, Progress, RecordedStep, TaskAssignment, TaskResult, call_result,
    orchestrator_message::Message, task_result,
};
use aios_proto::sandbox::v1::{ListAgentsRequest, RunAgentRequest};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Least time between two journaled progress messages of a task.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);
/// How long a connected agent is waited for before the sandbox is asked for one.
const PATIENCE: Duration = Duration::from_millis(300);
/// Pause between looks at the sandbox.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How one run of a task with one agent ended.
enum Run {
    Ended(TaskEnd),
    AgentGone,
}

/// Does a task by an agent that has its skill; by the built-in executor when there is none and the
/// task has a form for it.
///
/// # Errors
/// The agent says that it failed, none could be had, they kept going away, the goal is cancelled, or
/// the journal fails.
pub async fn run(
    core: &Arc<Core>,
    goal: &Goal,
    task: TaskId,
    cancel: CancellationToken,
) -> Result<TaskEnd, Error> {
    let mut losses = 0;
    let mut done_before = 0;
    loop {
        let current = core.journal.goal(goal.id).await?;
        let state = current.task(task).ok_or(crate::model::ApplyError::NoTask(task))?;
        if state.steps.len() > done_before {
            done_before = state.steps.len();
            losses = 0;
        }
        if losses >= core.config.agent_losses {
            return Err(Error::AgentLost {
                task: state.plan.name.clone(),
                times: losses,
            });
        }
        let seat = match seat(core, &current, state, &cancel).await {
            Err(error @ Error::NoAgent { .. }) if !state.plan.operations.is_empty() => {
                tracing::warn!(goal = %goal.id, %error, "the built-in executor takes the task");
                decide(core, goal.id, task, crate::EXECUTOR_KIND, &error.to_string()).await?;
                return executor::run(core, &current, task, Vec::new(), cancel).await;
            }
            other => other?,
        };
        let result = with_agent(core, goal.id, task, &seat, &cancel).await;
        core.router.release(seat.agent, task).await;
        match result? {
            Run::Ended(end) => return Ok(end),
            Run::AgentGone => {
                losses += 1;
                let reason = format!(
                    "agent {} went away; what is done of the task stays done",
                    seat.agent
                );
                tracing::warn!(goal = %goal.id, agent = %seat.agent, losses, "an agent went away from its task");
                decide(core, goal.id, task, "give the task out again", &reason).await?;
            }
        }
    }
}

async fn decide(core: &Core, goal: GoalId, task: TaskId, choice: &str, reason: &str) -> Result<(), Error> {
    let decision = Decision {
        subject: "route".to_owned(),
        options: Vec::new(),
        choice: choice.to_owned(),
        reason: reason.to_owned(),
        level: "reactive".to_owned(),
        task: Some(task),
    };
    core.journal
        .append(goal, vec![Event::Decided(decision)])
        .await
        .map(|_| ())
}

/// Finds an agent, asking the sandbox to run one when none is there.
async fn seat(core: &Arc<Core>, goal: &Goal, task: &Task, cancel: &CancellationToken) -> Result<Seat, Error> {
    let want = Want {
        task: task.plan.id,
        skill: task.plan.skill.clone(),
        kind: task.plan.agent_kind.clone(),
    };
    let mut asked = Instant::now();
    let wait = Duration::from_millis(core.config.agent_wait_ms);
    let mut seated = core.router.take(want.clone()).await;
    let mut look = PATIENCE;
    let mut problem = "no agent of that kind has opened a session".to_owned();
    let mut said = String::new();
    while asked.elapsed() < wait {
        tokio::select! {
            seat = &mut seated => return seat.map_err(|_| Error::ShuttingDown),
            () = cancel.cancelled() => return Err(Error::Cancelled),
            () = tokio::time::sleep(look) => {}
        }
        look = LOOK_AGAIN;
        if is_busy(core, &want).await {
            // Waiting for another task to end is no sign that anything is wrong.
            asked = Instant::now();
            continue;
        }
        tokio::select! {
            clear = core.guard_view.until_clear() => clear?,
            () = cancel.cancelled() => return Err(Error::Cancelled),
        }
        match ensure_container(core, &want.kind).await {
            Ok(There::Started(name)) => {
                let line = format!("waiting for {} to start in container {name}", want.kind);
                core.say(goal.id, line).await?;
            }
            Ok(There::Held(id)) => {
                // Somebody wants it so: the goal waits as long as they do.
                asked = Instant::now();
                let line = format!(
                    "waiting for {}, which is frozen; `aiosctl agent thaw {id}` lets it go on",
                    want.kind
                );
                if said != line {
                    core.say(goal.id, line.clone()).await?;
                    said = line;
                }
            }
            Ok(There::Coming) => {
                "its container runs, but it has not opened its session".clone_into(&mut problem);
            }
            Err(error) => problem = error.to_string(),
        }
    }
    Err(Error::NoAgent {
        skill: want.skill,
        waited_ms: core.config.agent_wait_ms,
        problem,
    })
}

/// Whether an agent that could do it is there, and has no room just now.
async fn is_busy(core: &Core, want: &Want) -> bool {
    let agents = core.router.list().await;
    agents
        .iter()
        .any(|agent| agent.connected && agent.kind == want.kind && agent.skills.contains(&want.skill))
}

/// What the sandbox has of a kind.
enum There {
    /// It was asked for a container; its name.
    Started(String),
    /// One that runs or comes up.
    Coming,
    /// Only ones that stand still, frozen by somebody; the id of one.
    Held(String),
}

/// Asks the sandbox to run an agent of a kind when it has none. One that is frozen is not replaced: whoever froze it
/// meant its work, too.
async fn ensure_container(core: &Core, kind: &str) -> Result<There, Error> {
    let failed = |status: tonic::Status| crate::clients::failure("aios-sandbox", &status);
    let mut sandbox = core.clients.sandbox();
    let agents = sandbox
        .list_agents(ListAgentsRequest {})
        .await
        .map_err(failed)?
        .into_inner()
        .agents;
    let of_kind = |states: &[&str]| {
        agents
            .iter()
            .find(|agent| agent.kind == kind && states.contains(&agent.state.as_str()))
    };
    if of_kind(&["starting", "running"]).is_some() {
        return Ok(There::Coming);
    }
    // Where the machine cannot freeze, what is frozen is stopped; what is stopped for good is not listed.
    if let Some(agent) = of_kind(&["frozen", "stopped"]) {
        return Ok(There::Held(agent.agent_id.clone()));
    }
    let started = sandbox
        .run_agent(RunAgentRequest {
            kind: kind.to_owned(),
        })
        .await
        .map_err(failed)?;
    Ok(There::Started(started.into_inner().name))
}

async fn with_agent(
    core: &Arc<Core>,
    goal: GoalId,
    task: TaskId,
    seat: &Seat,
    cancel: &CancellationToken,
) -> Result<Run, Error> {
    let routed = Event::Routed {
        task,
        agent_kind: seat.kind.clone(),
        agent_id: seat.agent.to_string(),
        container_id: seat.container_id.clone(),
    };
    let routed_by = Event::Decided(Decision {
        subject: "route".to_owned(),
        options: vec![seat.kind.clone(), crate::EXECUTOR_KIND.to_owned()],
        choice: format!("{} {}", seat.kind, seat.agent),
        reason: "it is connected, has the skill, and has the fewest tasks".to_owned(),
        level: "reactive".to_owned(),
        task: Some(task),
    });
    core.journal.append(goal, vec![routed_by, routed]).await?;
    let mut steps = Steps::new(core, goal, task, cancel.clone());
    // A step that was in flight when an earlier run stopped is brought to its end first, with a token
    // for the agent that has the task now.
    tokio::select! {
        settled = steps.settle() => settled?,
        () = seat.door.closed() => return Ok(Run::AgentGone),
    }
    let state = core.journal.goal(goal).await?;
    let state = state.task(task).ok_or(crate::model::ApplyError::NoTask(task))?;
    let (inbox, words) = mpsc::channel(TASK_INBOX);
    let assignment = Box::new(assignment(goal, state));
    if seat
        .door
        .send(ToSession::Assign(assignment, inbox))
        .await
        .is_err()
    {
        return Ok(Run::AgentGone);
    }
    let mut conversation = Conversation {
        core,
        goal,
        task,
        name: &state.plan.name,
        seat,
        steps,
        last_progress: None,
    };
    let ended = conversation.hold(words, cancel).await;
    let reason = match &ended {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    // A session that has ended needs no word.
    drop(seat.door.send(ToSession::End(task, reason)).await);
    ended
}

fn assignment(goal: GoalId, task: &Task) -> TaskAssignment {
    TaskAssignment {
        task_id: task.plan.id.to_string(),
        goal_id: goal.to_string(),
        skill: task.plan.skill.clone(),
        input_json: task.plan.input.to_string(),
        recorded: task
            .steps
            .iter()
            .filter(|step| step.end.is_some())
            .map(|step| RecordedStep {
                step: step.step,
                kind: step.kind.clone(),
                name: step.name.clone(),
                args_json: step.args.to_string(),
                result: Some(answer_of(task.plan.id, step)),
            })
            .collect(),
        deadline_ms: 0,
        tainted: task.plan.tainted,
    }
}

/// What an agent is told about a step that has ended.
fn answer_of(task: TaskId, step: &Step) -> CallResult {
    let result = match &step.end {
        Some(end) => match &end.error {
            Some(report) => call_result::Result::Error(report.clone().into()),
            None => call_result::Result::ResultJson(end.result.to_string()),
        },
        None => call_result::Result::Error(Error::Cancelled.report().into()),
    };
    CallResult {
        task_id: task.to_string(),
        step: step.step,
        result: Some(result),
        tainted: step.end.as_ref().is_some_and(|end| end.tainted),
    }
}

struct Conversation<'a> {
    core: &'a Arc<Core>,
    goal: GoalId,
    task: TaskId,
    name: &'a str,
    seat: &'a Seat,
    steps: Steps,
    last_progress: Option<Instant>,
}

impl Conversation<'_> {
    async fn hold(
        &mut self,
        mut words: mpsc::Receiver<FromAgent>,
        cancel: &CancellationToken,
    ) -> Result<Run, Error> {
        let silence_ms = self.core.config.agent_silence_ms;
        loop {
            let word = tokio::select! {
                word = words.recv() => word,
                () = cancel.cancelled() => return Err(Error::Cancelled),
                () = tokio::time::sleep(Duration::from_millis(silence_ms)) => {
                    return Err(Error::AgentSilent { task: self.name.to_owned(), ms: silence_ms });
                }
            };
            let answer = match word {
                None => return Ok(Run::AgentGone),
                Some(FromAgent::Result(result)) => return end_of(result).map(Run::Ended),
                Some(FromAgent::Progress(progress)) => {
                    self.progress(progress).await?;
                    continue;
                }
                Some(FromAgent::Tool(call)) => {
                    let step = call.step;
                    let call = agent_call(
                        "tool",
                        call.tool,
                        &call.args_json,
                        call.reason,
                        call.timeout_ms,
                        call.dry_run,
                    );
                    match self.unless_gone(step, call).await? {
                        Some(result) => Message::ToolResult(result),
                        None => return Ok(Run::AgentGone),
                    }
                }
                Some(FromAgent::Memory(call)) => {
                    let step = call.step;
                    let call = agent_call("memory", call.verb, &call.args_json, String::new(), 0, false);
                    match self.unless_gone(step, call).await? {
                        Some(result) => Message::MemoryResult(result),
                        None => return Ok(Run::AgentGone),
                    }
                }
                Some(FromAgent::Think(call)) => {
                    let step = call.step;
                    let args = serde_json::json!({
                        "max_tokens": call.max_tokens,
                        "prompt": call.prompt,
                        "schema_json": call.schema_json,
                    });
                    let call = agent_call("think", String::new(), &args.to_string(), String::new(), 0, false);
                    match self.unless_gone(step, call).await? {
                        Some(result) => Message::ThinkResult(result),
                        None => return Ok(Run::AgentGone),
                    }
                }
            };
            if self.seat.door.send(ToSession::Send(answer)).await.is_err() {
                return Ok(Run::AgentGone);
            }
        }
    }

    /// Makes a call of the agent, or leaves it in flight when the agent goes away meanwhile: the next run
    /// of the task finds out what became of it, as after a crash.
    async fn unless_gone(
        &mut self,
        number: u64,
        call: Result<Call, Error>,
    ) -> Result<Option<CallResult>, Error> {
        let door = self.seat.door.clone();
        tokio::select! {
            result = self.step(number, call) => result.map(Some),
            () = door.closed() => Ok(None),
        }
    }

    /// Makes a call of the agent. What is wrong with the call itself is the agent's to hear; what is
    /// wrong with us ends the run.
    async fn step(&mut self, number: u64, call: Result<Call, Error>) -> Result<CallResult, Error> {
        let done = match call {
            Ok(call) => self.steps.run(number, call).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(step) => Ok(answer_of(self.task, &step)),
            Err(error @ (Error::BadField { .. } | Error::ReplayDiffers { .. } | Error::Apply(_))) => {
                Ok(CallResult {
                    task_id: self.task.to_string(),
                    step: number,
                    result: Some(call_result::Result::Error(error.report().into())),
                    tainted: false,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Journals progress, but not more often than a person could read it.
    async fn progress(&mut self, progress: Progress) -> Result<(), Error> {
        let now = Instant::now();
        if self
            .last_progress
            .is_some_and(|last| now.duration_since(last) < PROGRESS_PAUSE)
        {
            return Ok(());
        }
        self.last_progress = Some(now);
        let message: String = progress
            .message
            .chars()
            .filter(|it| !it.is_control())
            .take(500)
            .collect();
        let event = Event::Progress {
            task: self.task,
            message,
            percent: progress.percent.min(100),
        };
        self.core.journal.append(self.goal, vec![event]).await.map(|_| ())
    }
}

fn agent_call(
    kind: &'static str,
    name: String,
    args: &str,
    reason: String,
    timeout_ms: u64,
    dry_run: bool,
) -> Result<Call, Error> {
    let args = if args.is_empty() { "{}" } else { args };
    let args: Value =
        serde_json::from_str(args).map_err(|error| Error::field("args_json", error.to_string()))?;
    if !args.is_object() {
        return Err(Error::field("args_json", "must be a JSON object"));
    }
    if (name.is_empty() && kind != "think") || name.len() > 100 {
        return Err(Error::field("tool", "must be a name like `fs.search`"));
    }
    let reason = reason.chars().filter(|it| !it.is_control()).take(500).collect();
    Ok(Call {
        kind,
        name,
        args,
        reason,
        timeout_ms,
        dry_run,
    })
}

fn end_of(result: TaskResult) -> Result<TaskEnd, Error> {
    let summary: String = result
        .summary
        .chars()
        .filter(|it| !it.is_control())
        .take(1000)
        .collect();
    match result.result {
        Some(task_result::Result::OutputJson(text)) => match serde_json::from_str(&text) {
            Ok(output @ Value::Object(_)) => Ok(TaskEnd {
                output,
                summary,
                last: Vec::new(),
                known: None,
            }),
            _ => Err(Error::Session("a task's output is a JSON object".to_owned())),
        },
        Some(task_result::Result::Error(error)) => Err(Error::Peer(error.into())),
        None => Err(Error::Session("a task result without a result".to_owned())),
    }
}
