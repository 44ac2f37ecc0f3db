//! Real services, as real processes under their real users, for the tests that cross crates (denials,
//! kills) and for benchmarks.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use aios_harness::{Instance, Options, Service, Who, client};
//! use aios_proto::tools::v1 as tools;
//!
//! let mut aios = Instance::start(Options::default())?; // guard, fs worker, tools; a person is enrolled
//! let file = aios.file("a.log", b"text")?;             // in a tree that belongs to the person
//! let task = client::mint(&aios, &["fs:*:/**"]).await?; // as the orchestrator
//! let args = serde_json::json!({"path": file}).to_string();
//! let answer = client::call(&aios, &task, 1, "fs.stat", &args).await?;
//!
//! aios.arm("worker.fs.after_effect")?;                 // the next time that point is reached …
//! aios.wait_killed(Service::WorkerFs)?;                // … the process kills itself
//! aios.restart(Service::WorkerFs)?;                    // sockets stay open meanwhile, as with aios-init
//! # Ok(()) }
//! ```
//!
//! * [`Instance`] owns directories (under `/tmp`, removed when dropped), sockets and processes. Dropping
//!   it kills what still runs. Each test has its own; they run in parallel.
//! * [`Who`] names a user; [`Instance::channel`] connects as that user, so that the service sees its uid.
//!   The connecting *process* is the test itself, which is not confined; [`Instance::probe`] runs a
//!   program as another user and confined.
//! * [`Relay`] is such a program: through its socket a test speaks to any service as another user's process.
//! * [`client`] has the calls that most tests make: mint, call, approve, the audit log as JSON.
//! * [`as_root`] runs the calling test again under `sudo` when it is not root; without `sudo` it fails.
//!
//! Programs are taken from the directory of the test's own build (`target/release`); build them first
//! (`cargo build --release -p aios-guard -p aios-tools`).

pub mod client;
mod instance;
mod process;
mod relay;
mod service;
mod who;

pub use instance::{Instance, Options};
pub use process::Ended;
pub use relay::Relay;
pub use service::Service;
pub use who::{PERSON_UID, Who};

pub use aios_tests_root::as_root;
