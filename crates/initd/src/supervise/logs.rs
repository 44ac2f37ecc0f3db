//! What services write on standard output and error: captured by a pipe, kept as the last lines in
//! memory, and appended to `state/log/NAME.log` with rotation.
//!
//! Both ends of the pipe are stored with PID 1: a service never gets SIGPIPE because the supervisor
//! died, and its successor reads on where it stopped.

use super::clock::now_ms;
use super::world::World;
use crate::error::{InitError, Result};
use aios_core::tasks::Tasks;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::broadcast;

/// Lines kept in memory for each service.
const KEPT: usize = 1000;
/// Longest line; the rest of a longer one becomes the next.
const LONGEST: u64 = 16 * 1024;
/// Size at which a log file is set aside.
const ROTATE_BYTES: u64 = 4 * 1024 * 1024;
/// Files set aside.
const OLD_FILES: u32 = 3;
/// As much of a log file as a successor reads to know the last lines, bytes.
const RECALLED: u64 = 256 * 1024;
/// Lines that a slow follower may lag behind before it loses some.
const FOLLOW: usize = 256;

/// A captured line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time_ms: i64,
    pub(crate) text: String,
}

struct Ring {
    lines: VecDeque<Line>,
    follow: broadcast::Sender<Line>,
}

/// The last lines of all services. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    rings: Arc<Mutex<HashMap<String, Ring>>>,
}

impl Logs {
    /// Makes the pipe of a service, or takes that of an earlier supervisor, starts reading, and yields
    /// the end to write to.
    pub(crate) fn open(&self, world: &mut World, name: &str, tasks: &Tasks) -> Result<OwnedFd> {
        let (read_key, write_key) = (format!("log.r:{name}"), format!("log.w:{name}"));
        let (reader, writer) = match (world.take(&read_key), world.take(&write_key)) {
            (Some(reader), Some(writer)) => (reader, writer),
            _ => {
                let (reader, writer) =
                    pipe2(OFlag::O_CLOEXEC).map_err(InitError::system("cannot make a pipe"))?;
                world.store(&read_key, reader.as_fd());
                world.store(&write_key, writer.as_fd());
                (reader, writer)
            }
        };
        let reader = Receiver::from_owned_fd(reader).map_err(InitError::system("cannot read a pipe"))?;
        let path = world.paths.state.join("log").join(format!("{name}.log"));
        if world.generation > 0 {
            self.recall(name, &path);
        }
        let mut file = LogFile::new(path);
        let (logs, name, token) = (self.clone(), name.to_owned(), tasks.token());
        tasks.spawn("log", async move {
            let mut reader = BufReader::new(reader);
            tokio::select! {
                () = logs.read(&name, &mut reader, &mut file) => {}
                () = token.cancelled() => {}
            }
            logs.drain(&name, &mut reader, &mut file);
        });
        Ok(writer)
    }

    /// What an earlier supervisor kept in memory, as far as it stands in the file.
    fn recall(&self, name: &str, path: &Path) {
        let lines = match tail(path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return tracing::warn!(name, %error, "earlier lines of a log are not known"),
        };
        let skip = lines.len().saturating_sub(KEPT);
        self.with(name, |ring| ring.lines.extend(lines.into_iter().skip(skip)));
    }

    async fn read(&self, name: &str, reader: &mut BufReader<Receiver>, file: &mut LogFile) {
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut *reader).take(LONGEST).read_until(b'\n', &mut line).await {
                Ok(0) => return,
                Ok(_) => self.keep(name, &line, file),
                Err(error) => return tracing::warn!(name, %error, "cannot read a log pipe"),
            }
        }
    }

    /// What is still in the pipe at the end.
    fn drain(&self, name: &str, reader: &mut BufReader<Receiver>, file: &mut LogFile) {
        let mut rest = reader.buffer().to_vec();
        let mut chunk = [0_u8; 4096];
        while let Ok(count) = reader.get_mut().try_read(&mut chunk) {
            if count == 0 {
                break;
            }
            rest.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            self.keep(name, line, file);
        }
    }

    fn keep(&self, name: &str, bytes: &[u8], file: &mut LogFile) {
        let text = String::from_utf8_lossy(bytes)
            .trim_end_matches(['\n', '\r'])
            .to_owned();
        let line = Line {
            time_ms: now_ms(),
            text,
        };
        file.append(&line);
        self.with(name, |ring| {
            if ring.lines.len() == KEPT {
                ring.lines.pop_front();
            }
            ring.lines.push_back(line.clone());
            // Nobody may be following.
            let _listeners = ring.follow.send(line);
        });
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Ring) -> T) -> T {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry(name.to_owned()).or_insert_with(|| Ring {
            lines: VecDeque::new(),
            follow: broadcast::channel(FOLLOW).0,
        });
        act(ring)
    }

    /// The last `count` lines, and those to come.
    pub(crate) fn last(&self, name: &str, count: usize) -> (Vec<Line>, broadcast::Receiver<Line>) {
        self.with(name, |ring| {
            let skip = ring.lines.len().saturating_sub(count);
            (
                ring.lines.iter().skip(skip).cloned().collect(),
                ring.follow.subscribe(),
            )
        })
    }
}

/// The last lines of a log file, as [`LogFile`] wrote them.
fn tail(path: &Path) -> io::Result<Vec<Line>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(RECALLED);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(RECALLED).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = |line: &str| {
        let (time, text) = line.split_once(' ')?;
        Some(Line {
            time_ms: time.parse().ok()?,
            text: text.to_owned(),
        })
    };
    // The first may be the rest of one.
    Ok(text
        .lines()
        .skip(usize::from(from > 0))
        .filter_map(line)
        .collect())
}

/// A log file that is set aside when it has grown.
struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
    /// Whether a failure was reported since the last success.
    failed: bool,
}

impl LogFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            failed: false,
        }
    }

    /// Appends a line. A full disk must not stop a service: the failure is reported once.
    fn append(&mut self, line: &Line) {
        match self.try_append(line) {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.open = None;
                if !self.failed {
                    tracing::error!(path = %self.path.display(), %error, "cannot write a log file");
                }
                self.failed = true;
            }
        }
    }

    fn try_append(&mut self, line: &Line) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, size)| *size >= ROTATE_BYTES) {
            self.open = None;
            self.rotate()?;
        }
        let (file, size) = match &mut self.open {
            Some(open) => open,
            empty => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o640)
                    .open(&self.path)?;
                let size = file.metadata()?.len();
                empty.insert((file, size))
            }
        };
        let text = format!("{} {}\n", line.time_ms, line.text);
        file.write_all(text.as_bytes())?;
        *size += u64::try_from(text.len()).unwrap_or(0);
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let old = |number: u32| self.path.with_extension(format!("log.{number}"));
        for number in (1..OLD_FILES).rev() {
            match fs::rename(old(number), old(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, old(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_file_is_set_aside_when_it_has_grown() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(directory.path().join("x.log"));
        let line = Line {
            time_ms: 1,
            text: "y".repeat(1024 * 1024),
        };
        for _ in 0..30 {
            file.append(&line);
        }
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2", "x.log.3"]);
    }

    #[test]
    fn a_successor_knows_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut file = LogFile::new(path.clone());
        let (earlier, later) = (Logs::default(), Logs::default());
        for number in 0..5000 {
            let text = format!("line {number} {}\n", "y".repeat(200));
            earlier.keep("x", text.as_bytes(), &mut file);
        }
        later.recall("x", &path);
        later.recall("z", &directory.path().join("z.log"));
        let (lines, _) = later.last("x", KEPT);
        assert!(lines.len() > 500, "{}", lines.len());
        let (before, _) = earlier.last("x", lines.len());
        assert_eq!(lines, before);
        assert!(later.last("z", 1).0.is_empty());
    }

    #[test]
    fn only_the_last_lines_are_kept_and_followers_hear_new_ones() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(directory.path().join("x.log"));
        let logs = Logs::default();
        let (_, mut follow) = logs.last("x", 0);
        for number in 0..KEPT + 10 {
            logs.keep("x", format!("line {number}\n").as_bytes(), &mut file);
        }
        let (lines, _) = logs.last("x", 2);
        assert_eq!(lines.last().unwrap().text, format!("line {}", KEPT + 9));
        assert_eq!(logs.last("x", usize::MAX).0.len(), KEPT);
        assert!(matches!(
            follow.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(_))
        ));
    }
}
