//! What goes into the fs tools and what comes out, as types. The JSON Schemas, the Python methods
//! and the reference pages are made from these, so the comments here are read by people and models.

mod changing;
mod looking;

pub use changing::*;
pub use looking::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most entries that one answer carries.
pub const MAX_ENTRIES: u32 = 10_000;
/// Most bytes that one read returns.
pub const MAX_READ: u64 = 1 << 20;
/// Most bytes that one write takes.
pub const MAX_WRITE: u64 = 512 << 10;
/// Most paths in one list.
pub const MAX_PATHS: usize = 10_000;
/// Most places that one call changes, those below its directories included.
pub const MAX_PLACES: usize = 20_000;
/// Most bytes of one line that fs.grep shows.
pub const MAX_LINE: usize = 500;

/// Kind of a thing in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}
