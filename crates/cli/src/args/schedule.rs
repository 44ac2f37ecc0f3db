//! `aiosctl schedule …`

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::{Level, id_characters, sentence};

/// `aiosctl schedule …`
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// Schedules with their next and last times, and what triggers answered
    List,
    /// Have a goal stated again and again, on your behalf
    Add(ScheduleAdd),
    /// Remove a schedule; goals that it stated go on
    Remove {
        /// Schedule id, or at least 6 characters of its beginning or end
        #[arg(value_parser = schedule_id)]
        id: String,
    },
}

/// `aiosctl schedule add`
#[derive(Debug, Args)]
pub struct ScheduleAdd {
    /// When, one argument: minute, hour, day of month, month and day of week, as in cron; `30 2 * * MON-FRI`, `@daily`
    #[arg(value_parser = cron)]
    pub cron: String,
    /// What you want, in your words
    #[arg(value_parser = sentence)]
    pub text: String,
    /// Time zone that CRON is in, an IANA name [default: the machine's]
    #[arg(long, value_name = "ZONE", value_parser = sentence)]
    pub time_zone: Option<String>,
    /// Begin a window of this length, `2h` or `90m`, at each time of CRON: the goal comes at a moment in its first half
    /// that is this schedule's own, and changes nothing any more once it is over, however late you approve
    #[arg(long, value_name = "LENGTH", value_parser = window)]
    pub window: Option<u64>,
    /// From 0 (lowest) to 9
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    pub priority: Option<u32>,
    /// How much to ask [default: the configured level, and at most supervised]
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
}

/// Only the shape; what the fields mean is the orchestrator's to judge.
fn cron(text: &str) -> Result<String, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let nickname = fields.len() == 1 && text.trim().starts_with('@');
    if (fields.len() == 5 || nickname) && text.len() <= 200 {
        return Ok(fields.join(" "));
    }
    Err(
        "five fields in one argument are expected, such as '30 2 * * MON-FRI', or a word such as @daily"
            .to_owned(),
    )
}

/// Milliseconds of `2h` or `1h30m`; how long it may be is the orchestrator's to judge.
fn window(text: &str) -> Result<u64, String> {
    let length: Option<SignedDuration> = text.parse().ok();
    length
        .and_then(|length| u64::try_from(length.as_millis()).ok())
        .filter(|ms| *ms > 0)
        .ok_or_else(|| "a length such as `2h`, `90m` or `1h 30m` is expected".to_owned())
}

fn schedule_id(text: &str) -> Result<String, String> {
    id_characters(text)?;
    if text.len() < 6 || text.len() > 36 {
        return Err("give the whole id, or 6 or more characters of its beginning or end".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}
