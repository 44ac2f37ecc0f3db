//! fs.delete: removes files, symbolic links and, when asked for, whole directories: all of a list or none.

use super::args::{DeleteArgs, DeleteResult, Kind, MAX_PATHS};
use super::image::Image;
use super::plan::{Change, Plan, Step};
use super::resolve::{Follow, kind_of, normalize, wrong_kind};
use super::tree::{Leaf, keep, shared_names, whole, within};
use super::{Fs, accesses, bad_input, risk_on, same_identities, tag, typed, value_of};
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
        summary: "Deletes files, symbolic links and, with `recursive`, directories with everything in them: all of the list, or none.",
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
        recursive: args.recursive,
    })
}

/// Everything that goes, sorted by path, each once.
fn leaves(fs: &Fs, call: &Call<'_>) -> Result<Vec<Leaf>> {
    let args: DeleteArgs = typed(NAME, call.args)?;
    let mut leaves = Vec::new();
    for path in &args.paths.unwrap_or_default() {
        call.budget.check()?;
        let place = fs.resolve_name(call, "delete", path, Follow::No)?;
        let (_, stat) = place.existing()?;
        match kind_of(stat) {
            Kind::File | Kind::Symlink => leaves.push(Leaf::of(&place)?),
            Kind::Dir if args.recursive => leaves.extend(whole(fs, call, "delete", &place)?),
            Kind::Dir => {
                return Err(wrong_kind(
                    &place.path,
                    stat,
                    "a file or a symbolic link, or `recursive`,",
                ));
            }
            Kind::Other => return Err(wrong_kind(&place.path, stat, "a file or a symbolic link")),
        }
        within(leaves.len())?;
    }
    leaves.sort_by(|a, b| a.path.cmp(&b.path));
    leaves.dedup_by(|a, b| a.path == b.path);
    if let Some(other) = leaves.iter().find(|leaf| leaf.kind() == Kind::Other) {
        return Err(wrong_kind(&other.path, &other.stat, "a file or a symbolic link"));
    }
    Ok(leaves)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let leaves = leaves(fs, call)?;
    let mut names: HashMap<(u64, u64), (u64, u64)> = HashMap::new();
    let mut bytes = 0;
    for leaf in leaves.iter().filter(|leaf| leaf.kind() != Kind::Dir) {
        let of_inode = names.entry(leaf.inode()).or_insert((0, leaf.stat.st_nlink));
        if of_inode.0 == 0 {
            bytes += leaf.bytes();
        }
        of_inode.0 += 1;
    }
    // A name that shares its inode with one outside of this call comes back linked to it only as long as
    // that other name stays; so it counts as not exactly reversible.
    let reversible = names.values().all(|(here, everywhere)| here == everywhere);
    let dirs = leaves.iter().filter(|leaf| leaf.kind() == Kind::Dir).count();
    let files = leaves.len() as u64;
    let summary = match leaves.as_slice() {
        [one] => format!("Delete {} ({bytes} bytes)", one.path),
        [first, ..] if dirs > 0 => format!(
            "Delete {} files and {dirs} directories, {bytes} bytes, from {} on",
            leaves.len() - dirs,
            first.path
        ),
        many => format!(
            "Delete {files} files, {bytes} bytes, from {} on",
            many.first().map_or("", |leaf| leaf.path.as_str())
        ),
    };
    let paths = || leaves.iter().map(|leaf| leaf.path.as_str());
    Ok(Prepared {
        risk: if reversible {
            risk_on(paths(), Risk::Medium)
        } else {
            Risk::High
        },
        required: accesses("delete", paths())?,
        identities: leaves.iter().map(Leaf::identity).collect(),
        mutating: true,
        reversible,
        files,
        bytes,
        summary,
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let leaves = leaves(fs, call)?;
    let now: Vec<Identity> = leaves.iter().map(Leaf::identity).collect();
    same_identities(identities, &now)?;
    let names = shared_names(call, &leaves)?;
    let mut changes = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        call.budget.check()?;
        let before = keep(fs, call, leaf, &names)?;
        if before.inode() != Some(leaf.inode()) {
            return Err(ToolError::Changed {
                path: leaf.path.clone(),
                difference: "another thing is there now".to_owned(),
            });
        }
        changes.push(Change::new(leaf.anchor.clone(), before, Step::Delete));
    }
    let deleted: Vec<String> = leaves.iter().map(|leaf| leaf.path.clone()).collect();
    let dirs = leaves.iter().filter(|leaf| leaf.kind() == Kind::Dir).count() as u64;
    let result = value_of(&DeleteResult {
        files: deleted.len() as u64 - dirs,
        dirs,
        bytes_freed: freed(&changes),
        deleted,
    })?;
    // What is in a directory goes before the directory itself.
    changes.reverse();
    Plan::new(tag(call), changes, result)
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
            recursive: false,
        };
        assert_eq!(canonical(args).unwrap().paths.unwrap(), ["/a", "/b/x"]);
    }

    #[test]
    fn path_and_paths_together_or_neither_are_refused() {
        for args in [
            DeleteArgs {
                path: None,
                paths: None,
                recursive: false,
            },
            DeleteArgs {
                path: Some("/a".into()),
                paths: Some(vec!["/b".into()]),
                recursive: false,
            },
            DeleteArgs {
                path: None,
                paths: Some(vec![]),
                recursive: false,
            },
        ] {
            assert!(matches!(canonical(args), Err(ToolError::BadInput { .. })));
        }
    }
}
