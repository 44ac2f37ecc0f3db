//! Schedules and triggers.

use aios_client::schedule::{ScheduleRunView, ScheduleView, SchedulesView};

use jiff::SignedDuration;

use super::table::{Table, fields};
use super::text::{count, one_line, short_id, shorten};
use crate::terminal::Terminal;

/// Both lists.
pub(crate) fn list(terminal: &mut Terminal, lists: &SchedulesView) {
    let mut table = Table::new(&["SCHEDULE", "WHEN", "ZONE", "NEXT", "LAST", "BY", "TEXT"]);
    for schedule in &lists.schedules {
        table.row([
            short_id(&schedule.schedule_id),
            times(schedule),
            one_line(&schedule.time_zone),
            terminal.date(schedule.next_at.as_deref()),
            last(schedule.last_run.as_ref()),
            one_line(&schedule.added_by),
            shorten(&schedule.text, 60),
        ]);
    }
    table.print(
        terminal,
        "no schedules yet; add one with `aiosctl schedule add CRON TEXT`",
    );
    for schedule in &lists.schedules {
        if let Some(run) = schedule.last_run.as_ref().filter(|run| !run.reason.is_empty()) {
            let id = short_id(&schedule.schedule_id);
            let when = terminal.date(run.planned_at.as_deref());
            terminal.line(format!(
                "{id} {} at {when}: {}",
                run.outcome,
                one_line(&run.reason)
            ));
        }
    }
    if lists.triggers.is_empty() {
        return;
    }
    terminal.line("");
    let mut table = Table::new(&["TRIGGER", "ON", "SUBJECT", "GOAL", "STATED", "SUPPRESSED", "TEXT"]);
    for trigger in &lists.triggers {
        let own = |cells: [String; 4]| {
            let [subject, goal, stated, suppressed] = cells;
            [
                one_line(&trigger.name),
                one_line(&trigger.on),
                subject,
                goal,
                stated,
                suppressed,
                shorten(&trigger.text, 60),
            ]
        };
        if trigger.subjects.is_empty() {
            table.row(own(["-", "-", "-", "-"].map(str::to_owned)));
        }
        for subject in &trigger.subjects {
            table.row(own([
                one_line(&subject.subject),
                short_id(&subject.goal_id),
                terminal.date(subject.stated_at.as_deref()),
                subject.suppressed.to_string(),
            ]));
        }
    }
    table.print(terminal, "no triggers");
    for subject in lists.triggers.iter().flat_map(|trigger| &trigger.subjects) {
        terminal.line(format!(
            "{}: {} not answered; {}",
            one_line(&subject.subject),
            count(subject.suppressed, "event"),
            one_line(&subject.reason)
        ));
    }
}

fn last(run: Option<&ScheduleRunView>) -> String {
    match run {
        None => "-".to_owned(),
        Some(run) if run.goal_id.is_empty() => one_line(&run.outcome),
        Some(run) => short_id(&run.goal_id),
    }
}

/// `30 2 * * SUN for 2h`, with the length of the window.
fn times(schedule: &ScheduleView) -> String {
    let cron = one_line(&schedule.cron);
    match i64::try_from(schedule.window_ms) {
        Ok(0) | Err(_) => cron,
        Ok(ms) => format!("{cron} for {:#}", SignedDuration::from_millis(ms)),
    }
}

/// One that was just added.
pub(crate) fn one(terminal: &mut Terminal, schedule: &ScheduleView) {
    let next = terminal.date(schedule.next_at.as_deref());
    fields(
        terminal,
        &[
            ("schedule", schedule.schedule_id.clone()),
            ("text", one_line(&schedule.text)),
            (
                "when",
                format!("{} in {}", times(schedule), one_line(&schedule.time_zone)),
            ),
            ("next", next),
            ("level", schedule.autonomy.clone()),
            ("by", one_line(&schedule.added_by)),
        ],
    );
}
