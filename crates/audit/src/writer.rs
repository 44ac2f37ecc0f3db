//! What writes, and the one thread that syncs. The thread takes what has queued up, writes it at once,
//! syncs once, and answers all (group commit): under load a sync is shared, alone a record waits for
//! nobody. A record that need not be durable at once is written by whoever appends it when nobody else
//! writes just then: a hand-over between threads costs more than the record.

use crate::checkpoint::{Checkpoint, Unsigned};
use crate::error::AuditError;
use crate::index::Index;
use crate::keys::{EpochKey, KeyStore};
use crate::log::Options;
use crate::payload::{PayloadStore, Sealed};
use crate::record::{Durability, Receipt, Record};
use crate::recover::{Layout, Recovered};
use crate::segment::{self, Appender};
use crate::stage::{Stage, Staged};
use aios_core::clock::Clock;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
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

pub(crate) type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// Payloads of reads that may wait for the next sync.
const LATE: usize = 1024;

/// What the thread is asked to do.
pub(crate) enum Request {
    Append(Box<Append>),
    Checkpoint(Answer<Checkpoint>),
    Forget(u64, Answer<bool>),
    /// Answered when the payloads of all records so far are stored.
    Settle(Answer<()>),
    /// Something is due earlier than the thread knows.
    Wake,
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
    /// Used by the thread alone, also while others write lines.
    payloads: Arc<Mutex<PayloadStore>>,
    /// Records of our own that stand before the next batch.
    notes: Vec<Record>,
    refused: u64,
    refusing_since_ms: i64,
    retry_due: Option<Instant>,
    sync_due: Option<Instant>,
    checkpoint_due: Option<Instant>,
    /// Payloads of reads that were answered, stored with the next sync.
    late: Vec<(u64, Sealed)>,
}

/// A sync under way: payloads before the lines that name them.
struct Syncing {
    late: Vec<(u64, Sealed)>,
    payloads: Arc<Mutex<PayloadStore>>,
    lines: segment::Sync,
}

impl Syncing {
    /// Fails before the lines are tried, or says how that went.
    fn run(&self) -> Result<io::Result<()>, AuditError> {
        let payloads = &self.payloads;
        payloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .store(&self.late)?;
        Ok(self.lines.run())
    }
}

/// The writer, shared by the thread and those who append; nothing once the log is closed.
pub(crate) type Held = Mutex<Option<Writer>>;

/// Closes the log when its thread panics, also where it does not hold the writer: what nobody syncs must not be
/// accepted.
struct ClosesInPanic<'a>(&'a Held);

impl Drop for ClosesInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut writer) = self.0.lock()
        {
            *writer = None;
        }
    }
}

/// Works until the last handle is gone or the log is closed.
pub(crate) fn run(held: &Held, requests: &Receiver<Request>) {
    let _closes = ClosesInPanic(held);
    // A poisoned lock means that a writer panicked halfway: the log is closed.
    let first = |writer: &mut Writer| {
        if !writer.notes.is_empty() {
            writer.commit(Vec::new());
        }
        writer.try_checkpoint();
        writer.due()
    };
    let Some(mut due) = with(held, first) else { return };
    loop {
        let request = match due {
            Some(due) => requests.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let closing = match request {
            Ok(request) => with(held, |writer| writer.handle(request, requests)).flatten(),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                if let Some(Err(error)) = end(held) {
                    tracing::error!(%error, "the audit log was not closed cleanly");
                }
                return;
            }
        };
        if let Some(answer) = closing {
            let _gone = answer.send(end(held).unwrap_or(Err(AuditError::Closed)));
            return;
        }
        // Who appends meanwhile does not wait for the disk.
        let Some(syncing) = with(held, Writer::begin_sync) else {
            return;
        };
        let synced = syncing.map(|syncing| (syncing.run(), syncing));
        let next = with(held, |writer| {
            if let Some((done, syncing)) = synced {
                writer.end_sync(syncing, done);
            }
            writer.housekeeping();
            writer.due()
        });
        let Some(next) = next else { return };
        due = next;
    }
}

fn with<T>(held: &Held, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
    held.lock().ok()?.as_mut().map(work)
}

/// Takes the writer out and ends it. Whoever closed the log may unmount its disk: no file is open after.
fn end(held: &Held) -> Option<Result<(), AuditError>> {
    let writer = held.lock().ok()?.take();
    writer.map(|mut writer| writer.finish())
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
            payloads: Arc::new(Mutex::new(payloads)),
            notes: recovered.notes,
            refused: 0,
            refusing_since_ms: 0,
            retry_due: None,
            sync_due: None,
            checkpoint_due: None,
            late: Vec::new(),
        };
        (writer, shared)
    }

    /// When there is something to do; `None` for never: an idle log does not wake.
    fn due(&self) -> Option<Instant> {
        [self.sync_due, self.checkpoint_due, self.retry_due]
            .into_iter()
            .flatten()
            .min()
    }

    /// Writes a record that need not be durable at once, unless there is more to it. Gives the record
    /// back when it must queue; otherwise says whether the thread must be woken.
    #[expect(
        clippy::result_large_err,
        reason = "the record goes back to whoever gave it, to be queued"
    )]
    pub(crate) fn at_once(&mut self, append: Append) -> Result<bool, Append> {
        let plain = append.durability == Durability::Within20ms
            && self.notes.is_empty()
            && self.late.len() < LATE
            && self.retry_due.is_none()
            // A new segment needs syncs, for which the caller's thread is too good.
            && self.lines.length() < self.options.segment_bytes
            && !self.refusing();
        if !plain {
            return Err(append);
        }
        let before = self.due();
        self.commit(vec![append]);
        let after = self.due();
        Ok(after.is_some_and(|after| before.is_none_or(|before| after < before)))
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
                let forgotten = self.store_late().and_then(|()| self.payloads().forget(seq));
                let _gone = answer.send(forgotten);
                None
            }
            Request::Settle(answer) => {
                let _gone = answer.send(self.store_late());
                None
            }
            Request::Wake => None,
            Request::Close(answer) => Some(answer),
            Request::Append(_) => None,
        }
    }

    fn housekeeping(&mut self) {
        let now = Instant::now();
        if self.retry_due.is_some_and(|due| due <= now) {
            self.commit(Vec::new());
        }
        if self.checkpoint_due.is_some_and(|due| due <= now) {
            self.try_checkpoint();
        }
    }

    fn payloads(&self) -> MutexGuard<'_, PayloadStore> {
        self.payloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is due to be made durable now, to be done while others go on writing.
    fn begin_sync(&mut self) -> Option<Syncing> {
        self.sync_due.take_if(|due| *due <= Instant::now())?;
        if self.lines.is_broken()
            && let Err(error) = self.lines.repair()
        {
            self.sync_failed(&error);
            return None;
        }
        Some(Syncing {
            late: std::mem::take(&mut self.late),
            payloads: Arc::clone(&self.payloads),
            lines: self.lines.begin_sync(),
        })
    }

    fn end_sync(&mut self, mut syncing: Syncing, done: Result<io::Result<()>, AuditError>) {
        let ended = match done {
            Ok(synced) => self.lines.end_sync(&syncing.lines, synced),
            Err(error) => {
                syncing.late.append(&mut self.late);
                self.late = syncing.late;
                Err(error)
            }
        };
        if let Err(error) = ended {
            self.sync_failed(&error);
        }
    }

    fn sync_failed(&mut self, error: &AuditError) {
        self.refuse(error);
        self.sync_due = Some(Instant::now() + RETRY);
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
        let sync = durable || self.refusing() || !self.notes.is_empty();
        let result = self.write(&staged, sync);
        match result {
            Ok(base) => {
                self.accept(&staged, base, durable);
                for record in &mut staged.records {
                    if let Some(answer) = record.answer.take() {
                        let _gone = answer.send(Ok(record.receipt));
                    }
                }
                if !sync {
                    self.late.append(&mut staged.sealed);
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

    /// Stores the payloads of reads whose answers went out: those did not wait for the database.
    fn store_late(&mut self) -> Result<(), AuditError> {
        self.payloads().store(&self.late)?;
        self.late.clear();
        Ok(())
    }

    /// Writes lines, and before them the payloads of what must be durable; returns the offset of the
    /// batch. After an error nothing of it is in the log.
    fn write(&mut self, staged: &Staged, sync: bool) -> Result<u64, AuditError> {
        if self.lines.length() >= self.options.segment_bytes {
            self.rotate()?;
        }
        if self.refusing() {
            self.lines.probe(ROOM)?;
        }
        if sync {
            self.store_late()?;
            self.payloads().store(&staged.sealed)?;
        }
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
        self.store_late()?;
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
        self.checkpoint().map(drop)
    }
}
