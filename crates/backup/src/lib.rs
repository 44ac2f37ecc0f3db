//! Whole-state backups: a consistent copy of a running aiOS in one archive, and the way back.
//!
//! | module | for |
//! |---|---|
//! | [`contents`] | the one list of what aiOS keeps, and why each part is in a backup or not |
//! | `moment` | one moment of a state at work |
//! | [`create`] | making an archive |
//! | [`archive`] | its form: tar, zstd, age |
//! | [`manifest`] | what it says of itself |
//! | [`keys`] | its keys |
//! | [`restore`] | verifying it beside the state, and putting it in its place |
//! | `beside` | where a restore unpacks, and puts aside what was there |
//! | `carry` | what a restore does not bring back |
//! | `holders` | who has the state open |
//!
//! It speaks with no service: `aiosctl` asks init what runs and tells the guard what was made.
#![forbid(unsafe_code)]

pub mod archive;
mod beside;
mod carry;
pub mod contents;
pub mod create;
mod error;
mod holders;
pub mod keys;
pub mod manifest;
mod moment;
pub mod progress;
pub mod restore;
mod walk;

pub use archive::Archive;
pub use carry::Note;
pub use create::create;
pub use error::{BackupError, Result};
pub use manifest::Manifest;
pub use restore::restore;
