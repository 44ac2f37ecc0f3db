//! What services write on standard output and error: captured by a pipe, kept as the last lines in
//! memory, and appended to `state/log/NAME.log` with rotation.
//!
//! Both ends of the pipe are stored with PID 1: a service never gets SIGPIPE because the supervisor
//! died, and its successor reads on where it stopped. A service that writes more than it may loses lines, is
//! told how many in the same log, and slows nobody else down.

mod file;
mod limit;
mod pending;

pub(crate) use limit::Pace;

use super::clock::Stamp;
use super::world::World;
use crate::error::{InitError, Result};
use crate::spec::Spec;
use crate::sys;
use aios_core::tasks::Tasks;
pub(super) use file::rotate;
use file::{LogFile, tail};
use limit::Limit;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use pending::Pending;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::broadcast;

/// Lines kept in memory for each service.
const KEPT: usize = 1000;
/// Longest line, bytes; the rest of a longer one becomes the next.
const LONGEST: usize = 16 * 1024;
/// Lines that a slow follower may lag behind before it loses some.
const FOLLOW: usize = 256;
/// A rest after a chunk of which something was dropped: the rest of a flood waits in its own pipe.
const REST: Duration = Duration::from_millis(5);
/// Until it is tried again to say what a full disk cost.
const ROOM_AGAIN: Duration = Duration::from_secs(2);

/// A captured line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time_ms: i64,
    pub(crate) text: String,
}

struct Ring {
    lines: VecDeque<Line>,
    follow: broadcast::Sender<Line>,
    pace: Pace,
}

/// The last lines of all services. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    rings: Arc<Mutex<HashMap<String, Ring>>>,
}

impl Logs {
    /// Makes the pipe of a service, or takes that of an earlier supervisor, starts reading, and yields
    /// the end to write to.
    pub(crate) fn open(&self, world: &mut World, spec: &Spec, tasks: &Tasks) -> Result<OwnedFd> {
        let name = &spec.name;
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
        let pipe = sys::watch(Arc::new(reader)).map_err(InitError::system("cannot read a pipe"))?;
        let path = world.paths.state.join("log").join(format!("{name}.log"));
        if world.generation > 0 {
            self.recall(name, &path);
        }
        self.set_pace(spec);
        let staged = world.paths.run.join("init").join("log").join(name);
        let mut capture = Capture::new(self.clone(), name, &path, &staged);
        let token = tasks.token();
        tasks.spawn("log", async move {
            tokio::select! {
                () = capture.read(&pipe) => {}
                () = token.cancelled() => {}
            }
            capture.drain(pipe.get_ref().as_fd());
        });
        Ok(writer)
    }

    /// How much a service may write from now on.
    pub(crate) fn set_pace(&self, spec: &Spec) {
        self.with(&spec.name, |ring| {
            ring.pace = Pace {
                lines_per_s: spec.log_lines_per_s,
                burst: spec.log_burst,
            };
        });
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

    fn keep(&self, name: &str, lines: Vec<Line>) {
        self.with(name, |ring| {
            for line in lines {
                if ring.lines.len() == KEPT {
                    ring.lines.pop_front();
                }
                ring.lines.push_back(line.clone());
                // Nobody may be following.
                let _listeners = ring.follow.send(line);
            }
        });
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Ring) -> T) -> T {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry(name.to_owned()).or_insert_with(|| Ring {
            lines: VecDeque::new(),
            follow: broadcast::channel(FOLLOW).0,
            pace: Pace {
                lines_per_s: 0,
                burst: 0,
            },
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

/// The reading of one pipe.
struct Capture {
    logs: Logs,
    name: String,
    pending: Pending,
    limit: Limit,
    file: LogFile,
}

impl Capture {
    /// With what an earlier supervisor had taken out of the pipe and not passed on.
    fn new(logs: Logs, name: &str, log: &Path, staged: &Path) -> Self {
        let (pending, dropped) = Pending::open(staged.to_path_buf(), log);
        let mut capture = Self {
            logs,
            name: name.to_owned(),
            pending,
            limit: Limit::new(Stamp::now().mono_ms, dropped),
            file: LogFile::new(log.to_path_buf()),
        };
        // Opened ahead: later there may be no descriptor left. What cannot be opened is tried again with the first line.
        let _now_or_later = capture.file.end();
        capture.pass_on(false);
        capture
    }

    /// Until the pipe cannot be read any more.
    async fn read(&mut self, pipe: &AsyncFd<Arc<OwnedFd>>) {
        loop {
            let report = self.limit.due(Stamp::now().mono_ms);
            let again = self.file.lacks().then_some(ROOM_AGAIN);
            let wait = report.into_iter().chain(again).min();
            tokio::select! {
                guard = pipe.readable() => {
                    let taken = guard.map(|mut guard| guard.try_io(|pipe| self.pending.take(pipe.as_fd())));
                    match taken {
                        Ok(Ok(Ok(0))) => return,
                        Ok(Ok(Ok(_)) | Err(_)) => {}
                        Ok(Ok(Err(error))) | Err(error) => {
                            tracing::warn!(name = self.name, %error, "cannot read a log pipe");
                            tokio::time::sleep(ROOM_AGAIN).await;
                        }
                    }
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            let before = self.limit.dropped();
            self.pass_on(false);
            if self.limit.dropped() > before {
                tokio::time::sleep(REST).await;
            } else {
                // Every other pipe has its turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// What is still in the pipe at the end.
    fn drain(&mut self, pipe: BorrowedFd<'_>) {
        while self.pending.take(pipe).is_ok_and(|count| count > 0) {
            self.pass_on(false);
        }
        self.pass_on(true);
    }

    /// Brings lines to the file and to whoever follows: whole ones, and at the end the last half one too.
    fn pass_on(&mut self, at_end: bool) {
        let now = Stamp::now();
        let pace = self.logs.with(&self.name, |ring| ring.pace);
        let mut lines = Vec::new();
        let mut batch = 0;
        let before = self.limit.dropped();
        let mut rest = self.pending.bytes();
        while let Some(length) = line_length(rest, at_end) {
            let (line, after) = rest.split_at(length);
            if self.limit.admit(pace, now.mono_ms) {
                lines.push(Line {
                    time_ms: now.utc_ms,
                    text: String::from_utf8_lossy(line)
                        .trim_end_matches(['\n', '\r'])
                        .to_owned(),
                });
            }
            (rest, batch) = (after, batch + length);
        }
        let report = if at_end {
            self.limit.report_now(now.mono_ms)
        } else {
            self.limit.report(now.mono_ms)
        };
        lines.extend(report.map(|text| Line {
            time_ms: now.utc_ms,
            text,
        }));
        if batch == 0 && lines.is_empty() && !self.file.lacks() {
            return;
        }
        let end = self.file.end();
        self.pending.begin(batch, end, [before, self.limit.dropped()]);
        self.file.append(&lines, now);
        self.pending.done(batch, self.limit.dropped());
        self.logs.keep(&self.name, lines);
    }
}

/// Length of the first line with its end; none while there is no whole one.
fn line_length(bytes: &[u8], at_end: bool) -> Option<usize> {
    let start = bytes.get(..LONGEST.min(bytes.len())).unwrap_or_default();
    match start.iter().position(|byte| *byte == b'\n') {
        Some(place) => Some(place + 1),
        None if start.len() == LONGEST || at_end && !start.is_empty() => Some(start.len()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: impl Into<String>) -> Line {
        Line {
            time_ms: 1,
            text: text.into(),
        }
    }

    #[test]
    fn lines_end_with_a_newline_or_where_they_are_too_long() {
        let long = vec![b'x'; LONGEST + 5];
        for (bytes, at_end, wanted) in [
            (&b"a\nb\n"[..], false, Some(2)),
            (b"\n", false, Some(1)),
            (b"half", false, None),
            (b"half", true, Some(4)),
            (b"", true, None),
            (&long, false, Some(LONGEST)),
        ] {
            assert_eq!(line_length(bytes, at_end), wanted, "{at_end}");
        }
    }

    #[test]
    fn a_successor_knows_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut file = LogFile::new(path.clone());
        let (earlier, later) = (Logs::default(), Logs::default());
        for number in 0..5000 {
            let lines = vec![line(format!("line {number} {}", "y".repeat(200)))];
            file.append(&lines, Stamp::now());
            earlier.keep("x", lines);
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
        let logs = Logs::default();
        let (_, mut follow) = logs.last("x", 0);
        for number in 0..KEPT + 10 {
            logs.keep("x", vec![line(format!("line {number}"))]);
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
