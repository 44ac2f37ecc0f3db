//! A machine of images for tests: a tree with a double of bootc's command line, `tests/bootc/bootc`, and images made by
//! hand. Nothing of this machine is touched, and no bootc is needed.
#![forbid(unsafe_code)]

pub mod layout;

use aios_auth::key::SecretKey;
use aios_deployment::image::Layout;
use aios_deployment::signature;
use anyhow::{Context, Result, ensure};
use layout::write_layout;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The double.
pub const DOUBLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bootc");

/// A tree that was installed from an image.
#[derive(Debug, Clone)]
pub struct Machine {
    home: PathBuf,
}

impl Machine {
    /// Furnishes a directory that is there: version 1 of an image is installed, and runs.
    ///
    /// # Errors
    /// It cannot be written, or the double fails.
    pub fn furnish(home: &Path) -> Result<Self> {
        Self::furnish_with(home, &[])
    }

    /// The same with something below each version, an archive: a system that programs run in.
    ///
    /// # Errors
    /// As [`Self::furnish`].
    pub fn furnish_with(home: &Path, system: &[u8]) -> Result<Self> {
        let machine = Self::bare(home)?;
        fs::write(machine.home.join("system.tar"), system)?;
        let first = machine.publish("os", "1.0", "kernel one")?;
        let image = first.to_str().context("UTF-8")?.to_owned();
        machine.bootc(&["double", "install", "--transport", "oci", &image])?;
        Ok(machine)
    }

    /// One that no bootc installed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn bare(home: &Path) -> Result<Self> {
        let machine = Self {
            home: home.canonicalize()?,
        };
        for dir in [
            "sysroot",
            "esp",
            "double",
            "proc/sys/kernel/random",
            "etc/containers",
            "run",
        ] {
            fs::create_dir_all(machine.root().join(dir))?;
        }
        fs::write(machine.root().join("proc/cmdline"), "root=/dev/sda1 rw\n")?;
        let boot = "0198c0de-0000-4000-8000-000000000001\n";
        fs::write(machine.root().join("proc/sys/kernel/random/boot_id"), boot)?;
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(machine.root().join("etc/containers/policy.json"), policy)?;
        Ok(machine)
    }

    /// The machine's root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.home.join("machine")
    }

    /// Its boot partition.
    #[must_use]
    pub fn esp(&self) -> PathBuf {
        self.root().join("esp")
    }

    /// Podman's store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// Where images are made.
    #[must_use]
    pub fn image(&self, name: &str) -> PathBuf {
        self.home.join("images").join(name)
    }

    /// Section `[os]` of a configuration file that leads the worker here.
    #[must_use]
    pub fn section(&self) -> String {
        let root = self.root().display().to_string();
        let store = self.store().display().to_string();
        format!(
            "[os]\npodman = [\"/usr/bin/podman\", \"--root={store}/root\", \"--runroot={store}/run\"]\nbootc = [{DOUBLE:?}, \"--double-root\", {root:?}]\n\
             skopeo = [{DOUBLE:?}, \"--double-root\", {root:?}, \"double\", \"skopeo\"]\n\
             root = {root:?}\nboot_partition = {:?}\nreserve_bytes = 1048576\nreboot_after_ms = 200\n",
            self.esp()
        )
    }

    /// Makes an image, in place of one of that name: a version, and a kernel that tells it from others.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish(&self, name: &str, version: &str, kernel: &str) -> Result<PathBuf> {
        self.publish_in(&self.image(name), version, kernel)
    }

    /// The same for an image of the registry that the double stands for.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn push(&self, name: &str, version: &str, kernel: &str) -> Result<PathBuf> {
        self.publish_in(&self.root().join("registry").join(name), version, kernel)
    }

    fn publish_in(&self, dir: &Path, version: &str, kernel: &str) -> Result<PathBuf> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        let system = fs::read(self.home.join("system.tar")).unwrap_or_default();
        let base = archive(&[("usr/lib/os-release", "ID=aios\nPRETTY_NAME=\"aiOS\"\n")])?;
        let own = archive(&[
            ("usr/lib/modules/7.2.0/vmlinuz", kernel),
            ("usr/lib/modules/7.2.0/initramfs.img", "initramfs"),
            ("etc/version", version),
        ])?;
        let layers: [&[u8]; 3] = [&system, &base, &own];
        let layers = if system.is_empty() {
            &layers[1..]
        } else {
            &layers[..]
        };
        write_layout(dir, "latest", version, layers)?;
        Ok(dir.to_owned())
    }

    /// Signs an image.
    ///
    /// # Errors
    /// It is no image, or cannot be written.
    pub fn sign(&self, name: &str, key: &SecretKey) -> Result<()> {
        let dir = self.image(name);
        let layout = Layout::open(dir.to_str().context("UTF-8")?)?;
        signature::sign(&layout, key)?;
        Ok(())
    }

    /// Runs the double; answers what it wrote.
    ///
    /// # Errors
    /// It fails.
    pub fn bootc(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(DOUBLE)
            .arg("--double-root")
            .arg(self.root())
            .args(args)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{args:?}: {}: {said}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What `bootc status` says.
    ///
    /// # Errors
    /// It fails.
    pub fn status(&self) -> Result<serde_json::Value> {
        let host: serde_json::Value = serde_json::from_str(&self.bootc(&["status", "--json"])?)?;
        host.get("status").cloned().context("a status")
    }

    /// Shuts the machine down, as init does it, and starts it again.
    ///
    /// # Errors
    /// The double fails.
    pub fn restart(&self) -> Result<()> {
        self.bootc(&["composefs-finalize-staged"])?;
        self.bootc(&["double", "boot"])?;
        Ok(())
    }

    /// How the double behaves from now on: `delay` or `fail`, see there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn turn(&self, knob: &str, value: &str) -> Result<()> {
        Ok(fs::write(self.root().join("double").join(knob), value)?)
    }

    /// Commands that the double was given.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn calls(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.root().join("double/log"))?;
        Ok(log.lines().map(str::to_owned).collect())
    }
}

fn archive(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes())?;
    }
    Ok(tar.into_inner()?)
}
