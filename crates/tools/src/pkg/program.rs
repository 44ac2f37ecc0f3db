//! Runs one program: an absolute path, arguments as a list, an empty environment but for what is named,
//! no input, output up to a limit, and a process group that ends when the time is up.

use super::error::PkgError;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Most bytes of output that are kept of each stream; the rest is read and dropped.
const MOST: usize = 16 << 20;
/// How often the deadline is looked at.
const SLICE: Duration = Duration::from_millis(10);
/// Most characters of a program's words in an error.
const SAID: usize = 1200;
/// How long output is waited for after the program ended: a daemon that it started may keep it open.
const DRAIN: Duration = Duration::from_millis(500);

/// A program that is to run.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    name: String,
}

/// What a program that ended well wrote.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Program {
    pub(crate) fn new(path: &'static str) -> Self {
        let mut command = Command::new(path);
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Self { command, name }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Runs it; an exit other than 0 is an error.
    ///
    /// # Errors
    /// [`PkgError::Program`] with its words, or time: the whole group is killed then.
    pub(crate) fn run(self, budget: &Budget) -> Result<Output> {
        let name = self.name.clone();
        let (status, output) = self.end(budget)?;
        if status.success() {
            return Ok(output);
        }
        let ended = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        };
        Err(PkgError::Program {
            program: name,
            ended,
            said: words(&output),
        }
        .into())
    }

    /// Runs it to its end, whatever that is.
    fn end(mut self, budget: &Budget) -> Result<(ExitStatus, Output)> {
        budget.check()?;
        let started = self.command.spawn();
        let mut child = started.map_err(|error| ToolError::io("run", &self.name, error))?;
        let (out, errors) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let status = match wait(&mut child, budget, &self.name) {
            Ok(status) => status,
            Err(error) => {
                end_group(&mut child, &self.name)?;
                return Err(error);
            }
        };
        let out = text(&out);
        let errors = text(&errors);
        Ok((status, Output { out, errors }))
    }
}

/// Reads a stream on a thread of its own, which ends with the stream.
fn reader(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let (mut buffer, mut kept) = (vec![0; 64 << 10], 0);
        // A stream that breaks has said what it had to say; the exit status tells the rest.
        while let Ok(count) = stream.read(&mut buffer) {
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            let take = chunk.len().min(MOST.saturating_sub(kept));
            kept += take;
            if let Some(chunk) = chunk.get(..take).filter(|chunk| !chunk.is_empty())
                && send.send(chunk.to_vec()).is_err()
            {
                break;
            }
        }
    });
    receive
}

fn text(stream: &Receiver<Vec<u8>>) -> String {
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.recv_timeout(DRAIN) {
        bytes.extend(chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child, budget: &Budget, name: &str) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child
            .try_wait()
            .map_err(|error| ToolError::io("wait for", name, error))?
        {
            return Ok(status);
        }
        budget.check()?;
        pause(SLICE);
    }
}

/// Kills the whole group, so that nothing that the program started goes on.
fn end_group(child: &mut Child, name: &str) -> Result<()> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && let Err(errno) = kill_process_group(group, Signal::KILL)
        && errno != rustix::io::Errno::SRCH
    {
        return Err(ToolError::io("end", name, errno));
    }
    child
        .wait()
        .map(drop)
        .map_err(|error| ToolError::io("wait for", name, error))
}

/// The lines that say what is wrong, or else the last ones.
fn words(output: &Output) -> String {
    let lines = || output.errors.lines().chain(output.out.lines());
    let telling: Vec<&str> = lines()
        .filter(|line| line.starts_with("E: ") || line.contains("error") || line.contains("Depends:"))
        .collect();
    let mut said = telling.join("; ");
    if said.is_empty() {
        let all: Vec<&str> = lines().filter(|line| !line.trim().is_empty()).collect();
        said = all
            .iter()
            .rev()
            .take(5)
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join("; ");
    }
    said.chars().take(SAID).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tools run on threads of their own, where waiting blocks nobody"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh").args(&["-c", script])
    }

    #[test]
    fn the_environment_is_empty_and_input_is_at_its_end() {
        let output = Program::new("/usr/bin/env")
            .env("LC_ALL", "C")
            .run(&Budget::of_ms(9000))
            .unwrap();
        assert_eq!(output.out, "LC_ALL=C\n");
        assert_eq!(shell("wc -c").run(&Budget::of_ms(9000)).unwrap().out.trim(), "0");
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = shell("echo fine; echo 'E: no such thing' >&2; exit 100")
            .run(&Budget::of_ms(9000))
            .unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit 100): E: no such thing");
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the end of a process of nobody here is no event"
    )]
    fn when_time_is_up_the_whole_group_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", file.display());
        let error = shell(&script).run(&Budget::of_ms(700)).unwrap_err();
        assert!(
            matches!(error, ToolError::TimedOut { allowed_ms: 700 }),
            "{error}"
        );
        let pid = std::fs::read_to_string(file).unwrap();
        // The signal is on its way when the call answers.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        for _ in 0..500 {
            if gone() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the sleeper goes on");
    }

    #[test]
    fn too_much_output_is_cut_and_a_daemon_that_keeps_it_open_holds_up_nobody() {
        let many = shell("head -c 20000000 /dev/zero | tr '\\0' x");
        assert_eq!(many.run(&Budget::of_ms(20_000)).unwrap().out.len(), MOST);
        let started = std::time::Instant::now();
        let output = shell("sleep 20 & echo done").run(&Budget::of_ms(30_000)).unwrap();
        assert_eq!(output.out, "done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
