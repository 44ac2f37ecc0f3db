//! What made somebody's goal be stated: the person at that moment, a schedule that they added, or an event that a
//! trigger answers.

use aios_core::id::ScheduleId;
use serde::{Deserialize, Serialize};

/// What stated a goal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The person themselves.
    #[default]
    Person,
    /// A planned time of a schedule came.
    Schedule {
        /// The schedule.
        schedule: ScheduleId,
        /// The planned time, UTC milliseconds.
        planned_ms: i64,
        /// End of the schedule's window: nothing is begun to be changed from then on, UTC milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
    },
    /// Something happened that a trigger answers.
    Event {
        /// Name of the trigger.
        trigger: String,
        /// The event, `service.failed`.
        event: String,
        /// What it happened to.
        subject: String,
        /// What was seen, a phrase.
        reason: String,
    },
}

impl Cause {
    /// From when on nothing is begun to be changed, UTC milliseconds; none where there is no such time.
    pub fn until_ms(&self) -> Option<i64> {
        match self {
            Self::Schedule { until_ms, .. } => *until_ms,
            Self::Person | Self::Event { .. } => None,
        }
    }

    /// A phrase for a person; empty when they stated it themselves.
    pub fn phrase(&self) -> String {
        match self {
            Self::Person => String::new(),
            Self::Schedule {
                schedule,
                planned_ms,
                until_ms,
            } => {
                let until = until_ms.map_or_else(String::new, |until| format!(" until {}", utc(until)));
                format!("schedule {schedule}, planned for {}{until}", utc(*planned_ms))
            }
            Self::Event {
                trigger,
                event,
                subject,
                reason,
            } => format!("trigger {trigger} on {event} of {subject}: {reason}"),
        }
    }
}

/// A time as RFC 3339; one that no calendar has as its number.
pub fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| format!("{ms} ms"),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_in_a_phrase() {
        assert_eq!(Cause::Person.phrase(), "");
        let schedule = ScheduleId::parse("01939f2e-0000-7000-8000-000000000001").unwrap();
        let cause = Cause::Schedule {
            schedule,
            planned_ms: 1_700_000_000_000,
            until_ms: None,
        };
        assert_eq!(
            cause.phrase(),
            "schedule 01939f2e-0000-7000-8000-000000000001, planned for 2023-11-14T22:13:20Z"
        );
        let stored = serde_json::to_string(&cause).unwrap();
        assert!(!stored.contains("until_ms"), "{stored}");
        assert_eq!(serde_json::from_str::<Cause>(&stored).unwrap(), cause);
        let cause = Cause::Schedule {
            schedule,
            planned_ms: 1_700_000_000_000,
            until_ms: Some(1_700_003_600_000),
        };
        assert!(
            cause.phrase().ends_with("until 2023-11-14T23:13:20Z"),
            "{}",
            cause.phrase()
        );
    }
}
