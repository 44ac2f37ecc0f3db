//! process.open_files: files that processes hold open, above all those that were deleted: they take space
//! that no directory shows, until their last holder closes them.
//!
//! It does not see files that are only mapped into memory.

use super::args::{OpenFile, OpenFilesArgs, OpenFilesResult};
use super::eyes::Eyes;
use super::table::{Desk, Seen, all, dir, missing, seen};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the kernel puts behind the path of a file without a name.
const DELETED: &str = " (deleted)";
/// Unit of `st_blocks`.
const BLOCK: u64 = 512;

/// A descriptor of a process.
pub(super) struct Descriptor {
    pub(super) fd: u32,
    /// Where the link points: a path, or `socket:[12]`.
    pub(super) target: String,
}

/// All descriptors of a process; `None` when they may not be looked at.
pub(super) fn descriptors(eyes: &Eyes, pid: i32) -> Result<Option<Vec<Descriptor>>> {
    let path = dir(pid).join("fd");
    let entries = match eyes.owner_of(&path).and_then(|()| std::fs::read_dir(&path)) {
        Ok(entries) => entries,
        // It ended, or another user's process hides them.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(ToolError::io("list", path.to_string_lossy(), error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        // The process goes on meanwhile: what is gone was closed.
        let Ok(entry) = entry else { continue };
        let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let target = match std::fs::read_link(entry.path()) {
            Ok(target) => target.to_string_lossy().into_owned(),
            // Listing them may be allowed where following them is not: by a security module.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            Err(_) => continue,
        };
        found.push(Descriptor { fd, target });
    }
    found.sort_by_key(|it| it.fd);
    Ok(Some(found))
}

/// The regular files among them.
pub(super) fn files(
    holder: &Seen,
    user: &str,
    descriptors: &[Descriptor],
    deleted_only: bool,
) -> Vec<OpenFile> {
    let fits = |it: &&Descriptor| {
        it.target.starts_with('/')
            && !it.target.starts_with("/memfd:")
            && (!deleted_only || it.target.ends_with(DELETED))
    };
    descriptors
        .iter()
        .filter(fits)
        .filter_map(|it| file(holder, user, it))
        .filter(|file| !deleted_only || file.deleted)
        .collect()
}

fn file(holder: &Seen, user: &str, descriptor: &Descriptor) -> Option<OpenFile> {
    let link = dir(holder.stat.pid).join("fd").join(descriptor.fd.to_string());
    // Follows the kernel's own link, so it is the file itself, with or without a name.
    let meta = std::fs::metadata(link).ok()?;
    if !meta.is_file() {
        return None;
    }
    let deleted = meta.nlink() == 0;
    let path = if deleted {
        descriptor.target.strip_suffix(DELETED)
    } else {
        None
    };
    Some(OpenFile {
        pid: holder.stat.pid,
        start_ticks: holder.stat.starttime,
        name: holder.name(),
        user: user.to_owned(),
        fd: descriptor.fd,
        path: path.unwrap_or(&descriptor.target).to_owned(),
        deleted,
        size_bytes: meta.len(),
        allocated_bytes: meta.blocks().saturating_mul(BLOCK),
        dev: meta.dev(),
        ino: meta.ino(),
    })
}

/// The largest first.
pub(super) fn by_space(files: &mut [OpenFile]) {
    files.sort_by(|a, b| {
        let larger = b.allocated_bytes.cmp(&a.allocated_bytes);
        larger.then(a.pid.cmp(&b.pid)).then(a.fd.cmp(&b.fd))
    });
}

pub(super) fn open_files(args: &OpenFilesArgs, budget: &Budget) -> Result<OpenFilesResult> {
    let holders = match args.pid {
        Some(pid) => vec![seen(pid).ok_or_else(|| missing(pid))?],
        None => all(budget)?,
    };
    let (mut found, not_readable) = Eyes::lend(|eyes| held(eyes, &holders, args.deleted_only, budget))?;
    if let Some(under) = &args.under {
        found.retain(|file| Path::new(&file.path).starts_with(under));
    }
    by_space(&mut found);
    let once: BTreeMap<(u64, u64), u64> = found
        .iter()
        .map(|file| ((file.dev, file.ino), file.allocated_bytes))
        .collect();
    let matched = found.len() as u64;
    found.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    Ok(OpenFilesResult {
        truncated: matched > found.len() as u64,
        files: found,
        matched,
        allocated_bytes: once.values().sum(),
        not_readable,
        tainted: true,
    })
}

/// What processes hold open, and how many of them could not be looked at.
fn held(eyes: &Eyes, holders: &[Seen], deleted_only: bool, budget: &Budget) -> Result<(Vec<OpenFile>, u64)> {
    let mut desk = Desk::new()?;
    let mut found: Vec<OpenFile> = Vec::new();
    let mut not_readable = 0;
    for holder in holders.iter().filter(|it| !it.is_kernel_thread()) {
        budget.check()?;
        let [_, uid] = holder.status.uids;
        match descriptors(eyes, holder.stat.pid)? {
            Some(list) => found.extend(files(holder, &desk.user(uid), &list, deleted_only)),
            None if holder.proc().seen().is_some() => not_readable += 1,
            None => {}
        }
    }
    Ok((found, not_readable))
}
