//! The first process of aiOS and the supervisor of its services: two halves, a program each, so that the
//! first stays small.
//!
//! * [`pid1`]: a small synchronous loop. It mounts the essentials, reaps, keeps the supervisor's
//!   descriptors safe, starts the supervisor again when it dies, and can always power off.
//! * [`supervise`]: reads services from TOML, starts them in order, watches, restarts, captures their
//!   logs and answers on `init.sock`. When it is killed, its successor takes the running services over.
//!
//! The two speak over a socket pair, see [`link`]. `aios-init --state DIR` runs both as ordinary
//! processes on a development tree; as process 1 they run a machine or a container.
//!
//! What a service may do is decided by its file and done by `aios-confine`; nothing here knows what
//! a service is for.

pub mod boot;
mod deployment;
pub mod error;
pub mod graph;
pub mod link;
pub mod pid1;
pub mod spec;
pub mod supervise;
mod sys;
