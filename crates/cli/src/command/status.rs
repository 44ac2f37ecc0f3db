//! `aiosctl status`: what a person wants to know first. A service that does not answer is part of
//! the answer.

use std::collections::BTreeMap;

use aios_client::Failure;
use aios_client::goal::autonomy_word;
use aios_client::system::{AgentView, GuardView, ServiceView};
use aios_proto::guard::v1::StatusRequest as GuardStatus;
use aios_proto::orchestrator::v1::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use super::{Ended, agent, service};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::render::text::one_line;
use crate::terminal::{Terminal, Tone};

struct Glance {
    services: Result<Vec<ServiceView>, Failure>,
    guard: Result<GuardView, Failure>,
    orchestrator: Result<StatusResponse, Failure>,
    agents: Result<Vec<AgentView>, Failure>,
}

/// Asks everyone and shows it; fails when somebody did not answer.
pub(crate) async fn run(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let glance = Glance {
        services: service::all(instance).await,
        guard: guard(instance).await,
        orchestrator: orchestrator(instance).await,
        agents: agent::all(instance).await,
    };
    if terminal.json() {
        terminal.document(&document(&glance));
    } else {
        show(&glance, terminal);
    }
    Ok(verdict(&glance))
}

async fn guard(instance: &Instance) -> Result<GuardView, Failure> {
    Ok(instance
        .services
        .guard()
        .await?
        .status(GuardStatus {})
        .await?
        .into_inner()
        .into())
}

async fn orchestrator(instance: &Instance) -> Result<StatusResponse, Failure> {
    Ok(instance
        .services
        .orchestrator()
        .await?
        .status(StatusRequest {})
        .await?
        .into_inner())
}

fn verdict(glance: &Glance) -> Exit {
    let failures = [
        glance.services.as_ref().err(),
        glance.guard.as_ref().err(),
        glance.orchestrator.as_ref().err(),
        glance.agents.as_ref().err(),
    ];
    let count = failures.iter().flatten().count();
    match failures.into_iter().flatten().next() {
        // Nobody there at all is "not reachable"; some missing is a failure of the system.
        Some(failure) if count == 4 => failure.kind.into(),
        Some(_) => Exit::Failed,
        None => Exit::Done,
    }
}

fn document(glance: &Glance) -> Value {
    let failed = |failure: &Failure| json!({ "error": { "code": failure.code, "message": failure.message, "next_step": failure.next_step } });
    let orchestrator = |status: &StatusResponse| {
        json!({
            "goals": status.goals.iter().collect::<BTreeMap<_, _>>(), "agents": status.agents,
            "last_seq": status.last_seq, "autonomy": autonomy_word(status.autonomy()), "version": status.version,
        })
    };
    json!({
        "services": glance.services.as_ref().map_or_else(failed, |services| json!(services)),
        "guard": glance.guard.as_ref().map_or_else(failed, |guard| json!(guard)),
        "orchestrator": glance.orchestrator.as_ref().map_or_else(failed, orchestrator),
        "agents": glance.agents.as_ref().map_or_else(failed, |agents| json!(agents)),
    })
}

fn show(glance: &Glance, terminal: &mut Terminal) {
    match &glance.services {
        Ok(services) => {
            let wanted = || services.iter().filter(|service| !service.off());
            let well = wanted().filter(|service| service.healthy()).count();
            part(
                terminal,
                "services",
                format!("{well} of {} well", wanted().count()),
            );
            for service in wanted().filter(|service| !service.healthy()) {
                let line = format!(
                    "  {} is {} {}",
                    one_line(&service.name),
                    one_line(&service.state),
                    one_line(&service.last_exit)
                );
                let line = terminal.tone(Tone::Bad, line.trim_end());
                terminal.line(line);
            }
        }
        Err(failure) => silent(terminal, "services", failure),
    }
    match &glance.orchestrator {
        Ok(status) => {
            let goals: BTreeMap<_, _> = status.goals.iter().filter(|(_, count)| **count > 0).collect();
            let goals: Vec<String> = goals
                .into_iter()
                .map(|(state, count)| format!("{count} {state}"))
                .collect();
            part(
                terminal,
                "goals",
                if goals.is_empty() {
                    "none yet".to_owned()
                } else {
                    goals.join(", ")
                },
            );
            part(terminal, "level", autonomy_word(status.autonomy()).to_owned());
            part(terminal, "version", one_line(&status.version));
        }
        Err(failure) => silent(terminal, "goals", failure),
    }
    match &glance.agents {
        Ok(agents) => {
            let running = agents.iter().filter(|agent| agent.state == "running").count();
            part(terminal, "agents", format!("{running} running"));
        }
        Err(failure) => silent(terminal, "agents", failure),
    }
    match &glance.guard {
        Ok(status) => guard_lines(status, terminal),
        Err(failure) => silent(terminal, "guard", failure),
    }
}

fn guard_lines(guard: &GuardView, terminal: &mut Terminal) {
    let audit = if guard.audit_writable {
        render::text::count(guard.audit_size, "record")
    } else {
        format!(
            "CANNOT BE WRITTEN, so nothing is changed: {}",
            one_line(&guard.audit_problem)
        )
    };
    part(terminal, "audit log", audit);
    let workers = guard
        .workers_reached
        .iter()
        .map(|name| one_line(name))
        .collect::<Vec<_>>()
        .join(", ");
    let workers = if workers.is_empty() {
        "none heard the guard: they only read".to_owned()
    } else {
        workers
    };
    part(terminal, "workers", workers);
    part(
        terminal,
        "approvals",
        format!("{} waiting", guard.pending_approvals),
    );
    if guard.emergency.stopped {
        let line = format!(
            "EMERGENCY STOP by {}: {}",
            one_line(&guard.emergency.by),
            one_line(&guard.emergency.reason)
        );
        let line = terminal.tone(Tone::Bad, &line);
        terminal.line(line);
    }
    render::system::degradations(terminal, &guard.degradations);
}

fn part(terminal: &mut Terminal, name: &str, value: String) {
    let name = terminal.tone(Tone::Quiet, &format!("{name:<9}"));
    terminal.line(format!("{name}  {value}"));
}

fn silent(terminal: &mut Terminal, name: &str, failure: &Failure) {
    let value = terminal.tone(Tone::Bad, &format!("no answer: {}", one_line(&failure.message)));
    part(terminal, name, value);
}
