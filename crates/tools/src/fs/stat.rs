//! fs.stat: what one path is.

use super::args::{Kind, StatArgs, StatResult};
use super::resolve::{Follow, kind_of, normalize};
use super::walk::{mtime_ms, size};
use super::{Fs, reading, typed};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fs::readlinkat;

const NAME: &str = "fs.stat";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<StatArgs, StatResult>(About {
        name: NAME,
        summary: "Describes a file, directory or symbolic link, or says that nothing is there.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "fs:stat:PATH",
        timeout_ms: 5000,
    })
}

pub(super) fn canonical(mut args: StatArgs) -> Result<StatArgs> {
    args.path = normalize(&args.path)?;
    Ok(args)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: StatArgs = typed(NAME, call.args)?;
    let place = fs.resolve(call, "stat", &args.path, Follow::No)?;
    reading("stat", &place, format!("Look at {}", place.path))
}

pub(super) fn run(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<StatResult> {
    let args: StatArgs = typed(NAME, call.args)?;
    let place = fs.target(call, identities, "stat", &args.path, Follow::No)?;
    let Some((fd, stat)) = &place.entry else {
        return Ok(StatResult {
            path: place.path,
            exists: false,
            kind: None,
            size: 0,
            mode: String::new(),
            uid: 0,
            gid: 0,
            mtime_ms: 0,
            links: 0,
            target: None,
        });
    };
    let kind = kind_of(stat);
    let target = if kind == Kind::Symlink {
        let target = readlinkat(fd, "", Vec::new())
            .map_err(|errno| ToolError::io("read the link", &place.path, errno))?;
        Some(target.to_string_lossy().into_owned())
    } else {
        None
    };
    Ok(StatResult {
        exists: true,
        kind: Some(kind),
        size: size(stat),
        mode: format!("{:04o}", stat.st_mode & 0o7777),
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime_ms: mtime_ms(stat),
        links: stat.st_nlink,
        target,
        path: place.path,
    })
}
