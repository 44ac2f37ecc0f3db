//! Packages that lie over `/usr` until the next start: a read-only overlay of what runs and one directory more, so that
//! the image itself stays what somebody signed.
//!
//! ```text
//! STATE/worker/os/transient/NAME/usr        what the packages bring, unpacked
//! STATE/worker/os/transient/NAME/recipe     what it was made of
//! ```
//!
//! The worker of images makes the directory; init mounts it where everybody sees it. The mount table alone says what is
//! there: its source is [`source`], and a start takes it away with everything else that is mounted.

use std::path::{Path, PathBuf};

/// What they lie over.
pub const OVER: &str = "/usr";
const SOURCE: &str = "aios-packages:";
/// Longest name.
const LONGEST: usize = 100;

/// The directories of a machine, below its state.
#[must_use]
pub fn dir(state: &Path) -> PathBuf {
    state.join("worker").join("os").join("transient")
}

/// Whether that may be the name of one: small letters, digits and `-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(plain)
}

/// The source that the mount of a name has.
#[must_use]
pub fn source(name: &str) -> String {
    format!("{SOURCE}{name}")
}

/// The name of what lies over `/usr`, by a table as in `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[must_use]
pub fn laid(mounts: &str) -> Option<&str> {
    // The last one is on top.
    let (kind, source) = mounts.lines().filter_map(over).next_back()?;
    (kind == "overlay").then(|| source.strip_prefix(SOURCE)).flatten()
}

/// Type and source of a line's mount, if it is one over `/usr`.
fn over(line: &str) -> Option<(&str, &str)> {
    let (place, about) = line.split_once(" - ")?;
    let mut about = about.split(' ');
    (place.split(' ').nth(4)? == OVER).then_some((about.next()?, about.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "47 1 0:35 / / ro,relatime shared:1 - overlay composefs:d1 ro,lowerdir=a::b\n";

    #[test]
    fn what_lies_over_usr_is_told_by_the_last_mount_there() {
        let line = |source: &str| {
            format!("72 47 0:42 / /usr ro,relatime shared:18 - overlay {source} ro,lowerdir=c:/usr\n")
        };
        assert_eq!(laid(ROOT), None);
        let one = format!("{ROOT}{}", line("aios-packages:added-1"));
        assert_eq!(laid(&one), Some("added-1"));
        assert_eq!(
            laid(&format!("{one}{}", line("aios-packages:added-2"))),
            Some("added-2")
        );
        // Somebody mounted something else there.
        assert_eq!(laid(&format!("{one}{}", line("mine"))), None);
        assert_eq!(laid(&one.replace("- overlay", "- tmpfs")), None);
        assert_eq!(laid(&one.replace(" /usr ", " /usr/local ")), None);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(is_name("added-0198c2b7-3"));
        for name in ["", "..", "a/b", "a:b", "A", "a b", &"a".repeat(101)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
