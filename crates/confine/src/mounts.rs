//! Reading `/proc/self/mountinfo`, to find other names of a directory.
//!
//! A bind mount or a second mount of a file system gives a directory another path. Hiding one name
//! and leaving the other would hide nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of mountinfo, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Mount id.
    pub id: u64,
    /// Device, `8:1`.
    pub device: String,
    /// Which directory of the file system is mounted.
    pub root: PathBuf,
    /// Where.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
}

/// Parses the text of mountinfo; lines that make no sense are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

/// Mounts of the calling process.
///
/// # Errors
/// `/proc` cannot be read.
pub fn read() -> std::io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read_to_string("/proc/self/mountinfo")?))
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ');
    let id = fields.next()?.parse().ok()?;
    let device = fields.nth(1)?.to_owned();
    let root = unescape(fields.next()?);
    let target = unescape(fields.next()?);
    let kind = right.split(' ').next()?.to_owned();
    Some(Mount {
        id,
        device,
        root,
        target,
        kind,
    })
}

/// The kernel writes blank, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(3).collect();
        let value = std::str::from_utf8(&digits)
            .ok()
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(value.unwrap_or(b'\\'));
    }
    PathBuf::from(OsString::from_vec(out))
}

/// The mount that holds `path`: the deepest target above it, the last one of equals (it lies on top).
pub fn holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|m| path.starts_with(&m.target))
        .max_by_key(|m| m.target.components().count())
}

/// Other paths of the directory `path` through other mounts of its file system.
pub fn aliases(mounts: &[Mount], path: &Path) -> Vec<PathBuf> {
    let Some(own) = holding(mounts, path) else {
        return Vec::new();
    };
    let Ok(rest) = path.strip_prefix(&own.target) else {
        return Vec::new();
    };
    let inside = own.root.join(rest);
    let mut found: Vec<PathBuf> = mounts
        .iter()
        .filter(|m| m.device == own.device && m.id != own.id)
        .filter_map(|m| {
            inside
                .strip_prefix(&m.root)
                .ok()
                .map(|rest| join(&m.target, rest))
        })
        .filter(|alias| alias != path && alias.is_dir())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// `join` without the trailing slash that joining an empty path leaves.
fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        base.to_path_buf()
    } else {
        base.join(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:20 / /proc rw - proc proc rw
40 21 8:1 /usr /tmp rw shared:2 - ext4 /dev/sda1 rw
41 21 8:2 / /with\\040blank rw - ext4 /dev/sda2 rw
";

    #[test]
    fn lines_with_optional_fields_and_escapes_are_read() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[2].root, Path::new("/usr"));
        assert_eq!(mounts[2].kind, "ext4");
        assert_eq!(mounts[3].target, Path::new("/with blank"));
    }

    #[test]
    fn the_same_directory_through_another_mount_is_found() {
        let mut mounts = parse(TEXT);
        // `/usr/lib` exists wherever this test runs; mount `/usr` a second time, on itself by name.
        mounts[2].target = "/usr/../usr".into();
        assert_eq!(
            aliases(&mounts, Path::new("/usr/lib")),
            [PathBuf::from("/usr/../usr/lib")]
        );
        assert!(aliases(&mounts, Path::new("/proc/1")).is_empty());
    }

    #[test]
    fn the_deepest_mount_holds_a_path() {
        let mounts = parse(TEXT);
        assert_eq!(holding(&mounts, Path::new("/tmp/x")).unwrap().id, 40);
        assert_eq!(holding(&mounts, Path::new("/var/x")).unwrap().id, 21);
    }
}
