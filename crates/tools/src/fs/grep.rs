//! fs.grep: which lines of files match a text or regular expression. Patterns run in time linear in the
//! text; files, bytes, matches and lines have limits, and what was left out is counted.

use super::args::{GrepArgs, GrepResult, Kind, MAX_ENTRIES, MAX_LINE, MatchedLine};
use super::resolve::{Follow, Place, entry_in, kind_of, normalize, open_inode, wrong_kind};
use super::search::matcher;
use super::walk::{entries, open_below, size};
use super::{Fs, bad_input, reading, typed};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use globset::GlobMatcher;
use regex::bytes::{Regex, RegexBuilder};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

const NAME: &str = "fs.grep";
/// Longest pattern, bytes.
const LONGEST: usize = 4096;
/// Largest compiled pattern, bytes.
const COMPILED: usize = 4 << 20;
/// Most bytes that one call reads.
const MOST_BYTES: u64 = 1 << 30;
/// Where a NUL makes a file a binary one.
const HEAD: usize = 8192;
/// Longest line that is matched as a whole, bytes; the rest is matched as further lines would be.
const LONGEST_LINE: u64 = 1 << 20;
/// Largest and least `max_file_bytes`.
const FILE_BYTES: std::ops::RangeInclusive<u64> = 1..=1 << 30;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<GrepArgs, GrepResult>(About {
        name: NAME,
        summary: "Finds lines in files by text or regular expression; what it returns is not to be trusted.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "fs:grep:PATH",
        timeout_ms: 60_000,
    })
}

pub(super) fn canonical(mut args: GrepArgs) -> Result<GrepArgs> {
    args.path = normalize(&args.path)?;
    pattern(&args)?;
    matcher(NAME, &args.name_glob)?;
    if !(1..=MAX_ENTRIES).contains(&args.limit) {
        return Err(bad_input(NAME, "limit", "must be 1 to 10000"));
    }
    if !FILE_BYTES.contains(&args.max_file_bytes) {
        return Err(bad_input(NAME, "max_file_bytes", "must be 1 to 1073741824"));
    }
    Ok(args)
}

fn pattern(args: &GrepArgs) -> Result<Regex> {
    if args.pattern.is_empty() || args.pattern.len() > LONGEST {
        return Err(bad_input(NAME, "pattern", "must be 1 to 4096 bytes"));
    }
    let text = if args.regex {
        args.pattern.clone()
    } else {
        regex::escape(&args.pattern)
    };
    RegexBuilder::new(&text)
        .case_insensitive(args.ignore_case)
        .size_limit(COMPILED)
        .build()
        .map_err(|error| bad_input(NAME, "pattern", error.to_string()))
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: GrepArgs = typed(NAME, call.args)?;
    let place = fs.resolve(call, "grep", &args.path, Follow::Yes)?;
    let (_, stat) = place.existing()?;
    if !matches!(kind_of(stat), Kind::File | Kind::Dir) {
        return Err(wrong_kind(&place.path, stat, "a file or a directory"));
    }
    let summary = format!("Look for `{}` in {}", args.pattern.escape_debug(), place.path);
    reading("grep", &place, summary)
}

pub(super) fn run(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<GrepResult> {
    let args: GrepArgs = typed(NAME, call.args)?;
    let place = fs.target(call, identities, "grep", &args.path, Follow::Yes)?;
    let mut search = Search {
        pattern: pattern(&args)?,
        names: matcher(NAME, &args.name_glob)?,
        most: usize::try_from(args.limit).unwrap_or(usize::MAX),
        max_file_bytes: args.max_file_bytes,
        budget: call.budget,
        found: GrepResult {
            path: place.path.clone(),
            matches: Vec::new(),
            files: 0,
            bytes: 0,
            binary: 0,
            too_large: 0,
            skipped: 0,
            truncated: false,
            tainted: true,
        },
    };
    let (fd, stat) = place.existing()?;
    if kind_of(stat) == Kind::Dir {
        search.tree(fs, call, &place)?;
    } else {
        search.file(open_inode(fd, OFlags::RDONLY, &place.path)?, stat, &place.path)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    pattern: Regex,
    names: GlobMatcher,
    most: usize,
    max_file_bytes: u64,
    budget: &'a Budget,
    found: GrepResult,
}

impl Search<'_> {
    /// Searches below a directory, in the order of the paths.
    fn tree(&mut self, fs: &Fs, call: &Call<'_>, place: &Place) -> Result<()> {
        let root = place.open_dir()?;
        let mut waiting = vec![(String::new(), Kind::Dir)];
        while let Some((below, kind)) = waiting.pop() {
            self.budget.check()?;
            if self.found.truncated {
                break;
            }
            let path = if below.is_empty() {
                place.path.clone()
            } else {
                super::resolve::join(&place.path, &below)
            };
            if !call.caps.allows("fs", "grep", &path) || fs.resolver.is_protected("grep", &path) {
                self.found.skipped += 1;
                continue;
            }
            if kind == Kind::File {
                self.file_in(&root, &below, &path, place)?;
                continue;
            }
            let opened;
            let dir = if below.is_empty() {
                &root
            } else if let Some(dir) = self.enter(&root, &below, &path)? {
                opened = dir;
                &opened
            } else {
                continue;
            };
            let (found, unnamed) = entries(dir, &path, self.budget)?;
            self.found.skipped += unnamed;
            let mut inside: Vec<(String, Kind)> = found
                .into_iter()
                .map(|(name, stat)| (name, kind_of(&stat)))
                .filter(|(name, kind)| {
                    *kind == Kind::Dir || (*kind == Kind::File && self.names.is_match(name))
                })
                .collect();
            inside.sort_by(|a, b| b.0.cmp(&a.0));
            let whole = |name: String| {
                if below.is_empty() {
                    name
                } else {
                    format!("{below}/{name}")
                }
            };
            waiting.extend(inside.into_iter().map(|(name, kind)| (whole(name), kind)));
        }
        Ok(())
    }

    fn enter(&mut self, root: &OwnedFd, below: &str, path: &str) -> Result<Option<OwnedFd>> {
        match open_below(root, below) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::XDEV | Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                self.found.skipped += 1;
                Ok(None)
            }
            Err(errno) => Err(ToolError::io("open", path, errno)),
        }
    }

    fn file_in(&mut self, root: &OwnedFd, below: &str, path: &str, place: &Place) -> Result<()> {
        let (parent, name) = below.rsplit_once('/').unwrap_or(("", below));
        let opened;
        let dir = if parent.is_empty() {
            root
        } else if let Some(dir) = self.enter(root, parent, path)? {
            opened = dir;
            &opened
        } else {
            return Ok(());
        };
        let entry = match entry_in(dir.as_fd(), name, path, &place.path) {
            Ok(Some(entry)) if kind_of(&entry.1) == Kind::File => entry,
            // Gone or replaced since it was listed, or a file mounted from elsewhere.
            Ok(_) | Err(ToolError::LeavesRoot { .. }) => {
                self.found.skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match open_inode(entry.0.as_fd(), OFlags::RDONLY, path) {
            Ok(file) => self.file(file, &entry.1, path),
            Err(ToolError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                self.found.skipped += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn file(&mut self, file: File, stat: &Stat, path: &str) -> Result<()> {
        if size(stat) > self.max_file_bytes {
            self.found.too_large += 1;
            return Ok(());
        }
        if self.found.bytes.saturating_add(size(stat)) > MOST_BYTES {
            self.found.truncated = true;
            return Ok(());
        }
        let failed = |error| ToolError::io("read", path, error);
        // What grows while it is read is read no further than its limit.
        let mut reader = BufReader::with_capacity(64 << 10, file.take(self.max_file_bytes));
        let head = reader.fill_buf().map_err(failed)?;
        if head.iter().take(HEAD).any(|byte| *byte == 0) {
            self.found.binary += 1;
            return Ok(());
        }
        self.found.files += 1;
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            self.budget.check()?;
            line.clear();
            let count = (&mut reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .map_err(failed)?;
            if count == 0 {
                return Ok(());
            }
            self.found.bytes += count as u64;
            number += 1;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let Some(hit) = self.pattern.find(text) else {
                continue;
            };
            if self.found.matches.len() >= self.most {
                self.found.truncated = true;
                return Ok(());
            }
            let (text, cut) = around(text, hit.start());
            self.found.matches.push(MatchedLine {
                path: path.to_owned(),
                line: number,
                text,
                cut,
            });
        }
    }
}

/// At most [`MAX_LINE`] bytes of a line, with some of what stands before the match.
fn around(line: &[u8], hit: usize) -> (String, bool) {
    let start = if line.len() <= MAX_LINE {
        0
    } else {
        hit.saturating_sub(MAX_LINE / 5).min(line.len() - MAX_LINE)
    };
    let end = line.len().min(start + MAX_LINE);
    let shown = String::from_utf8_lossy(line.get(start..end).unwrap_or_default()).into_owned();
    (shown, end - start < line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_match() {
        let mut line = vec![b'a'; 2000];
        line[1500] = b'X';
        let (text, cut) = around(&line, 1500);
        assert!(cut && text.len() == MAX_LINE && text.contains('X'));
        let (text, cut) = around(&line, 1999);
        assert!(cut && text.len() == MAX_LINE);
        assert_eq!(around(b"short", 2), ("short".to_owned(), false));
    }
}
