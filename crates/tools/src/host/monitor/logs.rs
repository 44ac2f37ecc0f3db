//! monitor.logs: the last lines of text logs under the log directory.
//!
//! It serves what the worker may read without privilege: files for everybody, and those that group `adm`
//! may read, as Debian's logs are. The kernel's ring buffer needs CAP_SYSLOG and the services' own logs
//! belong to init, so neither is here; `service.logs` has the latter. What could not be read is named.
//!
//! Symbolic links are not followed, so a link in the log directory opens nothing outside of it.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::host::{Host, bad_input};
use crate::worker::read_only::Look;
use globset::{Glob, GlobMatcher};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const NAME: &str = "monitor.logs";
/// Of each file at most its last bytes are read.
const TAIL: u64 = 4 << 20;
/// A longer line is cut.
const LONGEST_LINE: usize = 2000;
/// Most files looked at.
const MOST_FILES: usize = 2000;
/// Most files of which lines are answered.
const MOST_ANSWERED: usize = 50;
/// Directories below the one named.
const DEEPEST: usize = 4;

fn default_glob() -> String {
    "*".to_owned()
}
fn default_limit() -> u32 {
    100
}

/// Arguments of monitor.logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsArgs {
    /// Absolute path of a log, or of a directory of logs, under /var/log.
    pub path: String,
    /// Glob on the name without directory, `*.log`.
    #[serde(default = "default_glob")]
    pub name_glob: String,
    /// Only lines that hold this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Only files that were written to in the last so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_within_ms: Option<u64>,
    /// Most lines wanted, of all files together, 1 to 1000.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

/// The last lines of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogFile {
    /// Absolute path.
    pub path: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Last change, milliseconds since 1970, UTC.
    pub changed_ms: i64,
    /// The last lines that fit, oldest first; longer ones are cut at 2000 bytes.
    pub lines: Vec<String>,
    /// True when there may be more that fit before them.
    pub truncated: bool,
}

/// Result of monitor.logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    /// The logs with lines that fit, the one written to last comes first; at most 50.
    pub files: Vec<LogFile>,
    /// Files and directories that the worker may not read.
    pub not_readable: Vec<String>,
    /// Files that are no text, and symbolic links.
    pub skipped: u64,
    /// True when there are more files or lines than were looked at.
    pub truncated: bool,
    /// Always true: what stands in a log is not to be trusted.
    pub tainted: bool,
}

/// The path below the log directory, plain.
fn below(host: &Host, path: &str) -> Result<PathBuf> {
    let problem = |problem| {
        Err(ToolError::BadPath {
            path: path.chars().take(200).collect(),
            problem,
        })
    };
    if path.contains('\0') {
        return problem("it holds a NUL");
    }
    let Ok(rest) = Path::new(path).strip_prefix(&host.log) else {
        return problem("it is not under the log directory");
    };
    if rest
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        return problem("it holds `..`");
    }
    Ok(rest.components().collect())
}

pub(super) fn look(host: &Host, args: &LogsArgs) -> Result<Look> {
    let path = host.log.join(below(host, &args.path)?);
    matcher(&args.name_glob)?;
    let resource = path.to_string_lossy().trim_end_matches('/').to_owned();
    Ok(Look {
        summary: format!("Read the last lines of {resource}"),
        resource,
    })
}

fn matcher(glob: &str) -> Result<GlobMatcher> {
    Glob::new(glob)
        .map(|glob| glob.compile_matcher())
        .map_err(|error| bad_input(NAME, "name_glob", error.to_string()))
}

/// A file that was found.
struct Log {
    path: PathBuf,
    stat: Stat,
}

/// A look into the log directory.
struct Walk<'a> {
    host: &'a Host,
    root: OwnedFd,
    glob: GlobMatcher,
    budget: &'a Budget,
    found: Vec<Log>,
    answer: Logs,
}

impl<'a> Walk<'a> {
    fn new(host: &'a Host, glob: &str, budget: &'a Budget) -> Result<Self> {
        let root = rustix::fs::open(
            &host.log,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| ToolError::io("open", host.log.to_string_lossy(), errno))?;
        Ok(Self {
            host,
            root,
            glob: matcher(glob)?,
            budget,
            found: Vec::new(),
            answer: Logs {
                files: Vec::new(),
                not_readable: Vec::new(),
                skipped: 0,
                truncated: false,
                tainted: true,
            },
        })
    }

    fn full(&self, path: &Path) -> String {
        let full = self.host.log.join(path);
        full.to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// Opens what lies at a path below the log directory, links excluded at every part.
    fn open(&self, path: &Path, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // A pipe must not hold up whoever opens it; a handle opens nothing, and refuses the flag.
        let wait = if flags.contains(OFlags::PATH) {
            OFlags::empty()
        } else {
            OFlags::NONBLOCK
        };
        let flags = flags | wait | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    fn stat(&self, path: &Path) -> std::result::Result<Stat, Errno> {
        let handle = self.open(path, OFlags::PATH)?;
        rustix::fs::statat(&handle, c"", AtFlags::EMPTY_PATH)
    }

    /// Notes a file, or all files of a directory.
    fn visit(&mut self, path: &Path, deep: usize) -> Result<()> {
        self.budget.check()?;
        let stat = match self.stat(path) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if deep > 0 => return Ok(()),
            Err(Errno::NOENT) => {
                return Err(ToolError::NotFound {
                    path: self.full(path),
                });
            }
            Err(Errno::LOOP) => {
                self.answer.skipped += 1;
                return Ok(());
            }
            Err(Errno::ACCESS) => {
                self.answer.not_readable.push(self.full(path));
                return Ok(());
            }
            Err(errno) => return Err(ToolError::io("look at", self.full(path), errno)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if deep <= DEEPEST => self.enter(path, deep),
            FileType::RegularFile => {
                self.note(path, stat);
                Ok(())
            }
            _ => {
                self.answer.skipped += 1;
                Ok(())
            }
        }
    }

    fn note(&mut self, path: &Path, stat: Stat) {
        if path.file_name().is_some_and(|name| !self.glob.is_match(name)) {
            return;
        }
        if self.found.len() >= MOST_FILES {
            self.answer.truncated = true;
            return;
        }
        self.found.push(Log {
            path: path.to_owned(),
            stat,
        });
    }

    fn enter(&mut self, path: &Path, deep: usize) -> Result<()> {
        let dir = match self.open(path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::ACCESS) => {
                self.answer.not_readable.push(self.full(path));
                return Ok(());
            }
            Err(errno) => return Err(ToolError::io("open", self.full(path), errno)),
        };
        let list = |errno: Errno| ToolError::io("list", self.host.log.join(path).to_string_lossy(), errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(dir.as_fd()).map_err(list)? {
            let entry = entry.map_err(list)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(path.join(OsStr::from_bytes(name)));
            }
        }
        names.sort();
        for name in names {
            self.visit(&name, deep + 1)?;
        }
        Ok(())
    }

    /// The last lines of a file that fit, at most `most`; none when it is no text or cannot be read.
    fn tail(&mut self, log: &Log, contains: Option<&str>, most: usize) -> Result<Option<LogFile>> {
        let path = self.full(&log.path);
        let file = match self.open(&log.path, OFlags::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ACCESS | Errno::PERM) => {
                self.answer.not_readable.push(path);
                return Ok(None);
            }
            // It was rotated away meanwhile.
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(ToolError::io("open", path, errno)),
        };
        let (bytes, whole) = last_bytes(file).map_err(|error| ToolError::io("read", &path, error))?;
        if bytes.contains(&0) {
            self.answer.skipped += 1;
            return Ok(None);
        }
        let (lines, more) = last_lines(&bytes, whole, contains, most);
        Ok(Some(LogFile {
            path,
            size_bytes: u64::try_from(log.stat.st_size).unwrap_or(0),
            changed_ms: changed_ms(&log.stat),
            lines,
            truncated: more || !whole,
        }))
    }
}

/// The end of a file, and whether that is all of it.
fn last_bytes(mut file: File) -> std::io::Result<(Vec<u8>, bool)> {
    let size = file.metadata()?.len();
    let from = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok((bytes, from == 0))
}

/// The last lines that fit, oldest first, and whether there are more of them.
fn last_lines(bytes: &[u8], whole: bool, contains: Option<&str>, most: usize) -> (Vec<String>, bool) {
    let text = String::from_utf8_lossy(bytes);
    // The first line of what was cut out of the middle is only a part of one.
    let mut fitting: Vec<&str> = text
        .lines()
        .skip(usize::from(!whole))
        .filter(|line| contains.is_none_or(|wanted| line.contains(wanted)))
        .collect();
    let more = fitting.len() > most;
    let fitting = fitting.split_off(fitting.len().saturating_sub(most));
    (fitting.into_iter().map(cut).collect(), more)
}

fn cut(line: &str) -> String {
    let end = (0..=LONGEST_LINE)
        .rev()
        .find(|end| line.is_char_boundary(*end))
        .unwrap_or(0);
    line.get(..end).unwrap_or(line).to_owned()
}

fn changed_ms(stat: &Stat) -> i64 {
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    stat.st_mtime
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000)
}

pub(super) fn logs(host: &Host, args: &LogsArgs, budget: &Budget) -> Result<Logs> {
    let mut walk = Walk::new(host, &args.name_glob, budget)?;
    walk.visit(&below(host, &args.path)?, 0)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let oldest = args.changed_within_ms.map_or(i64::MIN, |within| {
        now_ms.saturating_sub(i64::try_from(within).unwrap_or(i64::MAX))
    });
    let mut found = std::mem::take(&mut walk.found);
    found.retain(|log| changed_ms(&log.stat) >= oldest);
    found.sort_by(|a, b| {
        let newer = changed_ms(&b.stat).cmp(&changed_ms(&a.stat));
        newer.then_with(|| a.path.cmp(&b.path))
    });
    let mut left = usize::try_from(args.limit).unwrap_or(usize::MAX);
    for log in &found {
        budget.check()?;
        if left == 0 || walk.answer.files.len() >= MOST_ANSWERED {
            walk.answer.truncated = true;
            break;
        }
        if let Some(file) = walk.tail(log, args.contains.as_deref(), left)?
            && !file.lines.is_empty()
        {
            left = left.saturating_sub(file.lines.len());
            walk.answer.files.push(file);
        }
    }
    Ok(walk.answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_taken_and_part_of_one_is_not() {
        let text = b"one\ntwo\nthree\nfour\n";
        assert_eq!(
            last_lines(text, true, None, 2),
            (vec!["three".into(), "four".into()], true)
        );
        assert_eq!(
            last_lines(text, false, None, 9),
            (vec!["two".into(), "three".into(), "four".into()], false)
        );
        assert_eq!(
            last_lines(text, true, Some("o"), 9).0,
            ["one", "two", "four"].map(str::to_owned)
        );
    }

    #[test]
    fn a_long_line_is_cut_at_a_letter() {
        let line = "ä".repeat(LONGEST_LINE);
        assert_eq!(cut(&line).len(), LONGEST_LINE);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn only_plain_paths_below_the_log_directory_are_taken() {
        let host = Host::this();
        for (path, expected) in [
            ("/var/log", Some("")),
            ("/var/log/", Some("")),
            ("/var/log/apt//x", Some("apt/x")),
            ("/var/log/../etc/shadow", None),
            ("/var/logs", None),
            ("/etc/passwd", None),
            ("var/log", None),
            ("/var/log/a\0b", None),
        ] {
            let got = below(&host, path).ok();
            assert_eq!(got.as_deref(), expected.map(Path::new), "{path:?}");
        }
    }
}
