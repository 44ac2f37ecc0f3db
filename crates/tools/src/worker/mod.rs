//! The worker runtime: what every tool worker does, whatever it works on. It checks who calls and what
//! the guard signed, keeps the journal, takes back what a crash left half done, and answers once for
//! each key.
//!
//! What a call means is the [`Namespace`]'s. `Prepare` changes nothing; `Execute` runs what a receipt
//! names and nothing else.

pub mod executor;
pub mod gate;
mod intake;
pub mod journal;
pub mod read_only;
mod refusals;
pub mod service;
pub mod store;

use crate::budget::Budget;
use crate::error::Result;
use crate::registry::ToolSpec;
use aios_auth::capability::{Access, CapabilitySet};
use aios_auth::level::Risk;
use aios_core::id::ExecutionKey;
use aios_proto::common::v1::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A call as a namespace sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// Tool, `fs.delete`.
    pub tool: &'a str,
    /// Arguments as [`Namespace::canonical`] made them.
    pub args: &'a Value,
    /// What the token allows.
    pub caps: &'a CapabilitySet,
    /// Its key.
    pub key: ExecutionKey,
    /// Time.
    pub budget: &'a Budget,
}

/// What a call would touch.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Resolved identities, sorted by path.
    pub identities: Vec<Identity>,
    /// What it needs, on resolved names.
    pub required: Vec<Access>,
    /// Risk of this call.
    pub risk: Risk,
    /// Whether it changes anything.
    pub mutating: bool,
    /// Whether undo restores exactly.
    pub reversible: bool,
    /// Files that would change.
    pub files: u64,
    /// Bytes that would change.
    pub bytes: u64,
    /// One sentence for a person.
    pub summary: String,
}

/// A finished execution that shall be undone.
#[derive(Debug)]
pub struct Target<P> {
    /// Its key.
    pub key: ExecutionKey,
    /// What it needed.
    pub required: Vec<Access>,
    /// Its plan, with what was there before and afterwards.
    pub plan: P,
}

/// The tools of one namespace. Everything blocks; the runtime calls it on threads made for that.
pub trait Namespace: Send + Sync + 'static {
    /// What a mutating call is going to change, with all that is needed to take it back.
    type Plan: Serialize + DeserializeOwned + Send + 'static;

    /// `fs`.
    fn name(&self) -> &'static str;

    /// The tools.
    fn specs(&self) -> Vec<ToolSpec>;

    /// Arguments in their one canonical form. Touches nothing.
    ///
    /// # Errors
    /// They make no sense.
    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value>;

    /// Resolves what a call would touch.
    ///
    /// # Errors
    /// It is not granted, not there, or of the wrong kind.
    fn prepare(&self, call: &Call<'_>) -> Result<Prepared>;

    /// What the undo of an execution would touch.
    ///
    /// # Errors
    /// It is not granted, or the place was changed since.
    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Self::Plan>) -> Result<Prepared>;

    /// Runs a call that changes nothing, on exactly `identities`.
    ///
    /// # Errors
    /// They are no longer what they were, or the work fails.
    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value>;

    /// Captures what a call is going to change, which must be exactly `identities`.
    ///
    /// # Errors
    /// As [`Namespace::prepare`], or it cannot be captured.
    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Self::Plan>;

    /// Captures what an undo is going to change.
    ///
    /// # Errors
    /// As [`Namespace::prepare_undo`], or it cannot be captured.
    fn plan_undo(
        &self,
        call: &Call<'_>,
        target: &Target<Self::Plan>,
        identities: &[Identity],
    ) -> Result<Self::Plan>;

    /// Makes the changes, durably, and notes what is there afterwards.
    ///
    /// # Errors
    /// The caller then rolls back.
    fn apply(&self, plan: &mut Self::Plan, budget: &Budget) -> Result<()>;

    /// Takes back whatever of a plan was done.
    ///
    /// # Errors
    /// Something could not be taken back.
    fn roll_back(&self, plan: &Self::Plan) -> Result<()>;

    /// After a crash: whether all of the plan had been done; then notes what is there.
    ///
    /// # Errors
    /// It cannot be looked at.
    fn finish(&self, plan: &mut Self::Plan) -> Result<bool>;

    /// The resource of the capability that reading an identity needs. It is the identity's path, unless
    /// that says more than a capability can.
    fn resource<'a>(&self, identity: &'a Identity) -> &'a str {
        &identity.path
    }

    /// What the call answers.
    fn result(&self, plan: &Self::Plan) -> Value;

    /// Takes back what was done for a time only and whose time is over. Called on the thread that executes:
    /// at its start, after each call and when the time comes that it names itself.
    ///
    /// # Errors
    /// It is tried again.
    fn expire(&self) -> Result<Expired> {
        Ok(Expired::default())
    }
}

/// What a namespace took back by itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Executions of which nothing remains.
    pub taken_back: Vec<ExecutionKey>,
    /// When to ask again; `None` when nothing waits.
    pub again_in: Option<std::time::Duration>,
}
