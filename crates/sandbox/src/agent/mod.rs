//! The life of one agent: one task owns it, everything else sends messages.
//!
//! ```text
//! starting ─► running ─► (its process ends) ─► starting after a pause, same agent id
//!                │  ▲
//!         freeze ▼  │ thaw            frozen: paused, or stopped where cgroup v2 is missing
//!              frozen
//! stopped: on request, or while the doors are closed;  failed: did not come up, tried again
//! ```

mod engine;
mod life;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Exit, PodmanEngine, Process};
pub use life::{Command, Gate, Life, Reply, State};
