//! fs.copy: copies a file, a link or a directory with everything in it, to a place where nothing is.

use super::args::{CopyArgs, CopyResult, Kind};
use super::image::Image;
use super::plan::{Change, Depth, Plan, Step, take};
use super::resolve::{Anchor, Follow, Place, absent, kind_of, normalize, wrong_kind};
use super::tree::{Leaf, whole};
use super::{Fs, accesses, bad_input, risk_on, same_identities, sorted, tag, typed, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use std::collections::HashMap;

const NAME: &str = "fs.copy";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<CopyArgs, CopyResult>(About {
        name: NAME,
        summary: "Copies a file, a symbolic link or, with `recursive`, a directory to a place where nothing is.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:read:SOURCE/** fs:write:TARGET/**",
        timeout_ms: 300_000,
    })
}

pub(super) fn canonical(mut args: CopyArgs) -> Result<CopyArgs> {
    args.source = normalize(&args.source)?;
    args.target = normalize(&args.target)?;
    not_within(NAME, &args.source, &args.target)?;
    Ok(args)
}

/// Nothing can be put into itself.
pub(super) fn not_within(tool: &str, source: &str, target: &str) -> Result<()> {
    let inside = target
        .strip_prefix(source)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || source == "/");
    if inside {
        return Err(bad_input(tool, "target", "lies in `source`, or is the same"));
    }
    Ok(())
}

/// What is copied, and where to.
struct Copying {
    args: CopyArgs,
    leaves: Vec<Leaf>,
    source: String,
    target: Place,
}

impl Copying {
    /// Where a leaf is copied to.
    fn target_of(&self, leaf: &Leaf) -> String {
        let rest = leaf.path.get(self.source.len()..).unwrap_or_default();
        format!("{}{rest}", self.target.path)
    }

    fn identities(&self) -> Vec<Identity> {
        let sources = self.leaves.iter().map(Leaf::identity);
        let targets = self.leaves.iter().map(|leaf| absent(&self.target_of(leaf)));
        sorted(sources.chain(targets).collect())
    }
}

fn resolve(fs: &Fs, call: &Call<'_>) -> Result<Copying> {
    let args: CopyArgs = typed(NAME, call.args)?;
    let source = fs.resolve_name(call, "read", &args.source, Follow::No)?;
    let (_, stat) = source.existing()?;
    if kind_of(stat) == Kind::Dir && !args.recursive {
        return Err(wrong_kind(
            &source.path,
            stat,
            "a file or a symbolic link, or `recursive`,",
        ));
    }
    let leaves = whole(fs, call, "read", &source)?;
    if let Some(other) = leaves.iter().find(|leaf| leaf.kind() == Kind::Other) {
        return Err(wrong_kind(
            &other.path,
            &other.stat,
            "a file, a directory or a symbolic link",
        ));
    }
    let target = fs.free_name(call, "write", &args.target)?;
    not_within(NAME, &source.path, &target.path)?;
    let copying = Copying {
        args,
        leaves,
        source: source.path,
        target,
    };
    for leaf in &copying.leaves {
        let path = copying.target_of(leaf);
        if path.len() > 4095 {
            return Err(ToolError::BadPath {
                path: path.chars().take(120).collect(),
                problem: "the copy's path would be longer than 4095 bytes",
            });
        }
        fs.resolver.admit(call.caps, "write", &path, &path)?;
    }
    Ok(copying)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let copying = resolve(fs, call)?;
    let bytes: u64 = copying.leaves.iter().map(Leaf::bytes).sum();
    let files = copying.leaves.len() as u64;
    let targets: Vec<String> = copying
        .leaves
        .iter()
        .map(|leaf| copying.target_of(leaf))
        .collect();
    let mut required = accesses("read", copying.leaves.iter().map(|leaf| leaf.path.as_str()))?;
    required.extend(accesses("write", targets.iter().map(String::as_str))?);
    // With all mode bits a copy of a set-id program is another one.
    let privileged = copying.args.preserve
        && copying
            .leaves
            .iter()
            .any(|leaf| leaf.kind() == Kind::File && leaf.stat.st_mode & 0o6000 != 0);
    let risk = if privileged { Risk::High } else { Risk::Low };
    Ok(Prepared {
        summary: format!(
            "Copy {} to {}: {files} files and directories, {bytes} bytes",
            copying.source, copying.target.path
        ),
        identities: copying.identities(),
        required,
        risk: risk_on(targets.iter().map(String::as_str), risk),
        mutating: true,
        reversible: true,
        files,
        bytes,
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let copying = resolve(fs, call)?;
    same_identities(identities, &copying.identities())?;
    let mut result = CopyResult {
        source: copying.source.clone(),
        target: copying.target.path.clone(),
        files: 0,
        dirs: 0,
        links: 0,
        bytes: 0,
    };
    let mut anchors: HashMap<String, Anchor> = HashMap::new();
    let mut changes = Vec::with_capacity(copying.leaves.len());
    for leaf in &copying.leaves {
        call.budget.check()?;
        let path = copying.target_of(leaf);
        // Sorted by path, so a directory comes before what it holds.
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let anchor = anchors
            .get(parent)
            .map_or_else(|| copying.target.anchor.clone(), |above| above.below(name));
        let step = step_of(call, leaf, copying.args.preserve, &mut result)?;
        if leaf.kind() == Kind::Dir {
            anchors.insert(path, anchor.clone());
        }
        changes.push(Change::new(anchor, Image::Absent, step));
    }
    Plan::new(tag(call), changes, value_of(&result)?)
}

fn step_of(call: &Call<'_>, leaf: &Leaf, preserve: bool, result: &mut CopyResult) -> Result<Step> {
    let now = take(&leaf.anchor, None, Depth::Whole, call.budget)?;
    if now.inode() != Some(leaf.inode()) {
        return Err(ToolError::Changed {
            path: leaf.path.clone(),
            difference: "another thing is there now".to_owned(),
        });
    }
    Ok(match now {
        Image::File {
            meta, sha256, size, ..
        } => {
            result.files += 1;
            result.bytes += size;
            Step::Copy {
                from: leaf.anchor.clone(),
                sha256,
                mode: meta.mode & 0o777,
                meta: preserve.then_some(meta),
            }
        }
        Image::Dir { meta, .. } => {
            result.dirs += 1;
            Step::MakeDir {
                mode: meta.mode & 0o777,
                meta: preserve.then_some(meta),
            }
        }
        Image::Symlink { meta, target, .. } => {
            result.links += 1;
            Step::MakeLink {
                target,
                meta: preserve.then_some(meta),
            }
        }
        Image::Absent | Image::Node { .. } => {
            return Err(ToolError::NotFound {
                path: leaf.path.clone(),
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_into_itself() {
        for (source, target, fits) in [
            ("/a", "/a", false),
            ("/a", "/a/b", false),
            ("/a", "/ab", true),
            ("/a/b", "/a", true),
            ("/", "/a", false),
        ] {
            assert_eq!(
                not_within(NAME, source, target).is_ok(),
                fits,
                "{source} {target}"
            );
        }
    }
}
