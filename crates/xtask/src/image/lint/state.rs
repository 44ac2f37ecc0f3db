//! What the image has in `/var` against what tmpfiles.d(5) declares.

use anyhow::Result;
use rustix::fs::FileType;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::rules::shown;
use super::tree::{Identity, Tree};

/// Vendor's and administrator's.
const DECLARED: &[&str] = &["usr/lib/tmpfiles.d", "etc/tmpfiles.d"];

/// Everything in `/var` that no line names, and lines that cannot be read.
pub(super) fn undeclared(tree: &Tree) -> Result<Vec<String>> {
    let (declared, mut found) = declared(tree)?;
    for entry in tree.walk("var")? {
        if declared.contains(&(entry.parent, entry.name().to_owned())) {
            continue;
        }
        let what = match entry.meta.kind {
            FileType::Directory => "the directory",
            FileType::Symlink => "the link",
            // Nothing in tmpfiles.d makes a file with content, so that bootc knows no line for it.
            _ => "the file",
        };
        found.push(format!("{what} {} is declared nowhere", shown(&entry.path)));
    }
    Ok(found)
}

/// A directory, and a name in it: a line may name it by another path, `/run` by `/var/run`.
type Declared = HashSet<(Identity, OsString)>;

fn declared(tree: &Tree) -> Result<(Declared, Vec<String>)> {
    let mut declared = HashSet::new();
    let mut unreadable = Vec::new();
    for dir in DECLARED {
        for entry in tree.list(dir)?.unwrap_or_default() {
            let Some(name) = entry.name().to_str().filter(|name| name.ends_with(".conf")) else {
                continue;
            };
            let text = tree.text(&format!("{dir}/{name}"))?.unwrap_or_default();
            for line in text.lines().map(str::trim) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let Some(path) = path_of(line) else {
                    unreadable.push(format!("/{dir}/{name} has a line without a path: {line}"));
                    continue;
                };
                if let Some(parent) = tree.parent_identity(&path)? {
                    let name = path.file_name().map(OsStr::to_owned).unwrap_or_default();
                    declared.insert((parent, name));
                }
            }
        }
    }
    Ok((declared, unreadable))
}

/// The path of a line: its second word, quoted or not, with C's escapes.
pub(super) fn path_of(line: &str) -> Option<PathBuf> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (word, quoted) = match rest.strip_prefix('"') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let mut path = Vec::new();
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted => break,
            b if !quoted && b.is_ascii_whitespace() => break,
            b'\\' => path.push(escaped(&mut bytes)?),
            b => path.push(b),
        }
    }
    (!path.is_empty()).then(|| Path::new(&OsString::from_vec(path)).to_path_buf())
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'\\' => b'\\',
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            u8::try_from(value).ok()?
        }
        _ => return None,
    })
}
