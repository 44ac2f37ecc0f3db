//! `/etc/resolv.conf` leads to `run/dns/resolv.conf`, which the network's client writes. A file that an
//! administrator wrote in its place stays.

use crate::error::{InitError, Result};
use aios_core::paths::Paths;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes the link, and the file with the servers that `network.toml` names, so that both are there before the client.
/// Says whether the link is ours.
pub(super) fn link(root: &Path, paths: &Paths) -> Result<bool> {
    let file = paths.run.join("dns/resolv.conf");
    let directory = paths.run.join("dns");
    fs::create_dir_all(&directory).map_err(InitError::path("cannot make", &directory))?;
    let fixed = fs::read_to_string(paths.run.join("network/static.dns")).unwrap_or_default();
    fs::write(&file, fixed).map_err(InitError::path("cannot write", &file))?;
    let place = root.join("etc/resolv.conf");
    match fs::read_link(&place) {
        Ok(target) if target == file => return Ok(true),
        // A link to a file that is there is somebody's own.
        Ok(_) if place.exists() => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(_) if fs::read_to_string(&place).is_ok_and(|text| says_nothing(&text)) => {}
        Err(_) => return Ok(false),
    }
    let new = root.join("etc/.resolv.conf.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(InitError::path("cannot remove", &new)(error));
        }
        _ => {}
    }
    symlink(&file, &new).map_err(InitError::path("cannot make", &new))?;
    fs::rename(&new, &place).map_err(InitError::path("cannot replace", &place))?;
    Ok(true)
}

fn says_nothing(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with(['#', ';']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let paths = Paths::development(&root.path().join("aios"));
        fs::create_dir_all(paths.run.join("network")).unwrap();
        fs::write(paths.run.join("network/static.dns"), "nameserver 192.0.2.53\n").unwrap();
        (root, paths)
    }

    #[test]
    fn an_empty_file_or_none_becomes_the_link_and_stays_it() {
        for text in [None, Some(""), Some("# made while the image was built\n")] {
            let (root, paths) = tree();
            let place = root.path().join("etc/resolv.conf");
            if let Some(text) = text {
                fs::write(&place, text).unwrap();
            }
            assert!(link(root.path(), &paths).unwrap());
            assert!(link(root.path(), &paths).unwrap());
            assert_eq!(fs::read_to_string(&place).unwrap(), "nameserver 192.0.2.53\n");
        }
    }

    #[test]
    fn a_link_into_nothing_is_replaced() {
        let (root, paths) = tree();
        let place = root.path().join("etc/resolv.conf");
        symlink("../run/systemd/resolve/stub-resolv.conf", &place).unwrap();
        assert!(link(root.path(), &paths).unwrap());
    }

    #[test]
    fn what_an_administrator_wrote_stays() {
        let (root, paths) = tree();
        let place = root.path().join("etc/resolv.conf");
        fs::write(&place, "nameserver 198.51.100.1\n").unwrap();
        assert!(!link(root.path(), &paths).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "nameserver 198.51.100.1\n");
        fs::rename(&place, root.path().join("etc/other")).unwrap();
        symlink("other", &place).unwrap();
        assert!(!link(root.path(), &paths).unwrap());
    }
}
