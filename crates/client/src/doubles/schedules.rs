//! Schedules of the orchestrator's double: kept, never served, except that the last one in the list has had a run.

use aios_core::error::Class;
use aios_proto::common::v1::Autonomy;
use aios_proto::orchestrator::v1::{
    AddScheduleRequest, ListSchedulesResponse, Schedule, ScheduleRun, Trigger, TriggerSubject,
};
use tonic::Status;

use super::world::World;
use super::{not_found, refusal};

const DAY_MS: i64 = 86_400_000;

pub(super) fn add(world: &World, request: AddScheduleRequest, person: String) -> Result<Schedule, Status> {
    if request.cron.starts_with("99") {
        return Err(refusal(
            Class::InvalidArgument,
            "AIOS-DOUBLE-0020",
            "cron: the minute is not between 0 and 59",
            "give five fields",
        ));
    }
    let now_ms = world.clock.now_ms();
    let mut state = world.state();
    let asked = request.autonomy();
    let zone = request.time_zone;
    let schedule = Schedule {
        schedule_id: state.id(),
        cron: request.cron,
        time_zone: if zone.is_empty() { "UTC".to_owned() } else { zone },
        text: request.text,
        autonomy: match asked {
            Autonomy::Unspecified => Autonomy::Supervised,
            said => said,
        }
        .into(),
        priority: request.priority.unwrap_or(5),
        added_by: person,
        added_at_ms: now_ms,
        next_at_ms: now_ms + DAY_MS,
        last_run: None,
        window_ms: request.window_ms,
    };
    state.schedules.push(schedule.clone());
    Ok(schedule)
}

pub(super) fn list(world: &World) -> ListSchedulesResponse {
    let mut schedules = world.state().schedules.clone();
    if let Some(last) = schedules.last_mut() {
        last.last_run = Some(ScheduleRun {
            planned_at_ms: last.added_at_ms,
            decided_at_ms: last.added_at_ms,
            outcome: "skipped".to_owned(),
            goal_id: String::new(),
            reason: "goal 01930000-0000-7000-8000-0000000000aa of the run before is still awaiting_approval"
                .to_owned(),
        });
    }
    let subject = TriggerSubject {
        subject: "nginx".to_owned(),
        goal_id: "01930000-0000-7000-8000-0000000000bb".to_owned(),
        stated_at_ms: world.clock.now_ms(),
        suppressed: 3,
        reason: "failed, last exit 1, started again 5 times".to_owned(),
    };
    let trigger = Trigger {
        name: "service-failed".to_owned(),
        on: "service.failed".to_owned(),
        text: "find out why {subject} does not run".to_owned(),
        window_ms: 3_600_000,
        autonomy: Autonomy::Supervised.into(),
        subjects: vec![subject],
    };
    ListSchedulesResponse {
        schedules,
        triggers: vec![trigger],
    }
}

pub(super) fn remove(world: &World, part: &str) -> Result<Schedule, Status> {
    let mut state = world.state();
    let at = state
        .schedules
        .iter()
        .position(|schedule| schedule.schedule_id.ends_with(part))
        .ok_or_else(|| not_found(&format!("schedule {part}")))?;
    Ok(state.schedules.remove(at))
}
