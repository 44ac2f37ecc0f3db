//! `aiosctl memory …`

use aios_client::goal::DecisionView;
use aios_client::system::{MemoryStatsView, OperationalEventView, WorkingEventView};
use aios_proto::memory::v1::{QueryWorkingRequest, RecentRequest, StatsRequest};
use aios_proto::orchestrator::v1::ListDecisionsRequest;

use super::{Ended, goal as goals};
use crate::args::Memory;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::render::table::fields;
use crate::render::text::{json, one_line, short_id};
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Memory, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Memory::Stats => stats(instance, terminal).await,
        Memory::Decisions { goal: Some(goal) } => of_goal(&goal, instance, terminal).await,
        Memory::Decisions { goal: None } => decisions(instance, terminal).await,
        Memory::Recent { source, last } => recent(source, last, instance, terminal).await,
    }
}

async fn stats(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let stats = instance
        .services
        .memory()
        .await?
        .stats(StatsRequest {})
        .await?
        .into_inner();
    let stats = MemoryStatsView::from(stats);
    if terminal.json() {
        terminal.document(&stats);
        return Ok(Exit::Done);
    }
    let ring = format!(
        "{} of {} events",
        stats.operational_events, stats.operational_capacity
    );
    fields(
        terminal,
        &[
            ("working", render::text::count(stats.working_events, "event")),
            ("operational", ring),
            (
                "fallen out",
                render::text::count(stats.operational_dropped, "event"),
            ),
        ],
    );
    Ok(Exit::Done)
}

/// Decisions of one goal: the orchestrator knows them in full.
async fn of_goal(goal: &str, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let goal_id = goals::full_id(goal, instance).await?;
    let request = ListDecisionsRequest { goal_id };
    let decisions = instance
        .services
        .orchestrator()
        .await?
        .list_decisions(request)
        .await?
        .into_inner()
        .decisions;
    let decisions: Vec<DecisionView> = decisions.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&decisions);
    } else {
        render::goal::decisions(terminal, &decisions);
    }
    Ok(Exit::Done)
}

/// Decisions of all goals, as memory holds them.
async fn decisions(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = QueryWorkingRequest {
        goal_id: String::new(),
        kind: "decision".to_owned(),
        limit: 0,
    };
    let events = instance
        .services
        .memory()
        .await?
        .query_working(request)
        .await?
        .into_inner()
        .events;
    let events: Vec<WorkingEventView> = events.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&events);
        return Ok(Exit::Done);
    }
    for event in &events {
        let time = terminal.date(event.time.as_deref());
        let text = |key: &str| event.body.get(key).and_then(|value| value.as_str()).map(one_line);
        let said = match (text("subject"), text("choice"), text("reason")) {
            (Some(subject), Some(choice), Some(reason)) => format!("{subject}: {choice}, because {reason}"),
            _ => json(&event.body),
        };
        terminal.line(format!("{time}  goal {}  {said}", short_id(&event.goal_id)));
    }
    if events.is_empty() {
        terminal.line("no decisions recorded");
    }
    Ok(Exit::Done)
}

async fn recent(source: Option<String>, last: u32, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = RecentRequest {
        limit: last,
        source: source.unwrap_or_default(),
    };
    let events = instance
        .services
        .memory()
        .await?
        .recent(request)
        .await?
        .into_inner()
        .events;
    let events: Vec<OperationalEventView> = events.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&events);
        return Ok(Exit::Done);
    }
    for event in &events {
        let time = terminal.date(event.time.as_deref());
        terminal.line(format!(
            "{time}  {}  {}  {}",
            one_line(&event.source),
            one_line(&event.kind),
            one_line(&event.message)
        ));
    }
    if events.is_empty() {
        terminal.line("nothing happened lately");
    }
    Ok(Exit::Done)
}
