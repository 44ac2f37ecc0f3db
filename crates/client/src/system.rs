//! Services, agents, tools, boot and memory as a person sees them.

use aios_proto::guard::v1 as guard;
use aios_proto::init::v1 as init;
use aios_proto::memory::v1 as memory;
use aios_proto::sandbox::v1 as sandbox;
use aios_proto::tools::v1 as tools;
use serde::Serialize;
use serde_json::Value;

use crate::approval::RiskView;
use crate::{json, time};

/// A service under aios-init.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceView {
    /// Name.
    pub name: String,
    /// `stopped`, `waiting`, `starting`, `ready`, `stopping`, `backoff`, `failed`, `listening`.
    pub state: String,
    /// Process id; 0 when none.
    pub pid: u32,
    /// User it runs as.
    pub user: String,
    /// Restarts since it was last started by a person or boot.
    pub restarts: u32,
    /// Ready since, RFC 3339.
    pub ready_since: Option<String>,
    /// Start to ready, milliseconds.
    pub ready_ms: u64,
    /// Last exit and, where init knows more, why: `signal 9: out of memory`; or empty.
    pub last_exit: String,
    /// What it says that it is doing, one sentence; or empty.
    pub status: String,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// CPU time used, milliseconds.
    pub cpu_ms: u64,
    /// What it needs.
    pub needs: Vec<String>,
    /// Sockets held for it.
    pub sockets: Vec<String>,
    /// Whether the system is degraded without it.
    pub critical: bool,
    /// Next start, RFC 3339, while it backs off.
    pub next_start: Option<String>,
    /// What locks it down.
    pub confinement: Vec<String>,
    /// Whether it is started at boot.
    pub enabled: bool,
}

impl From<init::ServiceInfo> for ServiceView {
    fn from(service: init::ServiceInfo) -> Self {
        let usage = service.usage.unwrap_or_default();
        Self {
            ready_since: time::rfc3339(service.ready_since_ms),
            next_start: time::rfc3339(service.next_start_ms),
            rss_bytes: usage.rss_bytes,
            cpu_ms: usage.cpu_ms,
            name: service.name,
            state: service.state,
            pid: service.pid,
            user: service.user,
            restarts: service.restarts,
            ready_ms: service.ready_ms,
            last_exit: last_exit(service.last_exit, service.exits.last()),
            status: service.status,
            needs: service.needs,
            sockets: service.sockets,
            critical: service.critical,
            confinement: service.confinement,
            enabled: service.enabled,
        }
    }
}

fn last_exit(how: String, last: Option<&init::Exit>) -> String {
    match last {
        Some(exit) if exit.how == how && !exit.why.is_empty() => format!("{how}: {}", exit.why),
        _ => how,
    }
}

impl ServiceView {
    /// Whether it does its work, or waits in good order for some.
    pub fn healthy(&self) -> bool {
        matches!(self.state.as_str(), "ready" | "listening")
    }

    /// Whether it is off, as its file says: nothing is missing without it.
    pub fn off(&self) -> bool {
        !self.enabled && self.state == "stopped"
    }
}

/// A phase of the boot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BootPhaseView {
    /// Name.
    pub name: String,
    /// Start after boot, milliseconds.
    pub start_ms: u64,
    /// Duration, milliseconds.
    pub duration_ms: u64,
    /// `done`, `failed`, `skipped`, `running`.
    pub state: String,
    /// Why, when not done.
    pub message: String,
}

/// The boot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BootView {
    /// Phases in order.
    pub phases: Vec<BootPhaseView>,
    /// True when this is a booted machine.
    pub booted: bool,
    /// What this machine lacks and what holds instead.
    pub degradations: Vec<String>,
}

impl From<init::GetBootResponse> for BootView {
    fn from(boot: init::GetBootResponse) -> Self {
        let phases = boot.phases.into_iter().map(|phase| BootPhaseView {
            name: phase.name,
            start_ms: phase.start_ms,
            duration_ms: phase.duration_ms,
            state: phase.state,
            message: phase.message,
        });
        Self {
            phases: phases.collect(),
            booted: boot.booted,
            degradations: boot.degradations,
        }
    }
}

/// An agent's container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentView {
    /// Instance, a UUID.
    pub agent_id: String,
    /// Kind.
    pub kind: String,
    /// `starting`, `running`, `frozen`, `stopped`, `failed`.
    pub state: String,
    /// Container name.
    pub container: String,
    /// Podman container id.
    pub container_id: String,
    /// Restarts so far.
    pub restarts: u32,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// Image digest.
    pub image_digest: String,
    /// What holds it.
    pub isolation: Vec<String>,
    /// Why, when failed.
    pub message: String,
    /// Process id of the container's first process.
    pub pid: u32,
}

impl From<sandbox::AgentContainer> for AgentView {
    fn from(agent: sandbox::AgentContainer) -> Self {
        Self {
            started_at: time::rfc3339(agent.started_at_ms),
            agent_id: agent.agent_id,
            kind: agent.kind,
            state: agent.state,
            container: agent.name,
            container_id: agent.container_id,
            restarts: agent.restarts,
            image_digest: agent.image_digest,
            isolation: agent.isolation,
            message: agent.message,
            pid: agent.pid,
        }
    }
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolView {
    /// `fs.delete`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Highest risk that a call of it can have.
    pub risk: RiskView,
    /// Whether it changes anything.
    pub mutating: bool,
    /// Whether running it twice equals running it once.
    pub idempotent: bool,
    /// Whether undo restores exactly.
    pub reversible: bool,
    /// Capability pattern.
    pub capability: String,
    /// Default time allowed, milliseconds.
    pub timeout_ms: u64,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
}

impl From<tools::Tool> for ToolView {
    fn from(tool: tools::Tool) -> Self {
        Self {
            risk: tool.risk().into(),
            input_schema: json::value(&tool.input_schema_json),
            output_schema: json::value(&tool.output_schema_json),
            name: tool.name,
            summary: tool.summary,
            mutating: tool.mutating,
            idempotent: tool.idempotent,
            reversible: tool.reversible,
            capability: tool.capability,
            timeout_ms: tool.timeout_ms,
        }
    }
}

/// Whether the emergency stop is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmergencyView {
    /// True while stopped.
    pub stopped: bool,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl From<guard::EmergencyState> for EmergencyView {
    fn from(state: guard::EmergencyState) -> Self {
        Self {
            stopped: state.stopped,
            since: time::rfc3339(state.since_ms),
            by: state.by,
            reason: state.reason,
        }
    }
}

/// The guard at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GuardView {
    /// Trust epoch.
    pub epoch: u64,
    /// Emergency stop.
    pub emergency: EmergencyView,
    /// Audit records so far.
    pub audit_size: u64,
    /// False when the log cannot be written.
    pub audit_writable: bool,
    /// Why not.
    pub audit_problem: String,
    /// Pending approvals.
    pub pending_approvals: u32,
    /// Policy file's digest, hex.
    pub policy_digest: String,
    /// What this machine lacks and what holds instead.
    pub degradations: Vec<String>,
    /// Workers that heard the last trust push.
    pub workers_reached: Vec<String>,
}

impl From<guard::StatusResponse> for GuardView {
    fn from(status: guard::StatusResponse) -> Self {
        Self {
            emergency: status.emergency.map(Into::into).unwrap_or_default(),
            epoch: status.epoch,
            audit_size: status.audit_size,
            audit_writable: status.audit_writable,
            audit_problem: status.audit_problem,
            pending_approvals: status.pending_approvals,
            policy_digest: status.policy_digest,
            degradations: status.degradations,
            workers_reached: status.workers_reached,
        }
    }
}

/// Sizes of the memory tiers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryStatsView {
    /// Rows of the working tier.
    pub working_events: u64,
    /// Events in the ring.
    pub operational_events: u64,
    /// Capacity of the ring.
    pub operational_capacity: u64,
    /// Events that fell out.
    pub operational_dropped: u64,
}

impl From<memory::StatsResponse> for MemoryStatsView {
    fn from(stats: memory::StatsResponse) -> Self {
        Self {
            working_events: stats.working_events,
            operational_events: stats.operational_events,
            operational_capacity: stats.operational_capacity,
            operational_dropped: stats.operational_dropped,
        }
    }
}

/// A row of the working tier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkingEventView {
    /// Journal sequence number.
    pub seq: u64,
    /// RFC 3339.
    pub time: Option<String>,
    /// Kind.
    pub kind: String,
    /// Goal.
    pub goal_id: String,
    /// Task, or empty.
    pub task_id: String,
    /// Body.
    pub body: Value,
    /// True when untrusted text is in the body.
    pub tainted: bool,
}

impl From<memory::WorkingEvent> for WorkingEventView {
    fn from(event: memory::WorkingEvent) -> Self {
        Self {
            time: time::rfc3339(event.time_ms),
            body: json::value(&event.body_json),
            seq: event.seq,
            kind: event.kind,
            goal_id: event.goal_id,
            task_id: event.task_id,
            tainted: event.tainted,
        }
    }
}

/// An event of the operational ring.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationalEventView {
    /// RFC 3339.
    pub time: Option<String>,
    /// Source service.
    pub source: String,
    /// Kind.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Details.
    pub details: Value,
}

impl From<memory::OperationalEvent> for OperationalEventView {
    fn from(event: memory::OperationalEvent) -> Self {
        Self {
            time: time::rfc3339(event.time_ms),
            details: json::value(&event.details_json),
            source: event.source,
            kind: event.kind,
            message: event.message,
        }
    }
}
