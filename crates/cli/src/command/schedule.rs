//! `aiosctl schedule …`

use aios_client::schedule::{ScheduleView, SchedulesView};
use aios_proto::orchestrator::v1::{AddScheduleRequest, ListSchedulesRequest, RemoveScheduleRequest};

use super::Ended;
use super::goal::autonomy;
use crate::args::{Schedule, ScheduleAdd};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Schedule, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Schedule::List => list(instance, terminal).await,
        Schedule::Add(add) => self::add(add, instance, terminal).await,
        Schedule::Remove { id } => remove(id, instance, terminal).await,
    }
}

async fn list(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let list = instance
        .services
        .orchestrator()
        .await?
        .list_schedules(ListSchedulesRequest {})
        .await?
        .into_inner();
    let view = SchedulesView::from(list);
    if terminal.json() {
        terminal.document(&view);
    } else {
        render::schedule::list(terminal, &view);
    }
    Ok(Exit::Done)
}

async fn add(add: ScheduleAdd, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = AddScheduleRequest {
        cron: add.cron,
        text: add.text,
        time_zone: add.time_zone.unwrap_or_default(),
        window_ms: add.window.unwrap_or_default(),
        autonomy: autonomy(add.level).into(),
        priority: add.priority,
        proof: None,
    };
    let schedule = instance
        .services
        .orchestrator()
        .await?
        .add_schedule(request)
        .await?
        .into_inner();
    let view = ScheduleView::from(schedule);
    if terminal.json() {
        terminal.document(&view);
    } else {
        render::schedule::one(terminal, &view);
    }
    Ok(Exit::Done)
}

async fn remove(id: String, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = RemoveScheduleRequest {
        schedule_id: id,
        proof: None,
    };
    let schedule = instance
        .services
        .orchestrator()
        .await?
        .remove_schedule(request)
        .await?
        .into_inner();
    let view = ScheduleView::from(schedule);
    if terminal.json() {
        terminal.document(&view);
    } else {
        terminal.line(format!("removed schedule {}", view.schedule_id));
    }
    Ok(Exit::Done)
}
