//! The boot loader's entries: counting, blessing, and which deployment is on trial.
//!
//! The partition is FAT: no journal, and a renamed file may be seen under both names, or neither entry's directory may be
//! whole, after a power cut. So every change is one rename followed by a sync of the file system, and
//! [`Loader::tidy`] removes a second name at boot: bootc and a person shall find one entry a deployment.

use crate::entry::{Content, EntryName, Tries};
use crate::error::{DeploymentError, Result};
use crate::id::DeploymentId;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest entry that is read, bytes.
const LARGEST: u64 = 64 << 10;

/// The directory `loader` of a boot partition.
#[derive(Debug, Clone)]
pub struct Loader {
    dir: PathBuf,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of its file.
    pub name: EntryName,
    /// What it says.
    pub content: Content,
}

impl Entry {
    fn boots(&self, id: &DeploymentId) -> bool {
        self.content.deployment.as_ref() == Some(id)
    }
}

impl Loader {
    /// The loader of a mounted boot partition.
    #[must_use]
    pub fn of_partition(mounted: &Path) -> Self {
        Self {
            dir: mounted.join("loader"),
        }
    }

    /// What the boot loader offers.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        read(&self.dir.join("entries"))
    }

    /// What it will offer when a staged deployment is finalized; nothing when none is staged.
    ///
    /// # Errors
    /// As [`Self::entries`].
    pub fn staged(&self) -> Result<Vec<Entry>> {
        match read(&self.staged_dir()) {
            Err(DeploymentError::Path { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// Drops what was to be offered after a finalization. Nothing staged is nothing to do.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn unstage(&self) -> Result<()> {
        let dir = self.staged_dir();
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => {
                removed.map_err(DeploymentError::path("cannot remove", &dir))?;
                sync(&self.dir)
            }
        }
    }

    fn staged_dir(&self) -> PathBuf {
        self.dir.join("entries.staged")
    }

    /// The counter of a deployment's entry: `Some` while it is on trial.
    ///
    /// # Errors
    /// As [`Self::entries`]; no entry boots it.
    pub fn trial(&self, id: &DeploymentId) -> Result<Option<Tries>> {
        Ok(self.entry(&self.dir.join("entries"), id)?.name.tries)
    }

    /// Gives the staged deployment's entry a counter, while it is staged: later there would be a moment in which
    /// it counts as trusted. One that has a counter keeps it.
    ///
    /// # Errors
    /// As [`Self::entries`]; the deployment is not staged; the file cannot be renamed.
    pub fn count_staged(&self, id: &DeploymentId, tries: u32) -> Result<Tries> {
        let dir = self.staged_dir();
        let entry = self.entry(&dir, id)?;
        if let Some(tries) = entry.name.tries {
            return Ok(tries);
        }
        let tries = Tries { left: tries, done: 0 };
        rename(&dir, &entry.name, &entry.name.with(Some(tries)))?;
        Ok(tries)
    }

    /// Takes the counter from a deployment's entry: from now on it is trusted. Answers whether it had one.
    ///
    /// # Errors
    /// As [`Self::trial`]; the file cannot be renamed.
    pub fn bless(&self, id: &DeploymentId) -> Result<bool> {
        let dir = self.dir.join("entries");
        let entry = self.entry(&dir, id)?;
        if entry.name.tries.is_none() {
            return Ok(false);
        }
        rename(&dir, &entry.name, &entry.name.with(None))?;
        Ok(true)
    }

    /// Removes second names of an entry that a power cut left: the one without a counter stays, because a counter is only
    /// ever taken away on purpose. Answers what was removed.
    ///
    /// # Errors
    /// As [`Self::entries`]; a file cannot be removed.
    pub fn tidy(&self) -> Result<Vec<String>> {
        let dir = self.dir.join("entries");
        let entries = read(&dir)?;
        let mut removed = Vec::new();
        for entry in &entries {
            let better = entries
                .iter()
                .any(|other| other.name.stem == entry.name.stem && prefer(&other.name, &entry.name));
            if better {
                let path = dir.join(entry.name.to_string());
                fs::remove_file(&path).map_err(DeploymentError::path("cannot remove", &path))?;
                removed.push(entry.name.to_string());
            }
        }
        if !removed.is_empty() {
            sync(&dir)?;
        }
        Ok(removed)
    }

    fn entry(&self, dir: &Path, id: &DeploymentId) -> Result<Entry> {
        let mut boots: Vec<Entry> = read(dir)?.into_iter().filter(|entry| entry.boots(id)).collect();
        boots.sort_by_key(|entry| (entry.name.tries.is_some(), entry.name.to_string()));
        boots.into_iter().next().ok_or_else(|| DeploymentError::NoEntry {
            loader: self.dir.clone(),
            id: id.short().to_owned(),
        })
    }
}

/// Whether `one` is the name to keep of two for the same entry: the trusted one, else the one that was tried more.
fn prefer(one: &EntryName, other: &EntryName) -> bool {
    match (one.tries, other.tries) {
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one.done > other.done,
        (_, None) => false,
    }
}

fn read(dir: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(dir).map_err(DeploymentError::path("cannot read", dir))? {
        let file = file.map_err(DeploymentError::path("cannot read", dir))?;
        let Some(name) = file.file_name().to_str().and_then(EntryName::parse) else {
            continue;
        };
        let path = file.path();
        let size = file
            .metadata()
            .map_err(DeploymentError::path("cannot look at", &path))?
            .len();
        // What is larger was not written by bootc; the boot loader may still offer it.
        let content = if size <= LARGEST {
            let bytes = fs::read(&path).map_err(DeploymentError::path("cannot read", &path))?;
            Content::parse(&String::from_utf8_lossy(&bytes))
        } else {
            Content::default()
        };
        entries.push(Entry { name, content });
    }
    entries.sort_by_key(|entry| entry.name.to_string());
    Ok(entries)
}

fn rename(dir: &Path, from: &EntryName, to: &EntryName) -> Result<()> {
    let (from, to) = (dir.join(from.to_string()), dir.join(to.to_string()));
    fs::rename(&from, &to).map_err(DeploymentError::path("cannot rename", &from))?;
    sync(dir)
}

/// Writes the whole file system out: on FAT the directory, its clusters and the allocation table belong together.
fn sync(dir: &Path) -> Result<()> {
    let file = File::open(dir).map_err(DeploymentError::path("cannot open", dir))?;
    nix::unistd::syncfs(&file).map_err(|error| DeploymentError::path("cannot write out", dir)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bed {
        home: tempfile::TempDir,
        loader: Loader,
    }

    fn id(digit: char) -> DeploymentId {
        DeploymentId::new(&digit.to_string().repeat(128)).unwrap()
    }

    impl Bed {
        fn new(entries: &[(&str, char)], staged: &[(&str, char)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            let loader = Loader::of_partition(home.path());
            for (dir, list) in [("loader/entries", entries), ("loader/entries.staged", staged)] {
                let dir = home.path().join(dir);
                if !list.is_empty() {
                    fs::create_dir_all(&dir).unwrap();
                }
                for (name, digit) in list {
                    let text = format!("title aiOS\noptions composefs={} quiet\n", id(*digit));
                    fs::write(dir.join(name), text).unwrap();
                }
            }
            Self { home, loader }
        }

        fn names(&self, dir: &str) -> Vec<String> {
            let dir = self.home.path().join("loader").join(dir);
            let mut names: Vec<String> = fs::read_dir(dir)
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn only_the_new_entry_is_counted_and_only_once() {
        let bed = Bed::new(&[("v1-1.conf", '1')], &[("v2-1.conf", '2'), ("v1-0.conf", '1')]);
        for _ in 0..2 {
            let tries = bed.loader.count_staged(&id('2'), 3).unwrap();
            assert_eq!(tries, Tries { left: 3, done: 0 });
            assert_eq!(bed.names("entries.staged"), ["v1-0.conf", "v2-1+3.conf"]);
        }
        assert_eq!(bed.names("entries"), ["v1-1.conf"]);
        let error = bed.loader.count_staged(&id('3'), 3).unwrap_err();
        assert!(matches!(error, DeploymentError::NoEntry { .. }), "{error}");
        for _ in 0..2 {
            bed.loader.unstage().unwrap();
            assert!(bed.loader.staged().unwrap().is_empty());
        }
        assert_eq!(bed.names("entries"), ["v1-1.conf"]);
    }

    #[test]
    fn blessing_takes_the_counter_of_that_entry_alone() {
        let bed = Bed::new(
            &[("v2-1+1-2.conf", '2'), ("v1-0.conf", '1'), ("x+2.conf", '3')],
            &[],
        );
        assert_eq!(
            bed.loader.trial(&id('2')).unwrap(),
            Some(Tries { left: 1, done: 2 })
        );
        assert!(bed.loader.bless(&id('2')).unwrap());
        assert!(!bed.loader.bless(&id('2')).unwrap());
        assert_eq!(bed.names("entries"), ["v1-0.conf", "v2-1.conf", "x+2.conf"]);
        assert_eq!(bed.loader.trial(&id('2')).unwrap(), None);
    }

    #[test]
    fn of_two_names_for_one_entry_the_trusted_one_stays() {
        let bed = Bed::new(
            &[
                ("a.conf", '1'),
                ("a+2-1.conf", '1'),
                ("b+3.conf", '2'),
                ("b+2-1.conf", '2'),
                ("c+1.conf", '3'),
            ],
            &[],
        );
        let mut removed = bed.loader.tidy().unwrap();
        removed.sort();
        assert_eq!(removed, ["a+2-1.conf", "b+3.conf"]);
        assert_eq!(bed.names("entries"), ["a.conf", "b+2-1.conf", "c+1.conf"]);
        assert!(bed.loader.tidy().unwrap().is_empty());
    }

    #[test]
    fn foreign_and_huge_files_harm_nothing() {
        let bed = Bed::new(&[("v1-1.conf", '1')], &[]);
        let dir = bed.home.path().join("loader/entries");
        fs::write(dir.join("README"), "x").unwrap();
        fs::write(dir.join("huge.conf"), vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(bed.loader.entries().unwrap().len(), 2);
        assert_eq!(bed.loader.trial(&id('1')).unwrap(), None);
        assert!(bed.loader.staged().unwrap().is_empty());
        assert!(
            bed.loader
                .trial(&id('9'))
                .unwrap_err()
                .to_string()
                .contains("999999999999")
        );
    }
}
