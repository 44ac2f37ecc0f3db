//! The instance's Podman, used as the unprivileged user that owns the containers: what somebody who took over that user
//! could do.

use crate::ctl::{Instance, pause};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A container that says nothing for so long does not speak at all.
const LIMIT: Duration = Duration::from_secs(60);

/// Owner of all containers.
pub const OWNER: &str = "aios-sandbox";

/// A command that runs as root.
pub fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Runs a command to its end, which must be a good one; answers what it printed.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Podman on the store of an instance.
#[derive(Debug, Clone)]
pub struct Containers {
    state: PathBuf,
}

impl Containers {
    /// Of this instance.
    pub fn of(instance: &Instance) -> Self {
        Self {
            state: instance.state.clone(),
        }
    }

    /// `podman`, with the surroundings that the sandbox service gives it.
    fn podman(&self) -> Command {
        let (own, run) = (self.state.join("var/sandbox"), self.state.join("run/sandbox"));
        let mut command = as_root("setpriv");
        command
            .args(["--reuid", OWNER, "--regid", OWNER, "--init-groups", "env", "-i"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        for (name, value) in [
            ("HOME", own.clone()),
            ("TMPDIR", own.join("tmp")),
            ("XDG_RUNTIME_DIR", run.clone()),
            ("XDG_CONFIG_HOME", own.join("config")),
            ("CONTAINERS_CONF", run.join("containers.conf")),
            ("CONTAINERS_STORAGE_CONF", run.join("storage.conf")),
        ] {
            command.arg(format!("{name}={}", value.display()));
        }
        command.arg("podman").current_dir("/");
        command
    }

    /// Runs `podman ARGS` to its end.
    pub fn output<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Output {
        self.podman().args(args).output().expect("podman starts")
    }

    /// Runs `podman ARGS`, which must succeed; answers what it printed.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        done(self.podman().args(args)).trim().to_owned()
    }

    /// Runs a container with these arguments of `podman run` until it has printed something, and removes it; answers
    /// what it printed. (Podman 4's own wait for the end of a container can take 20 s too long.)
    pub fn answer_of<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        let container = done(self.podman().args(["run", "--detach"]).args(args));
        let container = container.trim();
        let begin = Instant::now();
        let said = loop {
            let said = self.run(["logs", container]);
            if !said.is_empty() || begin.elapsed() > LIMIT {
                break said;
            }
            pause();
        };
        self.run(["rm", "--force", "--time", "0", container]);
        said
    }

    /// Runs a Python program inside a running container; answers what it printed.
    pub fn python(&self, container: &str, code: &str, args: &[&str]) -> String {
        let words = ["exec", container, "/usr/bin/python3", "-c", code];
        self.run(words.iter().chain(args))
    }
}
