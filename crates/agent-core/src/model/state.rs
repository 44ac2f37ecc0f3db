//! The states of goals, tasks and steps. A state changes only by its `to` method, which refuses
//! what the machine does not allow.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A change of state that the machine does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {from} cannot become {to}")]
pub struct TransitionError {
    /// `goal`, `task` or `step`.
    pub what: &'static str,
    /// State now.
    pub from: &'static str,
    /// State that was wanted.
    pub to: &'static str,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident($what:literal) { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every state.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Name as stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// The state of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
            /// The next state, when the machine allows it. Staying is always allowed in a state that
            /// is not final.
            ///
            /// # Errors
            /// [`TransitionError`] names both states.
            pub fn to(self, next: Self) -> Result<Self, TransitionError> {
                if (self == next && !self.is_final()) || self.successors().contains(&next) {
                    Ok(next)
                } else {
                    Err(TransitionError { what: $what, from: self.as_str(), to: next.as_str() })
                }
            }
            /// Whether nothing can follow.
            pub fn is_final(self) -> bool {
                self.successors().is_empty()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// State of a goal.
    GoalState("goal") {
        /// Stored.
        Pending = "pending",
        /// A plan is being made.
        Planning = "planning",
        /// Tasks run.
        InProgress = "in_progress",
        /// A step waits for a person.
        AwaitingApproval = "awaiting_approval",
        /// A person must say more.
        AwaitingInput = "awaiting_input",
        /// Verified.
        Completed = "completed",
        /// Could not be done.
        Failed = "failed",
        /// A person cancelled it.
        Cancelled = "cancelled",
    }
}

impl GoalState {
    fn successors(self) -> &'static [Self] {
        use GoalState::{
            AwaitingApproval, AwaitingInput, Cancelled, Completed, Failed, InProgress, Pending, Planning,
        };
        match self {
            Pending => &[Planning, Failed, Cancelled],
            Planning => &[InProgress, AwaitingInput, Failed, Cancelled],
            InProgress => &[AwaitingApproval, Completed, Failed, Cancelled],
            AwaitingApproval => &[InProgress, Failed, Cancelled],
            AwaitingInput => &[Planning, Failed, Cancelled],
            Completed | Failed | Cancelled => &[],
        }
    }
}

states! {
    /// State of a task.
    TaskState("task") {
        /// Waits for other tasks or an agent.
        Pending = "pending",
        /// Runs.
        InProgress = "in_progress",
        /// A step waits for a person.
        AwaitingApproval = "awaiting_approval",
        /// Done.
        Completed = "completed",
        /// Failed.
        Failed = "failed",
        /// Cancelled.
        Cancelled = "cancelled",
    }
}

impl TaskState {
    fn successors(self) -> &'static [Self] {
        use TaskState::{AwaitingApproval, Cancelled, Completed, Failed, InProgress, Pending};
        match self {
            Pending => &[InProgress, Failed, Cancelled],
            InProgress => &[AwaitingApproval, Completed, Failed, Cancelled],
            AwaitingApproval => &[InProgress, Failed, Cancelled],
            Completed | Failed | Cancelled => &[],
        }
    }
}

states! {
    /// State of a step.
    StepState("step") {
        /// Journaled; the call is on its way.
        Started = "started",
        /// Waits for a person.
        AwaitingApproval = "awaiting_approval",
        /// Done.
        Done = "done",
        /// The tool failed; nothing is half done.
        Failed = "failed",
        /// Refused by capability, policy or a person.
        Denied = "denied",
    }
}

impl StepState {
    fn successors(self) -> &'static [Self] {
        use StepState::{AwaitingApproval, Denied, Done, Failed, Started};
        match self {
            Started => &[AwaitingApproval, Done, Failed, Denied],
            AwaitingApproval => &[Started, Done, Failed, Denied],
            Done | Failed | Denied => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in GoalState::ALL {
            assert_eq!(GoalState::parse(state.as_str()), Some(*state));
        }
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(*state));
        }
        for state in StepState::ALL {
            assert_eq!(StepState::parse(state.as_str()), Some(*state));
        }
    }

    #[test]
    fn nothing_follows_a_final_state() {
        for state in GoalState::ALL.iter().filter(|state| state.is_final()) {
            for next in GoalState::ALL {
                assert!(state.to(*next).is_err(), "{state} -> {next}");
            }
        }
    }

    #[test]
    fn a_refused_transition_names_both_states() {
        let error = GoalState::Completed.to(GoalState::InProgress).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a goal that is completed cannot become in_progress"
        );
    }
}
