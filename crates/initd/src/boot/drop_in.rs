//! Directories of small files, as sysctl.d(5) and modules-load.d(5) order them: files are taken by name, whatever
//! directory they lie in, and of those with one name the administrator's wins over the vendor's. A link to `/dev/null` in
//! its place leaves one out.

use crate::error::{InitError, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where such directories are, the vendor's first.
const PLACES: [&str; 4] = ["usr/lib", "usr/local/lib", "run", "etc"];

/// A line that says something, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// `FILE:NUMBER`.
    pub(super) place: String,
    pub(super) text: String,
}

/// All lines of the `.conf` files in the directories called `kind`, without blank ones and comments (`#`, `;`).
pub(super) fn lines(root: &Path, kind: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for path in files(root, kind)? {
        let text = fs::read_to_string(&path).map_err(InitError::path("cannot read", &path))?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with(['#', ';']) {
                lines.push(Line {
                    place: format!("{}:{}", path.display(), index + 1),
                    text: line.to_owned(),
                });
            }
        }
    }
    Ok(lines)
}

fn files(root: &Path, kind: &str) -> Result<Vec<PathBuf>> {
    let mut by_name = BTreeMap::new();
    for place in PLACES {
        let directory = root.join(place).join(kind);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(InitError::path("cannot read", &directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(InitError::path("cannot read", &directory))?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                by_name.insert(entry.file_name(), path);
            }
        }
    }
    let masked = |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"));
    Ok(by_name.into_values().filter(|path| !masked(path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_order_files_and_the_administrators_win() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/sysctl.d/50-b.conf", "b = vendor\n"),
            (
                "usr/lib/sysctl.d/10-a.conf",
                "# comment\n\n; comment\na = vendor\n",
            ),
            ("usr/lib/sysctl.d/60-c.conf", "c = vendor\n"),
            ("etc/sysctl.d/50-b.conf", "b = admin\n"),
            ("etc/sysctl.d/05-first.conf", "first = admin\n"),
            ("etc/sysctl.d/README", "no settings\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("/dev/null", root.path().join("etc/sysctl.d/60-c.conf")).unwrap();
        let lines = lines(root.path(), "sysctl.d").unwrap();
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["first = admin", "a = vendor", "b = admin"]);
        assert!(
            lines[1].place.ends_with("usr/lib/sysctl.d/10-a.conf:4"),
            "{lines:?}"
        );
    }

    #[test]
    fn no_directory_means_no_line() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(lines(root.path(), "sysctl.d").unwrap(), []);
    }
}
