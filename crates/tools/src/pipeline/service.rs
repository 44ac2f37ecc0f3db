//! The tool service on its socket: who may call, and the registry for everybody.

use super::{Guard, Pipeline, Workers};
use crate::error::ToolError;
use crate::registry::Registry;
use aios_auth::peer::{self, Role, Roles};
use aios_core::error::Report;
use aios_core::rpc::{self, Refusals, Refused};
use aios_core::tasks::Tasks;
use aios_proto::tools::v1 as pb;
use aios_proto::tools::v1::tool_registry_server::ToolRegistry;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// The service.
pub struct ToolsService<G, W> {
    registry: Arc<Registry>,
    roles: Roles,
    pipeline: Arc<Pipeline<G, W>>,
    tasks: Tasks,
    refusals: Refusals,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl<G: Guard, W: Workers> ToolsService<G, W> {
    /// A service of these parts; `tasks` owns the calls, and the records of refused callers.
    pub fn new(registry: Arc<Registry>, roles: Roles, pipeline: Pipeline<G, W>, tasks: Tasks) -> Self {
        let pipeline = Arc::new(pipeline);
        let recorder = Arc::clone(&pipeline);
        let refusals = Refusals::new("peer.denied", tasks.clone(), move |request| {
            let recorder = Arc::clone(&recorder);
            async move { recorder.record_refusal(request).await }
        });
        Self {
            registry,
            roles,
            pipeline,
            tasks,
            refusals,
        }
    }

    /// Runs a call to its end although its caller may hang up: an effect that happened must be recorded.
    async fn unbroken<F>(&self, call: F) -> Answer<pb::CallResponse>
    where
        F: Future<Output = std::result::Result<pb::call_response::Result, Status>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        // Nobody may be waiting any more; the same key gets the recorded answer.
        self.tasks
            .spawn("call", async move { drop(answer.send(call.await)) });
        let lost = |_| rpc::status(&ToolError::Defect("a call ended without an answer".to_owned()));
        let result = answered.await.map_err(lost)??;
        Ok(Response::new(pb::CallResponse { result: Some(result) }))
    }

    fn only_orchestrator<T>(
        &self,
        name: &'static str,
        request: &Request<T>,
    ) -> std::result::Result<(), Status> {
        self.roles
            .require(request, &[Role::Orchestrator])
            .map(drop)
            .map_err(|error| {
                // Nobody waits for the record, least of all the caller.
                drop(self.refusals.note(Refused {
                    uid: peer::peer(request).ok().map(|peer| peer.uid),
                    rpc: name,
                    check: "peer",
                    goal_id: String::new(),
                    report: Report::of(&error),
                }));
                rpc::status(&error)
            })
    }
}

#[tonic::async_trait]
impl<G: Guard, W: Workers> ToolRegistry for ToolsService<G, W> {
    async fn list(&self, request: Request<pb::ListRequest>) -> Answer<pb::ListResponse> {
        let namespace = request.into_inner().namespace;
        let wanted = |name: &str| namespace.is_empty() || crate::registry::namespace_of(name) == namespace;
        let tools = self
            .registry
            .all()
            .iter()
            .filter(|spec| wanted(spec.name))
            .map(Into::into)
            .collect();
        Ok(Response::new(pb::ListResponse { tools }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Answer<pb::Tool> {
        let spec = self
            .registry
            .get(&request.into_inner().name)
            .map_err(|error| rpc::status(&error))?;
        Ok(Response::new(spec.into()))
    }

    async fn call(&self, request: Request<pb::CallRequest>) -> Answer<pb::CallResponse> {
        self.only_orchestrator("Call", &request)?;
        let (pipeline, request) = (Arc::clone(&self.pipeline), request.into_inner());
        // A read that nobody waits for any more may break off.
        if self.registry.get(&request.tool).is_ok_and(|spec| !spec.mutating) {
            let result = pipeline.call(request).await?;
            return Ok(Response::new(pb::CallResponse { result: Some(result) }));
        }
        self.unbroken(async move { pipeline.call(request).await }).await
    }

    async fn undo(&self, request: Request<pb::UndoRequest>) -> Answer<pb::CallResponse> {
        self.only_orchestrator("Undo", &request)?;
        let pipeline = Arc::clone(&self.pipeline);
        self.unbroken(async move { pipeline.undo(request.into_inner()).await })
            .await
    }

    async fn get_execution(&self, request: Request<pb::GetExecutionRequest>) -> Answer<pb::Execution> {
        self.only_orchestrator("GetExecution", &request)?;
        self.pipeline
            .execution(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn cancel(&self, request: Request<pb::CancelRequest>) -> Answer<pb::CancelResponse> {
        self.only_orchestrator("Cancel", &request)?;
        self.pipeline
            .cancel(request.into_inner())
            .await
            .map(Response::new)
    }
}
