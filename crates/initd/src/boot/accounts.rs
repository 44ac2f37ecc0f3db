//! Users of a newer image. An image update merges `/etc`: where the administrator added a user, the password file stays as
//! it was, and the users that the new image brings are missing. systemd-sysusers adds them, with the numbers that
//! their files name, and changes nobody who is there.

use super::hardware::tool;
use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TOOL: &str = "/usr/bin/systemd-sysusers";

/// Adds them.
pub(super) fn add(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(TOOL).exists() {
        return Ok(Outcome::Skipped("no systemd-sysusers"));
    }
    let added = add_in(Path::new("/"))?;
    Ok(Outcome::Done(if added.is_empty() {
        String::new()
    } else {
        format!("added {}", added.join(" "))
    }))
}

fn add_in(root: &Path) -> Result<Vec<String>> {
    let before = users(root)?;
    tool(TOOL, &[&format!("--root={}", root.display())])?;
    Ok(users(root)?.difference(&before).cloned().collect())
}

fn users(root: &Path) -> Result<BTreeSet<String>> {
    let path = root.join("etc/passwd");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(InitError::path("cannot read", &path))?,
    };
    let name = |line: &str| line.split(':').next().map(str::to_owned);
    Ok(text.lines().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_a_newer_image_are_added_with_their_numbers_and_others_stay() {
        if !aios_tests_root::as_root().unwrap() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "usr/lib/sysusers.d"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nanna:x:1001:1001::/home/anna:/bin/sh\n",
        );
        write("etc/group", "root:x:0:\nanna:x:1001:\n");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/sysusers.d/aios.conf");
        fs::copy(shipped, root.path().join("usr/lib/sysusers.d/aios.conf")).unwrap();
        let added = add_in(root.path()).unwrap();
        assert!(added.contains(&"aios-time".to_owned()), "{added:?}");
        let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        assert!(
            passwd.contains("anna:x:1001:1001::/home/anna:/bin/sh\n"),
            "{passwd}"
        );
        assert!(passwd.contains("\naios-time:x:798:798:"), "{passwd}");
        assert_eq!(add_in(root.path()).unwrap(), Vec::<String>::new());
    }
}
