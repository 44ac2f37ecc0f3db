//! What goes into the sec tools and what comes out, as types. The JSON Schemas, the Python methods and the
//! reference pages are made from these, so the comments here are read by people and models.

mod certs;
mod files;
mod host;

pub use certs::*;
pub use files::*;
pub use host::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most findings that one answer carries.
pub const MAX_FINDINGS: u32 = 1000;

pub(super) fn default_limit() -> u32 {
    200
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Whoever is on the machine can take it over, or read its secrets.
    High,
    /// One lock less than there should be.
    Medium,
    /// Worth knowing.
    Low,
}

/// Result of sec.undo.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoResult {
    /// What is as it was before: paths of files, or the directory of a baseline.
    pub restored: Vec<String>,
}
