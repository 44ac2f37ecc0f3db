//! `state/log/NAME.log`: lines with their times, set aside when it has grown. A disk without room stops nobody:
//! what could not be written is counted, and the file says so once there is room.

use super::Line;
use crate::supervise::clock::Stamp;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Size at which a log file is set aside.
const ROTATE_BYTES: u64 = 4 * 1024 * 1024;
/// Files set aside.
const OLD_FILES: u32 = 3;
/// As much of a log file as a successor reads to know the last lines, bytes.
const RECALLED: u64 = 256 * 1024;

/// A file and where it ends: together they say whether something was appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) inode: u64,
    pub(super) size: u64,
}

/// Where the file at `path` ends; none when there is none.
pub(super) fn end_of(path: &Path) -> Option<End> {
    let meta = fs::metadata(path).ok()?;
    Some(End {
        inode: meta.ino(),
        size: meta.size(),
    })
}

/// The last lines of a log file.
pub(super) fn tail(path: &Path) -> io::Result<Vec<Line>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(RECALLED);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(RECALLED).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = |line: &str| {
        let (time, text) = line.split_once(' ')?;
        Some(Line {
            time_ms: time.parse().ok()?,
            text: text.to_owned(),
        })
    };
    // The first may be the rest of one.
    Ok(text
        .lines()
        .skip(usize::from(from > 0))
        .filter_map(line)
        .collect())
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<(File, End)>,
    missing: Option<Missing>,
}

/// What could not be written.
#[derive(Debug)]
struct Missing {
    lines: usize,
    since: Stamp,
    why: String,
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            missing: None,
        }
    }

    /// Where the next lines go; none while there is nowhere.
    pub(super) fn end(&mut self) -> Option<End> {
        self.opened().ok().map(|(_, end)| *end)
    }

    /// Whether there is something to be reported as soon as there is room.
    pub(super) fn lacks(&self) -> bool {
        self.missing.is_some()
    }

    /// Appends lines, and before them the account of those that are missing. All of it stands there then, or
    /// nothing, and the lines are counted. Without lines it only tries to bring that account.
    pub(super) fn append(&mut self, lines: &[Line], now: Stamp) {
        if lines.is_empty() && self.missing.is_none() {
            return;
        }
        let mut text = String::new();
        if let Some(missing) = &self.missing {
            let (count, seconds) = (missing.lines, now.since(missing.since) / 1000 + 1);
            let why = &missing.why;
            add(
                &mut text,
                now.utc_ms,
                &format!("aios-init: {count} lines of the last {seconds} s could not be written here: {why}"),
            );
        }
        for line in lines {
            add(&mut text, line.time_ms, &line.text);
        }
        match self.try_append(text.as_bytes()) {
            Ok(()) => self.missing = None,
            Err(error) => self.note_missing(lines.len(), now, &error),
        }
    }

    fn note_missing(&mut self, lines: usize, now: Stamp, error: &io::Error) {
        let missing = self.missing.get_or_insert_with(|| {
            tracing::error!(path = %self.path.display(), %error, "cannot write a log file");
            Missing {
                lines: 0,
                since: now,
                why: error.to_string(),
            }
        });
        missing.lines += lines;
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, end) = self.opened()?;
        match file.write_all(bytes) {
            Ok(()) => {
                end.size += u64::try_from(bytes.len()).unwrap_or(0);
                Ok(())
            }
            Err(error) => {
                // Half a line would be taken for a whole one.
                let whole = file.set_len(end.size);
                self.open = None;
                whole.and(Err(error))
            }
        }
    }

    fn opened(&mut self) -> io::Result<&mut (File, End)> {
        if self
            .open
            .as_ref()
            .is_some_and(|(_, end)| end.size >= ROTATE_BYTES)
        {
            self.open = None;
            set_aside(&self.path)?;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            empty => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o640)
                    .open(&self.path)?;
                let meta = file.metadata()?;
                let end = End {
                    inode: meta.ino(),
                    size: meta.len(),
                };
                Ok(empty.insert((file, end)))
            }
        }
    }
}

/// Sets a log file aside if it has grown.
pub(in crate::supervise) fn rotate(path: &Path) -> io::Result<()> {
    match end_of(path) {
        Some(end) if end.size >= ROTATE_BYTES => set_aside(path),
        _ => Ok(()),
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    let old = |number: u32| path.with_extension(format!("log.{number}"));
    for number in (1..OLD_FILES).rev() {
        match fs::rename(old(number), old(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, old(1))
}

fn add(text: &mut String, time_ms: i64, line: &str) {
    let _in_memory = writeln!(text, "{time_ms} {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_has_grown_is_set_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        rotate(&path).unwrap();
        fs::write(&path, "short").unwrap();
        rotate(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        for number in 1..=5_u8 {
            fs::write(&path, vec![number; usize::try_from(ROTATE_BYTES).unwrap()]).unwrap();
            rotate(&path).unwrap();
            assert!(!path.exists());
        }
        let newest = |number: u32| fs::read(path.with_extension(format!("log.{number}"))).unwrap()[0];
        assert_eq!((1..=OLD_FILES).map(newest).collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    fn line(text: &str) -> Line {
        Line {
            time_ms: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_log_file_is_set_aside_when_it_has_grown() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(directory.path().join("x.log"));
        for _ in 0..30 {
            file.append(&[line(&"y".repeat(1024 * 1024))], Stamp::now());
        }
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2", "x.log.3"]);
    }

    #[test]
    fn what_could_not_be_written_is_told_once_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("later");
        let mut file = LogFile::new(place.join("x.log"));
        file.append(&[line("a"), line("b")], Stamp::default());
        file.append(&[line("c")], Stamp::default());
        assert!(file.lacks() && file.end().is_none());
        fs::create_dir(&place).unwrap();
        let now = Stamp {
            utc_ms: 5,
            mono_ms: 2_500,
        };
        file.append(&[line("d")], now);
        assert!(!file.lacks());
        file.append(&[line("e")], now);
        let text = fs::read_to_string(place.join("x.log")).unwrap();
        assert_eq!(
            text,
            "5 aios-init: 3 lines of the last 3 s could not be written here: No such file or directory (os error 2)\n1 d\n1 e\n"
        );
        assert_eq!(file.end(), end_of(&place.join("x.log")));
    }
}
