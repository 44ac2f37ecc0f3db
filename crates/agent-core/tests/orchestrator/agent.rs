//! A scripted agent that speaks the real session: it frees space as the real one does, answers
//! recorded steps from the record, and connects again when the orchestrator went away.

use aios_core::id::AgentId;
use aios_core::rpc;
use aios_proto::agent::v1::agent_session_client::AgentSessionClient;
use aios_proto::agent::v1::{
    AgentMessage, CallResult, Heartbeat, Hello, OrchestratorMessage, TaskAssignment, TaskResult, ToolCall,
    agent_message::Message, call_result, orchestrator_message, task_result,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

/// One open session.
pub(crate) struct Session {
    /// Identity that the sandbox vouches for.
    pub(crate) agent: AgentId,
    outbox: mpsc::Sender<AgentMessage>,
    inbox: Streaming<OrchestratorMessage>,
}

impl Session {
    /// Opens a session as the sandbox would, and says hello.
    pub(crate) async fn open(socket: &Path, agent: AgentId) -> Result<Self, Status> {
        let (outbox, outgoing) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        let metadata = request.metadata_mut();
        metadata.insert("aios-agent-id", agent.to_string().parse().unwrap());
        metadata.insert("aios-agent-kind", "maintenance_agent".parse().unwrap());
        metadata.insert("aios-container-id", "c0ffee".parse().unwrap());
        let inbox = AgentSessionClient::new(rpc::channel(socket))
            .connect(request)
            .await?
            .into_inner();
        let mut session = Self { agent, outbox, inbox };
        session
            .send(Message::Hello(Hello {
                sdk_version: "test".to_owned(),
                skills: vec!["maintenance.free_space".to_owned()],
                max_tasks: 1,
            }))
            .await;
        match session.next().await? {
            orchestrator_message::Message::Welcome(welcome) => {
                assert_eq!(welcome.agent_id, agent.to_string())
            }
            other => panic!("a welcome was expected, not {other:?}"),
        }
        Ok(session)
    }

    /// Says something.
    pub(crate) async fn send(&self, message: Message) {
        // The other side may be dead; the next read says so.
        drop(
            self.outbox
                .send(AgentMessage {
                    message: Some(message),
                })
                .await,
        );
    }

    /// The next message; sends heartbeats meanwhile.
    pub(crate) async fn next(&mut self) -> Result<orchestrator_message::Message, Status> {
        loop {
            tokio::select! {
                message = self.inbox.message() => {
                    let message = message?.ok_or_else(|| Status::unavailable("the session was closed"))?;
                    return Ok(message.message.unwrap());
                }
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    self.send(Message::Heartbeat(Heartbeat { active_tasks: 0 })).await;
                }
            }
        }
    }

    /// Waits for a task.
    pub(crate) async fn task(&mut self) -> Result<TaskAssignment, Status> {
        loop {
            if let orchestrator_message::Message::Task(task) = self.next().await? {
                return Ok(task);
            }
        }
    }

    /// Makes a step, or answers it from the record.
    pub(crate) async fn step(
        &mut self,
        task: &TaskAssignment,
        step: u64,
        tool: &str,
        args: Value,
    ) -> Result<CallResult, Status> {
        if let Some(recorded) = task.recorded.iter().find(|recorded| recorded.step == step) {
            assert_eq!(recorded.name, tool);
            return Ok(recorded.result.clone().unwrap());
        }
        self.call(&task.task_id, step, tool, &args).await
    }

    /// Sends a call and waits for its answer.
    pub(crate) async fn call(
        &mut self,
        task_id: &str,
        step: u64,
        tool: &str,
        args: &Value,
    ) -> Result<CallResult, Status> {
        self.send(Message::ToolCall(ToolCall {
            task_id: task_id.to_owned(),
            step,
            tool: tool.to_owned(),
            args_json: args.to_string(),
            reason: "to free space".to_owned(),
            ..ToolCall::default()
        }))
        .await;
        loop {
            match self.next().await? {
                orchestrator_message::Message::ToolResult(result) => return Ok(result),
                orchestrator_message::Message::Cancel(cancel) => {
                    return Err(Status::cancelled(cancel.reason));
                }
                _ => {}
            }
        }
    }

    /// Ends a task.
    pub(crate) async fn finish(&self, task: &TaskAssignment, result: task_result::Result) {
        self.send(Message::TaskResult(TaskResult {
            task_id: task.task_id.clone(),
            result: Some(result),
            summary: "freed space".to_owned(),
        }))
        .await;
    }

    /// The whole task as the real agent does it.
    pub(crate) async fn free_space(&mut self, task: &TaskAssignment) -> Result<(), Status> {
        let input: Value = serde_json::from_str(&task.input_json).unwrap();
        self.step(task, 1, "fs.disk_usage", json!({"path": input["root"]}))
            .await?;
        let found = self.step(task, 2, "fs.search", input).await?;
        let Some(call_result::Result::ResultJson(found)) = found.result else {
            panic!("{found:?}")
        };
        let found: Value = serde_json::from_str(&found).unwrap();
        let paths: Vec<&str> = found["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["path"].as_str().unwrap())
            .collect();
        if !paths.is_empty() {
            let deleted = self.step(task, 3, "fs.delete", json!({"paths": paths})).await?;
            if let Some(call_result::Result::Error(error)) = deleted.result {
                self.finish(task, task_result::Result::Error(error)).await;
                return Ok(());
            }
        }
        self.finish(
            task,
            task_result::Result::OutputJson("{\"freed\":true}".to_owned()),
        )
        .await;
        Ok(())
    }
}

/// Runs an agent for as long as the test lives; it comes back whenever the orchestrator does. Counts
/// its sessions.
pub(crate) fn keep_running(socket: PathBuf) -> Arc<AtomicU64> {
    let sessions = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sessions);
    let agent = AgentId::new();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        loop {
            if let Ok(mut session) = Session::open(&socket, agent).await {
                count.fetch_add(1, Ordering::SeqCst);
                while let Ok(task) = session.task().await {
                    if session.free_space(&task).await.is_err() {
                        break;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    sessions
}
