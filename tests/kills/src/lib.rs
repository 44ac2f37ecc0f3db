//! Kills: a service dies by SIGKILL at a named point in the middle of a change, is started again, and
//! the same call is sent until it is answered. Then it is counted from outside, on the files
//! themselves, how often the change happened, and in the audit log, how often it was recorded.
//!
//! [`Scene`] is a running instance with such a count. What it does not do: cut the power; see
//! `docs/SPECIFICATION.md` for how that is tested.
#![forbid(unsafe_code)]

mod goals;
mod points;
mod scene;

pub use goals::Goals;
pub use points::{GUARD, ORCHESTRATOR, TOOLS, WORKER};
pub use scene::{Change, Scene};
