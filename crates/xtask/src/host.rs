//! The machine that a task runs on: where things lie, and how a command runs as root.
//!
//! Root's own Podman store holds base and OS images, because `podman build --isolation chroot` and mounting an image
//! need root here. As an ordinary user those commands go through `sudo`.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use xshell::{Cmd, Shell, cmd};

/// Paths and privileges of the machine.
pub(crate) struct Host {
    /// Runs commands; its working directory is the checkout.
    pub(crate) shell: Shell,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Base tarballs, disks and stamps; outside the checkout, so that a fresh clone finds them.
    pub(crate) cache: PathBuf,
    /// Where cargo put the binaries: the directory of this very program.
    pub(crate) binaries: PathBuf,
    is_root: bool,
}

impl Host {
    /// Finds the checkout, the cache (`AIOS_CACHE`, else `~/.cache/aios`) and the binaries.
    pub(crate) fn new() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("the checkout above crates/xtask")?
            .to_path_buf();
        ensure!(
            root.join("Cargo.toml").exists(),
            "{} is gone: build xtask again in the checkout that you use",
            root.display()
        );
        let cache = match std::env::var_os("AIOS_CACHE") {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache/aios"),
        };
        let program = std::env::current_exe().context("the path of this program")?;
        let binaries = program
            .parent()
            .context("the directory of this program")?
            .to_path_buf();
        let shell = Shell::new()?;
        shell.change_dir(&root);
        shell.create_dir(&cache)?;
        Ok(Self {
            shell,
            root,
            cache,
            binaries,
            is_root: rustix::process::geteuid().is_root(),
        })
    }

    /// Whether this program runs as root.
    pub(crate) fn is_root(&self) -> bool {
        self.is_root
    }

    /// A command that runs as root: directly, or through `sudo`.
    pub(crate) fn root_cmd(&self, program: &str) -> Cmd<'_> {
        let sh = &self.shell;
        if self.is_root {
            cmd!(sh, "{program}").quiet()
        } else {
            cmd!(sh, "sudo {program}").quiet()
        }
    }

    /// Podman on root's store.
    pub(crate) fn podman(&self) -> Cmd<'_> {
        self.root_cmd("podman")
    }

    /// Whether root's store has this image.
    pub(crate) fn has_image(&self, name: &str) -> Result<bool> {
        let output = self
            .podman()
            .args(["image", "exists", name])
            .ignore_status()
            .output()?;
        Ok(output.status.success())
    }

    /// Removes every other tag that a task made of an image's name (16 hexadecimal digits), so that the store does not grow with each build.
    pub(crate) fn keep_only(&self, name: &str, tag: &str) -> Result<()> {
        let filter = format!("reference={name}");
        let listed = self
            .podman()
            .args([
                "images",
                "--format",
                "{{.Repository}}:{{.Tag}}",
                "--filter",
                &filter,
            ])
            .read()?;
        let wanted = format!("{name}:{tag}");
        let latest = format!("{name}:latest");
        let made = |line: &str| {
            line.rsplit(':')
                .next()
                .is_some_and(|tag| tag.len() == 16 && hex::decode(tag).is_ok())
        };
        for old in listed
            .lines()
            .filter(|line| *line != wanted && *line != latest && made(line))
        {
            // One that a container still uses stays until the next time.
            self.podman()
                .args(["rmi", old])
                .ignore_status()
                .ignore_stdout()
                .ignore_stderr()
                .run()?;
        }
        self.prune()
    }

    /// Removes images of ours that lost their name.
    pub(crate) fn prune(&self) -> Result<()> {
        self.podman()
            .args(["image", "prune", "--force", "--filter", "label=org.aios.image"])
            .ignore_stdout()
            .run()?;
        Ok(())
    }

    /// The id of an image in root's store.
    pub(crate) fn image_id(&self, name: &str) -> Result<String> {
        let id = self
            .podman()
            .args(["image", "inspect", "--format", "{{.Id}}", name])
            .read()?;
        Ok(id.trim().to_owned())
    }

    /// Writes a file as root with the given octal mode; answers whether its content changed.
    pub(crate) fn install_file(&self, path: &str, content: &str, mode: &str) -> Result<bool> {
        let old = self
            .root_cmd("cat")
            .arg(path)
            .ignore_status()
            .ignore_stderr()
            .output()?;
        if old.status.success() && old.stdout == content.as_bytes() {
            return Ok(false);
        }
        self.root_cmd("install")
            .args(["-D", "-m", mode, "/dev/stdin", path])
            .stdin(content)
            .run()
            .with_context(|| format!("write {path}"))?;
        Ok(true)
    }

    /// The invoking person's name, also below `sudo`.
    pub(crate) fn person(&self) -> Option<String> {
        std::env::var("SUDO_USER")
            .ok()
            .or_else(|| std::env::var("USER").ok())
            .filter(|name| !name.is_empty())
    }
}

/// Lets everybody read a tree, whatever this person's umask made of it: services and agents have users of their own.
pub(crate) fn readable(host: &Host, dir: &Path) -> Result<()> {
    let sh = &host.shell;
    cmd!(sh, "chmod -R u+rwX,go+rX,go-w {dir}").quiet().run()?;
    Ok(())
}

/// Copies a disk and leaves its holes holes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let sh = Shell::new()?;
    cmd!(sh, "cp --sparse=always {from} {to}").quiet().run()?;
    Ok(())
}

/// Prints one line for the person who runs the task.
pub(crate) fn say(line: &str) {
    // A closed pipe must not turn a finished task into a failed one.
    let _closed = writeln!(std::io::stdout(), "{line}");
}
