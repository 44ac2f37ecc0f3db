//! The end of a restore: new directories of state and of the administrator's files take the place of the old ones.
//!
//! Two names cannot change at one instant. The state's exchange is what counts; the new state brings a note along
//! that says what else belongs to it, and whoever finds that note, the next command or aios-init before it reads any
//! file, goes through with it. So a machine that is cut off anywhere comes up wholly old or wholly new.
//!
//! Nothing is removed: the old directories stay, under the names that the note gives them.

use crate::paths::Paths;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where backup and restore keep what is theirs, below the state directory.
pub const DIRECTORY: &str = "backup";
const NOTE: &str = "exchange.json";

/// Where what a restore unpacks, and what it puts aside, lies: beside a directory, `/var/lib/aios.aside`. It holds keys and
/// policy like the directory itself, so it is closed to all but root, and no tool and no worker gets to it.
#[must_use]
pub fn aside(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!("{name}.aside"))
}

/// What takes whose place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The new state, on the disk of the old one.
    pub state: PathBuf,
    /// What the old state is called afterwards.
    pub state_before: PathBuf,
    /// The new administrator's files, on the disk of the old ones.
    pub etc: PathBuf,
    /// What the old ones are called afterwards.
    pub etc_before: PathBuf,
    /// Inode of the new ones, by which they are known wherever they lie.
    etc_inode: u64,
}

impl Exchange {
    /// Of new directories that are complete, with the names that the old ones get.
    ///
    /// # Errors
    /// The new directory of the administrator's files is not there.
    pub fn new(state: PathBuf, state_before: PathBuf, etc: PathBuf, etc_before: PathBuf) -> io::Result<Self> {
        let etc_inode = fs::metadata(&etc)?.ino();
        Ok(Self {
            state,
            state_before,
            etc,
            etc_before,
            etc_inode,
        })
    }

    /// Goes through with it. The new directories must be on the disk already.
    ///
    /// # Errors
    /// Before the state took its place: nothing has changed. After it: [`finish`] goes on.
    pub fn run(&self, paths: &Paths) -> io::Result<()> {
        let own = self.state.join(DIRECTORY);
        fs::create_dir_all(&own)?;
        let note = File::create(own.join(NOTE))?;
        serde_json::to_writer(&note, self)?;
        note.sync_all()?;
        sync(&own)?;
        sync(&self.state)?;
        crate::failpoint::hit("restore.before_state");
        swap(&self.state, &paths.state)?;
        sync_parent(&paths.state)?;
        crate::failpoint::hit("restore.after_state");
        finish(paths).map(drop)
    }

    fn rest(&self, paths: &Paths) -> io::Result<()> {
        let is_new = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.ino() == self.etc_inode);
        if !is_new(&paths.etc) {
            if is_new(&self.etc) {
                swap(&self.etc, &paths.etc)?;
                sync_parent(&paths.etc)?;
            } else {
                let problem = format!(
                    "the restored files are in neither {} nor {}",
                    self.etc.display(),
                    paths.etc.display()
                );
                return Err(io::Error::new(io::ErrorKind::NotFound, problem));
            }
        }
        crate::failpoint::hit("restore.after_etc");
        put_aside(&self.etc, &self.etc_before)?;
        sync_parent(&self.etc_before)?;
        put_aside(&self.state, &self.state_before)?;
        sync_parent(&self.state_before)?;
        crate::failpoint::hit("restore.before_end");
        let own = paths.state.join(DIRECTORY);
        fs::remove_file(own.join(NOTE))?;
        sync(&own)
    }
}

/// Goes through with an exchange that was cut off; yields it. Does nothing when there is none.
///
/// # Errors
/// A name cannot be changed; trying again goes on where it ended.
pub fn finish(paths: &Paths) -> io::Result<Option<Exchange>> {
    let note = paths.state.join(DIRECTORY).join(NOTE);
    let text = match fs::read(&note) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let exchange: Exchange = serde_json::from_slice(&text)?;
    exchange.rest(paths)?;
    Ok(Some(exchange))
}

/// Two names change their meaning at one instant, renameat2(2).
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).map_err(io::Error::from)
}

fn put_aside(path: &Path, name: &Path) -> io::Result<()> {
    match fs::rename(path, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && name.exists() => Ok(()),
        renamed => renamed,
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    sync(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        _root: tempfile::TempDir,
        paths: Paths,
        exchange: Exchange,
    }

    fn scene() -> Scene {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        let beside = |name: &str| root.path().join(name);
        for (path, which) in [
            (paths.state.clone(), "old"),
            (paths.etc.clone(), "old"),
            (beside("state-new"), "new"),
            (beside("etc-new"), "new"),
        ] {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("which"), which).unwrap();
        }
        let exchange = Exchange::new(
            beside("state-new"),
            beside("state-before"),
            beside("etc-new"),
            beside("etc-before"),
        )
        .unwrap();
        Scene {
            _root: root,
            paths,
            exchange,
        }
    }

    fn which(path: &Path) -> String {
        fs::read_to_string(path.join("which")).unwrap()
    }

    fn is_new(scene: &Scene) {
        assert_eq!(
            [&scene.paths.state, &scene.paths.etc].map(|path| which(path)),
            ["new", "new"]
        );
        assert_eq!(
            [&scene.exchange.state_before, &scene.exchange.etc_before].map(|path| which(path)),
            ["old", "old"]
        );
        assert!(!scene.exchange.state.exists() && !scene.exchange.etc.exists());
        assert_eq!(finish(&scene.paths).unwrap(), None);
    }

    #[test]
    fn both_directories_take_their_place_and_the_old_ones_stay() {
        let scene = scene();
        scene.exchange.run(&scene.paths).unwrap();
        is_new(&scene);
    }

    #[test]
    fn cut_off_after_any_step_it_is_gone_through_with() {
        type Step = fn(&Scene);
        let steps: [Step; 3] = [
            |scene| swap(&scene.exchange.etc, &scene.paths.etc).unwrap(),
            |scene| put_aside(&scene.exchange.etc, &scene.exchange.etc_before).unwrap(),
            |scene| put_aside(&scene.exchange.state, &scene.exchange.state_before).unwrap(),
        ];
        for done in 0..=steps.len() {
            let scene = scene();
            let own = scene.exchange.state.join(DIRECTORY);
            fs::create_dir(&own).unwrap();
            fs::write(own.join(NOTE), serde_json::to_vec(&scene.exchange).unwrap()).unwrap();
            swap(&scene.exchange.state, &scene.paths.state).unwrap();
            for step in &steps[..done] {
                step(&scene);
            }
            assert_eq!(
                finish(&scene.paths).unwrap().as_ref(),
                Some(&scene.exchange),
                "{done}"
            );
            is_new(&scene);
        }
    }

    #[test]
    fn before_the_state_took_its_place_nothing_is_to_be_finished() {
        let scene = scene();
        let own = scene.exchange.state.join(DIRECTORY);
        fs::create_dir(&own).unwrap();
        fs::write(own.join(NOTE), serde_json::to_vec(&scene.exchange).unwrap()).unwrap();
        assert_eq!(finish(&scene.paths).unwrap(), None);
        assert_eq!(which(&scene.paths.state), "old");
    }

    #[test]
    fn refused_when_the_restored_files_are_gone() {
        let scene = scene();
        fs::remove_dir_all(&scene.exchange.etc).unwrap();
        let error = scene.exchange.run(&scene.paths).unwrap_err();
        assert!(error.to_string().contains("in neither"), "{error}");
    }
}
