//! Which inode took the place of which. Giving back a deleted file or directory makes a new inode, but
//! plans of earlier executions name the old one: as the directory that holds a place, or as the file that
//! several names share. So each replacement is written down, and an undo follows the line from there on.
//!
//! A file system gives the number of a removed inode to the next one that is made, so a number alone names
//! nothing. Each plan therefore has a moment of this list's own count, and a replacement says at which moment
//! the old inode was last known to be there: whoever knew a number at a moment means the inode of the next
//! replacement that was known at that moment or later, for until then nothing else can have had the number.
//!
//! What an execution wrote down and then did not commit is withdrawn when it is taken back or settled again.
//!
//! When the list is lost or was cut, an undo that needs it is refused; nothing else depends on it.

use crate::error::{Result, ToolError};
use crate::worker::store::Store;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and inode.
pub type Inode = (u64, u64);

/// An inode and a moment at which it was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// The inode.
    pub inode: Inode,
    /// The moment, from [`Successors::now`].
    pub at: u64,
}

/// Replacements that are kept; of more, the newest half.
const MOST: usize = 200_000;

/// So many moments are set aside in the file at once; a restart skips what is left of them.
const AHEAD: u64 = 1 << 20;

/// The list, in a file of one line for each replacement: when it happened, who made it, the old inode, when it
/// was known, the new inode. A line of one number says up to which moment the count may have come.
#[derive(Debug)]
pub struct Successors {
    path: PathBuf,
    list: Mutex<List>,
}

#[derive(Debug)]
struct List {
    file: File,
    /// The next moment.
    next: u64,
    /// Moments below this are set aside.
    ahead: u64,
    /// Replacements in the order in which they were written down.
    pairs: BTreeMap<u64, Vec<Pair>>,
    /// How many.
    count: usize,
    /// The new inode, and from when on it was there.
    successors: BTreeMap<Known, Known>,
}

/// One replacement.
#[derive(Debug, Clone, Copy)]
struct Pair {
    from: Known,
    to: Inode,
    /// The beginning of the digest of the execution's tag.
    by: u64,
}

impl List {
    fn push(&mut self, happened: u64, pair: Pair) {
        let to = Known {
            inode: pair.to,
            at: happened,
        };
        self.successors.insert(pair.from, to);
        self.pairs.entry(happened).or_default().push(pair);
        self.count += 1;
    }

    fn text(&self) -> String {
        let pairs = self.pairs.iter();
        let lines = pairs.flat_map(|(happened, pairs)| pairs.iter().map(|pair| line(*happened, pair)));
        format!("{}\n{}", self.ahead, lines.collect::<String>())
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
        sync_dir_of(path).map_err(|error| ToolError::io("make durable", &shown, error))?;
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
            ahead: 0,
            pairs: BTreeMap::new(),
            count: 0,
            successors: BTreeMap::new(),
        };
        for line in text.get(..whole).unwrap_or_default().lines() {
            match line.parse() {
                Ok(ahead) => list.ahead = ahead,
                Err(_) => {
                    let (happened, pair) = parse(line).ok_or_else(|| corrupt(&shown))?;
                    list.push(happened, pair);
                }
            }
        }
        list.next = list.ahead;
        Ok(Self {
            path: path.to_owned(),
            list: Mutex::new(list),
        })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new moment, later than all before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn now(&self) -> Result<u64> {
        self.moment(&mut self.list())
    }

    fn moment(&self, list: &mut List) -> Result<u64> {
        if list.next >= list.ahead {
            let ahead = list.next + AHEAD;
            write(&mut list.file, &format!("{ahead}\n"), &self.path)?;
            list.ahead = ahead;
        }
        let now = list.next;
        list.next += 1;
        Ok(now)
    }

    /// Writes down, durably, what the execution with this tag replaced: the old inodes and the new ones.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, tag: &str, replaced: &[(Known, Inode)]) -> Result<()> {
        if replaced.is_empty() {
            return Ok(());
        }
        let mut list = self.list();
        if list.count + replaced.len() > MOST {
            self.cut(&mut list)?;
        }
        let (happened, by) = (self.moment(&mut list)?, digest(tag));
        let pair = |(from, to): &(Known, Inode)| Pair {
            from: *from,
            to: *to,
            by,
        };
        let pairs: Vec<Pair> = replaced.iter().map(pair).collect();
        let text: String = pairs.iter().map(|pair| line(happened, pair)).collect();
        write(&mut list.file, &text, &self.path)?;
        pairs.into_iter().for_each(|pair| list.push(happened, pair));
        Ok(())
    }

    /// Withdraws what the execution with this tag wrote down since a moment: it was not committed, and is not
    /// so any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn withdraw(&self, tag: &str, since: u64) -> Result<()> {
        let mut list = self.list();
        let by = digest(tag);
        let own = |pairs: &Vec<Pair>| pairs.iter().any(|pair| pair.by == by);
        let all = list.pairs.range(since..);
        let gone: Vec<u64> = all.filter(|(_, pairs)| own(pairs)).map(|(at, _)| *at).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let mut kept = list.pairs.clone();
        kept.retain(|happened, _| !gone.contains(happened));
        self.replace(&mut list, kept)
    }

    fn cut(&self, list: &mut List) -> Result<()> {
        let (mut kept, mut count) = (list.pairs.clone(), list.count);
        while count > MOST / 2
            && let Some((_, pairs)) = kept.pop_first()
        {
            count -= pairs.len();
        }
        self.replace(list, kept)
    }

    /// Has the list hold these and no others, whole or as it was.
    fn replace(&self, list: &mut List, kept: BTreeMap<u64, Vec<Pair>>) -> Result<()> {
        let shorter = self.path.with_extension("new");
        match std::fs::remove_file(&shorter) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ToolError::io("remove", shorter.display().to_string(), error));
            }
            _ => {}
        }
        let mut new = List {
            file: open(&shorter)?,
            next: list.next,
            ahead: list.ahead,
            pairs: BTreeMap::new(),
            count: 0,
            successors: BTreeMap::new(),
        };
        for (happened, pairs) in kept {
            pairs.into_iter().for_each(|pair| new.push(happened, pair));
        }
        let text = new.text();
        write(&mut new.file, &text, &shorter)?;
        std::fs::rename(&shorter, &self.path)
            .and_then(|()| sync_dir_of(&self.path))
            .map_err(|error| ToolError::io("publish", self.path.display().to_string(), error))?;
        *list = new;
        Ok(())
    }

    /// What an inode that was there at a moment is now, and since when that is known to be there.
    pub fn follow(&self, inode: Inode, at: u64) -> Known {
        let list = self.list();
        let mut known = Known { inode, at };
        while let Some((from, to)) = list.successors.range(known..).next()
            && from.inode == known.inode
            && to.at > known.at
        {
            known = *to;
        }
        known
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

fn sync_dir_of(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn write(file: &mut File, text: &str, path: &Path) -> Result<()> {
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(|error| ToolError::io("write", path.display().to_string(), error))
}

fn line(happened: u64, pair: &Pair) -> String {
    let ((a, b), (c, d)) = (pair.from.inode, pair.to);
    format!("{happened} {} {a}:{b} {} {c}:{d}\n", pair.by, pair.from.at)
}

fn parse(line: &str) -> Option<(u64, Pair)> {
    let inode = |text: &str| -> Option<Inode> {
        let (dev, ino) = text.split_once(':')?;
        Some((dev.parse().ok()?, ino.parse().ok()?))
    };
    let mut words = line.split(' ');
    let (happened, by) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let from = Known {
        inode: inode(words.next()?)?,
        at: words.next()?.parse().ok()?,
    };
    let to = inode(words.next()?)?;
    (from.at < happened).then_some((happened, Pair { from, to, by }))
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

    fn known(ino: u64, at: u64) -> Known {
        Known {
            inode: inode(ino),
            at,
        }
    }

    fn list() -> (tempfile::TempDir, PathBuf, Successors) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replaced");
        let list = Successors::open(&path).unwrap();
        (dir, path, list)
    }

    #[test]
    fn a_line_is_followed_to_its_end_also_after_a_restart() {
        let (_dir, path, list) = list();
        let planned = list.now().unwrap();
        list.add("t", &[(known(5, planned), inode(9))]).unwrap();
        let again = list.now().unwrap();
        list.add("t", &[(known(9, again), inode(6))]).unwrap();
        assert_eq!(list.follow(inode(5), planned).inode, inode(6));
        let later = list.now().unwrap();
        assert_eq!(
            list.follow(inode(5), later),
            known(5, later),
            "the number was used again"
        );
        drop(list);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "4 1 1:6 1:").unwrap();
        let list = Successors::open(&path).unwrap();
        assert_eq!(list.follow(inode(5), planned).inode, inode(6));
        let after = list.now().unwrap();
        assert!(after > later, "moments never come again");
        list.add("t", &[(known(6, after), inode(8))]).unwrap();
        assert_eq!(
            Successors::open(&path).unwrap().follow(inode(5), planned).inode,
            inode(8)
        );
    }

    #[test]
    fn replacements_of_one_moment_do_not_follow_from_each_other() {
        let (_dir, _, list) = list();
        let planned = list.now().unwrap();
        // Two directories came back, each with the number that the other had.
        list.add(
            "t",
            &[(known(5, planned), inode(6)), (known(6, planned), inode(5))],
        )
        .unwrap();
        assert_eq!(list.follow(inode(5), planned).inode, inode(6));
        assert_eq!(list.follow(inode(6), planned).inode, inode(5));
        let later = list.now().unwrap();
        assert_eq!(list.follow(inode(5), later).inode, inode(5));
    }

    #[test]
    fn a_number_that_another_thing_had_before_is_not_followed_to_that_thing() {
        let (_dir, _, list) = list();
        // 5 is removed; 7 is removed and comes back with the number 5; then the old 5 comes back.
        let (first, second) = (list.now().unwrap(), list.now().unwrap());
        list.add("b", &[(known(7, second), inode(5))]).unwrap();
        list.add("a", &[(known(5, first), inode(8))]).unwrap();
        assert_eq!(list.follow(inode(7), second).inode, inode(5));
        assert_eq!(list.follow(inode(5), first).inode, inode(8));
    }

    #[test]
    fn a_number_that_another_thing_got_later_is_not_followed_to_that_thing() {
        let (_dir, _, list) = list();
        // 5 is removed, another thing gets its number and is removed too; both come back, the last one first.
        let (first, second) = (list.now().unwrap(), list.now().unwrap());
        list.add("b", &[(known(5, second), inode(6))]).unwrap();
        list.add("a", &[(known(5, first), inode(7))]).unwrap();
        assert_eq!(list.follow(inode(5), first).inode, inode(7));
        assert_eq!(list.follow(inode(5), second).inode, inode(6));
    }

    #[test]
    fn what_was_not_committed_is_withdrawn() {
        let (_dir, path, list) = list();
        let planned = list.now().unwrap();
        list.add("one", &[(known(5, planned), inode(6))]).unwrap();
        let second = list.now().unwrap();
        list.add("two", &[(known(6, second), inode(7))]).unwrap();
        list.withdraw("two", second).unwrap();
        list.withdraw("one", second).unwrap();
        assert_eq!(list.follow(inode(5), planned).inode, inode(6));
        list.add("two", &[(known(6, second), inode(8))]).unwrap();
        for list in [list, Successors::open(&path).unwrap()] {
            assert_eq!(list.follow(inode(5), planned).inode, inode(8));
        }
    }

    #[test]
    fn a_list_that_grew_too_long_loses_its_oldest_half() {
        let (_dir, path, list) = list();
        let planned = list.now().unwrap();
        let half = MOST as u64 / 2;
        for part in 0..2 {
            let pairs: Vec<_> = (0..half)
                .map(|ino| (known(part * half + ino, planned), (2, ino)))
                .collect();
            list.add("t", &pairs).unwrap();
        }
        list.add("t", &[(known(3 * half, planned), (4, 1))]).unwrap();
        let list = Successors::open(&path).unwrap();
        assert_eq!(list.follow(inode(1), planned).inode, inode(1));
        assert_eq!(list.follow(inode(half + 1), planned).inode, (2, 1));
        assert_eq!(list.follow(inode(3 * half), planned).inode, (4, 1));
    }
}
