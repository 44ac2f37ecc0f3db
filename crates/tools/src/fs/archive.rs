//! fs.archive: packs files and directories into one compressed tar file. The archive is made whole in the
//! worker's own state first, so that what is authorized, kept and made has one digest.

use super::args::{ArchiveArgs, ArchiveResult, Compression, Kind, MAX_PATHS};
use super::image::Image;
use super::plan::{Change, Plan, Step};
use super::resolve::{Follow, Place, entry_in, normalize, open_inode, wrong_kind};
use super::tree::{Leaf, whole, within};
use super::{Fs, accesses, bad_input, risk_on, same_identities, sorted, tag, typed, value_of};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::store::Store;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use flate2::write::GzEncoder;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, Stat, readlinkat};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

const NAME: &str = "fs.archive";
const DEFAULT_MODE: u32 = 0o644;
const ZSTD_LEVEL: i32 = 9;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<ArchiveArgs, ArchiveResult>(About {
        name: NAME,
        summary: "Packs files, symbolic links and directories into a new .tar.gz or .tar.zst file.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:read:PATH/** fs:write:TARGET",
        timeout_ms: 300_000,
    })
}

pub(super) fn canonical(mut args: ArchiveArgs) -> Result<ArchiveArgs> {
    if args.paths.is_empty() || args.paths.len() > MAX_PATHS {
        return Err(bad_input(
            NAME,
            "paths",
            format!("must have 1 to {MAX_PATHS} paths"),
        ));
    }
    let mut paths = args
        .paths
        .iter()
        .map(|path| normalize(path))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths.dedup();
    let mut names = HashSet::new();
    for path in &paths {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() || !names.insert(name) {
            return Err(bad_input(
                NAME,
                "paths",
                format!("`{path}` has no last name, or one that another path has too"),
            ));
        }
    }
    args.target = normalize(&args.target)?;
    args.compression = Some(compression(&args)?);
    args.paths = paths;
    Ok(args)
}

fn compression(args: &ArchiveArgs) -> Result<Compression> {
    if let Some(given) = args.compression {
        return Ok(given);
    }
    let ends = |end: &str| args.target.ends_with(end);
    if ends(".tar.gz") || ends(".tgz") {
        Ok(Compression::Gz)
    } else if ends(".tar.zst") {
        Ok(Compression::Zst)
    } else {
        Err(bad_input(
            NAME,
            "compression",
            "is wanted when the target ends in neither `.tar.gz`, `.tgz` nor `.tar.zst`",
        ))
    }
}

/// What goes into the archive, with the name that it has there, and where the archive goes.
struct Packing {
    args: ArchiveArgs,
    entries: Vec<(Leaf, String)>,
    target: Place,
}

fn resolve(fs: &Fs, call: &Call<'_>) -> Result<Packing> {
    let args: ArchiveArgs = typed(NAME, call.args)?;
    let mut entries = Vec::new();
    for path in &args.paths {
        let place = fs.resolve_name(call, "read", path, Follow::No)?;
        let above = place.path.len() - place.anchor.name.len();
        for leaf in whole(fs, call, "read", &place)? {
            if leaf.kind() == Kind::Other {
                return Err(wrong_kind(
                    &leaf.path,
                    &leaf.stat,
                    "a file, a directory or a symbolic link",
                ));
            }
            let name = leaf.path.get(above..).unwrap_or_default().to_owned();
            entries.push((leaf, name));
        }
        within(entries.len())?;
    }
    let target = fs.free_name(call, "write", &args.target)?;
    Ok(Packing {
        args,
        entries,
        target,
    })
}

impl Packing {
    fn identities(&self) -> Vec<Identity> {
        let read = self.entries.iter().map(|(leaf, _)| leaf.identity());
        sorted(read.chain([self.target.identity()]).collect())
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|(leaf, _)| leaf.bytes()).sum()
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let packing = resolve(fs, call)?;
    let mut required = accesses("read", packing.entries.iter().map(|(leaf, _)| leaf.path.as_str()))?;
    required.extend(accesses("write", [packing.target.path.as_str()])?);
    required.sort();
    required.dedup();
    Ok(Prepared {
        summary: format!(
            "Pack {} files and directories, {} bytes, into {}",
            packing.entries.len(),
            packing.bytes(),
            packing.target.path
        ),
        identities: packing.identities(),
        required,
        risk: risk_on([packing.target.path.as_str()], Risk::Low),
        mutating: true,
        reversible: true,
        files: 1,
        bytes: packing.bytes(),
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let packing = resolve(fs, call)?;
    same_identities(identities, &packing.identities())?;
    let archive = pack(fs, call, &packing)?;
    let (sha256, size) = Store::digest(&archive, &packing.target.path, call.budget)?;
    fs.store.hold_file(&sha256, archive);
    let result = value_of(&ArchiveResult {
        target: packing.target.path.clone(),
        entries: packing.entries.len() as u64,
        content_bytes: packing.bytes(),
        size,
        sha256: sha256.clone(),
    })?;
    let step = Step::Create {
        sha256,
        mode: DEFAULT_MODE,
    };
    let change = Change::new(packing.target.anchor, Image::Absent, step);
    Plan::new(tag(call), vec![change], result)
}

fn pack(fs: &Fs, call: &Call<'_>, packing: &Packing) -> Result<File> {
    let archive = fs.store.unnamed()?;
    let out = archive
        .try_clone()
        .map_err(|error| writing(&packing.target, error))?;
    let failed = |error| writing(&packing.target, error);
    match compression(&packing.args)? {
        Compression::Gz => {
            let packer = GzEncoder::new(out, flate2::Compression::default());
            fill(packer, call, packing)?.finish().map_err(failed)?;
        }
        Compression::Zst => {
            let packer = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL).map_err(failed)?;
            fill(packer, call, packing)?.finish().map_err(failed)?;
        }
    }
    Ok(archive)
}

fn writing(target: &Place, error: io::Error) -> ToolError {
    ToolError::io("write", &target.path, error)
}

fn fill<W: Write>(out: W, call: &Call<'_>, packing: &Packing) -> Result<W> {
    let mut builder = Builder::new(out);
    for (leaf, name) in &packing.entries {
        call.budget.check()?;
        add(&mut builder, leaf, name, call.budget)?;
    }
    builder
        .into_inner()
        .map_err(|error| writing(&packing.target, error))
}

fn add(builder: &mut Builder<impl Write>, leaf: &Leaf, name: &str, budget: &Budget) -> Result<()> {
    let path = leaf.path.as_str();
    let dir = leaf.anchor.open_parent()?;
    let entry = entry_in(dir.as_fd(), &leaf.anchor.name, path, &leaf.anchor.root)?;
    let Some((fd, stat)) = entry.filter(|(_, stat)| (stat.st_dev, stat.st_ino) == leaf.inode()) else {
        return Err(ToolError::Changed {
            path: path.to_owned(),
            difference: "another thing is there now".to_owned(),
        });
    };
    let mut header = header(&stat);
    let failed = |error| ToolError::io("pack", path, error);
    match leaf.kind() {
        Kind::Dir => {
            header.set_entry_type(EntryType::Directory);
            builder
                .append_data(&mut header, name, io::empty())
                .map_err(failed)
        }
        Kind::Symlink => {
            let target = link_target(&fd, path)?;
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, name, target).map_err(failed)
        }
        _ => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(leaf.bytes());
            let content = Exactly {
                file: open_inode(fd.as_fd(), OFlags::RDONLY, path)?,
                left: leaf.bytes(),
                budget,
            };
            builder.append_data(&mut header, name, content).map_err(failed)
        }
    }
}

fn link_target(fd: &OwnedFd, path: &str) -> Result<String> {
    let target =
        readlinkat(fd, "", Vec::new()).map_err(|errno| ToolError::io("read the link", path, errno))?;
    target.into_string().map_err(|_| ToolError::BadPath {
        path: path.to_owned(),
        problem: "the link points to a name that is not UTF-8",
    })
}

fn header(stat: &Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// A file's content, as long as it was when it was looked at: one that shrank meanwhile is an error.
struct Exactly<'a> {
    file: File,
    left: u64,
    budget: &'a Budget,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.check().map_err(io::Error::other)?;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let count = self.file.read(room)?;
        if count == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
