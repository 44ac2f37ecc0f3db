//! Reading a file that may be anything: a service file is written by a person, and what lies in its place
//! may be a device, a pipe without an end or a link to one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Largest file that is read, bytes. The longest that is shipped has 3 KiB.
pub(super) const LARGEST: u64 = 64 * 1024;

/// The text of a regular file.
///
/// # Errors
/// It is no regular file, too large, no UTF-8, or cannot be read.
pub(super) fn text(path: &Path) -> io::Result<String> {
    // Looked at first: opening a device may do something.
    regular(&fs::metadata(path)?)?;
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    let mut bytes = Vec::new();
    let count = file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(count).is_ok_and(|count| count > LARGEST) {
        return Err(io::Error::other(format!(
            "it has more than {} KiB",
            LARGEST / 1024
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|b| **b == b'\n')
            .count();
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

fn regular(meta: &fs::Metadata) -> io::Result<()> {
    if meta.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_regular_file_of_some_kilobytes_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("good"), "ä\n").unwrap();
        fs::write(path("large"), vec![b'#'; 65 * 1024]).unwrap();
        fs::write(path("bytes"), b"a\nb\n\xff\n").unwrap();
        fs::create_dir(path("directory")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (name, target) in [
            ("zero", "/dev/zero"),
            ("pipe", "fifo"),
            ("loop", "loop"),
            ("link", "good"),
        ] {
            symlink(target, path(name)).unwrap();
        }
        for name in ["good", "link"] {
            assert_eq!(text(&path(name)).unwrap(), "ä\n");
        }
        for (name, why) in [
            ("large", "more than 64 KiB"),
            ("bytes", "line 3 is not UTF-8"),
            ("directory", "no regular file"),
            ("fifo", "no regular file"),
            ("pipe", "no regular file"),
            ("zero", "no regular file"),
            ("loop", "symbolic links"),
        ] {
            let error = text(&path(name)).unwrap_err().to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
