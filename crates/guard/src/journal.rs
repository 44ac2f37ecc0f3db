//! Reading the audit log, proving its records, forgetting payloads, publishing its head.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::persons::Proved;
use aios_audit::payload::Side;
use aios_audit::{AuditError, Checkpoint, Entry, Record};
use aios_auth::peer::Role;
use aios_core::id::GoalId;
use aios_core::rpc::Peer;
use aios_proto::guard::v1 as pb;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Records read at once.
const CHUNK: u64 = 256;

/// A record without its payloads.
pub(crate) fn shown(entry: Entry) -> pb::AuditRecord {
    pb::AuditRecord {
        seq: entry.seq,
        time_ms: entry.time_ms,
        kind: entry.kind,
        canonical: entry.line,
        leaf_hash: entry.leaf.0.to_vec(),
        input_json: String::new(),
        output_json: String::new(),
    }
}

fn checkpoint(checkpoint: &Checkpoint) -> pb::AuditCheckpoint {
    pb::AuditCheckpoint {
        size: checkpoint.size,
        root: checkpoint.root.0.to_vec(),
        chain: checkpoint.chain.0.to_vec(),
        time_ms: checkpoint.time_ms,
        note: checkpoint.note(),
    }
}

/// Which records are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    next: u64,
    follow: bool,
    goal: Option<Vec<u8>>,
}

impl Guard {
    pub(crate) fn wanted(&self, request: &pb::AuditTailRequest) -> Result<Wanted, GuardError> {
        let goal = if request.goal_id.is_empty() {
            None
        } else {
            Some(GoalId::parse(&request.goal_id)?)
        };
        // The canonical form has one way to write it, and no string can hold it unescaped.
        let goal = goal.map(|goal| format!("\"goal_id\":\"{goal}\"").into_bytes());
        let size = self.log.size();
        let next = if request.last > 0 {
            size.saturating_sub(request.last)
        } else {
            request.from_seq
        };
        if next > size {
            return Err(AuditError::NoSuchRecord { seq: next, size }.into());
        }
        Ok(Wanted {
            next,
            follow: request.follow,
            goal,
        })
    }

    /// The next records that are wanted; `None` at the end of a listing that does not follow.
    pub(crate) async fn next_records(
        &self,
        wanted: &mut Wanted,
    ) -> Result<Option<Vec<pb::AuditRecord>>, GuardError> {
        if wanted.next >= self.log.size() {
            if !wanted.follow {
                return Ok(None);
            }
            let next = wanted.next;
            self.log
                .watch_size()
                .wait_for(|size| *size > next)
                .await
                .map_err(|_| AuditError::Closed)?;
        }
        let entries = self.log.read(wanted.next, CHUNK).await?;
        wanted.next += entries.len() as u64;
        let fits = |entry: &Entry| {
            wanted
                .goal
                .as_ref()
                .is_none_or(|goal| entry.line.windows(goal.len()).any(|window| window == goal))
        };
        Ok(Some(entries.into_iter().filter(fits).map(shown).collect()))
    }

    /// One record, with the payloads that still exist for those who may read them: persons, root, and the
    /// console for a person. Other services see the record only.
    pub(crate) async fn audit_get(&self, peer: &Peer, seq: u64) -> Result<pb::AuditRecord, GuardError> {
        let mut record = shown(self.log.get(seq).await?);
        let service = self.roles.is_service(peer.uid) && !self.roles.is(peer.uid, Role::Console);
        if !service {
            record.input_json = self.payload(seq, Side::Input).await?;
            record.output_json = self.payload(seq, Side::Output).await?;
        }
        Ok(record)
    }

    async fn payload(&self, seq: u64, side: Side) -> Result<String, GuardError> {
        match self.log.payload(seq, side).await {
            Ok(payload) => Ok(String::from_utf8_lossy(&payload).into_owned()),
            Err(AuditError::NoPayload { .. }) => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn audit_prove(&self, seq: u64) -> Result<pb::AuditProof, GuardError> {
        let proof = self.log.prove(seq).await?;
        Ok(pb::AuditProof {
            record: Some(shown(proof.entry)),
            checkpoint: Some(checkpoint(&proof.checkpoint)),
            path: proof.path.iter().map(|hash| hash.0.to_vec()).collect(),
        })
    }

    pub(crate) async fn audit_head(&self) -> Result<pb::AuditCheckpoint, GuardError> {
        match self.log.head() {
            Some(head) => Ok(checkpoint(&head)),
            None => Ok(checkpoint(&self.log.checkpoint().await?)),
        }
    }

    /// Destroys payloads, once it is recorded who asked.
    pub(crate) async fn forget(&self, person: &Proved, seq: u64) -> Result<u64, GuardError> {
        self.log.get(seq).await?;
        let record = Record {
            person: Some(person.name.clone()),
            ..Record::new("audit.forgotten")
        };
        let receipt = self.record(record.with("record", seq)).await?;
        self.log.forget(seq).await?;
        Ok(receipt.seq)
    }
}

/// Publishes each new head at `run/trust/audit-head` for witnesses.
pub(crate) async fn publish(guard: Arc<Guard>, end: CancellationToken) {
    let path = guard.paths.trust_file().with_file_name("audit-head");
    let mut published = None;
    loop {
        let head = guard.log.head().map(|head| (head.epoch, head.note()));
        if head != published {
            if let Some((_, note)) = &head {
                let beside = path.with_extension("new");
                if let Err(error) = fs::write(&beside, note).and_then(|()| fs::rename(&beside, &path)) {
                    tracing::warn!(%error, path = %path.display(), "the audit head could not be published");
                }
            }
            published = head;
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
