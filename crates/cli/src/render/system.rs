//! Services, agents, boot, and the whole at a glance.

use aios_client::system::{AgentView, BootView, ServiceView};

use super::table::{Table, fields};
use super::text::{one_line, short_id, shorten, size};
use crate::terminal::{Terminal, Tone};

/// The list of services.
pub(crate) fn services(terminal: &mut Terminal, services: &[ServiceView]) {
    let mut table = Table::new(&[
        "SERVICE", "STATE", "ENABLED", "PID", "USER", "RESTARTS", "MEMORY", "READY IN",
    ]);
    for service in services {
        table.row([
            one_line(&service.name),
            one_line(&service.state),
            yes_or_no(service.enabled),
            number(u64::from(service.pid)),
            one_line(&service.user),
            service.restarts.to_string(),
            if service.rss_bytes == 0 {
                "-".to_owned()
            } else {
                size(service.rss_bytes)
            },
            if service.ready_since.is_some() {
                format!("{} ms", service.ready_ms)
            } else {
                "-".to_owned()
            },
        ]);
    }
    table.print(terminal, "no services");
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn number(value: u64) -> String {
    if value == 0 {
        "-".to_owned()
    } else {
        value.to_string()
    }
}

/// One service.
pub(crate) fn service(terminal: &mut Terminal, service: &ServiceView) {
    let state = terminal.tone(
        match () {
            () if service.off() => Tone::Quiet,
            () if service.healthy() => Tone::Good,
            () => Tone::Bad,
        },
        &one_line(&service.state),
    );
    let since = service
        .ready_since
        .as_deref()
        .map(|time| terminal.date(Some(time)));
    let next = service
        .next_start
        .as_deref()
        .map(|time| terminal.date(Some(time)));
    fields(
        terminal,
        &[
            ("service", one_line(&service.name)),
            ("state", state),
            ("doing", one_line(&service.status)),
            ("enabled", yes_or_no(service.enabled)),
            ("pid", number(u64::from(service.pid))),
            ("user", one_line(&service.user)),
            (
                "ready since",
                since
                    .map(|since| format!("{since}, after {} ms", service.ready_ms))
                    .unwrap_or_default(),
            ),
            ("restarts", service.restarts.to_string()),
            ("last exit", one_line(&service.last_exit)),
            ("next start", next.unwrap_or_default()),
            ("memory", size(service.rss_bytes)),
            ("cpu", format!("{} ms", service.cpu_ms)),
            ("needs", one_line(&service.needs.join(", "))),
            ("sockets", one_line(&service.sockets.join(", "))),
            ("locked by", one_line(&service.confinement.join(", "))),
            (
                "critical",
                if service.critical {
                    "yes".to_owned()
                } else {
                    String::new()
                },
            ),
        ],
    );
}

/// The list of agents.
pub(crate) fn agents(terminal: &mut Terminal, agents: &[AgentView]) {
    let mut table = Table::new(&["AGENT", "KIND", "STATE", "CONTAINER", "RESTARTS", "HELD BY"]);
    for agent in agents {
        table.row([
            agent.agent_id.clone(),
            one_line(&agent.kind),
            one_line(&agent.state),
            one_line(&agent.container),
            agent.restarts.to_string(),
            shorten(&agent.isolation.join(" "), 80),
        ]);
    }
    table.print(terminal, "no agents run; one is started when a goal needs it");
}

/// One agent.
pub(crate) fn agent(terminal: &mut Terminal, agent: &AgentView) {
    let started = terminal.date(agent.started_at.as_deref());
    fields(
        terminal,
        &[
            ("agent", agent.agent_id.clone()),
            ("kind", one_line(&agent.kind)),
            ("state", one_line(&agent.state)),
            (
                "container",
                format!("{} {}", one_line(&agent.container), short_id(&agent.container_id)),
            ),
            ("started", started),
            ("restarts", agent.restarts.to_string()),
            ("image", one_line(&agent.image_digest)),
            ("held by", one_line(&agent.isolation.join(", "))),
            ("pid", number(u64::from(agent.pid))),
            ("why", one_line(&agent.message)),
        ],
    );
}

/// The boot.
pub(crate) fn boot(terminal: &mut Terminal, boot: &BootView) {
    let mut table = Table::new(&["PHASE", "START", "TOOK", "STATE", "WHY"]);
    for phase in &boot.phases {
        table.row([
            one_line(&phase.name),
            format!("{} ms", phase.start_ms),
            format!("{} ms", phase.duration_ms),
            one_line(&phase.state),
            one_line(&phase.message),
        ]);
    }
    table.print(terminal, "no phases recorded");
    degradations(terminal, &boot.degradations);
}

/// What this machine lacks.
pub(crate) fn degradations(terminal: &mut Terminal, degradations: &[String]) {
    for degradation in degradations {
        let head = terminal.tone(Tone::Attention, "degraded");
        terminal.line(format!("{head}: {}", one_line(degradation)));
    }
}
