//! When: a cron expression in a time zone.
//!
//! Five fields as in cron(5); with both days restricted, either one will do. Where clocks are set forward, a time that
//! the day lacks comes at the first moment after the gap; where they are set back, a fixed time comes once, and an
//! interval goes on through both hours.

use super::ScheduleError;
use croner::Cron as Pattern;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// An expression in its zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: Pattern,
    zone: TimeZone,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// The expression or the zone's name is wrong.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let wrong = |problem: String| ScheduleError::Cron {
            cron: cron.chars().take(80).collect(),
            problem,
        };
        if !cron.starts_with('@') && cron.split_whitespace().count() != 5 {
            return Err(wrong("must have five fields".to_owned()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let pattern = parser.parse(cron).map_err(|error| wrong(error.to_string()))?;
        let zone = TimeZone::get(zone).map_err(|_| ScheduleError::Zone(zone.chars().take(80).collect()))?;
        Ok(Self { pattern, zone })
    }

    /// The first planned time after `after_ms`, UTC milliseconds; none when there is none any more.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        self.pattern
            .find_next_occurrence(&self.at(after_ms)?, false)
            .ok()
            .map(|time| time.timestamp().as_millisecond())
    }

    /// The last planned time after `after_ms` that is not after `now_ms`.
    pub fn newest(&self, after_ms: i64, now_ms: i64) -> Option<i64> {
        self.next(after_ms).filter(|first| *first <= now_ms)?;
        self.pattern
            .find_previous_occurrence(&self.at(now_ms)?, true)
            .ok()
            .map(|time| time.timestamp().as_millisecond())
            .filter(|planned| *planned > after_ms && *planned <= now_ms)
    }

    /// Whole seconds, as planned times are; a fraction belongs to the second that it began in.
    fn at(&self, ms: i64) -> Option<Zoned> {
        let second = Timestamp::from_second(ms.div_euclid(1000)).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

/// IANA name of the machine's time zone; `UTC` where it has none that can be named.
pub fn machine_zone() -> String {
    let zone = TimeZone::system();
    let known = zone.iana_name().filter(|name| TimeZone::get(name).is_ok());
    known.unwrap_or("UTC").to_owned()
}
