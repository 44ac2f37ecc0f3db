//! The gRPC surface: parse, check who asks, hand to the engine or the journal, answer. No decisions.

mod convert;
mod requests;
mod runbooks;
mod schedules;
mod system;
mod watch;

use crate::callers::{Callers, Person};
use crate::core::Core;
use crate::engine::Engine;
use crate::error::Error;
use crate::journal::Submission;
use crate::model::Goal;
use crate::model::cause::Cause;
use crate::model::event::{Event, Origin};
use crate::model::state::GoalState;
use crate::schedule::Schedules;
use crate::session;
use aios_core::failpoint;
use aios_proto::agent::v1::agent_session_server::{AgentSession, AgentSessionServer};
use aios_proto::agent::v1::{AgentMessage, OrchestratorMessage};
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::orchestrator_server::{Orchestrator, OrchestratorServer};
use requests::Submit;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Time that a cancelled goal is waited for before the answer says that it is still ending.
const CANCEL_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Most goals in one answer.
const MAX_LIST: u32 = 1000;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    core: Arc<Core>,
    engine: Engine,
    callers: Arc<Callers>,
    schedules: Schedules,
}

impl Service {
    /// The service over a core and its engine.
    pub fn new(core: Arc<Core>, engine: Engine, callers: Callers, schedules: Schedules) -> Self {
        Self {
            core,
            engine,
            callers: Arc::new(callers),
            schedules,
        }
    }

    /// The part for persons.
    pub fn orchestrator(&self) -> OrchestratorServer<Self> {
        OrchestratorServer::new(self.clone())
    }

    /// The part for agents.
    pub fn agent_session(&self) -> AgentSessionServer<Self> {
        AgentSessionServer::new(self.clone()).max_decoding_message_size(4 << 20)
    }

    /// Runs work to its end although its caller may hang up: what the journal holds must also reach the
    /// engine, or a stored goal would lie still until the next start.
    async fn unbroken<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        // Nobody may be waiting any more.
        self.core
            .tasks
            .spawn("request", async move { drop(answer.send(work.await)) });
        answered.await.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn submit(&self, submit: Submit, person: Person, origin: Origin) -> Result<api::Goal, Error> {
        let own = self.clone();
        self.unbroken(async move { own.submit_now(submit, person, origin, Cause::Person).await })
            .await
    }

    async fn submit_of_system(
        &self,
        system: Person,
        (submit, origin, cause): (Submit, Origin, Cause),
    ) -> Result<api::Goal, Error> {
        let own = self.clone();
        self.unbroken(async move { own.submit_now(submit, system, origin, cause).await })
            .await
    }

    async fn submit_now(
        &self,
        submit: Submit,
        person: Person,
        origin: Origin,
        cause: Cause,
    ) -> Result<api::Goal, Error> {
        let event = Event::Submitted {
            text: submit.text,
            priority: submit.priority,
            autonomy: submit.autonomy.unwrap_or(self.core.config.autonomy),
            dry_run: submit.dry_run,
            submitted_by: person.name,
            uid: person.uid,
            client_id: submit.client_id,
            origin,
            cause,
        };
        let (goal, submission) = self.core.journal.submit(self.core.ids.goal(), event).await?;
        if submission == Submission::New {
            tracing::info!(goal = %goal.id, by = goal.submitted_by, "a goal was stored");
            self.engine.go(goal.id, goal.priority).await?;
        }
        failpoint::hit("orch.before_answer");
        Ok(convert::goal(&goal))
    }

    async fn check_owner(&self, rpc: &'static str, goal: &Goal, person: &Person) -> Result<(), Error> {
        let allowed = person.may_change(goal);
        if let Err(error) = &allowed {
            self.callers.not_yours(rpc, person, goal, error.report()).await;
        }
        allowed
    }

    async fn cancel(&self, id: &str, person: Person) -> Result<api::Goal, Error> {
        let (own, id) = (self.clone(), id.to_owned());
        self.unbroken(async move { own.cancel_now(&id, person).await })
            .await
    }

    async fn cancel_now(&self, id: &str, person: Person) -> Result<api::Goal, Error> {
        let goal = self.core.journal.find(requests::goal_id(id)?).await?;
        self.check_owner("CancelGoal", &goal, &person).await?;
        if goal.state.is_final() {
            return Err(Error::State(format!(
                "goal {} is {} already",
                goal.id, goal.state
            )));
        }
        let mut newest = self.core.journal.last_seq();
        self.core
            .journal
            .append(goal.id, vec![Event::CancelRequested { by: person.name }])
            .await?;
        self.engine.cancel(goal.id).await?;
        let ended = async {
            loop {
                let goal = self.core.journal.goal(goal.id).await?;
                if goal.state.is_final() || newest.changed().await.is_err() {
                    return Ok::<_, Error>(());
                }
            }
        };
        // A tool may take longer to end; the goal then says so.
        if let Ok(ended) = tokio::time::timeout(CANCEL_WAIT, ended).await {
            ended?;
        }
        failpoint::hit("orch.before_answer");
        Ok(convert::goal(&self.core.journal.goal(goal.id).await?))
    }

    async fn reply(&self, id: &str, text: String, person: Person) -> Result<api::Goal, Error> {
        let (own, id) = (self.clone(), id.to_owned());
        self.unbroken(async move { own.reply_now(&id, text, person).await })
            .await
    }

    async fn reply_now(&self, id: &str, text: String, person: Person) -> Result<api::Goal, Error> {
        let goal = self.core.journal.find(requests::goal_id(id)?).await?;
        self.check_owner("ReplyGoal", &goal, &person).await?;
        let text = requests::goal_text(text)?;
        if goal.state != GoalState::AwaitingInput {
            return Err(Error::State(format!(
                "goal {} is {} and waits for no answer",
                goal.id, goal.state
            )));
        }
        let goal = self
            .core
            .journal
            .append(
                goal.id,
                vec![Event::Reply {
                    text,
                    by: person.name,
                }],
            )
            .await?;
        self.engine.go(goal.id, goal.priority).await?;
        failpoint::hit("orch.before_answer");
        Ok(convert::goal(&goal))
    }

    async fn undo(&self, id: &str, person: Person) -> Result<api::Goal, Error> {
        let goal = self.core.journal.find(requests::goal_id(id)?).await?;
        self.check_owner("UndoGoal", &goal, &person).await?;
        if !goal.is_undoable() {
            let why = match (goal.state.is_final(), goal.undone_by) {
                (false, _) => "it has not ended; cancel it first".to_owned(),
                (true, Some(by)) => format!("goal {by} undoes it already"),
                (true, None) => "it changed nothing that can be undone".to_owned(),
            };
            return Err(Error::NotUndoable { goal: goal.id, why });
        }
        let submit = Submit {
            text: format!("undo goal {}: {}", goal.id, goal.text),
            priority: goal.priority,
            // A goal of before may have had more than the guard grants now; undoing it needs no more than usual.
            autonomy: Some(goal.autonomy.min(self.core.config.autonomy)),
            dry_run: false,
            client_id: String::new(),
        };
        self.submit(submit, person, Origin::Undo { of: goal.id }).await
    }

    async fn status(&self) -> Result<api::StatusResponse, Error> {
        let agents = self.core.router.list().await;
        let connected = agents.iter().filter(|agent| agent.connected).count();
        let last_seq = *self.core.journal.last_seq().borrow();
        Ok(api::StatusResponse {
            goals: self.core.journal.counts().await?.into_iter().collect(),
            agents: u32::try_from(connected).unwrap_or(u32::MAX),
            last_seq,
            autonomy: convert::autonomy(self.core.config.autonomy).into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// The answer of a fallible operation.
fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| error.status())
}

type EventStream = Pin<Box<dyn Stream<Item = Result<api::GoalEvent, Status>> + Send>>;
type AgentStream = Pin<Box<dyn Stream<Item = Result<OrchestratorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Orchestrator for Service {
    type WatchGoalsStream = EventStream;

    async fn submit_goal(
        &self,
        request: Request<api::SubmitGoalRequest>,
    ) -> Result<Response<api::Goal>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("SubmitGoal", &request, proof).await?;
        let submit = requests::submit(request.into_inner()).map_err(|error| error.status())?;
        answer(self.submit(submit, person, Origin::Text).await)
    }

    async fn submit_system_goal(
        &self,
        request: Request<api::SubmitSystemGoalRequest>,
    ) -> Result<Response<api::Goal>, Status> {
        let system = self.callers.system("SubmitSystemGoal", &request).await?;
        let goal = system::goal(request.into_inner()).map_err(|error| error.status())?;
        answer(self.submit_of_system(system, goal).await)
    }

    async fn list_goals(
        &self,
        request: Request<api::ListGoalsRequest>,
    ) -> Result<Response<api::ListGoalsResponse>, Status> {
        self.callers.reader("ListGoals", &request)?;
        let filter = request.into_inner();
        let limit = if filter.limit == 0 {
            50
        } else {
            filter.limit.min(MAX_LIST)
        };
        let states = requests::states(&filter.states).map_err(|error| error.status())?;
        let goals = self.core.journal.list(limit, states).await;
        answer(goals.map(|goals| api::ListGoalsResponse {
            goals: goals.iter().map(convert::goal).collect(),
        }))
    }

    async fn get_goal(
        &self,
        request: Request<api::GetGoalRequest>,
    ) -> Result<Response<api::GoalDetail>, Status> {
        self.callers.reader("GetGoal", &request)?;
        let goal = match requests::goal_id(&request.get_ref().goal_id) {
            Ok(id) => self.core.journal.find(id).await,
            Err(error) => Err(error),
        };
        answer(goal.map(|goal| convert::detail(&goal)))
    }

    async fn cancel_goal(
        &self,
        request: Request<api::CancelGoalRequest>,
    ) -> Result<Response<api::Goal>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("CancelGoal", &request, proof).await?;
        answer(self.cancel(&request.get_ref().goal_id, person).await)
    }

    async fn reply_goal(
        &self,
        request: Request<api::ReplyGoalRequest>,
    ) -> Result<Response<api::Goal>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("ReplyGoal", &request, proof).await?;
        let request = request.into_inner();
        answer(self.reply(&request.goal_id, request.text, person).await)
    }

    async fn undo_goal(&self, request: Request<api::UndoGoalRequest>) -> Result<Response<api::Goal>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("UndoGoal", &request, proof).await?;
        answer(self.undo(&request.get_ref().goal_id, person).await)
    }

    async fn watch_goals(
        &self,
        request: Request<api::WatchGoalsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        self.callers.reader("WatchGoals", &request)?;
        answer(watch::start(&self.core, request.into_inner()).await)
    }

    async fn call_tool(&self, request: Request<api::CallToolRequest>) -> Result<Response<api::Goal>, Status> {
        let person = self.callers.person("CallTool", &request, None).await?;
        let (submit, origin) = requests::call(request.into_inner()).map_err(|error| error.status())?;
        answer(self.submit(submit, person, origin).await)
    }

    async fn list_decisions(
        &self,
        request: Request<api::ListDecisionsRequest>,
    ) -> Result<Response<api::ListDecisionsResponse>, Status> {
        self.callers.reader("ListDecisions", &request)?;
        let goal = match requests::goal_id(&request.get_ref().goal_id) {
            Ok(id) => self.core.journal.find(id).await,
            Err(error) => Err(error),
        };
        answer(goal.map(|goal| api::ListDecisionsResponse {
            decisions: convert::decisions(&goal),
        }))
    }

    async fn list_agents(
        &self,
        request: Request<api::ListAgentsRequest>,
    ) -> Result<Response<api::ListAgentsResponse>, Status> {
        self.callers.reader("ListAgents", &request)?;
        let agents = self
            .core
            .router
            .list()
            .await
            .into_iter()
            .map(convert::agent)
            .collect();
        Ok(Response::new(api::ListAgentsResponse { agents }))
    }

    async fn status(
        &self,
        request: Request<api::StatusRequest>,
    ) -> Result<Response<api::StatusResponse>, Status> {
        self.callers.reader("Status", &request)?;
        answer(self.status().await)
    }

    async fn list_runbooks(
        &self,
        request: Request<api::ListRunbooksRequest>,
    ) -> Result<Response<api::ListRunbooksResponse>, Status> {
        self.callers.reader("ListRunbooks", &request)?;
        Ok(Response::new(runbooks::list(
            &self.core.runbooks,
            &self.core.vendor,
        )))
    }

    async fn check_runbook(
        &self,
        request: Request<api::CheckRunbookRequest>,
    ) -> Result<Response<api::CheckRunbookResponse>, Status> {
        self.callers.reader("CheckRunbook", &request)?;
        answer(runbooks::check(
            &self.core.runbooks,
            &self.core.vendor,
            request.into_inner(),
        ))
    }

    async fn add_schedule(
        &self,
        request: Request<api::AddScheduleRequest>,
    ) -> Result<Response<api::Schedule>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("AddSchedule", &request, proof).await?;
        answer(self.add_schedule(request.into_inner(), person).await)
    }

    async fn list_schedules(
        &self,
        request: Request<api::ListSchedulesRequest>,
    ) -> Result<Response<api::ListSchedulesResponse>, Status> {
        self.callers.reader("ListSchedules", &request)?;
        answer(self.list_schedules().await)
    }

    async fn remove_schedule(
        &self,
        request: Request<api::RemoveScheduleRequest>,
    ) -> Result<Response<api::Schedule>, Status> {
        let proof = request.get_ref().proof.as_ref();
        let person = self.callers.person("RemoveSchedule", &request, proof).await?;
        answer(self.remove_schedule(&request.get_ref().schedule_id, person).await)
    }
}

#[tonic::async_trait]
impl AgentSession for Service {
    type ConnectStream = AgentStream;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<AgentStream>, Status> {
        let identity = self.callers.agent(&request)?;
        let outbox = session::open(&self.core, identity, request.into_inner());
        Ok(Response::new(ReceiverStream::new(outbox).boxed()))
    }
}

/// Boxes a stream as tonic wants it.
trait Boxed: Stream + Sized + Send + 'static {
    fn boxed(self) -> Pin<Box<dyn Stream<Item = Self::Item> + Send>> {
        Box::pin(self)
    }
}

impl<S: Stream + Send + 'static> Boxed for S {}
