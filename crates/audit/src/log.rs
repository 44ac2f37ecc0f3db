//! The handle that services hold: append, read, prove, export.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::hash::{self, Hash};
use crate::merkle;
use crate::payload::{PayloadStore, Side};
use crate::record::{Durability, Receipt, Record};
use crate::recover::{Layout, recover};
use crate::scan;
use crate::writer::{self, Append, Held, Request, Shared, Writer};
use aios_core::clock::Clock;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};

/// How the log behaves. The default suits a machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// A new segment file begins when one has this many bytes.
    pub segment_bytes: u64,
    /// A checkpoint is signed at most this long after a record.
    pub checkpoint_after: Duration,
    /// … or when this many records are not covered.
    pub checkpoint_records: u64,
    /// Records that may wait; appending waits when the queue is full.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            checkpoint_after: Duration::from_secs(5),
            checkpoint_records: 16_384,
            queue: 4096,
        }
    }
}

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Sequence number, from 0.
    pub seq: u64,
    /// When, UTC milliseconds.
    pub time_ms: i64,
    /// Kind.
    pub kind: String,
    /// The canonical record (RFC 8785 JSON), exactly as hashed.
    pub line: Vec<u8>,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// That a record is in the log that a checkpoint describes.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The record.
    pub entry: Entry,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Sibling hashes, leaf upwards.
    pub path: Vec<Hash>,
}

impl Proof {
    /// Checks the proof and the checkpoint's signature.
    pub fn verify(&self) -> bool {
        let leaf = hash::leaf(&self.entry.line);
        self.checkpoint.verify()
            && merkle::verify_inclusion(
                leaf,
                self.entry.seq,
                self.checkpoint.size,
                &self.path,
                self.checkpoint.root,
            )
    }
}

/// The log. Cheap to clone; the writer ends when the last handle is gone.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    writer: Arc<Held>,
    requests: Sender<Request>,
    room: Arc<Semaphore>,
    layout: Arc<Layout>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.layout.root)
            .field("size", &self.size())
            .finish()
    }
}

impl Log {
    /// Opens the log below `directory`, or makes a new one, with default options.
    ///
    /// # Errors
    /// The directory cannot be used, or the log in it was altered or cut.
    pub fn open(directory: impl Into<PathBuf>, clock: impl Clock) -> Result<Self, AuditError> {
        Self::open_with(directory, clock, Options::default())
    }

    /// The same with options. Reads and checks the whole log: about a million records a second.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(
        directory: impl Into<PathBuf>,
        clock: impl Clock,
        options: Options,
    ) -> Result<Self, AuditError> {
        let root = directory.into();
        let layout = Layout { root: root.clone() };
        let recovered = recover(&layout)?;
        let payloads = PayloadStore::open(&layout.payloads(), recovered.index.size())?;
        let queue = options.queue;
        let (writer, shared) = Writer::new(layout, options, Arc::new(clock), recovered, payloads);
        let writer = Arc::new(Mutex::new(Some(writer)));
        let (requests, queued) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn({
                let writer = writer.clone();
                move || writer::run(&writer, &queued)
            })
            .map_err(AuditError::io("start a writer for", &root))?;
        Ok(Self {
            shared,
            writer,
            requests,
            room: Arc::new(Semaphore::new(queue)),
            layout: Arc::new(Layout { root }),
        })
    }

    /// Appends a record. With [`Durability::Durable`] it is on disk when this returns. Waits while the
    /// queue is full.
    ///
    /// # Errors
    /// [`AuditError::NotWritable`] when the disk cannot be written: then the record is not in the log.
    pub async fn append(&self, record: Record, durability: Durability) -> Result<Receipt, AuditError> {
        let permit = self
            .room
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| AuditError::Closed)?;
        let (answer, receipt) = oneshot::channel();
        self.write_or_queue(Append {
            record,
            durability,
            answer,
            _permit: permit,
        })?;
        receipt.await.map_err(|_| AuditError::Closed)?
    }

    /// Writes here and now what nobody need wait for, when nobody else writes; queues everything else.
    fn write_or_queue(&self, append: Append) -> Result<(), AuditError> {
        let tried = match self.writer.try_lock() {
            Ok(mut held) => match held.as_mut() {
                Some(writer) => writer.at_once(append),
                None => return Err(AuditError::Closed),
            },
            Err(_) => Err(append),
        };
        match tried {
            Ok(false) => Ok(()),
            Ok(true) => self.ask(Request::Wake),
            Err(append) => self.ask(Request::Append(Box::new(append))),
        }
    }

    fn ask(&self, request: Request) -> Result<(), AuditError> {
        self.requests.send(request).map_err(|_| AuditError::Closed)
    }

    /// Number of records.
    pub fn size(&self) -> u64 {
        *self.shared.size.borrow()
    }

    /// Hash that the next record will carry as `prev`.
    pub fn chain(&self) -> Hash {
        self.shared.snapshot().chain
    }

    /// Follows the number of records.
    pub fn watch_size(&self) -> watch::Receiver<u64> {
        self.shared.size.subscribe()
    }

    /// Why the log cannot be written, or `None` when it can; follows.
    pub fn watch_problem(&self) -> watch::Receiver<Option<String>> {
        self.shared.problem.subscribe()
    }

    /// The newest signed checkpoint, which may not cover the newest records.
    pub fn head(&self) -> Option<Checkpoint> {
        self.shared.newest()
    }

    /// Signs a checkpoint over all records now, unless there is one.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub async fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let (answer, checkpoint) = oneshot::channel();
        self.ask(Request::Checkpoint(answer))?;
        checkpoint.await.map_err(|_| AuditError::Closed)?
    }

    /// Records from `from`, at most `limit`, oldest first.
    ///
    /// # Errors
    /// The files cannot be read.
    pub async fn read(&self, from: u64, limit: u64) -> Result<Vec<Entry>, AuditError> {
        let index = self.shared.snapshot();
        blocking(move || {
            let mut entries = Vec::new();
            index.read(from, from.saturating_add(limit), |seq, line| {
                entries.push(entry(seq, line))
            })?;
            Ok(entries)
        })
        .await
    }

    /// One record.
    ///
    /// # Errors
    /// [`AuditError::NoSuchRecord`], or the files cannot be read.
    pub async fn get(&self, seq: u64) -> Result<Entry, AuditError> {
        let missing = AuditError::NoSuchRecord {
            seq,
            size: self.size(),
        };
        self.read(seq, 1).await?.pop().ok_or(missing)
    }

    /// A payload of a record.
    ///
    /// # Errors
    /// [`AuditError::NoPayload`] when there is none (any more), [`AuditError::PayloadAltered`].
    pub async fn payload(&self, seq: u64, side: Side) -> Result<Vec<u8>, AuditError> {
        let entry = self.get(seq).await?;
        let field = match side {
            Side::Input => "input_digest",
            Side::Output => "output_digest",
        };
        let path = self.layout.payloads();
        let (answer, settled) = oneshot::channel();
        self.ask(Request::Settle(answer))?;
        settled.await.map_err(|_| AuditError::Closed)??;
        blocking(move || {
            let record: serde_json::Value = serde_json::from_slice(&entry.line)
                .map_err(|error| AuditError::Canonical(error.to_string()))?;
            let digest = record.get(field).and_then(|digest| digest.as_str());
            let digest = digest.and_then(|digest| Hash::from_hex(digest.as_bytes()));
            let digest = digest.ok_or(AuditError::NoPayload { seq })?;
            PayloadStore::reader(&path)?.read(seq, side, &digest)
        })
        .await
    }

    /// Destroys the payloads of a record; says whether there were any. The caller records who asked.
    ///
    /// # Errors
    /// [`AuditError::NoSuchRecord`], or the store cannot be written.
    pub async fn forget(&self, seq: u64) -> Result<bool, AuditError> {
        if seq >= self.size() {
            return Err(AuditError::NoSuchRecord {
                seq,
                size: self.size(),
            });
        }
        let (answer, done) = oneshot::channel();
        self.ask(Request::Forget(seq, answer))?;
        done.await.map_err(|_| AuditError::Closed)?
    }

    /// Proves that a record is in the newest signed checkpoint; signs one when it is too old.
    ///
    /// # Errors
    /// [`AuditError::NoSuchRecord`], or the disk cannot be read or written.
    pub async fn prove(&self, seq: u64) -> Result<Proof, AuditError> {
        let entry = self.get(seq).await?;
        let checkpoint = match self.head() {
            Some(head) if head.size > seq => head,
            _ => self.checkpoint().await?,
        };
        let index = self.shared.snapshot();
        blocking(move || {
            let path = merkle::inclusion(&mut index.leaves(), seq, checkpoint.size)?;
            Ok(Proof {
                entry,
                checkpoint,
                path,
            })
        })
        .await
    }

    /// Reads records as they come, from `from`.
    pub fn tail(&self, from: u64) -> Tail {
        Tail {
            log: self.clone(),
            size: self.watch_size(),
            next: from,
        }
    }

    /// Writes everything up to a fresh checkpoint as one file that [`crate::verify::verify_file`] checks:
    /// a header, the records, the checkpoints. Returns the number of records. Payloads are not in it.
    ///
    /// # Errors
    /// The log cannot be read or `out` not written.
    pub async fn export(&self, out: impl Write + Send + 'static) -> Result<u64, AuditError> {
        let checkpoint = self.checkpoint().await?;
        let index = self.shared.snapshot();
        let layout = self.layout.clone();
        blocking(move || crate::export::write(&layout, &index, &checkpoint, out)).await
    }

    /// Ends the writer: everything durable and covered by a checkpoint.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub async fn close(&self) -> Result<(), AuditError> {
        let (answer, done) = oneshot::channel();
        self.ask(Request::Close(answer))?;
        done.await.map_err(|_| AuditError::Closed)?
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuditError> + Send + 'static,
) -> Result<T, AuditError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| AuditError::Closed)?
}

fn entry(seq: u64, line: &[u8]) -> Entry {
    let links = scan::links(line);
    Entry {
        seq,
        time_ms: links.map_or(0, |links| links.time_ms),
        kind: links.map_or_else(String::new, |links| {
            String::from_utf8_lossy(links.kind).into_owned()
        }),
        line: line.to_vec(),
        leaf: hash::leaf(line),
    }
}

/// Follows the log.
#[derive(Debug)]
pub struct Tail {
    log: Log,
    size: watch::Receiver<u64>,
    next: u64,
}

impl Tail {
    /// Records read at once.
    const CHUNK: u64 = 256;

    /// The next records, at most 256; waits until there are some.
    ///
    /// # Errors
    /// The files cannot be read, or the log was closed.
    pub async fn next(&mut self) -> Result<Vec<Entry>, AuditError> {
        let next = self.next;
        self.size
            .wait_for(|size| *size > next)
            .await
            .map_err(|_| AuditError::Closed)?;
        let entries = self.log.read(self.next, Self::CHUNK).await?;
        self.next += entries.len() as u64;
        Ok(entries)
    }
}
