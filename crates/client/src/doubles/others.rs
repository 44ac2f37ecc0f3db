//! The doubles of tools, memory, init and sandbox: fixed answers.

use std::pin::Pin;

use aios_proto::common::v1::{Risk, Usage};
use aios_proto::{init::v1 as init, memory::v1 as memory, sandbox::v1 as sandbox, tools::v1 as tools};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{not_found, not_offered};

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A moment in 2025.
const THEN: i64 = 1_750_000_000_000;

pub(crate) struct ToolsDouble;

fn all_tools() -> Vec<tools::Tool> {
    let tool = |name: &str, summary: &str, risk: Risk, mutating: bool| tools::Tool {
        name: name.to_owned(),
        summary: summary.to_owned(),
        input_schema_json: "{\"type\":\"object\"}".to_owned(),
        output_schema_json: "{\"type\":\"object\"}".to_owned(),
        risk: risk.into(),
        mutating,
        idempotent: true,
        reversible: mutating,
        capability: name.replacen('.', ":", 1) + ":PATH",
        timeout_ms: 10_000,
    };
    vec![
        tool("fs.delete", "Removes files.", Risk::Medium, true),
        tool("fs.stat", "Says what a file is.", Risk::Read, false),
    ]
}

#[tonic::async_trait]
impl tools::tool_registry_server::ToolRegistry for ToolsDouble {
    async fn list(&self, request: Request<tools::ListRequest>) -> Answer<tools::ListResponse> {
        let namespace = request.into_inner().namespace;
        let of = |tool: &tools::Tool| namespace.is_empty() || tool.name.starts_with(&format!("{namespace}."));
        Ok(Response::new(tools::ListResponse {
            tools: all_tools().into_iter().filter(of).collect(),
        }))
    }
    async fn get(&self, request: Request<tools::GetRequest>) -> Answer<tools::Tool> {
        let name = request.into_inner().name;
        let found = all_tools().into_iter().find(|tool| tool.name == name);
        found
            .map(Response::new)
            .ok_or_else(|| not_found(&format!("tool {name}")))
    }
    async fn call(&self, _: Request<tools::CallRequest>) -> Answer<tools::CallResponse> {
        Err(not_offered())
    }
    async fn undo(&self, _: Request<tools::UndoRequest>) -> Answer<tools::CallResponse> {
        Err(not_offered())
    }
    async fn get_execution(&self, _: Request<tools::GetExecutionRequest>) -> Answer<tools::Execution> {
        Err(not_offered())
    }
    async fn cancel(&self, _: Request<tools::CancelRequest>) -> Answer<tools::CancelResponse> {
        Err(not_offered())
    }
}

pub(crate) struct MemoryDouble;

#[tonic::async_trait]
impl memory::memory_server::Memory for MemoryDouble {
    async fn project(&self, _: Request<memory::ProjectRequest>) -> Answer<memory::ProjectResponse> {
        Err(not_offered())
    }
    async fn get_position(
        &self,
        _: Request<memory::GetPositionRequest>,
    ) -> Answer<memory::GetPositionResponse> {
        Ok(Response::new(memory::GetPositionResponse { position: 7 }))
    }
    async fn query_working(
        &self,
        request: Request<memory::QueryWorkingRequest>,
    ) -> Answer<memory::QueryWorkingResponse> {
        let event = memory::WorkingEvent {
            seq: 3,
            time_ms: THEN,
            kind: request.into_inner().kind,
            goal_id: "01930000-0000-7000-8000-000000000001".to_owned(),
            task_id: String::new(),
            body_json:
                "{\"subject\":\"plan\",\"choice\":\"runbook free-space\",\"reason\":\"its pattern fits\"}"
                    .to_owned(),
            tainted: false,
        };
        Ok(Response::new(memory::QueryWorkingResponse {
            events: vec![event],
        }))
    }
    async fn observe(&self, _: Request<memory::ObserveRequest>) -> Answer<memory::ObserveResponse> {
        Err(not_offered())
    }
    async fn recent(&self, _: Request<memory::RecentRequest>) -> Answer<memory::RecentResponse> {
        let event = memory::OperationalEvent {
            time_ms: THEN,
            source: "aios-init".to_owned(),
            kind: "service.ready".to_owned(),
            message: "aios-guard is ready".to_owned(),
            details_json: "{}".to_owned(),
        };
        Ok(Response::new(memory::RecentResponse { events: vec![event] }))
    }
    async fn stats(&self, _: Request<memory::StatsRequest>) -> Answer<memory::StatsResponse> {
        let stats = memory::StatsResponse {
            working_events: 7,
            operational_events: 1,
            operational_capacity: 4096,
            operational_dropped: 0,
        };
        Ok(Response::new(stats))
    }
}

pub(crate) struct InitDouble;

fn all_services() -> Vec<init::ServiceInfo> {
    let service = |name: &str, pid: u32, state: &str| init::ServiceInfo {
        name: name.to_owned(),
        state: state.to_owned(),
        pid,
        user: name.to_owned(),
        ready_since_ms: if state == "ready" { THEN } else { 0 },
        ready_ms: 12,
        usage: Some(Usage {
            rss_bytes: if pid == 0 { 0 } else { 9 << 20 },
            cpu_ms: 40,
        }),
        confinement: vec!["user".to_owned(), "no_new_privs".to_owned()],
        critical: name == "aios-guard",
        enabled: true,
        last_exit: if state == "backoff" {
            "signal 9".to_owned()
        } else {
            String::new()
        },
        restarts: u32::from(state == "backoff"),
        ..init::ServiceInfo::default()
    };
    vec![
        service("aios-guard", 101, "ready"),
        service("aios-tools", 102, "ready"),
        service("aios-memory", 0, "backoff"),
    ]
}

/// One that is asked for by its name alone: in the middle of something long, as it says.
fn at_work() -> init::ServiceInfo {
    init::ServiceInfo {
        name: "aios-worker-os".to_owned(),
        state: "ready".to_owned(),
        status: "fetching: 3 layers are here, 40 % of the next (1000 bytes)".to_owned(),
        ..init::ServiceInfo::default()
    }
}

fn service(name: &str) -> Answer<init::ServiceInfo> {
    let mut known = all_services().into_iter().chain([at_work()]);
    let found = known.find(|service| service.name == name);
    found
        .map(Response::new)
        .ok_or_else(|| not_found(&format!("service {name}")))
}

#[tonic::async_trait]
impl init::init_server::Init for InitDouble {
    type LogsStream = Streamed<init::LogLine>;

    async fn list_services(
        &self,
        _: Request<init::ListServicesRequest>,
    ) -> Answer<init::ListServicesResponse> {
        Ok(Response::new(init::ListServicesResponse {
            services: all_services(),
        }))
    }
    async fn get_service(&self, request: Request<init::GetServiceRequest>) -> Answer<init::ServiceInfo> {
        service(&request.get_ref().name)
    }
    async fn start_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        Err(not_offered())
    }
    async fn stop_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        Err(not_offered())
    }
    async fn restart_service(&self, request: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        service(&request.get_ref().name)
    }
    async fn enable_service(&self, request: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        service(&request.get_ref().name)
    }
    async fn disable_service(&self, request: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        service(&request.get_ref().name)
    }
    async fn reload_services(
        &self,
        _: Request<init::ReloadServicesRequest>,
    ) -> Answer<init::ReloadServicesResponse> {
        Err(not_offered())
    }
    async fn logs(&self, request: Request<init::LogsRequest>) -> Answer<Self::LogsStream> {
        let name = request.into_inner().name;
        service(&name)?;
        let line = |text: &str, lost: u64| {
            Ok(init::LogLine {
                time_ms: THEN,
                name: name.clone(),
                text: text.to_owned(),
                lost,
            })
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(vec![
            line("started", 0),
            line("\u{1b}[2Jready", 2),
        ]))))
    }
    async fn get_boot(&self, _: Request<init::GetBootRequest>) -> Answer<init::GetBootResponse> {
        let phase = |name: &str, start_ms: u64, state: &str, message: &str| init::BootPhase {
            name: name.to_owned(),
            start_ms,
            duration_ms: 4,
            state: state.to_owned(),
            message: message.to_owned(),
        };
        Ok(Response::new(init::GetBootResponse {
            phases: vec![
                phase("mount-essentials", 0, "done", ""),
                phase("cgroups", 4, "skipped", "not PID 1"),
            ],
            booted: false,
            degradations: vec!["no cgroup v2: agents' memory is not limited".to_owned()],
        }))
    }
    async fn get_deployment(&self, _: Request<init::GetDeploymentRequest>) -> Answer<init::DeploymentInfo> {
        let deployment = |digit: &str| init::Deployment {
            id: digit.repeat(128),
            image: format!("oci:/var/lib/images/v{digit}"),
            manifest: format!("sha256:{}", digit.repeat(64)),
        };
        Ok(Response::new(init::DeploymentInfo {
            running: Some(deployment("1")),
            failed: vec![init::FailedDeployment {
                deployment: Some(deployment("2")),
                found_ms: THEN,
                why: "aios-orchestrator is not ready".to_owned(),
                boots: 3,
                new: true,
            }],
            blessed: Some(deployment("1")),
            blessed_ms: THEN,
            ..init::DeploymentInfo::default()
        }))
    }
    async fn report_health(
        &self,
        _: Request<init::ReportHealthRequest>,
    ) -> Answer<init::ReportHealthResponse> {
        Err(not_offered())
    }
    async fn finalize_at_shutdown(
        &self,
        _: Request<init::FinalizeAtShutdownRequest>,
    ) -> Answer<init::FinalizeAtShutdownResponse> {
        Ok(Response::new(init::FinalizeAtShutdownResponse {}))
    }
    async fn lay_packages(&self, _: Request<init::LayPackagesRequest>) -> Answer<init::LayPackagesResponse> {
        Err(not_offered())
    }
    async fn shutdown(&self, request: Request<init::ShutdownRequest>) -> Answer<init::ShutdownResponse> {
        match request.get_ref().kind.as_str() {
            "reboot" => Ok(Response::new(init::ShutdownResponse {})),
            _ => Err(not_offered()),
        }
    }
}

pub(crate) struct SandboxDouble;

const AGENT: &str = "01930000-0000-7000-8000-0000000000aa";

fn agent(id: &str, state: &str) -> Answer<sandbox::AgentContainer> {
    if id != AGENT {
        return Err(not_found(&format!("agent {id}")));
    }
    Ok(Response::new(sandbox::AgentContainer {
        agent_id: AGENT.to_owned(),
        kind: "maintenance_agent".to_owned(),
        container_id: "4f5e6d7c8b9a".to_owned(),
        name: "aios-maintenance-00aa".to_owned(),
        state: state.to_owned(),
        restarts: 0,
        started_at_ms: THEN,
        image_digest: "sha256:0011".to_owned(),
        isolation: vec![
            "network-none".to_owned(),
            "read-only".to_owned(),
            "no-new-privileges".to_owned(),
        ],
        message: String::new(),
        pid: 4321,
    }))
}

#[tonic::async_trait]
impl sandbox::sandbox_server::Sandbox for SandboxDouble {
    type LogsStream = Streamed<sandbox::LogChunk>;

    async fn run_agent(&self, _: Request<sandbox::RunAgentRequest>) -> Answer<sandbox::AgentContainer> {
        Err(not_offered())
    }
    async fn list_agents(
        &self,
        _: Request<sandbox::ListAgentsRequest>,
    ) -> Answer<sandbox::ListAgentsResponse> {
        Ok(Response::new(sandbox::ListAgentsResponse {
            agents: vec![agent(AGENT, "running")?.into_inner()],
        }))
    }
    async fn logs(&self, request: Request<sandbox::LogsRequest>) -> Answer<Self::LogsStream> {
        agent(&request.get_ref().agent_id, "running")?;
        let chunk = sandbox::LogChunk {
            stream: "stderr".to_owned(),
            text: "connected to the front door\n".to_owned(),
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(vec![Ok(chunk)]))))
    }
    async fn freeze_agent(&self, request: Request<sandbox::AgentRequest>) -> Answer<sandbox::AgentContainer> {
        agent(&request.get_ref().agent_id, "frozen")
    }
    async fn thaw_agent(&self, request: Request<sandbox::AgentRequest>) -> Answer<sandbox::AgentContainer> {
        agent(&request.get_ref().agent_id, "running")
    }
    async fn stop_agent(&self, _: Request<sandbox::AgentRequest>) -> Answer<sandbox::AgentContainer> {
        Err(not_offered())
    }
    async fn status(&self, _: Request<sandbox::StatusRequest>) -> Answer<sandbox::StatusResponse> {
        Ok(Response::new(sandbox::StatusResponse {
            podman_version: "4.3.1".to_owned(),
            ..sandbox::StatusResponse::default()
        }))
    }
}
