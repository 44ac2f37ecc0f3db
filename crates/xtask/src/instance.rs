//! `cargo xtask up`, `run`, `down`: a development instance of aiOS under `$AIOS_STATE`.
//!
//! The services run as their own users, started by `aios-init` as root, from an install tree like the image's.

mod leftovers;

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xshell::{Cmd, cmd};

use crate::first_goal::{self, System};
use crate::host::{Host, say};
use crate::{process, readiness, stage};

/// Places that `configs/services` hide from services.
const HIDDEN: [&str; 7] = ["/home", "/root", "/sysroot", "/boot", "/srv", "/mnt", "/media"];

/// All services must be ready by then. The first start loads the agent image into the containers' store.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Leaves room for the longest socket below, an agent's front door.
const LONGEST_STATE: usize = 40;
const POLL: Duration = Duration::from_millis(250);

/// What the development tree says that the image does not.
const DEVELOPMENT: &str = "\
# This instance runs on a machine that may lack AppArmor or cgroup v2 controllers; `aiosctl status` says what it lacks.
[init]
allow_degraded = true

[sandbox]
allow_degraded = true
";

/// Arguments of `run`.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// Start without doing a first goal.
    #[arg(long)]
    no_goal: bool,
}

/// A development instance.
pub(crate) struct Instance<'h> {
    host: &'h Host,
    /// `$AIOS_STATE`.
    pub(crate) state: PathBuf,
}

/// Starts in the background.
pub(crate) fn up(host: &Host) -> Result<()> {
    let instance = Instance::open(host)?;
    instance.start(process::Mode::Background)?;
    instance.greet()
}

/// Starts, does a first goal, and stays until Ctrl-C.
pub(crate) fn run(host: &Host, args: &RunArgs) -> Result<()> {
    let instance = Instance::open(host)?;
    let mut init = instance.start(process::Mode::Foreground)?;
    if !args.no_goal {
        first_goal::run(&instance, &instance.state)?;
    }
    instance.greet()?;
    say("Ctrl-C stops everything");
    init.wait_for_interrupt()?;
    say("stopping");
    instance.stop()
}

/// Stops, and makes sure that nothing is left.
pub(crate) fn down(host: &Host) -> Result<()> {
    Instance::open(host)?.stop()
}

impl<'h> Instance<'h> {
    /// The instance of `$AIOS_STATE`, or of this checkout. Services run as users of their own, so every directory above
    /// must let them pass; where one does not, where services have the place hidden from them (a home directory), or where
    /// the name is too long for sockets, the state lies under `/var/lib/aios-dev` and `.aios` leads there.
    pub(crate) fn open(host: &'h Host) -> Result<Self> {
        let wanted = match std::env::var_os("AIOS_STATE") {
            Some(dir) => host.root.join(dir),
            None => host.root.join(".aios"),
        };
        let unfit = closed_ancestor(&wanted).is_some() || hidden(&wanted).is_some() || too_long(&wanted);
        if wanted.symlink_metadata().is_err() && unfit {
            lead_elsewhere(host, &wanted)?;
        }
        host.shell.create_dir(&wanted)?;
        let state = wanted
            .canonicalize()
            .with_context(|| wanted.display().to_string())?;
        if let Some(closed) = closed_ancestor(&state) {
            anyhow::bail!(
                "services of other users cannot pass {}: `chmod o+x` it, or set AIOS_STATE to another directory",
                closed.display()
            );
        }
        if let Some(hidden) = hidden(&state) {
            anyhow::bail!(
                "services see nothing below {hidden}, where {} is: remove it, or set AIOS_STATE to another directory",
                wanted.display()
            );
        }
        ensure!(
            !too_long(&state),
            "{} is too long for socket names (108 bytes): set AIOS_STATE to a shorter one",
            state.display()
        );
        Ok(Self { host, state })
    }

    /// Refuses to go on beside another one.
    pub(crate) fn not_running(&self) -> Result<()> {
        ensure!(
            process::running(&self.state)?.is_none(),
            "an instance runs already in {}: `make down` stops it",
            self.state.display()
        );
        Ok(())
    }

    fn start(&self, mode: process::Mode) -> Result<process::Init> {
        self.not_running()?;
        let vendor = self.state.join("vendor");
        stage::tree(self.host, &vendor)?;
        stage::binaries(self.host, &vendor.join("bin"))?;
        let config = self.state.join("etc/config.toml");
        if !config.exists() {
            self.host
                .install_file(&config.display().to_string(), DEVELOPMENT, "0644")?;
        }
        let mut init = process::Init::spawn(self.host, &self.state, mode)?;
        self.wait_until_ready(&mut init)?;
        self.enrol()?;
        Ok(init)
    }

    fn wait_until_ready(&self, init: &mut process::Init) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = init.exited()? {
                anyhow::bail!(
                    "aios-init ended with {status}:\n{}",
                    process::log_tail(&self.state)
                );
            }
            let waiting = self.not_ready();
            if waiting.as_ref().is_ok_and(Vec::is_empty) {
                say(&format!(
                    "aios-init: all services ready after {:.1} s",
                    begin.elapsed().as_secs_f32()
                ));
                return Ok(());
            }
            if begin.elapsed() > START_LIMIT {
                let waiting = waiting.map_or_else(|error| format!("{error:#}"), |names| names.join(", "));
                anyhow::bail!("not ready: {waiting}\n{}", process::log_tail(&self.state));
            }
            process::pause(POLL);
        }
    }

    /// Names of services that should be ready and are not.
    fn not_ready(&self) -> Result<Vec<String>> {
        let text = self.ctl(&["--json", "service", "list"]).ignore_stderr().read()?;
        readiness::waiting_for(&text)
    }

    /// Makes the person who runs this able to approve. Only root may enrol the first one.
    fn enrol(&self) -> Result<()> {
        let person = self.host.person().unwrap_or_else(|| "root".to_owned());
        self.root_ctl(&["person", "enrol", "--user", &person])
            .ignore_stdout()
            .run()
            .with_context(|| format!("enrol {person}"))
    }

    fn greet(&self) -> Result<()> {
        say(&format!("console: {}", self.sign_in_link()?));
        Ok(())
    }

    /// A link that signs a browser in once.
    pub(crate) fn sign_in_link(&self) -> Result<String> {
        let answer = self.ctl(&["--json", "console", "open"]).read()?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let link = answer.get("link").and_then(serde_json::Value::as_str);
        Ok(link
            .context("no link in the answer of `aiosctl console open`")?
            .to_owned())
    }

    fn stop(&self) -> Result<()> {
        if process::running(&self.state)?.is_none() {
            leftovers::clear_killed(self.host, &self.state)?;
        }
        process::stop(self.host, &self.state)?;
        leftovers::check(self.host, &self.state)?;
        say("stopped: no process, container, mount or socket is left");
        Ok(())
    }

    /// `aiosctl` on this instance, as root.
    fn root_ctl(&self, args: &[&str]) -> Cmd<'_> {
        let program = self.state.join("vendor/bin/aiosctl").display().to_string();
        self.host
            .root_cmd(&program)
            .arg("--socket")
            .arg(self.state.join("run"))
            .args(args)
    }
}

impl System for Instance<'_> {
    fn ctl(&self, args: &[&str]) -> Cmd<'_> {
        let sh = &self.host.shell;
        let program = self.state.join("vendor/bin/aiosctl");
        let run = self.state.join("run");
        cmd!(sh, "{program} --socket {run}").args(args).quiet()
    }

    fn typed(&self) -> String {
        self.state.join("vendor/bin/aiosctl").display().to_string()
    }

    fn asked_by(&self) -> &'static str {
        "make run"
    }

    fn take_in(&self, made: PathBuf) -> Result<PathBuf> {
        Ok(made)
    }
}

/// Whether sockets below would have longer names than the kernel takes (108 bytes, unix(7)).
fn too_long(state: &Path) -> bool {
    state.as_os_str().len() > LONGEST_STATE
}

/// What of `path` the confinement of some services hides, program and all.
fn hidden(path: &Path) -> Option<&'static str> {
    HIDDEN.into_iter().find(|place| path.starts_with(place))
}

/// The first directory at or above `path` that other users cannot pass.
fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .filter(|dir| std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0))
        .last()
        .map(Path::to_path_buf)
}

fn lead_elsewhere(host: &Host, wanted: &Path) -> Result<()> {
    let digest = crate::cached::Inputs::default()
        .text(&wanted.display().to_string())
        .digest();
    let real = PathBuf::from("/var/lib/aios-dev").join(digest);
    let owner = host.person().unwrap_or_else(|| "root".to_owned());
    host.root_cmd("install")
        .args(["-d", "-m", "0755"])
        .arg("/var/lib/aios-dev")
        .run()?;
    host.root_cmd("install")
        .args(["-d", "-m", "0755", "-o", &owner])
        .arg(&real)
        .run()?;
    std::os::unix::fs::symlink(&real, wanted)?;
    say(&format!(
        "{} leads to {}, where other users can pass",
        wanted.display(),
        real.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HIDDEN, closed_ancestor};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_services_have_hidden_is_known_here() {
        let services = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/services");
        for file in std::fs::read_dir(services).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let lists = text
                .lines()
                .filter_map(|line| line.strip_prefix("hide_if_there = "));
            let places = lists.flat_map(|list| list.split('"').skip(1).step_by(2));
            // Those of the instance itself lie beside it.
            let elsewhere = |place: &&str| !place.starts_with("/sys/") && !place.starts_with("${");
            for place in places.filter(elsewhere) {
                assert!(HIDDEN.contains(&place), "{place}");
            }
        }
    }

    #[test]
    fn a_private_directory_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join("home");
        let inside = private.join("checkout/.aios");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(closed_ancestor(&inside), None);
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_ancestor(&inside), Some(private));
    }
}
