//! fs.mkdir: makes a directory, and those above it when asked for.

use super::args::{Kind, MkdirArgs, MkdirResult};
use super::image::Image;
use super::plan::{Change, Plan, Step};
use super::resolve::{Anchor, Follow, Place, absent, kind_of, normalize, wrong_kind};
use super::{Fs, accesses, bad_input, risk_on, same_identities, sorted, tag, typed, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.mkdir";
const DEFAULT_MODE: u32 = 0o755;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<MkdirArgs, MkdirResult>(About {
        name: NAME,
        summary: "Makes a directory, with `parents` also those above it.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:mkdir:PATH",
        timeout_ms: 30_000,
    })
}

pub(super) fn canonical(mut args: MkdirArgs) -> Result<MkdirArgs> {
    args.path = normalize(&args.path)?;
    let mode = mode(&args)?;
    args.mode = Some(format!("{mode:04o}"));
    Ok(args)
}

fn mode(args: &MkdirArgs) -> Result<u32> {
    let Some(text) = &args.mode else {
        return Ok(DEFAULT_MODE);
    };
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && (3..=4).contains(&text.len()))
        .ok_or_else(|| bad_input(NAME, "mode", "must be permission bits as octal text, `0755`"))
}

/// The path with links resolved, and the places that are to become directories, the uppermost first.
fn missing(fs: &Fs, call: &Call<'_>, args: &MkdirArgs) -> Result<(String, Vec<Anchor>)> {
    let (base, below) = deepest(fs, call, args)?;
    let Some((_, stat)) = &base.entry else {
        let mut anchors = vec![base.anchor];
        let mut path = base.path;
        for name in below {
            let Some(anchor) = anchors.last().map(|above| above.below(&name)) else {
                break;
            };
            path = anchor.path();
            fs.resolver.admit(call.caps, "mkdir", &path, &args.path)?;
            anchors.push(anchor);
        }
        return Ok((path, anchors));
    };
    match kind_of(stat) {
        Kind::Dir if args.parents => Ok((base.path, Vec::new())),
        Kind::Dir => Err(ToolError::Exists { path: base.path }),
        _ => Err(wrong_kind(&base.path, stat, "a directory")),
    }
}

/// The uppermost place on the way to the path that is not there, and the names below it.
fn deepest(fs: &Fs, call: &Call<'_>, args: &MkdirArgs) -> Result<(Place, Vec<String>)> {
    let (mut path, mut below) = (args.path.as_str(), Vec::new());
    loop {
        let missing = match fs.resolve_name(call, "mkdir", path, Follow::No) {
            Err(missing @ ToolError::NotFound { .. }) if args.parents => missing,
            found => {
                below.reverse();
                return Ok((found?, below));
            }
        };
        let Some((above, name)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) else {
            return Err(missing);
        };
        below.push(name.to_owned());
        path = above;
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: MkdirArgs = typed(NAME, call.args)?;
    let (path, anchors) = missing(fs, call, &args)?;
    let paths: Vec<String> = anchors.iter().map(Anchor::path).collect();
    let paths = || paths.iter().map(String::as_str);
    Ok(Prepared {
        summary: match anchors.len() {
            0 => format!("Nothing: {path} is there already"),
            1 => format!("Make the directory {path}"),
            many => format!("Make the directory {path} and {} above it", many - 1),
        },
        identities: sorted(paths().map(absent).collect()),
        required: accesses("mkdir", paths())?,
        risk: risk_on(paths(), Risk::Low),
        mutating: true,
        reversible: true,
        files: anchors.len() as u64,
        bytes: 0,
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let args: MkdirArgs = typed(NAME, call.args)?;
    let (path, anchors) = missing(fs, call, &args)?;
    let created: Vec<String> = anchors.iter().map(Anchor::path).collect();
    let now: Vec<Identity> = created.iter().map(|path| absent(path)).collect();
    same_identities(identities, &now)?;
    let mode = mode(&args)?;
    let changes = anchors
        .into_iter()
        .map(|anchor| Change::new(anchor, Image::Absent, Step::MakeDir { mode, meta: None }))
        .collect();
    Plan::new(tag(call), changes, value_of(&MkdirResult { path, created })?)
}
