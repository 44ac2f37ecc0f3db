//! The one thread that writes. It takes what has queued up, writes it at once, syncs once, and answers
//! all (group commit): under load a sync is shared, alone a record waits for nobody.

use crate::checkpoint::{Checkpoint, Unsigned};
use crate::error::AuditError;
use crate::hash::{self, Hash};
use crate::index::Index;
use crate::keys::{EpochKey, KeyStore};
use crate::log::Options;
use crate::payload::{self, PayloadStore, Sealed, Side};
use crate::record::{self, Durability, Position, Receipt, Record};
use crate::recover::{Layout, Recovered};
use crate::segment::{self, Appender};
use aios_core::clock::Clock;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

/// Records in one batch at most.
const BATCH: usize = 1024;
/// Sync that late after an answer at most; leaves room for the sync itself within 20 ms.
const SYNC_AFTER: Duration = Duration::from_millis(12);
/// How often a log that cannot be written tries again by itself.
const RETRY: Duration = Duration::from_secs(1);
/// Room that must be there, bytes, before a log that refused accepts again: else it would accept a short
/// record and refuse the next.
const ROOM: usize = 256 << 10;

type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// What the thread is asked to do.
pub(crate) enum Request {
    Append(Box<Append>),
    Checkpoint(Answer<Checkpoint>),
    Forget(u64, Answer<bool>),
    Close(Answer<()>),
}

/// One record to write. The permit bounds the queue and is given back when the record was dealt with.
pub(crate) struct Append {
    pub(crate) record: Record,
    pub(crate) durability: Durability,
    pub(crate) answer: Answer<Receipt>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What readers see.
pub(crate) struct Shared {
    pub(crate) index: RwLock<Index>,
    pub(crate) newest: RwLock<Option<Checkpoint>>,
    /// Why the log cannot be written, when it cannot.
    pub(crate) problem: watch::Sender<Option<String>>,
    /// Number of records, for followers.
    pub(crate) size: watch::Sender<u64>,
}

impl Shared {
    /// A copy of the index: forty bytes a thousand records.
    pub(crate) fn snapshot(&self) -> Index {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn newest(&self) -> Option<Checkpoint> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread's own state.
pub(crate) struct Writer {
    layout: Layout,
    options: Options,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    lines: Appender,
    checkpoints: Appender,
    keys: KeyStore,
    key: EpochKey,
    promotion_due: bool,
    origin: String,
    payloads: PayloadStore,
    /// Records of our own that stand before the next batch.
    notes: Vec<Record>,
    refused: u64,
    refusing_since_ms: i64,
    retry_due: Option<Instant>,
    sync_due: Option<Instant>,
    checkpoint_due: Option<Instant>,
}

/// A batch that was built and not yet written.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    records: Vec<StagedRecord>,
    sealed: Vec<(u64, Sealed)>,
}

struct StagedRecord {
    receipt: Receipt,
    /// Offset within the batch.
    offset: u64,
    answer: Option<Answer<Receipt>>,
}

impl Writer {
    pub(crate) fn new(
        layout: Layout,
        options: Options,
        clock: Arc<dyn Clock>,
        recovered: Recovered,
        payloads: PayloadStore,
    ) -> (Self, Arc<Shared>) {
        let size = recovered.index.size();
        let shared = Arc::new(Shared {
            index: RwLock::new(recovered.index),
            newest: RwLock::new(recovered.newest),
            problem: watch::Sender::new(None),
            size: watch::Sender::new(size),
        });
        let writer = Self {
            layout,
            options,
            clock,
            shared: shared.clone(),
            lines: recovered.lines,
            checkpoints: recovered.checkpoints,
            keys: recovered.keys,
            key: recovered.key,
            promotion_due: false,
            origin: recovered.origin,
            payloads,
            notes: recovered.notes,
            refused: 0,
            refusing_since_ms: 0,
            retry_due: None,
            sync_due: None,
            checkpoint_due: None,
        };
        (writer, shared)
    }

    /// Works until the last handle is gone or the log is closed.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        if !self.notes.is_empty() {
            self.commit(Vec::new());
        }
        self.try_checkpoint();
        loop {
            let request = match self.patience() {
                Some(patience) => requests.recv_timeout(patience),
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match request {
                Ok(request) => {
                    if let Some(answer) = self.handle(request, requests) {
                        let result = self.finish();
                        // Whoever closed the log may unmount its disk: no file is open when this is answered.
                        drop(self);
                        let _gone = answer.send(result);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(error) = self.finish() {
                        tracing::error!(%error, "the audit log was not closed cleanly");
                    }
                    return;
                }
            }
            self.housekeeping();
        }
    }

    /// How long there is nothing to do; `None` for ever: an idle log does not wake.
    fn patience(&self) -> Option<Duration> {
        let due = [self.sync_due, self.checkpoint_due, self.retry_due]
            .into_iter()
            .flatten()
            .min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn refusing(&self) -> bool {
        self.shared.problem.borrow().is_some()
    }

    /// Handles a request and all appends queued behind it. Returns the answer channel of a close.
    fn handle(&mut self, first: Request, requests: &Receiver<Request>) -> Option<Answer<()>> {
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut other = None;
        while let Some(request) = next.take() {
            match request {
                Request::Append(append) => batch.push(*append),
                request => {
                    other = Some(request);
                    break;
                }
            }
            if batch.len() < BATCH {
                next = requests.try_recv().ok();
            }
        }
        if !batch.is_empty() {
            self.commit(batch);
        }
        match other? {
            Request::Checkpoint(answer) => {
                let _gone = answer.send(self.checkpoint());
                None
            }
            Request::Forget(seq, answer) => {
                let _gone = answer.send(self.payloads.forget(seq));
                None
            }
            Request::Close(answer) => Some(answer),
            Request::Append(_) => None,
        }
    }

    fn housekeeping(&mut self) {
        let now = Instant::now();
        if self.retry_due.is_some_and(|due| due <= now) {
            self.commit(Vec::new());
        }
        if self.sync_due.is_some_and(|due| due <= now) {
            self.sync();
        }
        if self.checkpoint_due.is_some_and(|due| due <= now) {
            self.try_checkpoint();
        }
    }

    fn sync(&mut self) {
        match self.lines.sync() {
            Ok(()) => self.sync_due = None,
            Err(error) => {
                self.refuse(&error);
                self.sync_due = Some(Instant::now() + RETRY);
            }
        }
    }

    fn refuse(&mut self, error: &AuditError) {
        if !self.refusing() {
            tracing::error!(%error, "the audit log cannot be written: nothing that changes anything is accepted");
            self.refusing_since_ms = self.clock.now_ms();
            self.shared.problem.send_replace(Some(error.to_string()));
        }
        self.retry_due = Some(Instant::now() + RETRY);
    }

    /// Writes a batch and answers everyone in it.
    fn commit(&mut self, batch: Vec<Append>) {
        let durable = batch
            .iter()
            .any(|append| append.durability == Durability::Durable);
        let count = batch.len() as u64;
        let mut staged = self.stage(batch);
        let result = self.write(&staged, durable || self.refusing() || !self.notes.is_empty());
        match result {
            Ok(base) => {
                self.accept(&staged, base, durable);
                for record in &mut staged.records {
                    if let Some(answer) = record.answer.take() {
                        let _gone = answer.send(Ok(record.receipt));
                    }
                }
            }
            Err(error) => {
                self.refuse(&error);
                self.refused += count;
                for answer in staged
                    .records
                    .iter_mut()
                    .filter_map(|record| record.answer.take())
                {
                    let _gone = answer.send(Err(AuditError::NotWritable {
                        problem: error.to_string(),
                    }));
                }
            }
        }
    }

    /// Builds the lines of a batch, with our own records before and between them.
    fn stage(&self, batch: Vec<Append>) -> Staged {
        let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
        let (seq, chain, last_ms) = (index.size(), index.chain, index.last_time_ms);
        drop(index);
        let mut stage = Stage {
            seq,
            chain,
            last_ms,
            staged: Staged::default(),
        };
        let now = self.clock.now_ms();
        for note in &self.notes {
            stage.add(note, now, None);
        }
        if self.refusing() {
            let note = Record::new("audit.recovered")
                .with("refused", self.refused)
                .with("since_ms", self.refusing_since_ms)
                .with(
                    "problem",
                    self.shared.problem.borrow().clone().unwrap_or_default(),
                );
            stage.add(&note, now, None);
        }
        for append in batch {
            stage.add(&append.record, self.clock.now_ms(), Some(append.answer));
        }
        stage.staged
    }

    /// Writes payloads and lines; returns the offset of the batch. After an error nothing of it is in the log.
    fn write(&mut self, staged: &Staged, sync: bool) -> Result<u64, AuditError> {
        if self.lines.length() >= self.options.segment_bytes {
            self.rotate()?;
        }
        if self.refusing() {
            self.lines.probe(ROOM)?;
        }
        self.payloads.store(&staged.sealed)?;
        let base = self.lines.length();
        self.lines.append(&staged.bytes, sync)?;
        Ok(base)
    }

    fn rotate(&mut self) -> Result<(), AuditError> {
        self.lines.sync()?;
        let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
        self.lines = Appender::open(segment::path_of(&self.layout.segments(), index.size()))?;
        index.begin_segment();
        Ok(())
    }

    /// Takes a written batch into the index.
    fn accept(&mut self, staged: &Staged, base: u64, durable: bool) {
        let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
        for record in &staged.records {
            index.push(record.receipt.leaf, record.receipt.time_ms, base + record.offset);
        }
        let size = index.size();
        drop(index);
        self.shared.size.send_replace(size);
        if self.refusing() {
            tracing::info!(refused = self.refused, "the audit log can be written again");
            self.shared.problem.send_replace(None);
            self.retry_due = None;
        }
        self.notes.clear();
        self.refused = 0;
        let now = Instant::now();
        if durable || !self.lines.has_pending() {
            self.sync_due = None;
        } else {
            self.sync_due.get_or_insert(now + SYNC_AFTER);
        }
        let signed = self.shared.newest().map_or(0, |newest| newest.size);
        if size - signed >= self.options.checkpoint_records {
            self.checkpoint_due = Some(now);
        } else {
            self.checkpoint_due
                .get_or_insert(now + self.options.checkpoint_after);
        }
    }

    fn try_checkpoint(&mut self) {
        match self.checkpoint() {
            Ok(_) => self.checkpoint_due = None,
            Err(error) => {
                tracing::error!(%error, "no checkpoint could be signed; trying again");
                self.checkpoint_due = Some(Instant::now() + RETRY);
            }
        }
    }

    /// Signs what is there now, unless the newest checkpoint says it already.
    fn checkpoint(&mut self) -> Result<Checkpoint, AuditError> {
        self.lines.sync()?;
        self.sync_due = None;
        if self.promotion_due {
            self.keys.promote()?;
            self.promotion_due = false;
        }
        let unsigned = {
            let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(newest) = self.shared.newest().filter(|newest| newest.size == index.size()) {
                return Ok(newest);
            }
            Unsigned {
                origin: self.origin.clone(),
                size: index.size(),
                root: index.root(),
                chain: index.chain,
                time_ms: self.clock.now_ms(),
            }
        };
        let next = EpochKey::generate(self.key.epoch + 1)?;
        self.keys.prepare(&next)?;
        let checkpoint = Checkpoint::sign(unsigned, &self.key, &next);
        let mut line = checkpoint.to_line()?;
        line.push(b'\n');
        self.checkpoints.append(&line, true)?;
        self.key = next;
        self.promotion_due = true;
        *self.shared.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint.clone());
        self.keys.promote()?;
        self.promotion_due = false;
        segment::replace(&self.layout.head(), checkpoint.note().as_bytes(), 0o644)?;
        self.checkpoint_due = None;
        Ok(checkpoint)
    }

    fn finish(&mut self) -> Result<(), AuditError> {
        self.lines.sync()?;
        self.checkpoint().map(drop)
    }
}

/// Builds lines one after another.
struct Stage {
    seq: u64,
    chain: Hash,
    last_ms: i64,
    staged: Staged,
}

impl Stage {
    fn add(&mut self, record: &Record, now_ms: i64, answer: Option<Answer<Receipt>>) {
        if now_ms < self.last_ms {
            let note = Record::new("clock.backwards")
                .with("from_ms", self.last_ms)
                .with("to_ms", now_ms);
            self.last_ms = now_ms;
            self.add(&note, now_ms, None);
        }
        match self.build(record, now_ms) {
            Ok((line, sealed)) => {
                let offset = self.staged.bytes.len() as u64;
                let leaf = hash::leaf(&line);
                let receipt = Receipt {
                    seq: self.seq,
                    leaf,
                    time_ms: now_ms,
                };
                self.staged.bytes.extend_from_slice(&line);
                self.staged.bytes.push(b'\n');
                self.staged
                    .sealed
                    .extend(sealed.into_iter().map(|sealed| (self.seq, sealed)));
                self.staged.records.push(StagedRecord {
                    receipt,
                    offset,
                    answer,
                });
                (self.seq, self.chain, self.last_ms) = (self.seq + 1, leaf, now_ms);
            }
            Err(error) => {
                if let Some(answer) = answer {
                    let _gone = answer.send(Err(error));
                }
            }
        }
    }

    fn build(&self, record: &Record, time_ms: i64) -> Result<(Vec<u8>, Vec<Sealed>), AuditError> {
        let mut sealed = Vec::new();
        let mut digest = |side, payload: &Option<Vec<u8>>| match payload {
            None => Ok(None),
            Some(payload) => {
                let one = payload::seal(self.seq, side, payload)?;
                let digest = one.digest;
                sealed.push(one);
                Ok::<_, AuditError>(Some(digest))
            }
        };
        let position = Position {
            seq: self.seq,
            time_ms,
            prev: self.chain,
            input_digest: digest(Side::Input, &record.input)?,
            output_digest: digest(Side::Output, &record.output)?,
        };
        Ok((record::line(record, &position)?, sealed))
    }
}
