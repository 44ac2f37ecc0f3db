//! The one way anything in aiOS is locked down.
//!
//! A [`Plan`] says, as plain data, what a process shall run as and what it shall not be able to do.
//! [`Plan::prepare`] looks everything up while allocation is still allowed (names, paths, filters),
//! checks it against the [`Machine`], and yields a [`Prepared`]. [`spawn::spawn`] forks, applies it in
//! the child by async-signal-safe system calls only, and reports the step that failed.
//! [`Prepared::apply_here`] does the same to the calling process, for one that confines itself
//! before `execve`.
//!
//! | module | for |
//! |---|---|
//! | [`plan`] | what to do, as data |
//! | [`prepare`] | from data to a list of ready-made steps, in the one safe order |
//! | [`apply`] | performing the steps through the [`sys::Sys`] trait |
//! | [`spawn`] | fork, apply, exec |
//! | [`caps`], [`view`], [`seccomp`], [`ruleset`], [`cgroup`] | one mechanism each |
//! | [`machine`] | what this machine offers, and what is lost where it does not |
//!
//! It is not for deciding *who* gets which plan: that is configuration.

pub mod apply;
pub mod caps;
pub mod cgroup;
pub mod error;
mod linux;
pub mod machine;
pub mod mounts;
pub mod plan;
pub mod prepare;
pub mod ruleset;
pub mod seccomp;
pub mod spawn;
pub mod sys;
pub mod view;

pub use error::{ConfineError, Result};
pub use machine::{Degradation, Machine};
pub use plan::Plan;
pub use prepare::Prepared;
