//! What whoever started this machine gives it, so that no hand is needed: keys of the administrator, and a host name. Asked
//! at each boot are the kernel command line (`aios.admin_key=`, `aios.hostname=`) and the firmware (SMBIOS strings, as
//! systemd.system-credentials(7) has them); at the first boot also a disk whose file system is called `AIOS-CONFIG` or
//! `CIDATA`, with the files of cloud-init's NoCloud.
//!
//! What was given stays: keys are added to those that are there, and a name is only taken where there is none.

mod cloud;
mod disk;
mod firmware;

use super::{Outcome, Setup, admin, cmdline, hostname, ssh};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_core::paths::Paths;
use std::fs;
use std::path::Path;

/// What was found, and where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    keys: Vec<String>,
    hostname: Option<String>,
    /// Places where something was.
    from: Vec<&'static str>,
    /// What was there and is not understood.
    ignored: Vec<String>,
}

impl Given {
    /// Adds what another place gives; of two host names the first counts.
    fn and(mut self, from: &'static str, other: Self) -> Self {
        if !other.keys.is_empty() || other.hostname.is_some() {
            self.from.push(from);
        }
        self.keys.extend(other.keys);
        self.hostname = self.hostname.or(other.hostname);
        self.ignored.extend(other.ignored);
        self
    }
}

/// Takes what is given.
pub(super) fn take(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    let root = Path::new("/");
    let mut given = Given::default()
        .and("the kernel command line", of_command_line(root))
        .and("the firmware", firmware::given(root)?);
    let first = !done(&world.paths).exists();
    // Who says that somebody else cares for the administrator needs not wait for disks either.
    if first && !admin::is_left_out(root) {
        given = given.and("a disk", disk::given(&world.paths)?);
    }
    let wrong = apply(root, &given)?;
    if first {
        note_done(&world.paths)?;
    }
    let ignored = [wrong, given.ignored].concat();
    let from = given.from.join(" and ");
    if !ignored.is_empty() {
        return Err(InitError::LeftOut(format!("ignored: {}", ignored.join("; "))));
    }
    Ok(Outcome::Done(if from.is_empty() {
        from
    } else {
        format!("by {from}")
    }))
}

/// Is there once a first boot went through.
fn done(paths: &Paths) -> std::path::PathBuf {
    paths.state.join("init").join("first-boot")
}

fn note_done(paths: &Paths) -> Result<()> {
    let path = done(paths);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(InitError::path("cannot make", directory))?;
    }
    fs::write(&path, "").map_err(InitError::path("cannot write", &path))
}

fn of_command_line(root: &Path) -> Given {
    Given {
        // The name on the command line is read at each boot, by the phase `hostname`.
        keys: cmdline::value(root, "aios.admin_key").into_iter().collect(),
        ..Given::default()
    }
}

/// Writes it down; yields what is wrong with it.
fn apply(root: &Path, given: &Given) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let path = root.join(ssh::KEYS);
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    let before = text.len();
    for key in &given.keys {
        let key = key.trim();
        if !ssh::is_key(key) {
            let start: String = key.chars().take(20).collect();
            wrong.push(format!("{start:?}… is no public key of SSH"));
        } else if !text.lines().any(|known| known == key) {
            text += &format!("{key}\n");
        }
    }
    if text.len() > before {
        write(&path, &text)?;
    }
    if let Some(name) = &given.hostname {
        if !hostname::is_name(name) {
            wrong.push(format!("{name:?} is no host name"));
        } else if hostname::chosen(root).is_ok_and(|chosen| chosen.is_none()) {
            write(&root.join("etc/hostname"), &format!("{name}\n"))?;
        }
    }
    Ok(wrong)
}

/// The whole old file or the whole new one.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(InitError::path("cannot make", directory))?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(InitError::path("cannot write", &new))?;
    fs::rename(&new, path).map_err(InitError::path("cannot replace", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3Nza me@box";

    #[test]
    fn keys_are_added_once_and_a_name_is_taken_where_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc")).unwrap();
        fs::write(
            root.path().join("proc/cmdline"),
            format!("aios.admin_key=\"{KEY}\" x"),
        )
        .unwrap();
        let other = Given {
            keys: vec!["ssh-rsa AAAAB3 other".into(), "command=\"x\" ssh-rsa AAAA".into()],
            hostname: Some("given".into()),
            ..Given::default()
        };
        let given = Given::default()
            .and("the kernel command line", of_command_line(root.path()))
            .and("a disk", other);
        assert_eq!(given.from, ["the kernel command line", "a disk"]);
        for _ in 0..2 {
            let wrong = apply(root.path(), &given).unwrap();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            let keys = fs::read_to_string(root.path().join(ssh::KEYS)).unwrap();
            assert_eq!(keys, format!("{KEY}\nssh-rsa AAAAB3 other\n"));
            assert_eq!(
                fs::read_to_string(root.path().join("etc/hostname")).unwrap(),
                "given\n"
            );
        }
        fs::write(root.path().join("etc/hostname"), "chosen\n").unwrap();
        apply(root.path(), &given).unwrap();
        assert_eq!(
            fs::read_to_string(root.path().join("etc/hostname")).unwrap(),
            "chosen\n"
        );
        assert!(ssh::has_key(root.path()));
    }
}
