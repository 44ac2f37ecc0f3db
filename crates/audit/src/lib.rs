//! The audit log: an append-only record of everything that was decided and done.
//!
//! What it promises:
//! * a record that was answered as durable survives a power cut ([`Log::append`]);
//! * no record can be altered, removed, moved or added unnoticed: every line carries the hash of the
//!   line before it, all lines are leaves of a Merkle tree (RFC 9162), and signed checkpoints
//!   ([`checkpoint`]) bind both; each signing key serves one checkpoint and is then destroyed, so that
//!   whoever takes the machine later cannot sign another past;
//! * a log that was cut back to an older checkpoint is found by any head published since ([`verify`]);
//! * payloads can be forgotten without breaking any of this ([`payload`]).
//!
//! When the log cannot be written it refuses, with a coded error, and recovers by itself when the disk
//! does. It is a library without a network; the guard is its one writer.
//!
//! What it is not for: debug logs (see `aios_core::telemetry`) and application state.
//!
//! ```no_run
//! # async fn example() -> Result<(), aios_audit::AuditError> {
//! use aios_audit::{Durability, Log, Record};
//! let log = Log::open("/var/lib/aios/guard/audit", aios_core::clock::SystemClock)?;
//! let receipt = log.append(Record::new("goal.submitted"), Durability::Durable).await?;
//! let proof = log.prove(receipt.seq).await?;
//! assert!(proof.verify());
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

pub mod checkpoint;
mod error;
mod export;
pub mod hash;
mod index;
mod keys;
mod log;
pub mod merkle;
pub mod payload;
mod prefix;
pub mod record;
mod recover;
mod scan;
mod segment;
mod stage;
pub mod verify;
mod writer;

pub use checkpoint::Checkpoint;
pub use error::AuditError;
pub use hash::Hash;
pub use log::{Entry, Log, Options, Proof, Tail};
pub use prefix::Prefix;
pub use record::{Durability, Receipt, Record};
