//! `/usr/lib/tmpfiles.d/aios.conf`: what everybody but aiOS's services expects in an empty `/var`.
//!
//! Two kinds of lines are understood, directories (`d`) and links (`L`); see tmpfiles.d(5).

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::{World, gid_or, uid_or};
use nix::unistd::{Gid, Uid, chown};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const FILE: &str = "/usr/lib/tmpfiles.d/aios.conf";

#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Directory {
        path: &'a str,
        mode: u32,
        user: &'a str,
        group: &'a str,
    },
    Link {
        path: &'a str,
        target: &'a str,
    },
}

/// Makes what the file lists and is not there.
pub(super) fn make(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(FILE).exists() {
        return Ok(Outcome::Skipped("the image has no list"));
    }
    let text = fs::read_to_string(FILE).map_err(InitError::path("cannot read", FILE))?;
    let mut made = 0_u32;
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let known = parse(line).ok_or_else(|| InitError::Spec {
            file: FILE.into(),
            message: format!("{line:?} is neither a directory nor a link"),
        })?;
        made += u32::from(apply(&known)?);
    }
    Ok(Outcome::Done(format!("{made} made")))
}

fn parse(line: &str) -> Option<Line<'_>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        ["d", path, mode, user, group, ..] => Some(Line::Directory {
            path,
            mode: u32::from_str_radix(mode, 8).ok()?,
            user,
            group,
        }),
        ["L", path, _, _, _, _, target] => Some(Line::Link { path, target }),
        _ => None,
    }
}

/// Says whether something was made.
fn apply(line: &Line<'_>) -> Result<bool> {
    match line {
        Line::Directory {
            path,
            mode,
            user,
            group,
        } => {
            let there = Path::new(path).is_dir();
            fs::create_dir_all(path).map_err(InitError::path("cannot make", path))?;
            let (uid, gid) = (uid_or("tmpfiles", user, 0)?, gid_or("tmpfiles", group, 0)?);
            chown(*path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|error| InitError::path("cannot give away", path)(error.into()))?;
            fs::set_permissions(path, Permissions::from_mode(*mode))
                .map_err(InitError::path("cannot set the mode of", path))?;
            Ok(!there)
        }
        Line::Link { path, target } => {
            if fs::symlink_metadata(path).is_ok() {
                return Ok(false);
            }
            symlink(target, path).map_err(InitError::path("cannot make", path))?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_links_are_understood_and_nothing_else() {
        assert_eq!(
            parse("d /var/tmp 1777 root root"),
            Some(Line::Directory {
                path: "/var/tmp",
                mode: 0o1777,
                user: "root",
                group: "root"
            })
        );
        assert_eq!(
            parse("L /var/run  -    -    -    - ../run"),
            Some(Line::Link {
                path: "/var/run",
                target: "../run"
            })
        );
        assert_eq!(parse("f /var/x 0644 root root - text"), None);
    }
}
