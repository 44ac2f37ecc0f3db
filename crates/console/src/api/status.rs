//! The whole at a glance. A service that does not answer is part of the answer.

use std::collections::BTreeMap;

use aios_client::goal::{ErrorView, autonomy_word};
use aios_client::system::{AgentView, GuardView, ServiceView};
use aios_proto::guard::v1::StatusRequest as GuardStatus;
use aios_proto::init::v1::ListServicesRequest;
use aios_proto::orchestrator::v1::StatusRequest;
use aios_proto::sandbox::v1::ListAgentsRequest;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Console;
use crate::error::ApiError;
use crate::session::Person;

/// The whole at a glance.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct StatusView {
    /// Services, in start order.
    services: Vec<ServiceView>,
    /// Agents' containers.
    agents: Vec<AgentView>,
    /// The guard.
    guard: Option<GuardView>,
    /// Goals by state.
    goals: BTreeMap<String, u32>,
    /// Default autonomy level; empty when not known.
    level: String,
    /// Version of the orchestrator; empty when not known.
    version: String,
    /// What did not answer, by service.
    problems: BTreeMap<String, ErrorView>,
}

/// Asks everyone.
#[utoipa::path(get, path = "/api/status", tag = "status", responses(
    (status = 200, body = StatusView), (status = 401, body = ErrorView)))]
pub(crate) async fn status(State(console): State<Console>, _: Person) -> Json<StatusView> {
    let (services, agents, guard, orchestrator) = tokio::join!(
        services(&console),
        agents(&console),
        guard(&console),
        orchestrator(&console)
    );
    let mut view = StatusView::default();
    match services {
        Ok(services) => view.services = services,
        Err(error) => view.problem("aios-init", error),
    }
    match agents {
        Ok(agents) => view.agents = agents,
        Err(error) => view.problem("aios-sandbox", error),
    }
    match guard {
        Ok(guard) => view.guard = Some(guard),
        Err(error) => view.problem("aios-guard", error),
    }
    match orchestrator {
        Ok(status) => {
            autonomy_word(status.autonomy()).clone_into(&mut view.level);
            view.goals = status.goals.into_iter().collect();
            view.version = status.version;
        }
        Err(error) => view.problem("aios-orchestrator", error),
    }
    Json(view)
}

impl StatusView {
    fn problem(&mut self, service: &str, error: ApiError) {
        self.problems.insert(service.to_owned(), error.into_view());
    }
}

async fn services(console: &Console) -> Result<Vec<ServiceView>, ApiError> {
    let services = console
        .services
        .init()
        .await?
        .list_services(ListServicesRequest {})
        .await?
        .into_inner()
        .services;
    Ok(services.into_iter().map(Into::into).collect())
}

async fn agents(console: &Console) -> Result<Vec<AgentView>, ApiError> {
    let agents = console
        .services
        .sandbox()
        .await?
        .list_agents(ListAgentsRequest {})
        .await?
        .into_inner()
        .agents;
    Ok(agents.into_iter().map(Into::into).collect())
}

async fn guard(console: &Console) -> Result<GuardView, ApiError> {
    Ok(console
        .services
        .guard()
        .await?
        .status(GuardStatus {})
        .await?
        .into_inner()
        .into())
}

async fn orchestrator(console: &Console) -> Result<aios_proto::orchestrator::v1::StatusResponse, ApiError> {
    Ok(console
        .services
        .orchestrator()
        .await?
        .status(StatusRequest {})
        .await?
        .into_inner())
}
