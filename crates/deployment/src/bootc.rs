//! bootc: what it says of the images of this machine, and having it change them.
//!
//! Shapes are those of bootc 1.16 with its composefs backend: `bootc status --json` (`org.containers.bootc/v1`), and the JSON
//! lines of `--progress-fd`. Only what is used here is read; what bootc adds is skipped.
//!
//! bootc leaves no lock while it fetches and writes, and whoever started it may die. So each run that changes something
//! holds a lock file, inherited by everything that it starts: [`Bootc::settle`] ends a run that nobody waits for any more.

use crate::error::{DeploymentError, Result};
use crate::id::DeploymentId;
use crate::image::Reference;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is asked whether a run may go on.
const GLANCE: Duration = Duration::from_millis(50);
/// Most bytes that are kept of what a program says, and the longest line of progress.
const MOST: u64 = 4 << 20;
/// Most characters of a program's words in an error.
const SAID: usize = 600;
/// How long the words of a program that has ended are waited for: what it started may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a run that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(20);
/// Where programs look for others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Inherited descriptors must not reach a program that another thread starts at the same moment.
static STARTING: Mutex<()> = Mutex::new(());

/// What there is on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// What runs. None: this machine was not started from an image that bootc laid out.
    pub booted: Option<Entry>,
    /// What the next shutdown finalizes.
    pub staged: Option<Entry>,
    /// What a rollback goes to.
    pub rollback: Option<Entry>,
    /// Further ones on the boot loader's menu.
    pub other_deployments: Vec<Entry>,
    /// Whether the next boot is of another one than what runs, with nothing staged.
    pub rollback_queued: bool,
}

/// A deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Entry {
    /// The image that it came from.
    pub image: Option<Image>,
    /// Its file system.
    pub composefs: Option<Composefs>,
    /// Staged, but not to be finalized.
    pub download_only: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Where it came from.
    pub image: Reference,
    /// `org.opencontainers.image.version` of its manifest.
    pub version: Option<String>,
    /// When it was made, RFC 3339.
    pub timestamp: Option<String>,
    /// Digest of its manifest.
    pub image_digest: String,
}

/// A deployment's file system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Composefs {
    /// Digest of the image of its root: the deployment's name.
    pub verity: DeploymentId,
    /// Digest of its kernel and initramfs together.
    pub boot_digest: Option<String>,
    /// Whether it would run with a file whose digest is not checked by the kernel.
    #[serde(default)]
    pub missing_verity_allowed: bool,
}

impl Entry {
    /// The deployment's name.
    #[must_use]
    pub fn id(&self) -> Option<&DeploymentId> {
        self.composefs.as_ref().map(|composefs| &composefs.verity)
    }

    /// Digest of the image's manifest; empty when it is not known.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.image.as_ref().map_or("", |image| &image.image_digest)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Host {
    status: Status,
}

impl Status {
    /// Reads what `bootc status --json` printed.
    ///
    /// # Errors
    /// It is not understood.
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str::<Host>(json)
            .map(|host| host.status)
            .map_err(|error| DeploymentError::Answer {
                command: "bootc status".to_owned(),
                reason: error.to_string(),
            })
    }
}

/// How far a fetch is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Progress {
    /// Bytes of the layers that are being fetched.
    pub bytes: u64,
    /// How many they have; 0 when that is not known.
    pub bytes_total: u64,
    /// Layers that were fetched.
    pub steps: u64,
    /// Layers that were there before.
    pub steps_cached: u64,
}

impl Progress {
    /// Reads a line of `--progress-fd`; `None` for a line that says nothing of bytes.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        let kind: Kind = serde_json::from_str(line).ok()?;
        (kind.r#type == "ProgressBytes")
            .then(|| serde_json::from_str(line).ok())
            .flatten()
    }
}

/// What a caller says while a program runs.
pub trait Watch {
    /// Whether it may go on; it is killed when not.
    fn go_on(&self) -> bool;

    /// How far it is.
    fn progress(&self, _progress: &Progress) {}
}

/// The program, and how it is run.
#[derive(Debug, Clone)]
pub struct Bootc {
    /// Path and first arguments.
    pub command: Vec<String>,
    /// Held by runs that change something.
    pub lock: PathBuf,
    /// Whether it is run as uid 0 although the caller is somebody else.
    pub as_root: bool,
    /// Where it works and puts what it needs for a while (`TMPDIR`); `None` for `/` and its own choice.
    pub dir: Option<PathBuf>,
}

impl Bootc {
    /// What there is on this machine.
    ///
    /// # Errors
    /// bootc cannot be run, fails, or answers what is not understood.
    pub fn status(&self, watch: &dyn Watch) -> Result<Status> {
        Status::parse(
            &self
                .program()
                .run(&["status", "--json", "--format-version", "1"], watch)?,
        )
    }

    /// Runs a command that changes something, and tells of its progress where the command can.
    ///
    /// # Errors
    /// bootc cannot be run or fails, or the caller stopped it.
    pub fn change(&self, args: &[&str], tells: bool, watch: &dyn Watch) -> Result<String> {
        let lock = self.locked(watch)?;
        self.program().start(args, tells, Some(&lock), watch)
    }

    /// Ends a run of [`Self::change`] that nobody waits for any more, and returns when nothing of it runs.
    ///
    /// # Errors
    /// It does not end.
    pub fn settle(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let file = self.lock_file()?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(_free) => return Ok(()),
                Err((_, Errno::EWOULDBLOCK)) if begun.elapsed() < GONE => self.kill_holder(),
                Err((_, errno)) => {
                    return Err(DeploymentError::path("something still holds", &self.lock)(
                        errno.into(),
                    ));
                }
            }
            pause(GLANCE);
        }
    }

    /// While the lock is held its holders live, and with them the group whose number they wrote.
    fn kill_holder(&self) {
        let group = fs::read_to_string(&self.lock)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(group) = group.filter(|group| *group > 1) {
            // Gone already: the next look finds the lock free.
            let _gone = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    fn lock_file(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.lock)
            .map_err(DeploymentError::path("cannot open", &self.lock))
    }

    fn locked(&self, watch: &dyn Watch) -> Result<Flock<File>> {
        let mut file = self.lock_file()?;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((file, Errno::EWOULDBLOCK)) if watch.go_on() => file,
                Err((_, Errno::EWOULDBLOCK)) => return Err(DeploymentError::Stopped),
                Err((_, errno)) => {
                    return Err(DeploymentError::path("cannot lock", &self.lock)(errno.into()));
                }
            };
            pause(GLANCE);
        }
    }

    fn program(&self) -> Program<'_> {
        Program {
            command: &self.command,
            as_root: self.as_root,
            dir: self.dir.as_deref(),
        }
    }
}

/// A program with nothing in its environment but a path.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Path and first arguments.
    pub command: &'a [String],
    /// Whether it is run as uid 0 although the caller is somebody else.
    pub as_root: bool,
    /// Where it works and puts what it needs for a while (`TMPDIR`); `None` for `/` and its own choice.
    pub dir: Option<&'a Path>,
}

impl Program<'_> {
    /// Runs it to its end. Answers what it wrote.
    ///
    /// # Errors
    /// It cannot be run or fails, or the caller stopped it.
    pub fn run(&self, args: &[&str], watch: &dyn Watch) -> Result<String> {
        self.start(args, false, None, watch)
    }

    fn start(
        &self,
        args: &[&str],
        tells: bool,
        lock: Option<&Flock<File>>,
        watch: &dyn Watch,
    ) -> Result<String> {
        let (program, first) = self
            .command
            .split_first()
            .ok_or_else(|| DeploymentError::NotRun {
                program: "bootc".to_owned(),
                source: std::io::Error::other("the configuration names no program"),
            })?;
        let name = Path::new(program)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let name = format!("{name} {}", args.first().unwrap_or(&""));
        let failed = |source| DeploymentError::NotRun {
            program: program.clone(),
            source,
        };
        let mut command = Command::new(program);
        command
            .args(first)
            .args(args)
            .env_clear()
            .envs([("PATH", PATH), ("LC_ALL", "C.UTF-8"), ("HOME", "/root")])
            .current_dir(self.dir.unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(dir) = self.dir {
            command.env("TMPDIR", dir);
        }
        if self.as_root {
            command.uid(0).gid(0);
        }
        let (mut child, progress) = spawn(&mut command, tells, lock).map_err(failed)?;
        let (out, errors) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let lines = progress.map(lines);
        let ended = wait(&mut child, lines.as_ref(), watch).map_err(failed)?;
        let Some(status) = ended else {
            return Err(DeploymentError::Stopped);
        };
        let (out, errors) = (text(&out), text(&errors));
        if status.success() {
            return Ok(out);
        }
        Err(DeploymentError::Failed {
            command: name.trim().to_owned(),
            ended: how(status),
            said: last_words(&errors, &out),
        })
    }
}

/// Starts it with the pipe for its progress and the lock, which everything that it starts inherits.
fn spawn(
    command: &mut Command,
    tells: bool,
    lock: Option<&Flock<File>>,
) -> std::io::Result<(Child, Option<PipeReader>)> {
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pipe = tells.then(std::io::pipe).transpose()?;
    if let Some((_, writer)) = &pipe {
        inherited(writer, true)?;
        command.arg("--progress-fd").arg(writer.as_raw_fd().to_string());
    }
    if let Some(lock) = lock {
        inherited(&**lock, true)?;
    }
    let child = command.spawn();
    if let Some(lock) = lock {
        inherited(&**lock, false)?;
    }
    let mut child = child?;
    if let Some(lock) = lock
        && let Err(error) = note_group(lock, child.id())
    {
        // Nobody could end it later.
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    // The writing end goes here, so that the pipe ends with the program.
    Ok((child, pipe.map(|(reader, _)| reader)))
}

/// Writes the group of a run into the lock that it holds.
fn note_group(mut lock: &File, group: u32) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "{group}")
}

/// Whether programs that are started from now on get this descriptor.
fn inherited(fd: impl AsFd, on: bool) -> std::io::Result<()> {
    let flags = if on { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Waits for its end; `None` when the caller did not want to go on, and nothing of it runs any more.
fn wait(
    child: &mut Child,
    lines: Option<&Receiver<Progress>>,
    watch: &dyn Watch,
) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if !watch.go_on() {
            let group = Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other)?);
            match killpg(group, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
            child.wait()?;
            return Ok(None);
        }
        match lines.map(|lines| lines.recv_timeout(GLANCE)) {
            Some(Ok(progress)) => watch.progress(&progress),
            Some(Err(RecvTimeoutError::Timeout)) => {}
            None | Some(Err(RecvTimeoutError::Disconnected)) => pause(GLANCE),
        }
    }
}

/// Lines of progress, read on a thread of its own so that the program never waits for it.
fn lines(pipe: PipeReader) -> Receiver<Progress> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(MOST).read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {}
                // The end, or nothing more to be had: the exit status tells the rest.
                _ => return,
            }
            let progress = Progress::parse(&String::from_utf8_lossy(&line));
            if progress.is_some_and(|progress| send.send(progress).is_err()) {
                return;
            }
        }
    });
    receive
}

fn reader(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut kept = Vec::new();
        // What cannot be read is not told; the rest is read and dropped, so that nobody waits for it.
        let _cut = stream.by_ref().take(MOST).read_to_end(&mut kept);
        let _unheard = send.send(kept);
        let _rest = std::io::copy(&mut stream, &mut std::io::sink());
    });
    receive
}

fn text(stream: &Receiver<Vec<u8>>) -> String {
    let bytes = stream.recv_timeout(DRAIN).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// The last line that says what is wrong, or else the last line of all. Where that tells no more than with which status
/// a program ended, what was said before it comes first.
fn last_words(errors: &str, out: &str) -> String {
    let lines: Vec<&str> = out
        .lines()
        .chain(errors.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let telling = lines
        .iter()
        .rposition(|line| line.to_ascii_lowercase().contains("error"));
    let until = telling.map_or(lines.len(), |last| last + 1);
    let mut backwards = lines.iter().take(until).rev();
    let Some(last) = backwards.next() else {
        return "it said nothing".to_owned();
    };
    let said = last.strip_prefix("error: ").unwrap_or(last);
    let said = match backwards.next() {
        Some(before) if only_a_status(said) => format!("{before}: {said}"),
        _ => said.to_owned(),
    };
    said.chars().filter(|c| !c.is_control()).take(SAID).collect()
}

/// As Podman ends when what it ran has said why, and it does not.
fn only_a_status(line: &str) -> bool {
    line.rsplit_once("exit status ")
        .is_some_and(|(_, number)| number.parse::<u8>().is_ok())
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs a program from here waits on a thread made for that"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests;
