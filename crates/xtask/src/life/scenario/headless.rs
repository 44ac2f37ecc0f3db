//! A machine without a screen: it is given a key, and whoever has that gets in as its administrator. Nobody else does, and nobody
//! gets further than that.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{Fittings, Life};
use crate::life::install::Bed;
use crate::life::machine::Network;
use crate::process::pause;

/// The user that the image makes for its administrator.
const ADMIN: &str = "admin";

/// Once by a string of firmware, once by a disk with cloud-init's NoCloud files.
pub(super) fn sign_in(bed: &Bed, disk: PathBuf) -> Result<()> {
    let dir = bed.dir().join("keys");
    let [given, other] = [key(&dir, "given")?, key(&dir, "other")?];
    let public = std::fs::read_to_string(given.with_extension("pub"))?;
    let credential = |name: &str, value: &str| format!("io.systemd.credential:{name}={value}");
    let firmware = Fittings {
        given: vec![
            credential("aios.admin.ssh_key", public.trim()),
            credential("system.hostname", "by-firmware"),
        ],
        ..Fittings::default()
    };
    let (mut life, door) = started(bed, disk, firmware, given.clone())?;
    door.lets_in("by-firmware")?;
    door.keeps_out(&other)?;
    door.leads_to_the_console_alone()?;
    no_other_door(&mut life)?;
    life.end()?;

    let files = [
        (
            "meta-data",
            "instance-id: one\nlocal-hostname: by-disk\n".to_owned(),
        ),
        (
            "user-data",
            format!("#cloud-config\nssh_authorized_keys:\n  - {}\n", public.trim()),
        ),
    ];
    let extra = Fittings {
        extra: Some(seed(&dir, &files)?),
        ..Fittings::default()
    };
    let (life, door) = started(bed, bed.disk("headless-disk")?, extra, given)?;
    door.lets_in("by-disk")?;
    life.end()
}

/// A machine whose port for SSH is reached from here, when all of it is there.
fn started(bed: &Bed, disk: PathBuf, fittings: Fittings, key: PathBuf) -> Result<(Life, Door)> {
    let port = free_port()?;
    let fittings = Fittings {
        images: Some(bed.images()),
        network: Some(Network::Host(port)),
        ..fittings
    };
    let mut life = Life::begin_with(disk, fittings)?;
    life.healthy()?;
    Ok((life, Door { port, key }))
}

/// The machine's port for SSH, and the key that it was given.
struct Door {
    port: u16,
    key: PathBuf,
}

impl Door {
    fn command(&self, key: &Path, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i").arg(key).args(["-p", &self.port.to_string()]);
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=60",
            "ExitOnForwardFailure=yes",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(options).stdin(Stdio::null());
        ssh
    }

    fn ssh(&self, key: &Path, options: &[&str], user: &str, script: &[&str]) -> Result<Output> {
        let mut command = self.command(key, options);
        command.arg(format!("{user}@127.0.0.1")).args(script);
        command
            .output()
            .context("start ssh: run `cargo xtask setup --for vm` first")
    }

    /// The holder of the key is the administrator, a person to the guard, and can have a goal done.
    fn lets_in(&self, name: &str) -> Result<()> {
        let script = "id -un; hostname; cat /proc/self/attr/apparmor/current; ps -eo label,comm | grep sshd; aiosctl goal run 'check that aiOS works' && echo done";
        let output = self.ssh(&self.key, &[], ADMIN, &[script])?;
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "the key does not let in: {complained}{said}"
        );
        let mut lines = said.lines();
        for wanted in [ADMIN, name, "unconfined"] {
            let line = lines.next().unwrap_or_default();
            ensure!(line == wanted, "{wanted} was expected, and not {line}: {said}");
        }
        let daemons: Vec<&str> = said.lines().filter(|line| line.contains("sshd")).collect();
        ensure!(
            daemons.len() > 1 && daemons.iter().all(|line| line.starts_with("aios-sshd (enforce)")),
            "sshd does not run under its profile: {daemons:?}"
        );
        ensure!(said.trim_end().ends_with("done"), "the goal was not done: {said}");
        Ok(())
    }

    /// No other key, no other name, no password.
    fn keeps_out(&self, other: &Path) -> Result<()> {
        let password = ["-o", "PubkeyAuthentication=no"];
        for (key, options, user) in [
            (other, &[][..], ADMIN),
            (&self.key, &[][..], "root"),
            (&self.key, &password[..], ADMIN),
        ] {
            let output = self.ssh(key, options, user, &["true"])?;
            let said = text(&output.stderr);
            ensure!(
                output.status.code() == Some(255) && said.contains("Permission denied (publickey)"),
                "{user} by {} {options:?} ended with {}: {said}",
                key.display(),
                output.status
            );
        }
        Ok(())
    }

    /// A way to the console, and to nothing else.
    fn leads_to_the_console_alone(&self) -> Result<()> {
        let here = free_port()?;
        let way = format!("{here}:127.0.0.1:9090");
        let mut forward = self
            .command(&self.key, &["-N", "-L", &way])
            .arg(format!("{ADMIN}@127.0.0.1"))
            .spawn()?;
        let said = first_line(here);
        forward.kill()?;
        forward.wait()?;
        let said = said?;
        ensure!(said.ends_with("200 OK"), "the console says {said:?}");
        for elsewhere in ["127.0.0.1:22", "10.0.2.2:22"] {
            let output = self.ssh(&self.key, &["-W", elsewhere], ADMIN, &[])?;
            ensure!(!output.status.success(), "SSH leads to {elsewhere}");
        }
        Ok(())
    }
}

/// What the console answers at a port of this machine, as soon as that leads to it.
fn first_line(port: u16) -> Result<String> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => {
                ensure!(Instant::now() < until, "no way to the console: {error}");
                pause(Duration::from_millis(200));
            }
        }
    };
    // The console serves those who ask for it by the name that it has here.
    stream.write_all(b"GET / HTTP/1.0\r\nHost: 127.0.0.1:9090\r\n\r\n")?;
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said)?;
    Ok(said.trim_end().to_owned())
}

/// Free when it is asked for; who listens there says so if somebody else was quicker.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The administrator's key opens no other door: nobody has a password, and what was refused is in sshd's log.
fn no_other_door(life: &mut Life) -> Result<()> {
    let open = life.done(&["sh", "-c", "grep -cv '^[^:]*:[*!]' /etc/shadow || true"])?;
    ensure!(
        open.trim() == "0",
        "{} users have a password or none is asked",
        open.trim()
    );
    let log = life.done(&["aiosctl", "service", "logs", "aios-sshd"])?;
    for wanted in ["Accepted publickey for admin", "User root from"] {
        ensure!(log.contains(wanted), "sshd's log lacks {wanted:?}: {log}");
    }
    Ok(())
}

/// A new key.
fn key(dir: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let key = dir.join(name);
    for old in [key.clone(), key.with_extension("pub")] {
        let _none = std::fs::remove_file(old);
    }
    let sh = xshell::Shell::new()?;
    xshell::cmd!(sh, "ssh-keygen -q -t ed25519 -N '' -f {key}")
        .quiet()
        .run()?;
    Ok(key)
}

/// A disk called CIDATA with these files.
fn seed(dir: &Path, files: &[(&str, String)]) -> Result<PathBuf> {
    let (sh, disk) = (xshell::Shell::new()?, dir.join("seed.img"));
    std::fs::File::create(&disk)?.set_len(1440 << 10)?;
    xshell::cmd!(sh, "mformat -i {disk} -f 1440 -v CIDATA ::")
        .quiet()
        .run()?;
    for (name, content) in files {
        let file = dir.join(name);
        std::fs::write(&file, content)?;
        xshell::cmd!(sh, "mcopy -o -i {disk} {file} ::").quiet().run()?;
    }
    Ok(disk)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
