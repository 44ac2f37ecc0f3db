//! The orchestrator's double.

use std::pin::Pin;
use std::sync::Arc;

use aios_core::error::Class;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::ApprovalState;
use aios_proto::orchestrator::v1::orchestrator_server::Orchestrator;
use aios_proto::orchestrator::v1::{
    AddScheduleRequest, CallToolRequest, CancelGoalRequest, CheckRunbookRequest, CheckRunbookResponse,
    Decision, GetGoalRequest, Goal, GoalDetail, GoalEvent, GoalState, ListAgentsRequest, ListAgentsResponse,
    ListDecisionsRequest, ListDecisionsResponse, ListGoalsRequest, ListGoalsResponse, ListRunbooksRequest,
    ListRunbooksResponse, ListSchedulesRequest, ListSchedulesResponse, RemoveScheduleRequest,
    ReplyGoalRequest, RunbookCase, RunbookInfo, RunbookInput, Schedule, StatusRequest, StatusResponse,
    SubmitGoalRequest, SubmitSystemGoalRequest, UndoGoalRequest, WatchGoalsRequest,
};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::schedules;
use super::script::{self, Order};
use super::world::World;
use super::{not_found, refusal};

pub(crate) struct OrchestratorDouble {
    pub(crate) world: Arc<World>,
    pub(crate) tasks: Tasks,
}

fn ended(state: GoalState) -> bool {
    matches!(
        state,
        GoalState::Completed | GoalState::Failed | GoalState::Cancelled
    )
}

#[tonic::async_trait]
impl Orchestrator for OrchestratorDouble {
    type WatchGoalsStream = Pin<Box<dyn Stream<Item = Result<GoalEvent, Status>> + Send>>;

    async fn submit_goal(&self, request: Request<SubmitGoalRequest>) -> Result<Response<Goal>, Status> {
        let person = self.world.person_or_peer(&request)?;
        let request = request.into_inner();
        if request.text.is_empty() || request.text.len() > 4096 {
            return Err(refusal(
                Class::InvalidArgument,
                "AIOS-DOUBLE-0010",
                "the text has no right length",
                "give 1 to 4096 bytes",
            ));
        }
        let autonomy = request.autonomy();
        let priority = request.priority.unwrap_or(5);
        let order = Order {
            text: request.text,
            priority,
            autonomy,
            dry_run: request.dry_run,
            person,
        };
        script::submit(&self.world, order).await.map(Response::new)
    }

    async fn submit_system_goal(
        &self,
        _: Request<SubmitSystemGoalRequest>,
    ) -> Result<Response<Goal>, Status> {
        Err(refusal(
            Class::PermissionDenied,
            "AIOS-AUTH-0602",
            "only the health service states goals of the system",
            "submit a goal of your own",
        ))
    }

    async fn list_goals(
        &self,
        request: Request<ListGoalsRequest>,
    ) -> Result<Response<ListGoalsResponse>, Status> {
        let request = request.into_inner();
        let limit = if request.limit == 0 { 50 } else { request.limit };
        let state = self.world.state();
        let wanted = |goal: &Goal| request.states.is_empty() || request.states.contains(&goal.state);
        let goals = state
            .goals
            .iter()
            .rev()
            .filter_map(|detail| detail.goal.clone())
            .filter(wanted);
        let goals = goals.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        Ok(Response::new(ListGoalsResponse { goals }))
    }

    async fn get_goal(&self, request: Request<GetGoalRequest>) -> Result<Response<GoalDetail>, Status> {
        script::detail(&self.world, &request.get_ref().goal_id).map(Response::new)
    }

    async fn cancel_goal(&self, request: Request<CancelGoalRequest>) -> Result<Response<Goal>, Status> {
        self.world.person_or_peer(&request)?;
        let goal = script::goal(&self.world, &request.get_ref().goal_id)?;
        if ended(goal.state()) {
            return Err(refusal(
                Class::FailedPrecondition,
                "AIOS-DOUBLE-0011",
                "the goal has ended",
                "undo it instead",
            ));
        }
        for approval in self
            .world
            .state()
            .approvals
            .iter_mut()
            .filter(|approval| approval.goal_id == goal.goal_id)
        {
            if approval.state() == ApprovalState::Pending {
                approval.state = ApprovalState::Withdrawn.into();
            }
        }
        script::event(
            &self.world,
            &goal.goal_id,
            "goal.state",
            "Cancelled by a person.",
            GoalState::Cancelled,
        );
        script::goal(&self.world, &goal.goal_id).map(Response::new)
    }

    async fn reply_goal(&self, request: Request<ReplyGoalRequest>) -> Result<Response<Goal>, Status> {
        self.world.person_or_peer(&request)?;
        let goal = script::goal(&self.world, &request.get_ref().goal_id)?;
        if goal.state() != GoalState::AwaitingInput {
            return Err(refusal(
                Class::FailedPrecondition,
                "AIOS-DOUBLE-0012",
                "the goal asked nothing",
                "see its state",
            ));
        }
        script::event(
            &self.world,
            &goal.goal_id,
            "goal.state",
            "Understood; nothing to do.",
            GoalState::Completed,
        );
        script::goal(&self.world, &goal.goal_id).map(Response::new)
    }

    async fn undo_goal(&self, request: Request<UndoGoalRequest>) -> Result<Response<Goal>, Status> {
        let person = self.world.person_or_peer(&request)?;
        let goal = script::goal(&self.world, &request.get_ref().goal_id)?;
        if !goal.undoable {
            return Err(refusal(
                Class::FailedPrecondition,
                "AIOS-DOUBLE-0013",
                "nothing of this goal can be undone",
                "see what it changed",
            ));
        }
        script::undo(&self.world, &goal, &person).await.map(Response::new)
    }

    async fn watch_goals(
        &self,
        request: Request<WatchGoalsRequest>,
    ) -> Result<Response<Self::WatchGoalsStream>, Status> {
        let request = request.into_inner();
        if !request.goal_id.is_empty() {
            script::goal(&self.world, &request.goal_id)?;
        }
        let (sender, receiver) = mpsc::channel(16);
        let watch = Watch {
            world: self.world.clone(),
            request,
            sender,
        };
        self.tasks.spawn("watch goals", watch.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn call_tool(&self, request: Request<CallToolRequest>) -> Result<Response<Goal>, Status> {
        let request = request.into_inner();
        if !request.tool.starts_with("fs.") && !request.tool.starts_with("os.") {
            return Err(not_found(&format!("tool {}", request.tool)));
        }
        script::call(&self.world, &request.tool, &request.args_json)
            .await
            .map(Response::new)
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        let goal = script::goal(&self.world, &request.get_ref().goal_id)?;
        let decision = Decision {
            time_ms: goal.created_at_ms,
            subject: "plan".to_owned(),
            options: vec!["runbook free-space".to_owned(), "ask".to_owned()],
            choice: "runbook free-space".to_owned(),
            reason: "its pattern fits the whole text".to_owned(),
            level: "reactive".to_owned(),
            goal_id: goal.goal_id,
            ..Decision::default()
        };
        Ok(Response::new(ListDecisionsResponse {
            decisions: vec![decision],
        }))
    }

    async fn list_agents(
        &self,
        _: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        Ok(Response::new(ListAgentsResponse::default()))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let state = self.world.state();
        let mut status = StatusResponse {
            agents: 1,
            last_seq: u64::try_from(state.events.len()).unwrap_or(u64::MAX),
            autonomy: aios_proto::common::v1::Autonomy::Supervised.into(),
            version: "0.1.0".to_owned(),
            ..StatusResponse::default()
        };
        for goal in state.goals.iter().filter_map(|detail| detail.goal.as_ref()) {
            let name = crate::goal::GoalStateView::from(goal.state()).word();
            *status.goals.entry(name.to_owned()).or_default() += 1;
        }
        Ok(Response::new(status))
    }

    async fn list_runbooks(
        &self,
        _: Request<ListRunbooksRequest>,
    ) -> Result<Response<ListRunbooksResponse>, Status> {
        Ok(Response::new(ListRunbooksResponse {
            runbooks: vec![runbook("/usr/lib/aios/runbooks/free-space.toml")],
        }))
    }

    /// Reads no runbook: a text with the word `broken` has a problem, another has one case, which passes.
    async fn check_runbook(
        &self,
        request: Request<CheckRunbookRequest>,
    ) -> Result<Response<CheckRunbookResponse>, Status> {
        let request = request.into_inner();
        let broken = request.text.lines().position(|line| line.contains("broken"));
        let case = RunbookCase {
            words: "free space".to_owned(),
            problem: if request.text.contains("failing") {
                "the causes are [] and should be [\"disk_full\"]".to_owned()
            } else {
                String::new()
            },
        };
        Ok(Response::new(match broken {
            Some(line) => CheckRunbookResponse {
                problems: vec![format!("{}:{}: something is broken", request.file, line + 1)],
                ..CheckRunbookResponse::default()
            },
            None => CheckRunbookResponse {
                runbook: Some(runbook(&request.file)),
                problems: Vec::new(),
                cases: request.cases.then_some(case).into_iter().collect(),
            },
        }))
    }

    async fn add_schedule(&self, request: Request<AddScheduleRequest>) -> Result<Response<Schedule>, Status> {
        let person = self.world.person_or_peer(&request)?;
        schedules::add(&self.world, request.into_inner(), person).map(Response::new)
    }

    async fn list_schedules(
        &self,
        _: Request<ListSchedulesRequest>,
    ) -> Result<Response<ListSchedulesResponse>, Status> {
        Ok(Response::new(schedules::list(&self.world)))
    }

    async fn remove_schedule(
        &self,
        request: Request<RemoveScheduleRequest>,
    ) -> Result<Response<Schedule>, Status> {
        self.world.person_or_peer(&request)?;
        schedules::remove(&self.world, &request.get_ref().schedule_id).map(Response::new)
    }
}

fn runbook(file: &str) -> RunbookInfo {
    let input = RunbookInput {
        name: "dir".to_owned(),
        kind: "dir".to_owned(),
        help: "the directory".to_owned(),
    };
    RunbookInfo {
        name: "free-space".to_owned(),
        summary: "delete old files".to_owned(),
        examples: vec!["free space under /var/log".to_owned()],
        file: file.to_owned(),
        layer: "vendor".to_owned(),
        causes: vec!["old_files".to_owned()],
        inputs: vec![input],
    }
}

struct Watch {
    world: Arc<World>,
    request: WatchGoalsRequest,
    sender: mpsc::Sender<Result<GoalEvent, Status>>,
}

impl Watch {
    async fn run(self) {
        let mut changed = self.world.watch();
        let mut next = self.request.from_seq.max(1);
        loop {
            changed.mark_unchanged();
            let (events, over) = self.from(next);
            for event in events {
                next = event.seq + 1;
                if self.sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            if over || !self.request.follow {
                return;
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = self.sender.closed() => return,
            }
        }
    }

    fn from(&self, next: u64) -> (Vec<GoalEvent>, bool) {
        let one = &self.request.goal_id;
        let state = self.world.state();
        let events = state
            .events
            .iter()
            .filter(|event| event.seq >= next && (one.is_empty() || event.goal_id == *one));
        let goal = state
            .goals
            .iter()
            .filter_map(|detail| detail.goal.as_ref())
            .find(|goal| goal.goal_id == *one);
        (
            events.cloned().collect(),
            goal.is_some_and(|goal| ended(goal.state())),
        )
    }
}
