//! The tool service on its socket: who may call, and the registry for everybody.

use super::{Guard, Pipeline, Workers};
use crate::registry::Registry;
use aios_auth::peer::{Role, Roles};
use aios_core::rpc;
use aios_proto::tools::v1 as pb;
use aios_proto::tools::v1::tool_registry_server::ToolRegistry;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct ToolsService<G, W> {
    registry: Arc<Registry>,
    roles: Roles,
    pipeline: Pipeline<G, W>,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl<G: Guard, W: Workers> ToolsService<G, W> {
    /// A service of these parts.
    pub fn new(registry: Arc<Registry>, roles: Roles, pipeline: Pipeline<G, W>) -> Self {
        Self {
            registry,
            roles,
            pipeline,
        }
    }

    fn only_orchestrator<T>(&self, request: &Request<T>) -> std::result::Result<(), Status> {
        self.roles
            .require(request, &[Role::Orchestrator])
            .map(drop)
            .map_err(|error| rpc::status(&error))
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
        self.only_orchestrator(&request)?;
        let result = self.pipeline.call(request.into_inner()).await?;
        Ok(Response::new(pb::CallResponse { result: Some(result) }))
    }

    async fn undo(&self, request: Request<pb::UndoRequest>) -> Answer<pb::CallResponse> {
        self.only_orchestrator(&request)?;
        let result = self.pipeline.undo(request.into_inner()).await?;
        Ok(Response::new(pb::CallResponse { result: Some(result) }))
    }

    async fn get_execution(&self, request: Request<pb::GetExecutionRequest>) -> Answer<pb::Execution> {
        self.only_orchestrator(&request)?;
        self.pipeline
            .execution(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn cancel(&self, request: Request<pb::CancelRequest>) -> Answer<pb::CancelResponse> {
        self.only_orchestrator(&request)?;
        self.pipeline
            .cancel(request.into_inner())
            .await
            .map(Response::new)
    }
}
