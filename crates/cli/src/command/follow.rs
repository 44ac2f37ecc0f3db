//! Watching a goal until it ends, and asking the person on the way.
//!
//! The journal numbers its events, so a watch that breaks (the orchestrator was restarted) goes on
//! after the last event seen, and nothing is shown twice.

use std::collections::BTreeSet;
use std::time::Duration;

use aios_client::approval::ApprovalView;
use aios_client::goal::{EventView, GoalDetailView, GoalStateView, GoalView};
use aios_client::{Failure, Kind};
use aios_proto::guard::v1::ListApprovalsRequest;
use aios_proto::init::v1::GetServiceRequest;
use aios_proto::orchestrator::v1::{GoalEvent, WatchGoalsRequest};
use serde_json::Value;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::{Ended, approval, goal as goals};
use crate::args::Follow;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::terminal::{Terminal, Tone};

/// How often a broken watch is taken up again before the command gives up; with the pause between
/// them, about half a minute: longer than a service takes to be restarted.
const ATTEMPTS: u32 = 60;
/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a service is asked what it is doing.
const GLANCE: Duration = Duration::from_secs(1);

/// Shows a goal to its end.
pub(crate) async fn goal(goal: GoalView, how: Follow, instance: &Instance, terminal: &mut Terminal) -> Ended {
    if how.detach {
        return stored(&goal, terminal);
    }
    if !terminal.json() {
        terminal.line(format!("goal {}", goal.goal_id));
    }
    follow(Watch::new(goal, how, Shown::Events), instance, terminal).await
}

/// Waits for a call by hand and shows only what it returned.
pub(crate) async fn call(goal: GoalView, how: Follow, instance: &Instance, terminal: &mut Terminal) -> Ended {
    if how.detach {
        return stored(&goal, terminal);
    }
    let show = Show::result(|terminal, result| terminal.document(result));
    follow(Watch::new(goal, how, Shown::Result(show)), instance, terminal).await
}

/// The same for a call whose result has a form of its own.
pub(crate) async fn call_shown(
    goal: GoalView,
    how: Follow,
    show: Show,
    instance: &Instance,
    terminal: &mut Terminal,
) -> Ended {
    if how.detach {
        return stored(&goal, terminal);
    }
    let show = Show { own: true, ..show };
    follow(Watch::new(goal, how, Shown::Result(show)), instance, terminal).await
}

/// How the result of a call is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    /// For a person.
    result: fn(&mut Terminal, &Value),
    /// Whether each event is shown too, because it takes its time.
    events: bool,
    /// Whether the result alone is the answer in JSON.
    own: bool,
    /// The service whose own words about what it is doing are shown meanwhile.
    telling: Option<&'static str>,
}

impl Show {
    /// The result alone.
    pub(crate) fn result(result: fn(&mut Terminal, &Value)) -> Self {
        Self {
            result,
            events: false,
            own: false,
            telling: None,
        }
    }

    /// Meanwhile, what this service says that it is doing.
    pub(crate) fn telling(self, service: &'static str) -> Self {
        Self {
            telling: Some(service),
            ..self
        }
    }

    /// What happens until then, too.
    pub(crate) fn step_by_step(result: fn(&mut Terminal, &Value)) -> Self {
        Self {
            events: true,
            ..Self::result(result)
        }
    }
}

async fn follow(mut watch: Watch, instance: &Instance, terminal: &mut Terminal) -> Ended {
    loop {
        match watch.once(instance, terminal).await {
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => {}
            Err(failure) if failure.kind == Kind::Unreachable && watch.attempts < ATTEMPTS => {
                watch.attempts += 1;
                if watch.attempts == 1 {
                    terminal.note("the orchestrator went away; waiting for it to come back");
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn stored(goal: &GoalView, terminal: &mut Terminal) -> Ended {
    if terminal.json() {
        terminal.document(goal);
    } else {
        terminal.line(format!("goal {}", goal.goal_id));
        terminal.line(format!("watch it with: aiosctl goal watch {}", goal.goal_id));
    }
    Ok(Exit::Done)
}

/// What a person sees of a goal.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// Every event, and how it ended.
    Events,
    /// What its steps returned.
    Result(Show),
}

struct Watch {
    goal_id: String,
    how: Follow,
    shown: Shown,
    next_seq: u64,
    asked: BTreeSet<String>,
    attempts: u32,
    /// What a service said last that it is doing.
    doing: String,
}

impl Watch {
    fn new(goal: GoalView, how: Follow, shown: Shown) -> Self {
        Self {
            goal_id: goal.goal_id,
            how,
            shown,
            next_seq: 1,
            asked: BTreeSet::new(),
            attempts: 0,
            doing: String::new(),
        }
    }

    /// Reads events until the stream ends; an exit when the goal has ended or a person must act.
    async fn once(&mut self, instance: &Instance, terminal: &mut Terminal) -> Result<Option<Exit>, Failure> {
        let request = WatchGoalsRequest {
            goal_id: self.goal_id.clone(),
            from_seq: self.next_seq,
            follow: true,
        };
        let mut stream = instance
            .services
            .orchestrator()
            .await?
            .watch_goals(request)
            .await?
            .into_inner();
        while let Some(event) = self.next(&mut stream, instance, terminal).await {
            let event = EventView::from(event?);
            self.attempts = 0;
            self.next_seq = event.seq.saturating_add(1);
            match self.shown {
                Shown::Events if terminal.json() => terminal.json_line(&event),
                Shown::Events => render::goal::event(terminal, &event),
                Shown::Result(show) if show.events && !terminal.json() => {
                    render::goal::event(terminal, &event);
                }
                Shown::Result(_) => {}
            }
            if let Some(exit) = self.act(&event, instance, terminal).await? {
                return Ok(Some(exit));
            }
        }
        // A one-goal stream ends with its goal; anything else is a break.
        let detail = goals::get(&self.goal_id, instance).await?;
        if detail.goal.as_ref().is_some_and(|goal| goal.state.ended()) {
            return end(detail, self.shown, terminal).map(Some);
        }
        self.attempts += 1;
        if self.attempts > ATTEMPTS {
            return Err(gave_up(&self.goal_id));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(None)
    }

    /// The next event. Until then, each second, what the service says that does the work.
    async fn next(
        &mut self,
        stream: &mut Streaming<GoalEvent>,
        instance: &Instance,
        terminal: &mut Terminal,
    ) -> Option<Result<GoalEvent, Status>> {
        let Shown::Result(Show {
            telling: Some(service),
            ..
        }) = self.shown
        else {
            return stream.next().await;
        };
        loop {
            match tokio::time::timeout(GLANCE, stream.next()).await {
                Ok(event) => return event,
                // It is only news: a supervisor that does not answer keeps nobody from waiting.
                Err(_) => drop(self.tell(service, instance, terminal).await),
            }
        }
    }

    async fn tell(
        &mut self,
        service: &str,
        instance: &Instance,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let request = GetServiceRequest {
            name: service.to_owned(),
        };
        let doing = instance
            .services
            .init()
            .await?
            .get_service(request)
            .await?
            .into_inner()
            .status;
        if doing != self.doing && !doing.is_empty() && !terminal.json() {
            let text = terminal.tone(Tone::Quiet, &render::text::one_line(&doing));
            terminal.note(text);
        }
        self.doing = doing;
        Ok(())
    }

    async fn act(
        &mut self,
        event: &EventView,
        instance: &Instance,
        terminal: &mut Terminal,
    ) -> Result<Option<Exit>, Failure> {
        match event.goal_state {
            GoalStateView::AwaitingApproval => self.approvals(instance, terminal).await,
            GoalStateView::AwaitingInput if !self.how.follow => self.input(instance, terminal).await,
            _ => Ok(None),
        }
    }

    /// Asks about each pending approval once.
    async fn approvals(
        &mut self,
        instance: &Instance,
        terminal: &mut Terminal,
    ) -> Result<Option<Exit>, Failure> {
        let request = ListApprovalsRequest {
            pending_only: true,
            goal_id: self.goal_id.clone(),
            limit: 0,
        };
        let pending = instance
            .services
            .guard()
            .await?
            .list_approvals(request)
            .await?
            .into_inner()
            .approvals;
        for wire in pending {
            let view = ApprovalView::from(wire.clone());
            if !self.asked.insert(view.approval_id.clone()) {
                continue;
            }
            let reason = approval::reason(&view, instance).await;
            if !terminal.interactive() {
                hint(&view, reason.as_deref(), terminal);
                if self.how.follow {
                    continue;
                }
                return Ok(Some(Exit::NeedsApproval));
            }
            render::approval::detail(terminal, &view, reason.as_deref());
            let yes = terminal.confirm("Approve this?");
            if let Err(failure) = approval::decide(&wire, yes, String::new(), instance).await {
                hint(&view, None, terminal);
                return Err(failure);
            }
        }
        Ok(None)
    }

    /// A goal that waits for words ends the command, unless it is old news.
    async fn input(&self, instance: &Instance, terminal: &mut Terminal) -> Result<Option<Exit>, Failure> {
        let detail = goals::get(&self.goal_id, instance).await?;
        let Some(goal) = detail
            .goal
            .as_ref()
            .filter(|goal| goal.state == GoalStateView::AwaitingInput)
        else {
            return Ok(None);
        };
        if terminal.json() {
            terminal.json_line(&detail);
        } else {
            terminal.line(render::text::printable(&goal.status_line));
            terminal.line(format!("answer with: aiosctl goal reply {} TEXT", goal.goal_id));
        }
        Ok(Some(Exit::Failed))
    }
}

fn hint(view: &ApprovalView, reason: Option<&str>, terminal: &mut Terminal) {
    if terminal.json() {
        terminal.json_line(&serde_json::json!({ "approval": view }));
        return;
    }
    render::approval::detail(terminal, view, reason);
    terminal.line(format!(
        "approve with: aiosctl approval approve {}",
        view.approval_id
    ));
    terminal.line(format!(
        "or refuse:    aiosctl approval deny {}",
        view.approval_id
    ));
}

fn end(detail: GoalDetailView, shown: Shown, terminal: &mut Terminal) -> Ended {
    let denied = detail.was_denied();
    let steps = detail.tasks.iter().flat_map(|task| &task.steps);
    let results = steps.map(|step| &step.result).filter(|result| !result.is_null());
    match shown {
        Shown::Result(show) if !terminal.json() => results.for_each(|result| (show.result)(terminal, result)),
        // A call that failed has no result, and its goal says why.
        Shown::Result(show) if show.own && results.clone().next().is_some() => {
            results.for_each(|result| terminal.json_line(result));
        }
        _ if terminal.json() => terminal.json_line(&detail),
        _ => {}
    }
    let goal = goals::goal_of(detail)?;
    let said = matches!(shown, Shown::Result(_)) && goal.state == GoalStateView::Completed && !goal.undoable;
    if !terminal.json() && !said {
        render::goal::ending(terminal, &goal);
    }
    Ok(match goal.state {
        GoalStateView::Completed => Exit::Done,
        GoalStateView::Failed if denied => Exit::Denied,
        _ => Exit::Failed,
    })
}

fn gave_up(goal_id: &str) -> Failure {
    Failure::new(
        Kind::Unreachable,
        "AIOS-CLI-0003",
        format!("the watch of goal {goal_id} keeps breaking"),
        format!(
            "the goal itself goes on: see `aiosctl goal show {goal_id}` and `aiosctl service logs aios-orchestrator`"
        ),
    )
}
