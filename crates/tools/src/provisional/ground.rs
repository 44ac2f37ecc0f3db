//! What can be changed provisionally, and the plan of such a change.

use crate::budget::Budget;
use crate::error::Result;
use aios_proto::common::v1::Identity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be changed provisionally.
pub trait Ground: Send + Sync + 'static {
    /// `net`.
    const NAMESPACE: &'static str;
    /// Everything that a change can touch, as it is at one moment.
    type State: Serialize + DeserializeOwned + Clone + Send + 'static;
    /// What a call asks for.
    type Goal: Serialize + DeserializeOwned + Clone + Send + 'static;

    /// What that state describes, now.
    ///
    /// # Errors
    /// It is gone, or cannot be looked at.
    fn look(&self, of: &Self::State) -> Result<Self::State>;

    /// Makes what a call asks for out of `before`, which is the state now.
    ///
    /// # Errors
    /// The caller then goes back.
    fn reach(&self, before: &Self::State, goal: &Self::Goal, budget: &Budget) -> Result<()>;

    /// Takes back what led from `was` to `left`, and nothing that somebody else changed since; without `left`
    /// everything that differs from `was`.
    ///
    /// # Errors
    /// Something could not be taken back.
    fn back(&self, was: &Self::State, left: Option<&Self::State>) -> Result<()>;

    /// What a person should know when two states differ.
    fn difference(&self, was: &Self::State, is: &Self::State) -> Option<String>;

    /// What it is about.
    fn identity(&self, state: &Self::State) -> Identity;

    /// What a call answers besides its deadline.
    ///
    /// # Errors
    /// A defect.
    fn describe(&self, goal: &Self::Goal, before: &Self::State, after: &Self::State) -> Result<Value>;
}

/// What a mutating call is going to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan<S, G> {
    pub(super) key: String,
    pub(super) summary: String,
    pub(super) deed: Deed<S, G>,
    pub(super) result: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub(super) enum Deed<S, G> {
    Set {
        before: S,
        aim: Aim<S, G>,
        /// `None`: it stays without being confirmed.
        window_ms: Option<u64>,
        undoes: Option<String>,
        after: Option<S>,
    },
    Confirm {
        target: String,
    },
    Unconfirm {
        target: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "aim", rename_all = "snake_case")]
pub(super) enum Aim<S, G> {
    New { goal: G },
    Back { was: S, left: S },
}
