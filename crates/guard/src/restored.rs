//! That this state came out of a backup: recorded once, at the first start after the restore.
//!
//! `aiosctl backup restore` leaves a note in the guard's directory, to which only root and the guard come. The record says
//! which backup it was, and names the head of the log that this one took the place of: whoever held an anchor of that
//! log finds out here why it is not in this one.

use crate::error::GuardError;
use aios_audit::{AuditError, Durability, Log, Record};
use serde_json::{Map, Value};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const NOTE: &str = "restored.json";

/// Records the note, if there is one, and removes it. A crash in between records it twice, never not at all.
pub(crate) async fn record(log: &Log, directory: &Path) -> Result<(), GuardError> {
    let path = directory.join(NOTE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(GuardError::io("read", &path))?,
    };
    let note: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| AuditError::Malformed {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    let record = note
        .into_iter()
        .fold(Record::new("guard.restored"), |record, (name, value)| {
            record.with(&name, value)
        });
    let seq = log.append(record, Durability::Durable).await?.seq;
    tracing::warn!(seq, "this state was restored from a backup");
    fs::remove_file(&path).map_err(GuardError::io("remove", &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_core::clock::SystemClock;

    #[tokio::test]
    async fn a_note_is_recorded_once() {
        let home = tempfile::tempdir().unwrap();
        let log = Log::open(home.path().join("audit"), SystemClock).unwrap();
        record(&log, home.path()).await.unwrap();
        assert_eq!(log.size(), 0);

        fs::write(
            home.path().join(NOTE),
            r#"{"backup":"abc","replaced":{"size":7}}"#,
        )
        .unwrap();
        for _ in 0..2 {
            record(&log, home.path()).await.unwrap();
        }
        assert_eq!(log.size(), 1);
        let entry = log.get(0).await.unwrap();
        assert_eq!(entry.kind, "guard.restored");
        let line = String::from_utf8(entry.line).unwrap();
        assert!(line.contains(r#""replaced":{"size":7}"#), "{line}");
    }

    #[tokio::test]
    async fn refused_when_the_note_is_no_note() {
        let home = tempfile::tempdir().unwrap();
        let log = Log::open(home.path().join("audit"), SystemClock).unwrap();
        fs::write(home.path().join(NOTE), "[]").unwrap();
        let error = record(&log, home.path()).await.unwrap_err();
        assert!(error.to_string().contains(NOTE), "{error}");
    }
}
