//! What was taken out of a log pipe and is not in the log file yet.
//!
//! Bytes go from the pipe into a file in `run` within the kernel (splice(2)), so that at no instant they are in
//! the memory of a supervisor alone, which may be killed. Before lines are appended to the log file, its end is
//! noted here: a successor that finds the log file longer knows that they are in it.
//!
//! The file: a head of 40 bytes, then the bytes.

use super::file::{End, end_of};
use rustix::pipe::{SpliceFlags, splice};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes before the first of the pipe.
const HEAD: u64 = 40;
/// As much is taken at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The numbers in the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Head {
    /// So many of the bytes are being appended to the log file; 0 for none.
    batch: u64,
    /// Where the log file ended before.
    end: End,
    /// Lines that were dropped and not yet reported, before the batch and with it.
    dropped: [u64; 2],
}

impl Head {
    fn bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let [before, after] = self.dropped;
        let words = [self.batch, self.end.inode, self.end.size, before, after];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Self {
        let mut words = bytes
            .chunks_exact(8)
            .map(|word| word.try_into().map_or(0, u64::from_ne_bytes));
        let mut next = || words.next().unwrap_or(0);
        Self {
            batch: next(),
            end: End {
                inode: next(),
                size: next(),
            },
            dropped: [next(), next()],
        }
    }
}

/// The bytes, in the file and in memory.
#[derive(Debug)]
pub(super) struct Pending {
    path: PathBuf,
    /// None when it cannot be had: then there is only the memory.
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Pending {
    /// Opens the file. What an earlier supervisor left in it is there again, unless it is at the end of `log`;
    /// yields how many lines it dropped without a report.
    pub(super) fn open(path: PathBuf, log: &Path) -> (Self, u64) {
        let mut pending = Self {
            path,
            file: None,
            bytes: Vec::new(),
        };
        match pending.reopen(log) {
            Ok(dropped) => (pending, dropped),
            Err(error) => {
                tracing::warn!(path = %pending.path.display(), %error, "lines may be lost if the supervisor dies");
                (pending, 0)
            }
        }
    }

    fn reopen(&mut self, log: &Path) -> io::Result<u64> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let old = match fs::read(&self.path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let at = usize::try_from(HEAD).unwrap_or(0).min(old.len());
        let (head, bytes) = old.split_at(at);
        let head = Head::read(head);
        let written = head.batch > 0
            && end_of(log).is_some_and(|end| end.inode == head.end.inode && end.size > head.end.size);
        let skip = if written {
            usize::try_from(head.batch).unwrap_or(0).min(bytes.len())
        } else {
            0
        };
        self.bytes = bytes.get(skip..).unwrap_or_default().to_vec();
        let [before, after] = head.dropped;
        let dropped = if written { after } else { before };
        self.replace(dropped)?;
        Ok(dropped)
    }

    /// What is not in the log file yet.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what is in the pipe; yields how much.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing.
    pub(super) fn take(&mut self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let Some(file) = &self.file else {
            return self.take_into_memory(pipe);
        };
        let start = HEAD + u64::try_from(self.bytes.len()).unwrap_or(0);
        let mut offset = start;
        let count = match splice(
            pipe,
            None,
            file.as_fd(),
            Some(&mut offset),
            CHUNK,
            SpliceFlags::NONBLOCK,
        ) {
            Ok(count) => count,
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => {
                // No room in `run`.
                tracing::warn!(path = %self.path.display(), %error, "lines may be lost if the supervisor dies");
                self.file = None;
                return self.take_into_memory(pipe);
            }
        };
        let before = self.bytes.len();
        self.bytes.resize(before + count, 0);
        let new = self.bytes.get_mut(before..).unwrap_or_default();
        file.read_exact_at(new, start)?;
        Ok(count)
    }

    fn take_into_memory(&mut self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let before = self.bytes.len();
        self.bytes.resize(before + CHUNK, 0);
        let new = self.bytes.get_mut(before..).unwrap_or_default();
        let result = rustix::io::read(pipe, new);
        self.bytes
            .truncate(before + result.as_ref().map_or(0, |count| *count));
        Ok(result?)
    }

    /// Lines from the first `batch` bytes are about to be appended to the log file, which ends at `end`; so many
    /// were dropped and not reported before and with them.
    pub(super) fn begin(&mut self, batch: usize, end: Option<End>, dropped: [u64; 2]) {
        let head = Head {
            batch: u64::try_from(batch).unwrap_or(0),
            end: end.unwrap_or_default(),
            dropped,
        };
        if let Some(file) = &self.file
            && let Err(error) = file.write_all_at(&head.bytes(), 0)
        {
            tracing::debug!(%error, "a line may be written twice if the supervisor dies now");
        }
    }

    /// They are there.
    pub(super) fn done(&mut self, batch: usize, dropped: u64) {
        self.bytes.drain(..batch.min(self.bytes.len()));
        // Mostly there is nothing left: an empty file has no batch.
        let result = match &self.file {
            Some(file) if self.bytes.is_empty() && dropped == 0 => file.set_len(0),
            _ => self.replace(dropped),
        };
        if let Err(error) = result {
            tracing::debug!(path = %self.path.display(), %error, "lines may be lost if the supervisor dies");
            self.file = None;
        }
    }

    /// The whole old file or the whole new one, which holds what is in memory.
    fn replace(&mut self, dropped: u64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        let head = Head {
            dropped: [dropped; 2],
            ..Head::default()
        };
        file.write_all_at(&head.bytes(), 0)?;
        file.write_all_at(&self.bytes, HEAD)?;
        fs::rename(&new, &self.path)?;
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Bench {
        root: tempfile::TempDir,
        pipe: (std::io::PipeReader, std::io::PipeWriter),
    }

    impl Bench {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().unwrap(),
                pipe: std::io::pipe().unwrap(),
            }
        }

        fn log(&self) -> PathBuf {
            self.root.path().join("x.log")
        }

        fn open(&self) -> (Pending, u64) {
            Pending::open(self.root.path().join("run/x"), &self.log())
        }

        fn write(&mut self, pending: &mut Pending, text: &str) {
            self.pipe.1.write_all(text.as_bytes()).unwrap();
            assert_eq!(pending.take(self.pipe.0.as_fd()).unwrap(), text.len());
        }
    }

    #[test]
    fn what_was_taken_is_there_for_a_successor_until_it_is_in_the_log() {
        let mut bench = Bench::new();
        let (mut first, _) = bench.open();
        let nothing = first.take(bench.pipe.0.as_fd()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        bench.write(&mut first, "one\ntwo\nhal");
        // Killed before it began, and after it began and before it wrote.
        assert_eq!(bench.open().0.bytes(), b"one\ntwo\nhal");
        fs::write(bench.log(), "before\n").unwrap();
        let (mut second, _) = bench.open();
        second.begin(8, end_of(&bench.log()), [3, 9]);
        let (third, dropped) = bench.open();
        assert_eq!((third.bytes(), dropped), (&b"one\ntwo\nhal"[..], 3));
        // Killed after it wrote and before it said so.
        let (mut third, _) = bench.open();
        third.begin(8, end_of(&bench.log()), [3, 9]);
        fs::write(bench.log(), "before\none\ntwo\n").unwrap();
        let (mut fourth, dropped) = bench.open();
        assert_eq!((fourth.bytes(), dropped), (&b"hal"[..], 9));
        bench.write(&mut fourth, "f\n");
        fourth.begin(5, end_of(&bench.log()), [9, 0]);
        fs::write(bench.log(), "before\none\ntwo\nhalf\n").unwrap();
        fourth.done(5, 0);
        assert_eq!(fourth.bytes(), b"");
        bench.write(&mut fourth, "three\n");
        // Nothing of the earlier batch is taken for the new bytes.
        assert_eq!(bench.open().0.bytes(), b"three\n");
    }

    #[test]
    fn without_a_file_the_pipe_is_read_all_the_same() {
        let mut bench = Bench::new();
        fs::write(bench.root.path().join("run"), "no directory").unwrap();
        let (mut pending, _) = bench.open();
        bench.write(&mut pending, "one\n");
        assert_eq!(pending.bytes(), b"one\n");
        pending.begin(4, None, [0, 0]);
        pending.done(4, 0);
        assert_eq!(pending.bytes(), b"");
    }
}
