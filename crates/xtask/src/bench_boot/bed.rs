//! The image that boots either way, and a disk of it that both have booted once: keys, databases and the containers' store
//! are there, as on any boot but the first.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use super::machine::{Clock, Init, Machine};
use super::service::Service;
use super::units::{self, File};
use crate::base::OS_BASE;
use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::image::{mounted, take};
use crate::sysusers;

/// Apparent size of the disk; the file is sparse.
const SIZE: &str = "4G";
/// Inside the image.
const SERVICES: &str = "usr/lib/aios/services";
/// It asks our supervisor about everything; see `tests/boot-bench/aios-health.toml`.
const JUDGE: &str = "aios-health";

/// What is booted.
pub(super) struct Bed {
    pub(super) dir: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) disk: PathBuf,
}

/// Makes what is missing.
pub(super) fn prepare(host: &Host, image: &str) -> Result<Bed> {
    let tree = host.root.join("tests/boot-bench");
    let cache = host.cache.join("boot-bench");
    let contexts = cache.join("units");
    let services = mounted::with(host, image, |root| services(host, root))?;
    write_units(&contexts, &services)?;
    let digest = Inputs::default()
        .text(&host.image_id(image)?)
        .path(&tree)?
        .path(&contexts)?
        .digest();
    let dir = cache.join(digest);
    let bed = Bed {
        kernel: dir.join("vmlinuz"),
        disk: dir.join("root.ext4"),
        dir,
    };
    if !bed.disk.exists() {
        for old in std::fs::read_dir(&cache)? {
            let old = old?.path();
            // Only the newest image's disk is worth its room.
            if old != contexts {
                host.root_cmd("rm").arg("-rf").arg(old).run()?;
            }
        }
        host.shell.create_dir(&bed.dir)?;
        let built = build(host, image, &contexts)?;
        mounted::with(host, &built, |root| {
            take::kernel(host, root, &bed.kernel)?;
            take::ext4(host, root, &unbooted(&bed), SIZE)
        })?;
        // The disk has all of it.
        host.podman().args(["rmi", &built]).ignore_stdout().run()?;
        first_boots(&bed)?;
    }
    Ok(bed)
}

/// The services that a boot starts, as the image has them.
fn services(host: &Host, root: &Path) -> Result<Vec<Service>> {
    let dir = root.join(SERVICES);
    let listed = host.root_cmd("ls").arg(&dir).read()?;
    let mut services = Vec::new();
    for file in listed.split_whitespace() {
        let name = file.strip_suffix(".toml").with_context(|| file.to_owned())?;
        let text = host.root_cmd("cat").arg(dir.join(file)).read()?;
        let service = Service::parse(name, &text)?;
        if units::is_started(&service) && name != JUDGE {
            services.push(service);
        }
    }
    ensure!(!services.is_empty(), "the image starts no service");
    Ok(services)
}

fn write_units(to: &Path, services: &[Service]) -> Result<()> {
    let users = sysusers::parse(include_str!("../../../../bootc/sysusers.d/aios.conf"))?;
    let [systemd, aios] = units::probe(services);
    let mut system = vec![units::wanted(services), systemd];
    for service in services {
        system.extend(units::of(service)?);
        system.extend(units::runtime_environment(service, &users)?);
    }
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    write(&to.join("system"), &system)?;
    write(&to.join("tmpfiles.d"), &[units::tmpfiles(services, &users)?])?;
    write(&to.join("services"), &[aios])
}

fn write(dir: &Path, files: &[File]) -> Result<()> {
    for file in files {
        let path = dir.join(&file.name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn build(host: &Host, image: &str, units: &Path) -> Result<String> {
    let name = "localhost/aios-boot-bench".to_owned();
    say("bench-boot: adding systemd's units of the same services to the image");
    host.podman()
        .args(["build", "--quiet", "--isolation", "chroot"])
        .arg("--build-arg")
        .arg(format!("IMAGE={image}"))
        .arg("--build-arg")
        .arg(format!("BASE={OS_BASE}"))
        .arg("--build-context")
        .arg(format!("units={}", units.display()))
        .args(["--tag", &name])
        .arg(host.root.join("tests/boot-bench"))
        .ignore_stdout()
        .run()
        .context("build the image that boots either way")?;
    Ok(name)
}

/// The disk before its first boots.
fn unbooted(bed: &Bed) -> PathBuf {
    bed.disk.with_extension("new")
}

/// The disk appears only once both have booted it.
fn first_boots(bed: &Bed) -> Result<()> {
    let part = unbooted(bed);
    let machine = Machine {
        kernel: &bed.kernel,
        disk: &part,
        // Limits of time hold on a busy host too.
        clock: Clock::Instructions,
        logs: &bed.dir,
    };
    for init in Init::BOTH {
        say(&format!("bench-boot: first boot with {}", init.name()));
        let said = machine.boot(init, "first", "", true)?;
        ensure!(
            said.report.contains("--- end"),
            "the first boot with {} did not get to its end; see {}",
            init.name(),
            bed.dir.display()
        );
    }
    std::fs::rename(part, &bed.disk)?;
    Ok(())
}
