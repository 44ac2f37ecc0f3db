//! fs.write: makes a file, replaces its content, or adds to it. fs.append is the last of these with a
//! verb, and so a capability, of its own.

use super::args::{AppendArgs, How, Kind, MAX_WRITE, WriteArgs, WriteResult};
use super::image::{Image, capture};
use super::plan::{Change, Plan, Step};
use super::resolve::{Follow, Place, kind_of, normalize, wrong_kind};
use super::walk::{other_names, size};
use super::{Fs, access, bad_input, is_system, same_identities, tag, typed, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::store::Store;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::OFlags;

const NAME: &str = "fs.write";
const APPEND: &str = "fs.append";
const DEFAULT_MODE: u32 = 0o644;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<WriteArgs, WriteResult>(About {
        name: NAME,
        summary: "Makes a file, replaces its content, or adds at its end.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:write:PATH",
        timeout_ms: 30_000,
    })
}

pub(super) fn append_spec() -> ToolSpec {
    ToolSpec::of::<AppendArgs, WriteResult>(About {
        name: APPEND,
        summary: "Adds at the end of a file; makes it when it is not there.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:append:PATH",
        timeout_ms: 30_000,
    })
}

pub(super) fn append_canonical(mut args: AppendArgs) -> Result<AppendArgs> {
    args.path = normalize(&args.path)?;
    within(content(APPEND, args.content.as_deref(), args.content_base64.as_deref())?.len() as u64)?;
    Ok(args)
}

/// What a call writes, and the verb that must be granted for it.
struct Writing {
    path: String,
    bytes: Vec<u8>,
    how: How,
    mode: u32,
    action: &'static str,
}

fn writing(call: &Call<'_>) -> Result<Writing> {
    if call.tool == APPEND {
        let args: AppendArgs = typed(APPEND, call.args)?;
        return Ok(Writing {
            bytes: content(APPEND, args.content.as_deref(), args.content_base64.as_deref())?,
            path: args.path,
            how: How::Append,
            mode: DEFAULT_MODE,
            action: "append",
        });
    }
    let args: WriteArgs = typed(NAME, call.args)?;
    Ok(Writing {
        bytes: content(NAME, args.content.as_deref(), args.content_base64.as_deref())?,
        mode: mode(&args)?,
        path: args.path,
        how: args.how,
        action: "write",
    })
}

fn within(length: u64) -> Result<()> {
    if length > MAX_WRITE {
        return Err(ToolError::TooLarge {
            what: "the content",
            actual: length,
            limit: MAX_WRITE,
        });
    }
    Ok(())
}

pub(super) fn canonical(mut args: WriteArgs) -> Result<WriteArgs> {
    args.path = normalize(&args.path)?;
    within(content(NAME, args.content.as_deref(), args.content_base64.as_deref())?.len() as u64)?;
    let mode = mode(&args)?;
    args.mode = Some(format!("{mode:04o}"));
    Ok(args)
}

fn content(tool: &str, text: Option<&str>, base64: Option<&str>) -> Result<Vec<u8>> {
    match (text, base64) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map_err(|error| bad_input(tool, "content_base64", format!("is not base64: {error}"))),
        _ => Err(bad_input(
            tool,
            "content",
            "exactly one of `content` and `content_base64` is wanted",
        )),
    }
}

fn mode(args: &WriteArgs) -> Result<u32> {
    let Some(text) = &args.mode else {
        return Ok(DEFAULT_MODE);
    };
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && (3..=4).contains(&text.len()))
        .ok_or_else(|| bad_input(NAME, "mode", "must be permission bits as octal text, `0644`"))
}

/// Resolves the file and refuses what must not be written.
fn target(fs: &Fs, call: &Call<'_>, args: &Writing) -> Result<Place> {
    let follow = if args.how == How::Create {
        Follow::No
    } else {
        Follow::Yes
    };
    let place = fs.resolve(call, args.action, &args.path, follow)?;
    let Some((_, stat)) = &place.entry else {
        return Ok(place);
    };
    if args.how == How::Create {
        return Err(ToolError::Exists { path: place.path });
    }
    if kind_of(stat) != Kind::File {
        return Err(wrong_kind(&place.path, stat, "a file"));
    }
    if stat.st_nlink > 1 {
        let others = other_names(
            &place.anchor,
            &place.path,
            (stat.st_dev, stat.st_ino),
            call.budget,
        )?;
        let inside = others
            .iter()
            .filter(|name| call.caps.allows("fs", args.action, name))
            .count() as u64
            + 1;
        if inside < stat.st_nlink {
            return Err(ToolError::HardLinked {
                path: place.path,
                names: stat.st_nlink,
                inside,
                root: place.anchor.root,
            });
        }
    }
    Ok(place)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args = writing(call)?;
    let place = target(fs, call, &args)?;
    let new = args.bytes.len() as u64;
    let old = place.entry.as_ref().map(|(_, stat)| size(stat));
    let (risk, summary) = match (old, args.how) {
        (None, _) => (Risk::Low, format!("Make {} with {new} bytes", place.path)),
        (Some(old), How::Append) => (
            Risk::Low,
            format!("Add {new} bytes to {} ({old} bytes)", place.path),
        ),
        (Some(old), _) => (
            Risk::Medium,
            format!("Replace the {old} bytes of {} by {new} others", place.path),
        ),
    };
    Ok(Prepared {
        identities: vec![place.identity()],
        required: vec![access(args.action, &place.path)?],
        risk: if is_system(&place.path) { Risk::High } else { risk },
        mutating: true,
        reversible: true,
        files: 1,
        bytes: new.max(if args.how == How::Append {
            0
        } else {
            old.unwrap_or(0)
        }),
        summary,
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let args = writing(call)?;
    let place = target(fs, call, &args)?;
    same_identities(identities, &[place.identity()])?;
    let bytes = args.bytes;
    let before = capture(place.entry.as_ref(), &place.path, Some(&fs.store), call.budget)?;
    let (sha256, length) = (Store::digest_of(&bytes), bytes.len() as u64);
    let (step, whole, size) = match &before {
        Image::File { size, .. } if args.how == How::Append => {
            let file = place.open_file(OFlags::RDONLY)?;
            let whole = Store::digest_with(&file, &bytes, &place.path, call.budget)?;
            let step = Step::Write {
                sha256,
                offset: *size,
                whole: whole.clone(),
            };
            (step, whole, size + length)
        }
        Image::File { .. } => (
            Step::Write {
                sha256: sha256.clone(),
                offset: 0,
                whole: sha256.clone(),
            },
            sha256,
            length,
        ),
        _ => (
            Step::Create {
                sha256: sha256.clone(),
                mode: args.mode,
            },
            sha256,
            length,
        ),
    };
    fs.store.hold(bytes);
    let result = value_of(&WriteResult {
        path: place.path,
        bytes: length,
        size,
        created: before == Image::Absent,
        sha256: whole,
    })?;
    let change = Change::new(place.anchor, before, step);
    Plan::new(tag(call), vec![change], result)
}
