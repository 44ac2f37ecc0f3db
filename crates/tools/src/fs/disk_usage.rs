//! fs.disk_usage: how much room a tree takes and how much is left.

use super::args::{DiskUsageArgs, DiskUsageResult, Kind};
use super::resolve::{Follow, kind_of, normalize};
use super::walk::{size, walk};
use super::{Fs, reading, typed};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fs::{Stat, fstatvfs};
use std::collections::HashSet;

const NAME: &str = "fs.disk_usage";
/// Unit of `st_blocks` (stat(2)).
const BLOCK: u64 = 512;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<DiskUsageArgs, DiskUsageResult>(About {
        name: NAME,
        summary: "Says how much room a directory takes, and how much its file system has left, in bytes and files.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "fs:disk_usage:PATH",
        timeout_ms: 60_000,
    })
}

pub(super) fn canonical(mut args: DiskUsageArgs) -> Result<DiskUsageArgs> {
    args.path = normalize(&args.path)?;
    Ok(args)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: DiskUsageArgs = typed(NAME, call.args)?;
    let place = fs.resolve(call, "disk_usage", &args.path, Follow::Yes)?;
    place.existing()?;
    reading("disk_usage", &place, format!("Measure {}", place.path))
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    apparent_bytes: u64,
    files: u64,
    dirs: u64,
    seen: HashSet<(u64, u64)>,
}

impl Sum {
    fn add(&mut self, stat: &Stat) {
        if kind_of(stat) == Kind::Dir {
            self.dirs += 1;
        } else {
            self.files += 1;
        }
        let many = kind_of(stat) != Kind::Dir && stat.st_nlink > 1;
        if many && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        self.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
        self.apparent_bytes += size(stat);
    }
}

pub(super) fn run(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<DiskUsageResult> {
    let args: DiskUsageArgs = typed(NAME, call.args)?;
    let place = fs.target(call, identities, "disk_usage", &args.path, Follow::Yes)?;
    let (fd, stat) = place.existing()?;
    let whole = fstatvfs(fd).map_err(|errno| ToolError::io("measure", &place.path, errno))?;
    let keeps_snapshots = fs.store.device()? == stat.st_dev;
    let mut sum = Sum::default();
    sum.add(stat);
    let mut skipped = 0;
    if kind_of(stat) == Kind::Dir {
        let granted = |path: &str| {
            call.caps.allows("fs", "disk_usage", path) && !fs.resolver.is_protected("disk_usage", path)
        };
        let left_out = walk(&place.open_dir()?, &place.path, call.budget, granted, |met| {
            if granted(met.path) {
                sum.add(met.stat);
            }
            Ok(())
        })?;
        skipped = left_out.dirs;
    }
    Ok(DiskUsageResult {
        path: place.path,
        bytes: sum.bytes,
        apparent_bytes: sum.apparent_bytes,
        files: sum.files,
        dirs: sum.dirs,
        skipped,
        fs_total_bytes: whole.f_blocks.saturating_mul(whole.f_frsize),
        fs_free_bytes: whole.f_bavail.saturating_mul(whole.f_frsize),
        fs_total_inodes: whole.f_files,
        fs_free_inodes: whole.f_favail,
        keeps_snapshots,
    })
}
