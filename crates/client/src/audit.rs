//! Audit records and checkpoints as a person sees them.

use aios_proto::guard::v1::{AuditCheckpoint, AuditRecord};
use serde::Serialize;
use serde_json::Value;

use crate::{json, time};

/// One record of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordView {
    /// Sequence number, from 0.
    pub seq: u64,
    /// RFC 3339.
    pub time: Option<String>,
    /// `intent`, `outcome`, `read`, `denied`, ….
    pub kind: String,
    /// The record as hashed.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub record: Value,
    /// Leaf hash, hex.
    pub leaf_hash: String,
    /// Input payload, where it still exists.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input: Value,
    /// Output payload, where it still exists.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub output: Value,
}

impl From<AuditRecord> for RecordView {
    fn from(record: AuditRecord) -> Self {
        Self {
            seq: record.seq,
            time: time::rfc3339(record.time_ms),
            kind: record.kind,
            record: json::value(&String::from_utf8_lossy(&record.canonical)),
            leaf_hash: hex::encode(&record.leaf_hash),
            input: json::value(&record.input_json),
            output: json::value(&record.output_json),
        }
    }
}

/// A signed statement about the whole log up to a size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointView {
    /// Number of records covered.
    pub size: u64,
    /// Merkle root, hex.
    pub root: String,
    /// Chain hash, hex.
    pub chain: String,
    /// RFC 3339.
    pub time: Option<String>,
    /// Signed text as published.
    pub note: String,
}

impl From<AuditCheckpoint> for CheckpointView {
    fn from(checkpoint: AuditCheckpoint) -> Self {
        Self {
            size: checkpoint.size,
            root: hex::encode(&checkpoint.root),
            chain: hex::encode(&checkpoint.chain),
            time: time::rfc3339(checkpoint.time_ms),
            note: checkpoint.note,
        }
    }
}
