//! Speaking with the service in the guest: a hello after each boot, then one command at a time.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::machine::{Running, wait_for};

/// Longest line that is believed, bytes.
const LONGEST: usize = 4 << 20;
const POLL: Duration = Duration::from_millis(200);

/// The guest behind a port.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: UnixStream,
    pending: Vec<u8>,
}

/// Which boot speaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Hello {
    /// The kernel's number of the boot.
    pub(crate) boot: String,
    /// The kernel's command line.
    pub(crate) cmdline: String,
    /// Which image it is.
    pub(crate) version: String,
}

/// How a command ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Hello(Hello),
    Done(Done),
}

/// Where a machine that is not started yet will connect its guest's port.
#[derive(Debug)]
pub(crate) struct Port {
    listener: UnixListener,
    path: PathBuf,
}

impl Port {
    /// Opens it at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let _old = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| format!("listen at {}", path.display()))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Takes the started machine's connection.
    pub(crate) fn guest(self, limit: Duration) -> Result<Guest> {
        ensure!(
            wait_for(&self.listener, limit)?,
            "QEMU did not open {}",
            self.path.display()
        );
        let (stream, _) = self.listener.accept()?;
        std::fs::remove_file(&self.path)?;
        stream.set_read_timeout(Some(POLL))?;
        Ok(Guest {
            stream,
            pending: Vec::new(),
        })
    }
}

impl Guest {
    /// Waits for the hello of a boot other than `before`.
    pub(crate) fn hello(
        &mut self,
        machine: &mut Running,
        before: Option<&Hello>,
        limit: Duration,
    ) -> Result<Hello> {
        let until = Instant::now() + limit;
        loop {
            if let Word::Hello(hello) = self.word(machine, until).context("wait for a boot")?
                && before.is_none_or(|before| before.boot != hello.boot)
            {
                self.say(&json!({"welcome": true}))?;
                return Ok(hello);
            }
        }
    }

    /// Runs a command in the guest.
    pub(crate) fn run(&mut self, machine: &mut Running, argv: &[&str], limit: Duration) -> Result<Done> {
        self.say(&json!({"argv": argv, "limit_s": limit.as_secs()}))?;
        let until = Instant::now() + limit + Duration::from_secs(30);
        loop {
            match self.word(machine, until).with_context(|| argv.join(" "))? {
                Word::Done(done) => return Ok(done),
                // One that was said before we were heard.
                Word::Hello(_) => {}
            }
        }
    }

    /// Has the guest run a command that ends it, so that nobody will say how it went.
    pub(crate) fn last(&mut self, argv: &[&str]) -> Result<()> {
        self.say(&json!({"argv": argv, "limit_s": 60}))
    }

    fn say(&mut self, value: &serde_json::Value) -> Result<()> {
        let line = format!("{value}\n");
        self.stream
            .write_all(line.as_bytes())
            .context("speak with the guest")
    }

    fn word(&mut self, machine: &mut Running, until: Instant) -> Result<Word> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                // A machine that was switched off in the middle of a line leaves half of one.
                if let Ok(word) = serde_json::from_slice(&line) {
                    return Ok(word);
                }
                continue;
            }
            if Instant::now() >= until {
                bail!("the guest said nothing in time");
            }
            if machine.is_off()? {
                bail!("the machine is off");
            }
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) => bail!("the guest's port is closed"),
                Ok(count) => self.pending.extend(bytes.iter().take(count)),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error).context("listen to the guest"),
            }
            ensure!(self.pending.len() <= LONGEST, "the guest's line has no end");
        }
    }
}
