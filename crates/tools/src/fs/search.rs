//! fs.search: which files below a directory match.

use super::args::{Found, Kind, MAX_ENTRIES, SearchArgs, SearchKind, SearchResult};
use super::resolve::{Follow, kind_of, normalize};
use super::walk::{mtime_ms, size, walk};
use super::{Fs, bad_input, reading, typed};
use crate::error::Result;
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use globset::{GlobBuilder, GlobMatcher};
use std::cmp::Reverse;

const NAME: &str = "fs.search";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<SearchArgs, SearchResult>(About {
        name: NAME,
        summary: "Finds files below a directory by name, age and size, oldest first; can leave out the newest.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "fs:search:PATH",
        timeout_ms: 60_000,
    })
}

pub(super) fn canonical(mut args: SearchArgs) -> Result<SearchArgs> {
    args.root = normalize(&args.root)?;
    matcher(NAME, &args.name_glob)?;
    if !(1..=MAX_ENTRIES).contains(&args.limit) {
        return Err(bad_input(NAME, "limit", "must be 1 to 10000"));
    }
    Ok(args)
}

/// A glob on names without directory.
pub(super) fn matcher(tool: &str, glob: &str) -> Result<GlobMatcher> {
    if glob.is_empty() || glob.len() > 255 || glob.contains('/') {
        return Err(bad_input(tool, "name_glob", "must be 1 to 255 bytes without `/`"));
    }
    let glob = GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|error| bad_input(tool, "name_glob", error.kind().to_string()))?;
    Ok(glob.compile_matcher())
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let args: SearchArgs = typed(NAME, call.args)?;
    let place = fs.resolve(call, "search", &args.root, Follow::Yes)?;
    place.open_dir()?;
    reading(
        "search",
        &place,
        format!("Search {} for {}", place.path, args.name_glob),
    )
}

fn wanted(kind: Kind, search: SearchKind) -> bool {
    match search {
        SearchKind::Any => true,
        SearchKind::File => kind == Kind::File,
        SearchKind::Dir => kind == Kind::Dir,
        SearchKind::Symlink => kind == Kind::Symlink,
    }
}

pub(super) fn run(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<SearchResult> {
    let args: SearchArgs = typed(NAME, call.args)?;
    let place = fs.target(call, identities, "search", &args.root, Follow::Yes)?;
    let glob = matcher(NAME, &args.name_glob)?;
    let granted =
        |path: &str| call.caps.allows("fs", "search", path) && !fs.resolver.is_protected("search", path);
    let mut found = Vec::new();
    let left_out = walk(&place.open_dir()?, &place.path, call.budget, granted, |met| {
        let kind = kind_of(met.stat);
        if wanted(kind, args.kind) && glob.is_match(met.name) && granted(met.path) {
            found.push(Found {
                path: met.path.to_owned(),
                kind,
                size: size(met.stat),
                mtime_ms: mtime_ms(met.stat),
            });
        }
        Ok(())
    })?;
    Ok(pick(&args, place.path, found, left_out.dirs, fs.clock.now_ms()))
}

/// Leaves out the newest of all that matched, then applies age and size, then the limit.
fn pick(args: &SearchArgs, root: String, mut found: Vec<Found>, skipped: u64, now_ms: i64) -> SearchResult {
    let matched = found.len() as u64;
    found.sort_by(|a, b| (Reverse(a.mtime_ms), &a.path).cmp(&(Reverse(b.mtime_ms), &b.path)));
    let keep = args
        .keep_newest
        .map_or(0, |keep| usize::try_from(keep).unwrap_or(usize::MAX))
        .min(found.len());
    found.drain(..keep);
    let before = args
        .older_than_ms
        .map(|age| now_ms.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)));
    found.retain(|it| {
        before.is_none_or(|before| it.mtime_ms < before)
            && args.larger_than_bytes.is_none_or(|size| it.size > size)
    });
    found.sort_by(|a, b| (a.mtime_ms, &a.path).cmp(&(b.mtime_ms, &b.path)));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let truncated = found.len() > limit;
    found.truncate(limit);
    let total_bytes = found.iter().map(|it| it.size).sum();
    SearchResult {
        root,
        files: found,
        total_bytes,
        matched,
        kept: keep as u64,
        truncated,
        skipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(keep: Option<u32>, older: Option<u64>) -> SearchArgs {
        serde_json::from_value(serde_json::json!({
            "root": "/x", "keep_newest": keep, "older_than_ms": older, "limit": 10,
        }))
        .unwrap()
    }

    fn file(path: &str, mtime_ms: i64) -> Found {
        Found {
            path: path.into(),
            kind: Kind::File,
            size: 1,
            mtime_ms,
        }
    }

    #[test]
    fn the_newest_of_all_that_match_are_kept_and_not_only_of_the_old_ones() {
        let all = vec![
            file("/x/a", 10),
            file("/x/b", 20),
            file("/x/new1", 990),
            file("/x/new2", 995),
        ];
        let result = pick(&args(Some(3), Some(500)), "/x".into(), all, 0, 1000);
        assert_eq!(
            result.files.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(),
            ["/x/a"]
        );
        assert_eq!((result.matched, result.kept), (4, 3));
    }

    #[test]
    fn keeping_more_than_there_are_finds_nothing() {
        let result = pick(&args(Some(9), None), "/x".into(), vec![file("/x/a", 1)], 0, 1000);
        assert!(result.files.is_empty());
        assert_eq!(result.kept, 1);
    }
}
