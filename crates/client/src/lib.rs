//! What a person's programs (`aiosctl`, `aios-console`) share: how to reach the services of an
//! instance, what their errors mean to a person, and their answers as plain JSON.
//!
//! Not for services talking to each other: they use `aios-proto` directly. Nothing here prints,
//! decides or keeps state.
//!
//! ```no_run
//! # async fn f() -> Result<(), aios_client::Failure> {
//! let services = aios_client::Services::new("/run/aios");
//! let goals = services.orchestrator().await?.list_goals(aios_proto::orchestrator::v1::ListGoalsRequest::default()).await?;
//! let views: Vec<aios_client::goal::GoalView> = goals.into_inner().goals.into_iter().map(Into::into).collect();
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod approval;
pub mod audit;
mod connect;
#[cfg(feature = "doubles")]
pub mod doubles;
mod failure;
pub mod goal;
mod json;
pub mod schedule;
pub mod system;
pub mod time;
pub mod verify;

pub use connect::Services;
pub use failure::{Failure, Kind};
