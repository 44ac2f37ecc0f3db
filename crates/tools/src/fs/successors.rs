//! Which inode took the place of which. Giving back a deleted file or directory makes a new inode, but
//! plans of earlier executions name the old one: as the directory that holds a place, or as the file that
//! several names share. So each replacement is written down, and an undo follows the line from the time
//! of its plan on.
//!
//! What an execution wrote down and then did not commit is withdrawn when it is taken back or settled again;
//! its batch keeps its number, so that plans made meanwhile still point to the right place.
//!
//! When the list is lost or was cut, an undo that needs it is refused; nothing else depends on it.

use crate::error::{Result, ToolError};
use crate::worker::store::Store;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and inode.
pub type Inode = (u64, u64);

/// Replacements that are kept; of more, the newest half.
const MOST: usize = 200_000;

/// The list, in a file of one line for each replacement: batch, old and new inode, who made it.
#[derive(Debug)]
pub struct Successors {
    path: PathBuf,
    list: Mutex<List>,
}

#[derive(Debug)]
struct List {
    file: File,
    /// Number of the next batch.
    next: u64,
    pairs: Vec<Pair>,
    /// Where in `pairs` an inode was replaced, ascending.
    places: HashMap<Inode, Vec<usize>>,
}

/// One replacement. Those of one batch happened at once: none of them goes on from another, even where a
/// new inode has the number of an old one.
#[derive(Debug, Clone, Copy)]
struct Pair {
    batch: u64,
    from: Inode,
    to: Inode,
    /// The beginning of the digest of the execution's tag; 0 when nobody says.
    by: u64,
}

/// What stands for a batch that was withdrawn: no file system has such an inode.
const WITHDRAWN: Inode = (0, 0);

impl List {
    fn push(&mut self, pair: Pair) {
        self.places.entry(pair.from).or_default().push(self.pairs.len());
        self.next = self.next.max(pair.batch + 1);
        self.pairs.push(pair);
    }
}

impl Successors {
    /// Opens the list, making it when it is not there. A last line that a crash cut short is dropped.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let mut file = open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| ToolError::io("read", &shown, error))?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64)
                .map_err(|error| ToolError::io("cut", &shown, error))?;
        }
        let mut list = List {
            file,
            next: 0,
            pairs: Vec::new(),
            places: HashMap::new(),
        };
        for line in text.get(..whole).unwrap_or_default().lines() {
            list.push(parse(line).ok_or_else(|| corrupt(&shown))?);
        }
        Ok(Self {
            path: path.to_owned(),
            list: Mutex::new(list),
        })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many batches of replacements there have been.
    pub fn count(&self) -> u64 {
        self.list().next
    }

    /// Writes a batch of replacements by the execution with this tag down, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, tag: &str, replaced: &[(Inode, Inode)]) -> Result<()> {
        if replaced.is_empty() {
            return Ok(());
        }
        let mut list = self.list();
        if list.pairs.len() + replaced.len() > MOST {
            self.cut(&mut list)?;
        }
        let batch = list.next;
        let pair = |(from, to): &(Inode, Inode)| Pair {
            batch,
            from: *from,
            to: *to,
            by: digest(tag),
        };
        let pairs: Vec<Pair> = replaced.iter().map(pair).collect();
        write(&mut list.file, &text_of(&pairs), &self.path)?;
        pairs.into_iter().for_each(|pair| list.push(pair));
        Ok(())
    }

    /// Withdraws what the execution with this tag wrote down since there had been `since` batches: it was not
    /// committed, and is not so any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn withdraw(&self, tag: &str, since: u64) -> Result<()> {
        let mut list = self.list();
        let (first, by) = (list.pairs.partition_point(|pair| pair.batch < since), digest(tag));
        let own = |pair: &Pair| pair.by == by && pair.from != WITHDRAWN;
        if !list.pairs.iter().skip(first).any(own) {
            return Ok(());
        }
        let mut pairs = list.pairs.clone();
        for pair in pairs.iter_mut().skip(first).filter(|pair| own(pair)) {
            (pair.from, pair.to) = (WITHDRAWN, WITHDRAWN);
        }
        self.replace(&mut list, pairs)
    }

    fn cut(&self, list: &mut List) -> Result<()> {
        let kept = list.pairs.split_off(list.pairs.len() / 2);
        self.replace(list, kept)
    }

    /// Has the list hold these and no others, whole or as it was.
    fn replace(&self, list: &mut List, kept: Vec<Pair>) -> Result<()> {
        let shorter = self.path.with_extension("new");
        match std::fs::remove_file(&shorter) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ToolError::io("remove", shorter.display().to_string(), error));
            }
            _ => {}
        }
        let mut file = open(&shorter)?;
        write(&mut file, &text_of(&kept), &shorter)?;
        std::fs::rename(&shorter, &self.path)
            .map_err(|error| ToolError::io("publish", self.path.display().to_string(), error))?;
        list.file = file;
        list.pairs.clear();
        list.places.clear();
        kept.into_iter().for_each(|pair| list.push(pair));
        Ok(())
    }

    /// What an inode of the time when there had been `since` batches is now.
    pub fn follow(&self, inode: Inode, since: u64) -> Inode {
        let list = self.list();
        let (mut now, mut at) = (inode, since);
        let before = |place: &usize, at| list.pairs.get(*place).is_some_and(|pair| pair.batch < at);
        while let Some(places) = list.places.get(&now)
            && let Some(next) = places.get(places.partition_point(|place| before(place, at)))
            && let Some(pair) = list.pairs.get(*next)
        {
            (now, at) = (pair.to, pair.batch + 1);
        }
        now
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| ToolError::io("open", path.display().to_string(), error))
}

fn write(file: &mut File, text: &str, path: &Path) -> Result<()> {
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(|error| ToolError::io("write", path.display().to_string(), error))
}

fn text_of(pairs: &[Pair]) -> String {
    let line = |pair: &Pair| {
        let ((a, b), (c, d)) = (pair.from, pair.to);
        format!("{} {a}:{b} {c}:{d} {}\n", pair.batch, pair.by)
    };
    pairs.iter().map(line).collect()
}

fn parse(line: &str) -> Option<Pair> {
    let inode = |text: &str| -> Option<Inode> {
        let (dev, ino) = text.split_once(':')?;
        Some((dev.parse().ok()?, ino.parse().ok()?))
    };
    let mut words = line.split(' ');
    Some(Pair {
        batch: words.next()?.parse().ok()?,
        from: inode(words.next()?)?,
        to: inode(words.next()?)?,
        by: words.next().map_or(Some(0), |by| by.parse().ok())?,
    })
}

fn digest(tag: &str) -> u64 {
    let hex = Store::digest_of(tag.as_bytes());
    hex.get(..16)
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .unwrap_or(0)
}

fn corrupt(shown: &str) -> ToolError {
    ToolError::Corrupt {
        what: format!("list of replaced inodes {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(ino: u64) -> Inode {
        (1, ino)
    }

    #[test]
    fn a_line_is_followed_from_the_time_of_the_plan_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("successors");
        let list = Successors::open(&path).unwrap();
        list.add("t", &[(inode(5), inode(9))]).unwrap();
        list.add("t", &[(inode(7), inode(5))]).unwrap();
        assert_eq!(list.follow(inode(5), 0), inode(9));
        assert_eq!(
            list.follow(inode(5), 1),
            inode(5),
            "the number was used again later"
        );
        list.add("t", &[(inode(9), inode(5))]).unwrap();
        list.add("t", &[(inode(5), inode(6))]).unwrap();
        assert_eq!(list.follow(inode(5), 0), inode(6));
        drop(list);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "4 1:6 1:").unwrap();
        let list = Successors::open(&path).unwrap();
        assert_eq!((list.count(), list.follow(inode(5), 0)), (4, inode(6)));
        list.add("t", &[(inode(6), inode(8))]).unwrap();
        assert_eq!(Successors::open(&path).unwrap().follow(inode(5), 0), inode(8));
    }

    #[test]
    fn replacements_of_one_batch_do_not_follow_from_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let list = Successors::open(&dir.path().join("successors")).unwrap();
        // Two directories came back, each with the number that the other had.
        list.add("t", &[(inode(5), inode(6)), (inode(6), inode(5))])
            .unwrap();
        assert_eq!(
            (list.follow(inode(5), 0), list.follow(inode(6), 0)),
            (inode(6), inode(5))
        );
        assert_eq!(list.follow(inode(5), list.count()), inode(5));
    }

    #[test]
    fn what_was_not_committed_is_withdrawn_and_its_number_stays_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("successors");
        let list = Successors::open(&path).unwrap();
        list.add("one", &[(inode(5), inode(6))]).unwrap();
        list.add("two", &[(inode(6), inode(7))]).unwrap();
        list.withdraw("two", 1).unwrap();
        list.withdraw("one", 1).unwrap();
        assert_eq!((list.count(), list.follow(inode(5), 0)), (2, inode(6)));
        list.add("two", &[(inode(6), inode(8))]).unwrap();
        for list in [list, Successors::open(&path).unwrap()] {
            assert_eq!((list.count(), list.follow(inode(5), 0)), (3, inode(8)));
        }
    }

    #[test]
    fn a_list_that_grew_too_long_loses_its_oldest_half() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("successors");
        let list = Successors::open(&path).unwrap();
        let half = MOST as u64 / 2;
        for at in 0..2 {
            let pairs: Vec<_> = (0..half).map(|ino| ((1, at * half + ino), (2, ino))).collect();
            list.add("t", &pairs).unwrap();
        }
        list.add("t", &[((3, 1), (4, 1))]).unwrap();
        let list = Successors::open(&path).unwrap();
        assert_eq!(list.count(), 3);
        assert_eq!(list.follow((1, 1), 0), (1, 1));
        assert_eq!(list.follow((1, half + 1), 0), (2, 1));
        assert_eq!(list.follow((3, 1), 2), (4, 1));
    }
}
