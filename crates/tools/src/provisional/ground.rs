//! What can be changed provisionally, and the plan of such a change.

use crate::budget::Budget;
use crate::error::Result;
use aios_proto::common::v1::Identity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
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
        /// What was reached; left out until then, because a state may itself be written as null: a table that is
        /// not there.
        #[serde(
            default = "unreached",
            skip_serializing_if = "Option::is_none",
            deserialize_with = "reached"
        )]
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

fn unreached<S>() -> Option<S> {
    None
}

/// A state that stands there; a null that is none is what earlier versions wrote for nothing.
fn reached<'de, D: Deserializer<'de>, S: Deserialize<'de>>(
    from: D,
) -> std::result::Result<Option<S>, D::Error> {
    let value = Value::deserialize(from)?;
    let nothing = value.is_null();
    match S::deserialize(value) {
        Ok(state) => Ok(Some(state)),
        Err(_) if nothing => Ok(None),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again<S: Serialize + DeserializeOwned + Clone>(before: S, after: Option<S>) -> Option<S> {
        let deed = Deed::Set {
            before,
            aim: Aim::New { goal: 1 },
            window_ms: None,
            undoes: None,
            after,
        };
        let text = serde_json::to_string(&deed).unwrap();
        match serde_json::from_str::<Deed<S, u8>>(&text).unwrap() {
            Deed::Set { after, .. } => after,
            Deed::Confirm { .. } | Deed::Unconfirm { .. } => panic!("{text}"),
        }
    }

    #[test]
    fn a_state_that_is_written_as_null_is_not_taken_for_none() {
        assert_eq!(again::<Option<u8>>(None, Some(None)), Some(None));
        assert_eq!(again::<Option<u8>>(None, Some(Some(2))), Some(Some(2)));
        assert_eq!(again::<Option<u8>>(None, None), None);
        assert_eq!(again(1, None), None);
    }

    #[test]
    fn what_earlier_versions_wrote_for_nothing_is_read() {
        let old = r#"{"deed": "set", "before": 1, "aim": {"aim": "new", "goal": 1}, "window_ms": null, "undoes": null, "after": null}"#;
        let deed: Deed<u8, u8> = serde_json::from_str(old).unwrap();
        assert!(matches!(deed, Deed::Set { after: None, .. }));
    }
}
