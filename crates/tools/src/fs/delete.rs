//! fs.delete: removes files and symbolic links, all of a list or none.

use super::args::{DeleteArgs, DeleteResult, Kind, MAX_PATHS};
use super::image::{Image, capture};
use super::plan::{Change, Plan, Step};
use super::resolve::{Follow, Place, kind_of, normalize, wrong_kind};
use super::walk::{other_names, size};
use super::{Fs, access, bad_input, is_system, same_identities, typed, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use std::collections::HashMap;

const NAME: &str = "fs.delete";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<DeleteArgs, DeleteResult>(About {
        name: NAME,
        summary: "Deletes files and symbolic links: all of the list, or none.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:delete:PATH",
        timeout_ms: 120_000,
    })
}

pub(super) fn canonical(args: DeleteArgs) -> Result<DeleteArgs> {
    let paths = match (args.path, args.paths) {
        (Some(path), None) => vec![path],
        (None, Some(paths)) => paths,
        _ => {
            return Err(bad_input(
                NAME,
                "paths",
                "exactly one of `path` and `paths` is wanted",
            ));
        }
    };
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return Err(bad_input(
            NAME,
            "paths",
            format!("must have 1 to {MAX_PATHS} paths, not {}", paths.len()),
        ));
    }
    let mut plain = paths
        .iter()
        .map(|path| normalize(path))
        .collect::<Result<Vec<_>>>()?;
    plain.sort();
    plain.dedup();
    Ok(DeleteArgs {
        path: None,
        paths: Some(plain),
    })
}

/// Resolves each path in turn; handles are closed again before the next, so that a long list does not
/// run out of them.
fn each<T>(fs: &Fs, call: &Call<'_>, mut take: impl FnMut(Place) -> Result<T>) -> Result<Vec<T>> {
    let args: DeleteArgs = typed(NAME, call.args)?;
    let paths = args.paths.unwrap_or_default();
    let mut taken = Vec::with_capacity(paths.len());
    for path in &paths {
        call.budget.check()?;
        let place = fs.resolve(call, "delete", path, Follow::No)?;
        let (_, stat) = place.existing()?;
        if !matches!(kind_of(stat), Kind::File | Kind::Symlink) {
            return Err(wrong_kind(&place.path, stat, "a file or a symbolic link"));
        }
        taken.push(take(place)?);
    }
    Ok(taken)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let mut names: HashMap<(u64, u64), (u64, u64)> = HashMap::new();
    let mut bytes = 0;
    let mut identities = each(fs, call, |place| {
        let (_, stat) = place.existing()?;
        let of_inode = names
            .entry((stat.st_dev, stat.st_ino))
            .or_insert((0, stat.st_nlink));
        if of_inode.0 == 0 && kind_of(stat) == Kind::File {
            bytes += size(stat);
        }
        of_inode.0 += 1;
        Ok(place.identity())
    })?;
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities.dedup();
    // A name that shares its inode with one outside of this call comes back linked to it only as long as
    // that other name stays; so it counts as not exactly reversible.
    let reversible = names.values().all(|(here, everywhere)| here == everywhere);
    let system = identities.iter().any(|identity| is_system(&identity.path));
    let required = identities
        .iter()
        .map(|identity| access("delete", &identity.path))
        .collect::<Result<Vec<_>>>()?;
    let files = identities.len() as u64;
    let summary = match identities.as_slice() {
        [one] => format!("Delete {} ({bytes} bytes)", one.path),
        many => format!(
            "Delete {} files, {bytes} bytes, from {} on",
            many.len(),
            first(many)
        ),
    };
    Ok(Prepared {
        risk: if system || !reversible {
            Risk::High
        } else {
            Risk::Medium
        },
        identities,
        required,
        mutating: true,
        reversible,
        files,
        bytes,
        summary,
    })
}

fn first(identities: &[Identity]) -> &str {
    identities.first().map_or("", |identity| identity.path.as_str())
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let now = each(fs, call, |place| Ok(place.identity()))?;
    same_identities(identities, &now)?;
    let mut changes = each(fs, call, |place| {
        let identity = place.identity();
        if !identities.contains(&identity) {
            return Err(ToolError::Changed {
                path: identity.path,
                difference: "another thing is there now".to_owned(),
            });
        }
        let mut before = capture(place.entry.as_ref(), &place.path, Some(&fs.store), call.budget)?;
        if let Image::File {
            nlink,
            dev,
            ino,
            others,
            ..
        } = &mut before
            && *nlink > 1
        {
            *others = other_names(&place.anchor, &place.path, (*dev, *ino), call.budget)?;
        }
        Ok(Change {
            anchor: place.anchor,
            before,
            step: Step::Delete,
            after: None,
        })
    })?;
    changes.sort_by_key(|change| change.anchor.path());
    changes.dedup_by_key(|change| change.anchor.path());
    let deleted: Vec<String> = changes.iter().map(|change| change.anchor.path()).collect();
    let result = value_of(&DeleteResult {
        files: deleted.len() as u64,
        bytes_freed: freed(&changes),
        deleted,
    })?;
    Plan::new(call.key.to_string().replace('/', "-"), changes, result)
}

/// Bytes of the files whose last name goes.
fn freed(changes: &[Change]) -> u64 {
    let mut names: HashMap<(u64, u64), u64> = HashMap::new();
    let mut bytes = 0;
    for change in changes {
        if let Image::File {
            dev,
            ino,
            nlink,
            size,
            ..
        } = &change.before
        {
            let gone = names.entry((*dev, *ino)).or_insert(0);
            *gone += 1;
            if gone == nlink {
                bytes += size;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_plain_sorted_and_unique() {
        let args = DeleteArgs {
            path: None,
            paths: Some(vec!["/b//x".into(), "/a".into(), "/b/./x".into()]),
        };
        assert_eq!(canonical(args).unwrap().paths.unwrap(), ["/a", "/b/x"]);
    }

    #[test]
    fn path_and_paths_together_or_neither_are_refused() {
        for args in [
            DeleteArgs {
                path: None,
                paths: None,
            },
            DeleteArgs {
                path: Some("/a".into()),
                paths: Some(vec!["/b".into()]),
            },
            DeleteArgs {
                path: None,
                paths: Some(vec![]),
            },
        ] {
            assert!(matches!(canonical(args), Err(ToolError::BadInput { .. })));
        }
    }
}
