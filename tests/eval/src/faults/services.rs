//! A service that does not stay up, for one reason of many. The service is a small server as people write them: it reads
//! a configuration file, keeps a journal in a directory of its own, and listens on a port. Its last words are those of
//! the interpreter and the kernel, not ours.

use super::storage::Mounted;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use aios_tests_e2e::ctl::{Instance, pause, string};
use anyhow::{Context, Result, ensure};
use std::any::Any;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The server; `$1` is its configuration.
const SERVER: &str = include_str!("server.py");
/// Who runs it: on every Debian.
const USER: &str = "nobody";
const UID: u32 = 65_534;
/// A service that ran this long without ending stays up.
const STEADY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

/// Why it does not stay up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    WrongOwner,
    WrongMode,
    MissingDirectory,
    PortTaken,
    BadConfigLine,
    MissingBinary,
    MissingLibrary,
    DependencyDown,
    ReadOnly,
    DiskFull,
    WrongWorkingDirectory,
    OutOfMemory,
}

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    [
        Why::WrongOwner,
        Why::WrongMode,
        Why::MissingDirectory,
        Why::PortTaken,
        Why::BadConfigLine,
        Why::MissingBinary,
        Why::MissingLibrary,
        Why::DependencyDown,
        Why::ReadOnly,
        Why::DiskFull,
        Why::WrongWorkingDirectory,
        Why::OutOfMemory,
    ]
    .into_iter()
    .map(|why| Box::new(Crashing(why)) as Box<dyn Fault>)
    .collect()
}

struct Crashing(Why);

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::WrongOwner => "service-wrong-owner",
            Self::WrongMode => "service-wrong-mode",
            Self::MissingDirectory => "service-missing-directory",
            Self::PortTaken => "service-port-taken",
            Self::BadConfigLine => "service-bad-config-line",
            Self::MissingBinary => "service-missing-binary",
            Self::MissingLibrary => "service-missing-library",
            Self::DependencyDown => "service-dependency-down",
            Self::ReadOnly => "service-read-only",
            Self::DiskFull => "service-disk-full",
            Self::WrongWorkingDirectory => "service-wrong-workdir",
            Self::OutOfMemory => "service-oom",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::WrongOwner => "wrong_owner",
            Self::WrongMode => "wrong_mode",
            Self::MissingDirectory => "missing_directory",
            Self::PortTaken => "port_taken",
            Self::BadConfigLine => "bad_config_line",
            Self::MissingBinary => "missing_binary",
            Self::MissingLibrary => "missing_library",
            Self::DependencyDown => "dependency_down",
            Self::ReadOnly => "read_only_fs",
            Self::DiskFull => "disk_full",
            Self::WrongWorkingDirectory => "wrong_workdir",
            Self::OutOfMemory => "out_of_memory",
        }
    }

    /// What can be put right without guessing what a person meant.
    fn repairs(self) -> bool {
        matches!(
            self,
            Self::WrongOwner | Self::WrongMode | Self::MissingDirectory | Self::PortTaken
        )
    }
}

/// Another program that has the port.
struct Squatter(Child);

impl Squatter {
    fn on(port: u16) -> Result<Self> {
        let program = format!(
            "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', {port}))\ns.listen()\ntime.sleep(3600)"
        );
        let child = Command::new("/usr/bin/python3")
            .args(["-c", &program])
            .uid(UID)
            .gid(UID)
            .spawn()?;
        let squatter = Self(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "nobody took port {port}");
            pause();
        }
        Ok(squatter)
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        // It may have been ended by the repair.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A service of an instance; stopped and forgotten when this goes away.
struct Service {
    instance: Instance,
    name: String,
}

impl Service {
    fn file(instance: &Instance, name: &str) -> PathBuf {
        instance.state.join("etc/services").join(format!("{name}.toml"))
    }

    fn add(instance: &Instance, name: &str, text: &str) -> Result<Self> {
        let file = Self::file(instance, name);
        fs::create_dir_all(file.parent().context("a directory")?)?;
        fs::write(&file, text)?;
        instance.json(&["service", "reload"]);
        Ok(Self {
            instance: instance.clone(),
            name: name.to_owned(),
        })
    }

    fn start(&self) {
        // It may fail: that is the point.
        drop(self.instance.run(&["service", "start", &self.name]));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.instance.run(&["service", "stop", &self.name]));
        drop(fs::remove_file(Self::file(&self.instance, &self.name)));
        drop(self.instance.run(&["service", "reload"]));
    }
}

/// Whether a service has been up for a while.
fn steady(instance: &Instance, name: &str) -> Result<()> {
    let begun = Instant::now();
    let mut up: Option<(Instant, String)> = None;
    while begun.elapsed() < PATIENCE {
        let seen = instance.json(&["service", "status", name]);
        let (state, pid) = (
            string(&seen, "/state"),
            seen.get("pid").map(ToString::to_string).unwrap_or_default(),
        );
        up = match up.filter(|(_, before)| *before == pid) {
            _ if state != "ready" => None,
            Some((since, _)) if since.elapsed() >= STEADY => return Ok(()),
            Some(since) => Some(since),
            None => Some((Instant::now(), pid)),
        };
        pause();
    }
    anyhow::bail!("service {name} does not stay up")
}

/// Waits until a service has ended often enough to be said to keep crashing; one that cannot even start waits longer
/// and longer.
fn again_and_again(instance: &Instance, name: &str) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let seen = instance.json(&["service", "status", name]);
        if seen
            .get("restarts")
            .and_then(serde_json::Value::as_u64)
            .is_some_and(|times| times >= 4)
        {
            return Ok(());
        }
        pause();
    }
    anyhow::bail!("service {name} does not keep crashing")
}

/// A port that nobody has.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn owned(dir: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(dir)?;
    chown(dir, Some(UID), Some(UID))?;
    Ok(fs::set_permissions(dir, fs::Permissions::from_mode(mode))?)
}

/// What one service is made of.
struct Parts {
    name: String,
    script: PathBuf,
    conf: PathBuf,
    data: PathBuf,
    home: PathBuf,
    port: u16,
    /// The most memory that the kernel gives it.
    limit_mib: Option<u64>,
}

impl Parts {
    fn of(place: &Place<'_>, random: &mut Random) -> Result<Self> {
        let name = random.name()?;
        let home = place.dir.join(&name);
        fs::create_dir_all(&home)?;
        Ok(Self {
            script: home.join("server.py"),
            conf: home.join(format!("{name}.conf")),
            data: home.join("data"),
            port: free_port()?,
            limit_mib: None,
            name,
            home,
        })
    }

    /// The service's file.
    fn toml(&self, why: Option<Why>) -> String {
        let script = match why {
            Some(Why::MissingBinary) => self.home.join("bin").join(&self.name),
            _ => self.script.clone(),
        };
        let conf = self
            .conf
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let directory = match why {
            Some(Why::WrongWorkingDirectory) => "/var",
            _ => &*self.home.to_string_lossy(),
        };
        let limited = self.limit_mib.map_or_else(String::new, |mib| {
            format!("\"/usr/bin/prlimit\", \"--as={}\", ", mib << 20)
        });
        format!(
            "description = \"{} for a test\"\ncommand = [{limited}\"{}\", \"{conf}\"]\nuser = \"{USER}\"\nready = \"none\"\n\
             working_directory = \"{directory}\"\nenabled = false\nrestart_min_ms = 100\nrestart_max_ms = 2000\n",
            self.name,
            script.display()
        )
    }

    /// The server's own configuration, with a line that it does not know when that is the fault. Answers the number of
    /// that line.
    fn configure(&self, random: &mut Random, more: &str, bad: bool) -> Result<u64> {
        let mut lines: Vec<String> = vec![
            format!("port = {}", self.port),
            format!("state = {}", self.data.display()),
        ];
        lines.extend(more.lines().map(str::to_owned));
        for number in 0..random.between(1, 6) {
            lines.insert(0, format!("# comment {number}"));
        }
        let last = u64::try_from(lines.len())?;
        let at = random.between(0, last);
        if bad {
            lines.insert(usize::try_from(at)?, format!("prot{at} = on"));
        }
        fs::write(&self.conf, lines.join("\n") + "\n")?;
        Ok(at + 1)
    }
}

impl Fault for Crashing {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let mut parts = Parts::of(place, random)?;
        let why = broken.then_some(self.0);
        fs::write(&parts.script, SERVER)?;
        fs::set_permissions(&parts.script, fs::Permissions::from_mode(0o755))?;
        owned(&parts.data, 0o750)?;
        let mut held: Vec<Box<dyn Any>> = Vec::new();
        let mut more = String::new();
        if self.0 == Why::DependencyDown {
            let other = dependency(place, random, &mut held, !broken)?;
            more = format!("depends = 127.0.0.1:{other}");
        }
        if self.0 == Why::OutOfMemory {
            let limit = random.between(150, 400);
            parts.limit_mib = Some(limit);
            let cache = if broken {
                limit + random.between(1, 900)
            } else {
                random.between(1, 40)
            };
            more = format!("cache = {cache}");
        }
        if why == Some(Why::MissingLibrary) {
            more = format!("library = lib{}.so.{}", random.name()?, random.between(2, 9));
        }
        let line = parts.configure(random, &more, why == Some(Why::BadConfigLine))?;
        let subject = self.spoil(&parts, why, line, &mut held)?;
        let service = Service::add(place.instance, &parts.name, &parts.toml(why))?;
        service.start();
        held.insert(0, Box::new(service));
        let (instance, name, port) = (place.instance.clone(), parts.name.clone(), parts.port);
        if broken {
            again_and_again(&instance, &name)?;
        } else {
            steady(&instance, &name)?;
        }
        Ok(Made {
            goal: format!(
                "why does the service {} keep crashing? find out and fix it",
                parts.name
            ),
            wanted: broken.then(|| Wanted {
                cause: self.0.cause(),
                subject,
                repairs: self.0.repairs(),
            }),
            // What a service writes into its own directory when it runs again is not aiOS's doing.
            needed: vec![parts.data.clone()],
            healthy: Box::new(move || {
                steady(&instance, &name)?;
                ensure!(
                    TcpStream::connect(("127.0.0.1", port)).is_ok(),
                    "nobody listens on {port}"
                );
                Ok(())
            }),
            _held: held,
        })
    }
}

/// Another service that listens; up or down. Answers its port.
fn dependency(place: &Place<'_>, random: &mut Random, held: &mut Vec<Box<dyn Any>>, up: bool) -> Result<u16> {
    let parts = Parts::of(place, random)?;
    fs::write(&parts.script, SERVER)?;
    fs::set_permissions(&parts.script, fs::Permissions::from_mode(0o755))?;
    owned(&parts.data, 0o750)?;
    parts.configure(random, "", false)?;
    let service = Service::add(place.instance, &parts.name, &parts.toml(None))?;
    if up {
        service.start();
        steady(place.instance, &parts.name)?;
    }
    held.push(Box::new(service));
    Ok(parts.port)
}

impl Crashing {
    /// Breaks what is to be broken; answers what the finding must be about.
    fn spoil(
        &self,
        parts: &Parts,
        why: Option<Why>,
        line: u64,
        held: &mut Vec<Box<dyn Any>>,
    ) -> Result<String> {
        let data = parts.data.display().to_string();
        Ok(match why {
            Some(Why::WrongOwner) => {
                chown(&parts.data, Some(0), Some(0))?;
                data
            }
            Some(Why::WrongMode) => {
                fs::set_permissions(&parts.data, fs::Permissions::from_mode(0o550))?;
                data
            }
            Some(Why::MissingDirectory) => {
                fs::remove_dir(&parts.data)?;
                data
            }
            Some(Why::PortTaken) => {
                let squatter = Squatter::on(parts.port)?;
                let subject = format!("port {}\n(process {}", parts.port, squatter.0.id());
                held.push(Box::new(squatter));
                subject
            }
            Some(Why::BadConfigLine) => {
                held.push(Box::new(line));
                parts.conf.display().to_string()
            }
            Some(Why::MissingBinary) => {
                fs::create_dir(parts.home.join("bin"))?;
                parts.home.join("bin").join(&parts.name).display().to_string()
            }
            Some(Why::MissingLibrary) => "lib".to_owned(),
            Some(Why::ReadOnly) => {
                held.push(Box::new(Mounted::new(&parts.data, 1)?.owned(UID)?.read_only()?));
                data
            }
            Some(Why::DiskFull) => {
                let mounted = Mounted::new(&parts.data, 1)?.owned(UID)?;
                // The last block is taken too.
                drop(fs::write(parts.data.join("old"), vec![b'x'; 2 << 20]));
                held.push(Box::new(mounted));
                // Its last words name no path.
                parts.name.clone()
            }
            Some(Why::WrongWorkingDirectory) => "/var".to_owned(),
            Some(Why::OutOfMemory) => parts.name.clone(),
            Some(Why::DependencyDown) | None => String::new(),
        })
    }
}
