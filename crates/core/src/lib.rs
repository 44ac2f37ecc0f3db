//! The ground floor of aiOS: what every other crate stands on.
//!
//! | module | for |
//! |---|---|
//! | [`id`] | typed UUIDv7 ids, so that an agent cannot be taken for a task |
//! | [`error`] | errors with a stable code and a next step |
//! | [`paths`] | where files live, on an installed machine and in a development tree |
//! | [`clock`] | time as a parameter |
//! | [`config`] | layered TOML with errors that name file, line and key |
//! | [`rpc`] | gRPC over Unix sockets: serving, connecting, peers, coded statuses |
//! | [`ready`] | telling the supervisor that a service is ready |
//! | [`service`] | the `main` of every service |
//! | [`tasks`] | spawned tasks that have a name, an owner and an end |
//! | [`exchange`] | the end of a restore, gone through with by whoever comes next |
//! | [`failpoint`] | places where a crash test may kill the process |
//! | [`telemetry`] | structured logs |
//!
//! It knows nothing of goals, tools, tokens or containers.

pub mod clock;
pub mod config;
pub mod error;
pub mod exchange;
pub mod failpoint;
pub mod id;
pub mod paths;
pub mod ready;
pub mod rpc;
pub mod service;
pub mod tasks;
pub mod telemetry;
