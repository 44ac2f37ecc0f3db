//! Who may change what: modes that let everybody in, owners that should not be, programs with others' rights.

use super::file;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// `nobody`, on every Debian: an account, and none of the system's own.
const PERSON: u32 = 65_534;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(WorldWritable), Box::new(WrongOwner), Box::new(SetUid)]
}

fn mode_of(path: &Path) -> Result<u32> {
    let meta = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    Ok(meta.mode() & 0o7777)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn has_mode(path: &Path, mode: u32) -> Result<()> {
    let now = mode_of(path)?;
    ensure!(now == mode, "{} has mode {now:04o}", path.display());
    Ok(())
}

/// What everybody may change, beside what only looks like it.
struct WorldWritable;

impl Fault for WorldWritable {
    fn name(&self) -> &'static str {
        "world-writable"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        // Everybody may write there, and nobody take away what others wrote.
        let shared = dir.join(format!("{}-drop", random.name()?));
        fs::create_dir_all(&shared)?;
        set_mode(&shared, 0o1777)?;
        file(&dir.join("group.conf"), 10, 1)?;
        set_mode(&dir.join("group.conf"), 0o664)?;
        let mut needed = Vec::new();
        let mut right = Vec::new();
        for number in 0..random.between(1, 3) {
            let path = dir.join(random.name()?).join(format!("settings-{number}"));
            file(&path, random.between(1, 4_000), 1)?;
            let mode = *random.one_of(&[0o644, 0o640, 0o755, 0o600])?;
            set_mode(&path, if broken { mode | 0o002 } else { mode })?;
            needed.push(path.clone());
            right.push((path, mode));
        }
        let open = dir.join(format!("{}-spool", random.name()?));
        file(&open.join("letter"), 100, 1)?;
        set_mode(&open, if broken { 0o777 } else { 0o775 })?;
        right.push((shared, 0o1777));
        let subject = right.first().context("a path")?.0.display().to_string();
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("find world-writable files under {} and fix them", dir.display()),
                    format!("check the permissions under {} and fix them", dir.display()),
                ])?
                .clone(),
            wanted: broken.then_some(Wanted {
                cause: "world_writable",
                subject,
                repairs: true,
            }),
            needed,
            healthy: Box::new(move || {
                // Either nobody else may write there any more, or not take away what others wrote.
                let mode = mode_of(&open)?;
                ensure!(mode & 0o1002 != 0o002, "{} has mode {mode:04o}", open.display());
                right.iter().try_for_each(|(path, mode)| has_mode(path, *mode))
            }),
            _held: Vec::new(),
        })
    }
}

/// A directory outside the place, gone with this.
struct Outside(PathBuf);

impl Drop for Outside {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            drop(writeln!(stderr(), "{} stays: {error}", self.0.display()));
        }
    }
}

/// A part of the system that belongs to an ordinary user.
struct WrongOwner;

impl Fault for WrongOwner {
    fn name(&self) -> &'static str {
        "wrong-file-owner"
    }

    fn make(&self, _place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        // Only of what belongs to the system it is certain whose it should be.
        let dir = Path::new("/opt").join(format!("aios-e2e-{}", random.name()?));
        let held = Outside(dir.clone());
        let whole = dir.join("readme");
        file(&whole, 10, 3)?;
        let mut wrong = Vec::new();
        for number in 0..random.between(1, 3) {
            let path = dir.join(random.name()?).join(format!("program-{number}"));
            file(&path, random.between(1, 4_000), 3)?;
            set_mode(&path, 0o755)?;
            // One with an account, or with a number that nobody has.
            let owner = *random.one_of(&[PERSON, 51_000 + u32::try_from(number)?])?;
            if broken {
                chown(&path, Some(owner), Some(owner))?;
            }
            wrong.push(path);
        }
        let subject = wrong.first().context("a path")?.display().to_string();
        let text = dir.display().to_string();
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("find wrongly owned files under {text} and fix them"),
                    format!("fix the owners under {text}"),
                ])?
                .clone(),
            wanted: broken.then_some(Wanted {
                cause: "wrong_file_owner",
                subject,
                repairs: true,
            }),
            needed: Vec::new(),
            healthy: Box::new(move || {
                for path in wrong.iter().chain([&whole]) {
                    let meta = fs::metadata(path)?;
                    ensure!(
                        (meta.uid(), meta.gid()) == (0, 0),
                        "{} belongs to {}:{}",
                        path.display(),
                        meta.uid(),
                        meta.gid()
                    );
                }
                wrong.iter().try_for_each(|path| has_mode(path, 0o755))
            }),
            _held: vec![Box::new(held)],
        })
    }
}

/// A program that runs with its owner's rights and that no package brought.
struct SetUid;

impl Fault for SetUid {
    fn name(&self) -> &'static str {
        "set-uid"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let program = dir.join(random.name()?).join(random.name()?);
        let plain = dir.join(random.name()?);
        fs::create_dir_all(program.parent().context("a directory")?)?;
        fs::copy("/bin/true", &program)?;
        fs::copy("/bin/true", &plain)?;
        set_mode(&plain, 0o755)?;
        let bit = *random.one_of(&[0o4000, 0o2000, 0o6000])?;
        let mode = *random.one_of(&[0o755, 0o750, 0o711])?;
        set_mode(&program, if broken { mode | bit } else { mode })?;
        let text = dir.display().to_string();
        let subject = program.display().to_string();
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("find suid surprises under {text} and fix them"),
                    format!("look for unknown setuid programs in {text} and fix it"),
                ])?
                .clone(),
            wanted: broken.then_some(Wanted {
                cause: "suid_surprise",
                subject,
                repairs: true,
            }),
            needed: vec![program.clone()],
            healthy: Box::new(move || {
                has_mode(&program, mode)?;
                has_mode(&plain, 0o755)
            }),
            _held: Vec::new(),
        })
    }
}
