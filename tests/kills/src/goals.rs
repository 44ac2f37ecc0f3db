//! The same through the orchestrator: a person's call as a goal of one task.

use crate::scene::{count, head, verify};
use aios_harness::client;
use aios_harness::{Instance, Options, Service, Who};
use aios_proto::orchestrator::v1 as pb;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};
use tonic::Status;
use tonic::transport::Channel;

const GOAL_LIMIT: Duration = Duration::from_secs(90);
/// One try must be answered by then: a call to a dead service waits at its open socket.
const TRY_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Lets a goal's changes pass without a person.
const POLICY: &str = "[[rule]]\nid = \"change-supervised\"\nnamespace = \"fs\"\nmutating = true\n\
                      autonomy = [\"supervised\", \"manual\"]\neffect = \"allow\"\nreason = \"a test\"\n";

/// An instance with an orchestrator, and the count of what its goals did.
pub struct Goals {
    aios: Instance,
    lines: usize,
    /// Signed heads of the log from before each kill.
    anchors: Vec<String>,
    /// Kills so far.
    pub kills: usize,
}

impl Goals {
    /// Starts guard, worker, tools, memory and orchestrator; `None` when the test ran under `sudo`.
    ///
    /// # Errors
    /// They do not start.
    pub fn start() -> Result<Option<Self>> {
        if !aios_harness::as_root()? {
            return Ok(None);
        }
        let services = vec![
            Service::Guard,
            Service::WorkerFs,
            Service::Tools,
            Service::Memory,
            Service::Orchestrator,
        ];
        let aios = Instance::start(Options {
            services,
            policy: Some(POLICY.to_owned()),
            ..Options::default()
        })?;
        aios.file("counter", b"")?;
        Ok(Some(Self {
            aios,
            lines: 0,
            anchors: Vec::new(),
            kills: 0,
        }))
    }

    fn client(&self) -> Result<OrchestratorClient<Channel>> {
        Ok(OrchestratorClient::new(
            self.aios.channel(Who::Person, Service::Orchestrator)?,
        ))
    }

    /// Has a goal add one line to a file, killing `service` at `point` meanwhile, and checks the counts.
    ///
    /// # Errors
    /// The point was not reached, or a count is wrong.
    pub async fn kill_during(&mut self, service: Service, point: &str) -> Result<()> {
        self.anchors.push(head(&self.aios).await?);
        self.append_in(point, service, None)
            .await
            .with_context(|| format!("a goal while {} is killed at {point}", service.unit()))
    }

    async fn append_in(&mut self, point: &str, service: Service, with: Option<Service>) -> Result<()> {
        self.lines += 1;
        let path = self.aios.tree().canonicalize()?.join("counter");
        let args = json!({"path": path, "content": format!("line {}\n", self.lines), "how": "append"});
        let request = pb::CallToolRequest {
            tool: "fs.write".to_owned(),
            args_json: args.to_string(),
            dry_run: false,
            client_id: aios_core::id::GoalId::new().to_string(),
        };
        self.aios.arm(point)?;
        let before = self.kills;
        if let Some(with) = with {
            // One try is enough: the goal is in the journal when it comes to the call.
            let asked = tokio::time::timeout(TRY_LIMIT, self.ask(&request)).await;
            asked.context("the goal was not taken")?.map_err(client::plain)?;
            self.die_together(service, with).await?;
        }
        let detail = self.finish(service, &request).await?;
        ensure!(!self.aios.armed(point), "nothing reached {point}");
        // A goal may be seen to end although the service dies right behind the answer.
        if self.kills == before {
            self.replace(service)?;
        }
        let wanted: Vec<String> = (1..=self.lines).map(|line| format!("line {line}")).collect();
        let text = fs::read_to_string(&path)?;
        ensure!(
            text.lines().eq(wanted.iter()),
            "{} lines instead of {}",
            text.lines().count(),
            self.lines
        );
        let task = detail.tasks.first().context("a goal without a task")?;
        let step = task.steps.first().context("a task without a step")?;
        for kind in ["intent", "outcome"] {
            let count = count(&self.aios, kind, &task.task_id, step.step).await?;
            ensure!(count == 1, "{count} records `{kind}` of the goal's step");
        }
        Ok(())
    }

    /// Has a goal add one line to a file, killing the tool service at `point` and the orchestrator at
    /// that same moment, and checks the counts: one effect, one intent, one outcome.
    ///
    /// # Errors
    /// The point was not reached, or a count is wrong.
    pub async fn kill_with_orchestrator(&mut self, point: &str) -> Result<()> {
        self.anchors.push(head(&self.aios).await?);
        self.append_in(point, Service::Tools, Some(Service::Orchestrator))
            .await
            .with_context(|| format!("a goal while tools and orchestrator are killed at {point}"))
    }

    /// Kills `with` as soon as `service` has died, before it can send anything again; only then the
    /// ordinary revival starts both.
    async fn die_together(&mut self, service: Service, with: Service) -> Result<()> {
        let until = Instant::now() + GOAL_LIMIT;
        while self.aios.ended(service)?.is_none() {
            ensure!(Instant::now() < until, "{} did not die", service.unit());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.aios.kill(with)?;
        self.kills += 1;
        self.revive(service)?;
        self.aios.restart(with)
    }

    /// Sends the call until it is taken, starts what died, and waits for the goal's end.
    async fn finish(&mut self, service: Service, request: &pb::CallToolRequest) -> Result<pb::GoalDetail> {
        let until = Instant::now() + GOAL_LIMIT;
        let mut last = None;
        while Instant::now() < until {
            let asked = tokio::time::timeout(TRY_LIMIT, self.ask(request)).await;
            match asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("one try"))) {
                Ok(detail) if state(&detail) == pb::GoalState::Completed => return Ok(detail),
                Ok(detail) if matches!(state(&detail), pb::GoalState::Failed | pb::GoalState::Cancelled) => {
                    bail!("the goal ended otherwise: {:?}", detail.goal);
                }
                Ok(detail) => last = Some(format!("{:?}", detail.goal)),
                Err(status) => last = Some(client::plain(status).to_string()),
            }
            self.revive(service)?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bail!("the goal did not end in time: {last:?}")
    }

    /// The same client id names the same goal, so asking again is safe.
    async fn ask(&self, request: &pb::CallToolRequest) -> Result<pb::GoalDetail, Status> {
        let mut client = self
            .client()
            .map_err(|error| Status::internal(error.to_string()))?;
        let goal = client.call_tool(request.clone()).await?.into_inner();
        Ok(client
            .get_goal(pb::GetGoalRequest {
                goal_id: goal.goal_id,
            })
            .await?
            .into_inner())
    }

    /// Starts a service again if it died by its failpoint.
    fn revive(&mut self, service: Service) -> Result<()> {
        if self.aios.ended(service)?.is_none() {
            return Ok(());
        }
        self.replace(service)
    }

    /// Waits until a service has died by its failpoint, and starts it again.
    fn replace(&mut self, service: Service) -> Result<()> {
        self.aios.wait_killed(service)?;
        self.kills += 1;
        self.aios.restart(service)
    }

    /// Checks the audit log offline.
    ///
    /// # Errors
    /// It does not verify.
    pub async fn verify(&self) -> Result<()> {
        verify(&self.aios, &self.anchors).await
    }
}

fn state(detail: &pb::GoalDetail) -> pb::GoalState {
    detail
        .goal
        .as_ref()
        .map_or(pb::GoalState::Unspecified, pb::Goal::state)
}
