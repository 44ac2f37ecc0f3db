//! fs.list: what is in a directory.

use super::args::{Entry, ListArgs, ListResult, MAX_ENTRIES};
use super::resolve::{Follow, kind_of, normalize};
use super::walk::{entries, mtime_ms, size};
use super::{Fs, bad_input, reading, typed};
use crate::error::Result;
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.list";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<ListArgs, ListResult>(About {
        name: NAME,
        summary: "Lists the entries of a directory with kind, size and time.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "fs:list:PATH",
        timeout_ms: 10_000,
    })
}

pub(super) fn canonical(mut args: ListArgs) -> Result<ListArgs> {
    args.path = normalize(&args.path)?;
    if !(1..=MAX_ENTRIES).contains(&args.limit) {
        return Err(bad_input(NAME, "limit", "must be 1 to 10000"));
    }
    Ok(args)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: ListArgs = typed(NAME, call.args)?;
    let place = fs.resolve(call, "list", &args.path, Follow::Yes)?;
    place.open_dir()?;
    reading("list", &place, format!("List {}", place.path))
}

pub(super) fn run(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<ListResult> {
    let args: ListArgs = typed(NAME, call.args)?;
    let place = fs.target(call, identities, "list", &args.path, Follow::Yes)?;
    let (mut found, unnamed) = entries(&place.open_dir()?, &place.path, call.budget)?;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let truncated = found.len() > limit;
    let entries = found
        .into_iter()
        .take(limit)
        .map(|(name, stat)| Entry {
            name,
            kind: kind_of(&stat),
            size: size(&stat),
            mtime_ms: mtime_ms(&stat),
        })
        .collect();
    Ok(ListResult {
        path: place.path,
        entries,
        truncated,
        unnamed,
    })
}
