//! gRPC over Unix sockets: the native way between the services of one machine.
//!
//! ```no_run
//! # async fn example(routes: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
//! use aios_core::{paths::Paths, rpc, tasks};
//! let paths = Paths::from_env();
//! let listener = rpc::listen("guard", &paths.socket("guard"), 0o660)?;
//! let shutdown = tokio_util::sync::CancellationToken::new();
//! rpc::serve(listener, routes, &["aios.guard.v1.Guard"], shutdown).await?;
//! # Ok(()) }
//! ```

mod corked;
mod eager;
mod inherited;
mod peer;
mod refusals;
mod serve;
mod status;

pub use eager::eagerly;
pub use inherited::take_listener;
pub use peer::{Peer, PeerStream, peer_of};
pub use refusals::{Noted, Refusals, Refused};
pub use serve::{RpcError, channel, listen, serve};
pub use status::{report_of, status, status_of_report};
