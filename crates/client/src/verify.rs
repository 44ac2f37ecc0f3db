//! Checking a live log from outside: every record is read through the guard's interface, hashed
//! here, and compared with the newest signed checkpoint. Nothing the guard says about its own log is
//! taken on trust but the signature's key; who holds an anchor checks that offline
//! (`aiosctl audit verify DIR --anchor HEAD`).

use aios_audit::checkpoint::Anchor;
use aios_audit::hash::{self, Hash};
use aios_audit::merkle::Frontier;
use aios_proto::guard::v1::{
    AuditCheckpoint, AuditHeadRequest, AuditProveRequest, AuditRecord, AuditTailRequest,
};
use serde::Serialize;

use crate::audit::CheckpointView;
use crate::{Failure, Kind, Services};

/// What was checked and found whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveReport {
    /// True: anything else is an error.
    pub ok: bool,
    /// Records read and hashed.
    pub records: u64,
    /// Those of them that the checkpoint covers.
    pub covered: u64,
    /// The checkpoint that they lead to.
    pub checkpoint: CheckpointView,
}

/// Reads and checks the whole log.
///
/// # Errors
/// `AIOS-CLIENT-0010` and following say at which record the log is not whole; failures of the
/// connection are passed on.
pub async fn live(services: &Services) -> Result<LiveReport, Failure> {
    let mut guard = services.guard().await?;
    let head = guard.audit_head(AuditHeadRequest {}).await?.into_inner();
    let request = AuditTailRequest {
        from_seq: 0,
        last: 0,
        follow: false,
        goal_id: String::new(),
    };
    let mut stream = guard.audit_tail(request).await?.into_inner();
    let mut check = Check::against(head)?;
    while let Some(record) = stream.message().await? {
        check.record(&record)?;
    }
    let (report, last) = check.end()?;
    if let Some(last) = last {
        prove(&mut guard, last).await?;
    }
    Ok(report)
}

/// The guard must also be able to prove the last record that its checkpoint covers.
async fn prove(
    guard: &mut aios_proto::guard::v1::guard_client::GuardClient<tonic::transport::Channel>,
    seq: u64,
) -> Result<(), Failure> {
    let proof = guard.audit_prove(AuditProveRequest { seq }).await?.into_inner();
    if proof_holds(&proof) {
        Ok(())
    } else {
        Err(broken(
            "AIOS-CLIENT-0014",
            &format!("the inclusion proof of record {seq} does not hold"),
        ))
    }
}

/// Whether an inclusion proof leads from its record to the root of its checkpoint. Whether the
/// checkpoint is genuine is another question: see [`live`].
pub fn proof_holds(proof: &aios_proto::guard::v1::AuditProof) -> bool {
    let (Some(record), Some(checkpoint)) = (&proof.record, &proof.checkpoint) else {
        return false;
    };
    let Some(root) = to_hash(&checkpoint.root) else {
        return false;
    };
    let Some(path) = proof
        .path
        .iter()
        .map(|bytes| to_hash(bytes))
        .collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let leaf = hash::leaf(&record.canonical);
    let agrees =
        Anchor::parse(&checkpoint.note).is_some_and(|note| note.root == root && note.size == checkpoint.size);
    agrees && aios_audit::merkle::verify_inclusion(leaf, record.seq, checkpoint.size, &path, root)
}

struct Check {
    head: AuditCheckpoint,
    root: Hash,
    next_seq: u64,
    previous: Option<Hash>,
    frontier: Frontier,
    root_found: bool,
}

impl Check {
    /// The checkpoint's own text is what is signed; its other fields must say the same.
    fn against(head: AuditCheckpoint) -> Result<Self, Failure> {
        let note = Anchor::parse(&head.note)
            .ok_or_else(|| broken("AIOS-CLIENT-0010", "the checkpoint is no signed note"))?;
        let root = to_hash(&head.root).filter(|root| *root == note.root);
        let root = root.filter(|_| note.size == head.size);
        let root = root.ok_or_else(|| {
            broken(
                "AIOS-CLIENT-0010",
                "the checkpoint's fields differ from its signed text",
            )
        })?;
        Ok(Self {
            root_found: head.size == 0,
            head,
            root,
            next_seq: 0,
            previous: None,
            frontier: Frontier::default(),
        })
    }

    fn record(&mut self, record: &AuditRecord) -> Result<(), Failure> {
        let seq = self.next_seq;
        if record.seq != seq {
            return Err(broken(
                "AIOS-CLIENT-0011",
                &format!("record {seq} is missing: {} follows", record.seq),
            ));
        }
        let line: serde_json::Value = serde_json::from_slice(&record.canonical)
            .map_err(|error| broken("AIOS-CLIENT-0012", &format!("record {seq} is no JSON: {error}")))?;
        if line.get("seq").and_then(serde_json::Value::as_u64) != Some(seq) {
            return Err(broken(
                "AIOS-CLIENT-0012",
                &format!("record {seq} says that it is another one"),
            ));
        }
        let said = line
            .get("prev")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        if self.previous.is_some_and(|previous| previous.to_string() != said) {
            return Err(broken(
                "AIOS-CLIENT-0012",
                &format!("record {seq} does not follow from the one before it"),
            ));
        }
        let leaf = hash::leaf(&record.canonical);
        if record.leaf_hash != leaf.as_bytes() {
            return Err(broken(
                "AIOS-CLIENT-0012",
                &format!("record {seq} has another hash than the guard says"),
            ));
        }
        self.frontier.push(leaf);
        self.previous = Some(leaf);
        self.next_seq += 1;
        if self.next_seq == self.head.size {
            self.root_found = true;
            if self.frontier.root() != self.root || self.head.chain != leaf.as_bytes() {
                return Err(broken(
                    "AIOS-CLIENT-0013",
                    &format!(
                        "the first {} records do not lead to the signed root",
                        self.head.size
                    ),
                ));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(LiveReport, Option<u64>), Failure> {
        if !self.root_found {
            let what = format!(
                "the log ends at {} records; the signed checkpoint covers {}",
                self.next_seq, self.head.size
            );
            return Err(broken("AIOS-CLIENT-0013", &what));
        }
        let last = self.head.size.checked_sub(1);
        let checkpoint = CheckpointView::from(self.head);
        Ok((
            LiveReport {
                ok: true,
                records: self.next_seq,
                covered: checkpoint.size,
                checkpoint,
            },
            last,
        ))
    }
}

fn to_hash(bytes: &[u8]) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}

fn broken(code: &str, what: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        code,
        format!("the audit log is not whole: {what}"),
        "keep a copy of the log directory, then run `aiosctl audit verify --anchor HEAD` with a head noted earlier",
    )
}
