//! `cargo xtask container`: the OS image as a container, for development. The same image that machines boot; `aios-init` is its
//! process 1, the console is published on this machine's loopback, and agents run in rootless Podman inside.
//!
//! Not for: production. What a machine's kernel enforces for aiOS alone (limits, AppArmor, the firewall) it may lack here; the
//! configuration that allows that, `bootc/container/config.toml`, is mounted into this container and is not part of the image.

mod machine;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xshell::Cmd;

use crate::first_goal::{self, System};
use crate::host::{Host, say};
use crate::{image, process, readiness};

/// Name of the container, and what the names of all that belongs to it begin with.
const NAME: &str = "aios";
/// What is mounted into it: a file of `bootc/container`, and its place.
const MOUNTED: [(&str, &str); 3] = [
    ("config.toml", "/etc/aios/config.toml"),
    ("console-door.toml", "/etc/aios/services/console-door.toml"),
    ("console-door.py", "/etc/aios/door/console-door.py"),
];
/// All services must be ready by then. The first start loads the agent image into the containers' store.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Services get time to end in order; agents' containers take longest.
const STOP_S: &str = "60";
const POLL: Duration = Duration::from_millis(500);
/// Where a tree for a goal lies in it.
const SCRATCH: &str = "/var/tmp/scratch";
/// Names, modes, times and contents of the files below a directory.
const PICTURE: &str = "cd \"$1\" && find . -type f -printf '%p %m %Ts\\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2";

/// Arguments of `container`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop it; leaves no process, container or volume, and so nothing of its state.
    #[arg(long, conflicts_with_all = ["logs", "goal", "no_goal", "test"])]
    stop: bool,
    /// Show what it says, and go on showing it until Ctrl-C.
    #[arg(long, conflicts_with_all = ["goal", "no_goal", "test"])]
    logs: bool,
    /// Start it unless it runs, and do this goal instead of the first one; a person is asked for approvals as always.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["no_goal", "test"])]
    goal: Option<String>,
    /// Start it without doing a first goal.
    #[arg(long, conflicts_with = "test")]
    no_goal: bool,
    /// Start one beside it, take a goal from its statement to its undo, verify the log, stop, and see that nothing is left.
    #[arg(long)]
    test: bool,
    /// Port of this machine's loopback address for the console.
    #[arg(long, default_value_t = 9090)]
    port: u16,
    /// The image of root's store to run: the one that `image` built last.
    #[arg(long, default_value = image::IMAGE)]
    image: String,
}

/// Does what the arguments ask for.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let name = if args.test {
        format!("{NAME}-test")
    } else {
        NAME.to_owned()
    };
    let container = Container {
        host,
        name,
        port: args.port,
    };
    if args.stop {
        container.stop()?;
        say("stopped: no process, container or volume is left");
        return Ok(());
    }
    if args.logs {
        return container.logs();
    }
    if args.test {
        return container.test(&args.image);
    }
    if !container.exists()? {
        container.start(&args.image)?;
    }
    match &args.goal {
        Some(text) => container.goal(text)?,
        None if args.no_goal => {}
        None => drop(first_goal::run(&container, &container.made())?),
    }
    container.greet()
}

/// A container with aiOS.
struct Container<'h> {
    host: &'h Host,
    name: String,
    port: u16,
}

impl System for Container<'_> {
    fn ctl(&self, args: &[&str]) -> Cmd<'_> {
        self.host
            .podman()
            .args(["exec", &self.name, "aiosctl"])
            .args(args)
            .quiet()
    }

    fn typed(&self) -> String {
        format!("podman exec -it {} aiosctl", self.name)
    }

    fn asked_by(&self) -> &'static str {
        "make container"
    }

    fn take_in(&self, made: PathBuf) -> Result<PathBuf> {
        let to = PathBuf::from(SCRATCH);
        let place = format!("{}:{}", self.name, to.display());
        self.inside(&["rm", "-rf"]).arg(&to).run()?;
        self.host.podman().arg("cp").arg(&made).arg(place).run()?;
        // Whoever unpacked them here is nobody there.
        self.inside(&["chown", "-R", "root:root"]).arg(&to).run()?;
        Ok(to)
    }
}

impl Container<'_> {
    fn volume(&self) -> String {
        format!("{}-state", self.name)
    }

    /// Where trees for it are made.
    fn made(&self) -> PathBuf {
        self.host.cache.join("container")
    }

    fn exists(&self) -> Result<bool> {
        self.answers_yes(&["container", "exists", &self.name])
    }

    fn answers_yes(&self, question: &[&str]) -> Result<bool> {
        let output = self.host.podman().args(question).ignore_status().output()?;
        Ok(output.status.success())
    }

    /// A command in it, as root.
    fn inside(&self, words: &[&str]) -> Cmd<'_> {
        self.host.podman().args(["exec", &self.name]).args(words)
    }

    fn start(&self, image: &str) -> Result<()> {
        ensure!(
            self.host.has_image(image)?,
            "{image} is not there: run `cargo xtask image` first"
        );
        let files = self.host.root.join("bootc/container");
        let mounts = MOUNTED.iter().flat_map(|(file, place)| {
            [
                "-v".to_owned(),
                format!("{}:{place}:ro", files.join(file).display()),
            ]
        });
        self.host
            .podman()
            .args(machine::global())
            .args(["run", "--detach", "--name", &self.name, "--hostname", "aios"])
            .args(machine::options()?)
            .args(mounts)
            .args(["-v", &format!("{}:/var", self.volume())])
            .args(["-p", &format!("127.0.0.1:{}:9090", self.port)])
            .args(["--stop-timeout", STOP_S])
            .arg(image)
            .ignore_stdout()
            .run()
            .context("start the container")?;
        self.wait_until_ready()?;
        // On a machine phases of the boot do that.
        for words in [
            &["systemd-sysusers"][..],
            &["systemd-tmpfiles", "--create", "--prefix=/var", "aios.conf"],
        ] {
            self.inside(words)
                .ignore_stderr()
                .run()
                .with_context(|| words.join(" "))?;
        }
        // The person who may start a container as root is root inside, and approves.
        self.ctl(&["person", "enrol", "--user", "root"])
            .ignore_stdout()
            .run()
            .context("enrol root")
    }

    fn wait_until_ready(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let waiting = self.not_ready();
            if waiting.as_ref().is_ok_and(Vec::is_empty) {
                say(&format!(
                    "container {}: all services ready after {:.1} s",
                    self.name,
                    begin.elapsed().as_secs_f32()
                ));
                return Ok(());
            }
            let running = self
                .host
                .podman()
                .args(["inspect", "--format", "{{.State.Running}}"]);
            if running.arg(&self.name).read()?.trim() != "true" || begin.elapsed() > START_LIMIT {
                let waiting = waiting.map_or_else(|error| format!("{error:#}"), |names| names.join(", "));
                self.host
                    .podman()
                    .args(["logs", "--tail", "40", &self.name])
                    .run()?;
                bail!("not ready: {waiting}; see above, and `cargo xtask container --logs`");
            }
            process::pause(POLL);
        }
    }

    /// Names of services that should be ready and are not.
    fn not_ready(&self) -> Result<Vec<String>> {
        let text = self.ctl(&["--json", "service", "list"]).ignore_stderr().read()?;
        readiness::waiting_for(&text)
    }

    /// Where the console is, and how agents run.
    fn greet(&self) -> Result<()> {
        say(&format!("agents: {}", self.agents()?));
        let answer = self.ctl(&["--json", "console", "open"]).read()?;
        let answer: Value = serde_json::from_str(&answer)?;
        let link = answer
            .get("link")
            .and_then(Value::as_str)
            .context("no link in the answer of `aiosctl console open`")?;
        let port = self.host.podman().args(["port", &self.name, "9090/tcp"]).read()?;
        let port = port.trim().rsplit(':').next().unwrap_or("9090");
        say(&format!(
            "console: {}",
            link.replace(":9090", &format!(":{port}"))
        ));
        say(&format!("command line: {}", self.typed()));
        say("stop it: cargo xtask container --stop");
        Ok(())
    }

    /// In one sentence, what agents run in.
    fn agents(&self) -> Result<String> {
        let status: Value = serde_json::from_str(&self.ctl(&["--json", "status"]).read()?)?;
        let lacks: Vec<&str> = status
            .pointer("/guard/degradations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let running = status
            .get("agents")
            .and_then(Value::as_array)
            .is_some_and(|agents| {
                agents
                    .iter()
                    .any(|agent| agent.get("state").and_then(Value::as_str) == Some("running"))
            });
        let way = if running {
            "nested, in rootless Podman inside of this container"
        } else {
            "none runs yet, see `aiosctl service logs aios-sandbox`; what needs no agent works"
        };
        let lacks = lacks.iter().map(|lack| format!("; {lack}"));
        Ok(std::iter::once(way.to_owned()).chain(lacks).collect())
    }

    /// Does a goal on this terminal.
    fn goal(&self, text: &str) -> Result<()> {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
        self.host
            .podman()
            .arg("exec")
            .args(terminal.then_some("-it"))
            .args([&self.name, "aiosctl", "goal", "run", text])
            .run()
            .context("the goal")
    }

    fn logs(&self) -> Result<()> {
        ensure!(self.exists()?, "no container runs: `make container` starts one");
        self.inside(&[
            "sh",
            "-c",
            "exec tail --lines 100 --follow=name /var/lib/aios/log/*",
        ])
        .run()
        .context("its log")
    }

    /// Ends it in order, and its state with it.
    fn stop(&self) -> Result<()> {
        let pids = self.pids()?;
        if self.exists()? {
            self.host
                .podman()
                .args(["stop", "--time", STOP_S, &self.name])
                .ignore_stdout()
                .run()?;
            self.host
                .podman()
                .args(["rm", "--force", &self.name])
                .ignore_stdout()
                .run()?;
        }
        let volume = self.volume();
        if self.answers_yes(&["volume", "exists", &volume])? {
            self.host
                .podman()
                .args(["volume", "rm", &volume])
                .ignore_stdout()
                .run()?;
        }
        let left: Vec<String> = pids
            .into_iter()
            .filter(|(pid, started)| machine::started(*pid).as_ref() == Some(started))
            .map(|(pid, _)| pid.to_string())
            .collect();
        ensure!(left.is_empty(), "processes are left: {}", left.join(" "));
        ensure!(!self.exists()?, "container {} is left", self.name);
        Ok(())
    }

    /// Its processes, agents' among them, as this machine numbers them, each with its time of start.
    fn pids(&self) -> Result<Vec<(u32, String)>> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let pid = self
            .host
            .podman()
            .args(["inspect", "--format", "{{.State.Pid}}", &self.name])
            .read()?;
        machine::descendants(pid.trim().parse().context("the process of a container")?)
    }

    /// The whole path in a container of its own.
    fn test(&self, image: &str) -> Result<()> {
        self.stop()?;
        let held = self.start(image).and_then(|()| self.path());
        let stopped = self.stop();
        held.and(stopped)?;
        say("container: goal, approval, undo and log hold; nothing is left");
        Ok(())
    }

    /// A goal, its approval, its end, its undo, and the log of it all.
    fn path(&self) -> Result<()> {
        self.greet()?;
        let goal = first_goal::run(self, &self.made())?;
        let undo: Value =
            serde_json::from_str(&self.ctl(&["--json", "goal", "undo", "--detach", &goal]).read()?)?;
        let undo = undo
            .get("goal_id")
            .and_then(Value::as_str)
            .context("no goal in the answer of an undo")?;
        first_goal::follow(self, undo)?;
        let sh = &self.host.shell;
        let made = self.made().join("scratch");
        let before = xshell::cmd!(sh, "sh -c {PICTURE} sh {made}").quiet().read()?;
        let after = self
            .inside(&["sh", "-c", PICTURE, "sh", SCRATCH])
            .read()
            .context("the undone tree")?;
        ensure!(
            before == after,
            "the undo did not bring back what was there:\n{before}\n---\n{after}"
        );
        self.ctl(&["audit", "verify"]).run().context("the log")?;
        self.answers_at_port()
    }

    /// Whether the console answers at the published port.
    fn answers_at_port(&self) -> Result<()> {
        use std::io::{Read, Write};
        let mut stream =
            std::net::TcpStream::connect(("127.0.0.1", self.port)).context("the published port")?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.port
        )?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .context("the console's answer")?;
        ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "the console answered: {}",
            answer.lines().next().unwrap_or_default()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MOUNTED;
    use std::path::Path;

    #[test]
    fn the_kube_file_has_what_the_container_gets() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc");
        let kube = std::fs::read_to_string(root.join("kube/aios.yaml")).unwrap();
        for (file, place) in MOUNTED {
            let text = std::fs::read_to_string(root.join("container").join(file)).unwrap();
            for line in text.lines().filter(|line| !line.is_empty()) {
                assert!(kube.contains(&format!("    {line}\n")), "{file}: {line}");
            }
            assert!(kube.contains(place.rsplit('/').next().unwrap()), "{place}");
        }
    }
}
