//! Packages whose installation broke off, and packages with updates: in a root with dpkg and apt of its own, beside a
//! source of packages made by hand. The packages of this machine are never touched.

use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_packages::{Bed, Deb, run};
use anyhow::{Result, ensure};
use std::fs;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The worker that reads where its packages are only when it starts.
const WORKER: &str = "aios-worker-pkg";
/// What follows it in the configuration is ours; a run that was killed may have left it.
const MARK: &str = "\n# Packages of a test.\n";
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(HalfConfigured), Box::new(Updates)]
}

/// Makes a package whose script is this, and puts it into the source; answers its file.
fn publish(bed: &Bed, name: &str, version: &str, script: &str) -> Result<PathBuf> {
    let deb = Deb {
        scripts: &[("postinst", script)],
        ..Deb::default()
    };
    bed.publish(name, version, &deb)
}

/// Checks what dpkg says of a package.
///
/// # Errors
/// It is not whole.
fn is_installed(bed: &Bed, name: &str) -> Result<()> {
    let state = run(bed.query().args(["-W", "-f=${Status}", name]))?;
    ensure!(state == "install ok installed", "{name} is `{state}`");
    Ok(())
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
        fs::write(&led.config, format!("{}{MARK}{}", led.before, bed.section()))?;
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
        let bed = Bed::furnish(place.dir)?;
        let name = random.name()?;
        let ready = bed.root().join("tmp").join(random.name()?);
        let whole = publish(&bed, &format!("lib{}", random.name()?), "1.0", "true")?;
        run(bed.dpkg().arg("-i").arg(whole))?;
        let file = publish(
            &bed,
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
            needed: vec![bed.root().join("var")],
            healthy: Box::new(move || is_installed(&bed, &name)),
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
        let bed = Bed::furnish(place.dir)?;
        let name = random.name()?;
        let major = random.between(1, 9);
        let (old, new) = (format!("{major}.1"), format!("{major}.{}", random.between(2, 30)));
        let file = publish(&bed, &name, &old, "true")?;
        run(bed.dpkg().arg("-i").arg(file))?;
        if broken {
            publish(&bed, &name, &new, "true")?;
        }
        let led = Led::to(place.instance, &bed)?;
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
            needed: vec![bed.root().join("var")],
            healthy: Box::new(move || is_installed(&bed, &name)),
            _held: vec![Box::new(led)],
        })
    }
}
