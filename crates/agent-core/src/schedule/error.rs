//! What can be wrong with schedules and triggers, with stable codes.

use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use aios_core::id::ScheduleId;

/// An error about schedules or triggers.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// An id or part of one that fits nothing.
    #[error("there is no schedule `{0}`")]
    None(String),
    /// A part of an id that fits several.
    #[error("`{0}` fits more than one schedule")]
    Ambiguous(String),
    /// There are as many as there may be.
    #[error("there are {0} schedules already, which is the most")]
    Full(usize),
    /// It is another person's.
    #[error("schedule {schedule} is {owner}'s")]
    NotYours {
        /// The schedule.
        schedule: ScheduleId,
        /// Who added it.
        owner: String,
    },
    /// The expression cannot be read.
    #[error("cron: `{cron}`: {problem}")]
    Cron {
        /// What was given.
        cron: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The expression never comes true.
    #[error("cron: `{cron}` never comes")]
    Never {
        /// What was given.
        cron: String,
    },
    /// The time zone is not known here.
    #[error("time_zone: `{0}` is not known on this machine")]
    Zone(String),
    /// A window is too short or too long.
    #[error("window_ms: {0} is not between a minute and a week")]
    Window(u64),
    /// The trigger file cannot be read as one.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// The trigger file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Which.
        file: String,
        /// What was seen.
        source: std::io::Error,
    },
    /// A trigger says something that does not go.
    #[error("{file}: trigger `{name}`: {problem}")]
    Trigger {
        /// The file.
        file: String,
        /// The trigger.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Coded for ScheduleError {
    fn code(&self) -> &'static str {
        match self {
            Self::None(_) => "AIOS-ORCH-0060",
            Self::Ambiguous(_) => "AIOS-ORCH-0061",
            Self::Full(_) => "AIOS-ORCH-0062",
            Self::NotYours { .. } => "AIOS-ORCH-0063",
            Self::Cron { .. } => "AIOS-ORCH-0064",
            Self::Never { .. } => "AIOS-ORCH-0065",
            Self::Zone(_) => "AIOS-ORCH-0066",
            Self::Window(_) => "AIOS-ORCH-0070",
            Self::File(_) | Self::Read { .. } => "AIOS-ORCH-0067",
            Self::Trigger { .. } => "AIOS-ORCH-0068",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::None(_) | Self::Ambiguous(_) => {
                "copy a whole id from `aiosctl schedule list --json`".to_owned()
            }
            Self::Full(_) => {
                "remove one that is no longer wanted with `aiosctl schedule remove ID`".to_owned()
            }
            Self::NotYours { owner, .. } => format!("ask {owner}, or do it as root with `sudo aiosctl`"),
            Self::Cron { .. } | Self::Never { .. } => {
                "give minute, hour, day of month, month and day of week, such as `30 2 * * MON-FRI`"
                    .to_owned()
            }
            Self::Window(_) => "give a window such as `2h`, or none".to_owned(),
            Self::Zone(_) => "give a name of the IANA time zone database, such as Europe/Berlin".to_owned(),
            Self::File(_) | Self::Read { .. } | Self::Trigger { .. } => {
                "correct the file and restart the orchestrator".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::None(_) => Class::NotFound,
            Self::Full(_) => Class::ResourceExhausted,
            Self::NotYours { .. } => Class::PermissionDenied,
            Self::Read { .. } => Class::Internal,
            Self::Ambiguous(_)
            | Self::Cron { .. }
            | Self::Never { .. }
            | Self::Zone(_)
            | Self::Window(_)
            | Self::File(_)
            | Self::Trigger { .. } => Class::InvalidArgument,
        }
    }
}
