//! `aiosctl goal …`

use clap::{Args, Subcommand, ValueEnum};

use super::{goal_id, sentence};

/// `aiosctl goal …`
#[derive(Debug, Subcommand)]
pub enum Goal {
    /// State a goal and watch it until it ends
    Run(GoalRun),
    /// Goals, newest first
    List {
        /// Only goals in this state; may be repeated
        #[arg(long, value_name = "STATE")]
        state: Vec<GoalStateArg>,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// One goal with its tasks, steps and result
    Show {
        /// Goal id, or at least 6 characters of its beginning or end
        #[arg(value_parser = goal_id)]
        id: String,
    },
    /// Cancel a goal; running tools are stopped
    Cancel {
        /// Goal id, or at least 6 characters of its beginning or end
        #[arg(value_parser = goal_id)]
        id: String,
    },
    /// Answer a goal that waits for more information
    Reply {
        /// Goal id, or at least 6 characters of its beginning or end
        #[arg(value_parser = goal_id)]
        id: String,
        /// The answer
        #[arg(value_parser = sentence)]
        text: String,
        /// How to follow
        #[command(flatten)]
        follow: Follow,
    },
    /// Undo what a goal changed, newest change first
    Undo {
        /// Goal id, or at least 6 characters of its beginning or end
        #[arg(value_parser = goal_id)]
        id: String,
        /// How to follow
        #[command(flatten)]
        follow: Follow,
    },
    /// Follow a goal that is under way
    Watch {
        /// Goal id, or at least 6 characters of its beginning or end
        #[arg(value_parser = goal_id)]
        id: String,
        /// How to follow
        #[command(flatten)]
        follow: Follow,
    },
}

/// `aiosctl goal run`
#[derive(Debug, Args)]
pub struct GoalRun {
    /// What you want, in your words
    #[arg(value_parser = sentence)]
    pub text: String,
    /// From 0 (lowest) to 9
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    pub priority: Option<u32>,
    /// How much to ask you
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
    /// Plan and try every call, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to follow
    #[command(flatten)]
    pub follow: Follow,
}

/// How to follow a goal.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Follow {
    /// Keep waiting while a person must decide elsewhere, instead of ending with exit code 4
    #[arg(long)]
    pub follow: bool,
    /// Return as soon as the goal is stored
    #[arg(long, conflicts_with = "follow")]
    pub detach: bool,
}

/// Autonomy levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Level {
    /// Ask for everything that changes something
    Manual,
    /// Ask for what policy calls risky
    Supervised,
    /// Ask only where policy insists
    Full,
}

/// States to filter goals by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the words of the state machine; a comment would appear in the help of each"
)]
pub enum GoalStateArg {
    Pending,
    Planning,
    InProgress,
    AwaitingApproval,
    AwaitingInput,
    Completed,
    Failed,
    Cancelled,
}
