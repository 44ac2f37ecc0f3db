//! Configuration files as they were, and the links that enable services: photographed before a change,
//! brought back by an undo. Only these; what else the scripts of a package did stays.

use super::plan::Image;
use super::root::Root;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::worker::store::Store;
use rustix::fs::{Timespec, Timestamps};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

/// What dpkg leaves beside a configuration file.
const BESIDE: [&str; 4] = ["", ".dpkg-dist", ".dpkg-new", ".dpkg-old"];
/// Where links lie that enable services.
const UNITS: &str = "/etc/systemd/system";
/// Run levels of System V.
const LEVELS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "S"];

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ToolError {
    let shown = path.to_string_lossy().into_owned();
    move |error| ToolError::io(doing, shown, error)
}

/// Photographs configuration files, and what dpkg leaves beside them; their content is kept in the store.
pub(crate) fn photograph<'a>(
    root: &Root,
    store: &Store,
    paths: impl IntoIterator<Item = &'a String>,
    budget: &Budget,
) -> Result<BTreeMap<String, Image>> {
    let paths: BTreeSet<&String> = paths.into_iter().collect();
    let mut images = BTreeMap::new();
    for path in paths {
        for end in BESIDE {
            let path = format!("{path}{end}");
            let image = image(&root.at(&path), Some(store), budget)?;
            images.insert(path, image);
        }
    }
    Ok(images)
}

/// Photographs exactly these paths; without a store nothing is kept.
pub(crate) fn again<'a>(
    root: &Root,
    store: Option<&Store>,
    paths: impl IntoIterator<Item = &'a String>,
    budget: &Budget,
) -> Result<BTreeMap<String, Image>> {
    paths
        .into_iter()
        .map(|path| Ok((path.clone(), image(&root.at(path), store, budget)?)))
        .collect()
}

fn image(path: &Path, store: Option<&Store>, budget: &Budget) -> Result<Image> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Image::Absent);
        }
        Err(error) => return Err(failed("look at", path)(error)),
    };
    if meta.is_symlink() {
        let target = fs::read_link(path).map_err(failed("read", path))?;
        return Ok(Image::Symlink {
            target: target.to_string_lossy().into_owned(),
        });
    }
    if !meta.is_file() {
        return Err(ToolError::WrongKind {
            path: path.to_string_lossy().into_owned(),
            is: "directory or a device",
            wanted: "configuration file",
        });
    }
    let file = File::open(path).map_err(failed("open", path))?;
    let shown = path.to_string_lossy();
    let (sha256, _) = match store {
        Some(store) => store.put(&file, &shown, budget)?,
        None => Store::digest(&file, &shown, budget)?,
    };
    Ok(Image::File {
        sha256,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
    })
}

/// What differs between two images of a path, in words; `None` when nothing does.
pub(crate) fn difference(wanted: &Image, now: &Image) -> Option<String> {
    if wanted == now {
        return None;
    }
    Some(match (wanted, now) {
        (_, Image::Absent) => "it is gone".to_owned(),
        (Image::Absent, _) => "it is there now".to_owned(),
        (Image::File { sha256: a, .. }, Image::File { sha256: b, .. }) if a != b => {
            "its content was changed".to_owned()
        }
        (Image::File { .. }, Image::File { .. }) => "its owner, mode or change time was changed".to_owned(),
        _ => "another kind of thing is there now".to_owned(),
    })
}

/// Makes a path exactly what it was.
pub(crate) fn restore(root: &Root, store: &Store, path: &str, wanted: &Image) -> Result<()> {
    let place = root.at(path);
    match wanted {
        Image::Absent => gone(&place),
        Image::Symlink { target } => link(&place, target),
        Image::File {
            sha256,
            mode,
            uid,
            gid,
            mtime,
        } => {
            let aside = beside(&place)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&aside)
                .map_err(failed("make", &aside))?;
            store.copy_to(sha256, &mut file, path)?;
            fchown(&file, Some(*uid), Some(*gid)).map_err(failed("set the owner of", &aside))?;
            file.set_permissions(fs::Permissions::from_mode(*mode))
                .map_err(failed("set the mode of", &aside))?;
            let time = Timespec {
                tv_sec: mtime.0,
                tv_nsec: mtime.1,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::futimens(&file, &times)
                .map_err(|errno| failed("set the time of", &aside)(errno.into()))?;
            file.sync_all().map_err(failed("make durable", &aside))?;
            fs::rename(&aside, &place).map_err(failed("put back", &place))
        }
    }
}

/// Removes a name; it may be gone already.
fn gone(place: &Path) -> Result<()> {
    match fs::remove_file(place) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(failed("remove", place)(error)),
    }
}

/// A name of our own in the directory of a place, which is made where a package took it away.
fn beside(place: &Path) -> Result<PathBuf> {
    let parent = place.parent().unwrap_or(place);
    fs::create_dir_all(parent).map_err(failed("make", parent))?;
    let mut name = std::ffi::OsString::from(".aios-back-");
    name.push(place.file_name().unwrap_or_default());
    let aside = parent.join(name);
    gone(&aside)?;
    Ok(aside)
}

fn link(place: &Path, target: &str) -> Result<()> {
    let aside = beside(place)?;
    symlink(target, &aside).map_err(failed("link", &aside))?;
    fs::rename(&aside, place).map_err(failed("put back", place))
}

/// Every link that enables a service: systemd's own, those in its `.wants` and `.requires`, and System V's.
pub(crate) fn links(root: &Root) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for dir in links_in(root, UNITS, &mut found)? {
        if [".wants", ".requires", ".upholds"]
            .iter()
            .any(|end| dir.ends_with(end))
        {
            links_in(root, &dir, &mut found)?;
        }
    }
    for level in LEVELS {
        links_in(root, &format!("/etc/rc{level}.d"), &mut found)?;
    }
    Ok(found)
}

/// Notes a directory's links, and answers its directories.
fn links_in(root: &Root, dir: &str, found: &mut BTreeMap<String, String>) -> Result<Vec<String>> {
    let place = root.at(dir);
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", &place)(error)),
    };
    let mut dirs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", &place))?;
        let kind = entry.file_type().map_err(failed("look at", &entry.path()))?;
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(failed("read", &entry.path()))?;
            found.insert(path, target.to_string_lossy().into_owned());
        } else if kind.is_dir() {
            dirs.push(path);
        }
    }
    Ok(dirs)
}

/// Makes a link what it was.
pub(crate) fn restore_link(root: &Root, path: &str, wanted: Option<&String>) -> Result<()> {
    let place = root.at(path);
    match wanted {
        Some(target) => link(&place, target),
        None if place.is_symlink() => gone(&place),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_comes_back_with_owner_mode_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root {
            root: dir.path().join("r"),
            ..Root::default()
        };
        let store = Store::open(&dir.path().join("store"), crate::worker::store::Limits::default()).unwrap();
        let (budget, path) = (Budget::of_ms(9000), "/etc/x/a.conf".to_owned());
        fs::create_dir_all(root.at("/etc/x")).unwrap();
        fs::write(root.at(&path), "mine").unwrap();
        fs::set_permissions(root.at(&path), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.conf", root.at("/etc/x/l.conf")).unwrap();
        let paths = [path.clone(), "/etc/x/l.conf".to_owned(), "/etc/x/none".to_owned()];
        let before = photograph(&root, &store, &paths, &budget).unwrap();
        fs::remove_dir_all(root.at("/etc/x")).unwrap();
        fs::create_dir_all(root.at("/etc/x")).unwrap();
        fs::write(root.at("/etc/x/none"), "new").unwrap();
        fs::write(root.at("/etc/x/a.conf.dpkg-dist"), "theirs").unwrap();
        for (path, image) in &before {
            restore(&root, &store, path, image).unwrap();
        }
        assert_eq!(
            again(&root, Some(&store), before.keys(), &budget).unwrap(),
            before
        );
        assert_eq!(fs::read_to_string(root.at(&path)).unwrap(), "mine");
        assert_eq!(fs::read_dir(root.at("/etc/x")).unwrap().count(), 2);
    }

    #[test]
    fn links_that_enable_services_are_found_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root {
            root: dir.path().to_owned(),
            ..Root::default()
        };
        assert_eq!(links(&root).unwrap(), BTreeMap::new());
        let wants = "/etc/systemd/system/multi-user.target.wants";
        for (place, target) in [
            (format!("{wants}/a.service"), "/lib/systemd/system/a.service"),
            ("/etc/systemd/system/alias.service".to_owned(), "/lib/x"),
            ("/etc/rc2.d/S01a".to_owned(), "../init.d/a"),
        ] {
            restore_link(&root, &place, Some(&target.to_owned())).unwrap();
        }
        fs::create_dir_all(root.at("/etc/systemd/system/a.service.d")).unwrap();
        fs::write(root.at("/etc/systemd/system/own.service"), "").unwrap();
        let found = links(&root).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found["/etc/rc2.d/S01a"], "../init.d/a");
        restore_link(&root, &format!("{wants}/a.service"), None).unwrap();
        assert_eq!(links(&root).unwrap().len(), 2);
    }
}
