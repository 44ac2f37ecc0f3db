//! Packages whose installation broke off, and packages with updates: in a root with dpkg and apt of its own, beside a
//! source of packages made by hand. The packages of this machine are never touched.

use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use aios_tests_e2e::ctl::{Instance, pause, string};
use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::io::{Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The worker that reads where its packages are only when it starts.
const WORKER: &str = "aios-worker-pkg";
/// What follows it in the configuration is ours; a run that was killed may have left it.
const MARK: &str = "\n# Packages of a test.\n";
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(HalfConfigured), Box::new(Updates)]
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a directory")?)?;
    Ok(fs::write(path, text)?)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A root of its own, and a source of packages.
struct Bed {
    home: PathBuf,
    root: PathBuf,
}

impl Bed {
    fn new(home: &Path) -> Result<Self> {
        let root = home.join("root");
        for dir in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/lib/dpkg/triggers",
            "var/log/apt",
            "tmp",
        ] {
            fs::create_dir_all(root.join(dir))?;
        }
        let bed = Self {
            home: home.to_owned(),
            root,
        };
        write(&bed.root.join("var/lib/dpkg/status"), "")?;
        write(&bed.repo().join("Packages"), "")?;
        let source = format!("deb [trusted=yes] file:{} ./\n", bed.repo().display());
        write(&bed.root.join("etc/apt/sources.list"), &source)?;
        let shown = bed.root.display();
        let conf = format!(
            "Dir \"{shown}\";\nDir::State::status \"{shown}/var/lib/dpkg/status\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nDPkg::Options {{ \"--root={shown}\"; \"--log={shown}/var/log/dpkg.log\"; \
             \"--force-script-chrootless\"; }};\n"
        );
        write(&bed.apt_conf(), &conf)?;
        Ok(bed)
    }

    fn repo(&self) -> PathBuf {
        self.home.join("repo")
    }

    fn apt_conf(&self) -> PathBuf {
        self.home.join("apt.conf")
    }

    fn dpkg_options(&self) -> Vec<String> {
        let shown = self.root.display();
        vec![
            format!("--root={shown}"),
            format!("--log={shown}/var/log/dpkg.log"),
            "--force-script-chrootless".to_owned(),
        ]
    }

    /// Section `[pkg]` of an instance that is to work here.
    fn section(&self) -> String {
        format!(
            "{MARK}[pkg]\nroot = {:?}\napt_config = {:?}\ndpkg_options = {:?}\n",
            self.root,
            self.apt_conf(),
            self.dpkg_options()
        )
    }

    /// Makes a package, puts it into the source, and lets apt read that; answers its file.
    fn publish(&self, name: &str, version: &str, postinst: &str) -> Result<PathBuf> {
        let tree = self.home.join("tree").join(format!("{name}_{version}"));
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example.org>\n\
             Description: the {name} of a test\n long text\n"
        );
        write(&tree.join("DEBIAN/control"), &control)?;
        write(&tree.join("usr/share").join(name).join("version"), version)?;
        let script = tree.join("DEBIAN/postinst");
        write(&script, &format!("#!/bin/sh\nset -e\n{postinst}\n"))?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        let file = self.repo().join(format!("{name}_{version}_all.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file))?;
        let control = run(Command::new("dpkg-deb").arg("-f").arg(&file))?;
        let sum = run(Command::new("sha256sum").arg(&file))?;
        let entry = format!(
            "{control}Filename: ./{name}_{version}_all.deb\nSize: {}\nSHA256: {}\n\n",
            file.metadata()?.len(),
            sum.split(' ').next().unwrap_or_default()
        );
        let index = self.repo().join("Packages");
        let before = fs::read_to_string(&index)?;
        write(&index, &(before + &entry))?;
        run(Command::new("apt-get")
            .arg("update")
            .env("APT_CONFIG", self.apt_conf()))?;
        Ok(file)
    }

    /// dpkg on the root, as a person would run it.
    fn dpkg(&self) -> Command {
        let mut command = Command::new("dpkg");
        command
            .args(self.dpkg_options())
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// What dpkg says of a package, `install ok installed`.
fn state(root: &Path, name: &str) -> Result<String> {
    run(Command::new("dpkg-query")
        .arg(format!("--admindir={}/var/lib/dpkg", root.display()))
        .args(["-W", "-f=${Status}", name]))
}

/// An instance whose package worker works in a bed; put back when this goes away.
struct Led {
    instance: Instance,
    config: PathBuf,
    before: String,
}

impl Led {
    fn to(instance: &Instance, bed: &Bed) -> Result<Self> {
        let config = instance.state.join("etc/config.toml");
        let before = fs::read_to_string(&config).unwrap_or_default();
        let before = before.split(MARK).next().unwrap_or_default().to_owned();
        let led = Self {
            instance: instance.clone(),
            config,
            before,
        };
        fs::write(&led.config, format!("{}{}", led.before, bed.section()))?;
        restart(instance)?;
        Ok(led)
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        let restored = fs::write(&self.config, &self.before)
            .map_err(anyhow::Error::from)
            .and_then(|()| restart(&self.instance));
        if let Err(error) = restored {
            drop(writeln!(stderr(), "{WORKER} still works elsewhere: {error:#}"));
        }
    }
}

/// Has the worker read its configuration again.
fn restart(instance: &Instance) -> Result<()> {
    let output = instance.run(&["service", "restart", WORKER]);
    ensure!(
        output.status.success(),
        "restart {WORKER}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let begun = Instant::now();
    while string(&instance.json(&["service", "status", WORKER]), "/state") != "ready" {
        ensure!(begun.elapsed() < PATIENCE, "{WORKER} is not ready again");
        pause();
    }
    Ok(())
}

/// A package whose script failed once, for something that is in order now.
struct HalfConfigured;

impl Fault for HalfConfigured {
    fn name(&self) -> &'static str {
        "half-configured-package"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let bed = Bed::new(place.dir)?;
        let name = random.name()?;
        let ready = bed.root.join("tmp").join(random.name()?);
        let whole = bed.publish(&format!("lib{}", random.name()?), "1.0", "true")?;
        run(bed.dpkg().arg("-i").arg(whole))?;
        let file = bed.publish(
            &name,
            &format!("{}.{}", random.between(1, 9), random.between(0, 9)),
            &format!("test -e {}", ready.display()),
        )?;
        if !broken {
            fs::write(&ready, "")?;
        }
        let installed = bed.dpkg().arg("-i").arg(file).output()?.status.success();
        ensure!(installed != broken, "the installation of {name} went otherwise");
        fs::write(&ready, "")?;
        let led = Led::to(place.instance, &bed)?;
        let root = bed.root.clone();
        let subject = format!("packages\n{name} (half_configured)");
        Ok(Made {
            goal: random
                .one_of(&[
                    "find half-configured packages and fix them",
                    "are there broken packages? fix it",
                ])?
                .to_string(),
            wanted: broken.then_some(Wanted {
                cause: "half_configured",
                subject,
                repairs: true,
            }),
            needed: vec![bed.root.join("var")],
            healthy: Box::new(move || {
                let state = state(&root, &name)?;
                ensure!(state == "install ok installed", "{name} is `{state}`");
                Ok(())
            }),
            _held: vec![Box::new(led)],
        })
    }
}

/// A package of which the source has a newer one.
struct Updates;

impl Fault for Updates {
    fn name(&self) -> &'static str {
        "package-updates"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let bed = Bed::new(place.dir)?;
        let name = random.name()?;
        let major = random.between(1, 9);
        let (old, new) = (format!("{major}.1"), format!("{major}.{}", random.between(2, 30)));
        let file = bed.publish(&name, &old, "true")?;
        run(bed.dpkg().arg("-i").arg(file))?;
        if broken {
            bed.publish(&name, &new, "true")?;
        }
        let led = Led::to(place.instance, &bed)?;
        let root = bed.root.clone();
        Ok(Made {
            goal: random
                .one_of(&["are there package updates?", "check for updates"])?
                .to_string(),
            wanted: broken.then(|| Wanted {
                cause: "updates_available",
                subject: format!("packages\n{name} {new}"),
                repairs: false,
            }),
            // apt keeps caches there, and locks.
            needed: vec![bed.root.join("var")],
            healthy: Box::new(move || {
                let state = state(&root, &name)?;
                ensure!(state == "install ok installed", "{name} is `{state}`");
                Ok(())
            }),
            _held: vec![Box::new(led)],
        })
    }
}
