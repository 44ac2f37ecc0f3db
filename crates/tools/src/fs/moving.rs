//! fs.move: gives a thing another place on the same file system, in one step.

use super::args::{Kind, MoveArgs, MoveResult};
use super::copy::not_within;
use super::image::Image;
use super::plan::{Change, Depth, Plan, Step, take};
use super::resolve::{Follow, Place, kind_of, normalize, wrong_kind};
use super::tree::{Leaf, keep, shared_names, whole};
use super::{Fs, accesses, bad_input, risk_on, same_identities, sorted, tag, typed, value_of};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.move";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<MoveArgs, MoveResult>(About {
        name: NAME,
        summary: "Moves or renames a file, symbolic link or directory on its file system, in one step.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:delete:SOURCE/** fs:write:TARGET/**",
        timeout_ms: 60_000,
    })
}

pub(super) fn canonical(mut args: MoveArgs) -> Result<MoveArgs> {
    args.source = normalize(&args.source)?;
    args.target = normalize(&args.target)?;
    not_within(NAME, &args.source, &args.target)?;
    Ok(args)
}

/// What moves, and where to.
struct Moving {
    source: Place,
    target: Place,
    /// Everything that gets another path by it.
    leaves: Vec<Leaf>,
}

impl Moving {
    fn identities(&self) -> Vec<Identity> {
        sorted(vec![self.source.identity(), self.target.identity()])
    }

    fn targets(&self) -> Vec<String> {
        let of = |leaf: &Leaf| {
            let rest = leaf.path.get(self.source.path.len()..).unwrap_or_default();
            format!("{}{rest}", self.target.path)
        };
        self.leaves.iter().map(of).collect()
    }

    /// What is replaced, when something is.
    fn replaced(&self) -> Option<Result<Leaf>> {
        self.target.entry.is_some().then(|| Leaf::of(&self.target))
    }
}

fn resolve(fs: &Fs, call: &Call<'_>) -> Result<Moving> {
    let args: MoveArgs = typed(NAME, call.args)?;
    let source = fs.resolve_name(call, "delete", &args.source, Follow::No)?;
    let (_, stat) = source.existing()?;
    if kind_of(stat) == Kind::Other {
        return Err(wrong_kind(
            &source.path,
            stat,
            "a file, a directory or a symbolic link",
        ));
    }
    if fs.resolver.is_above_protected(&source.path) {
        return Err(ToolError::Protected { path: args.source });
    }
    let leaves = whole(fs, call, "delete", &source)?;
    let target = fs.resolve_name(call, "write", &args.target, Follow::No)?;
    not_within(NAME, &source.path, &target.path)?;
    if let Some((_, there)) = &target.entry {
        if !args.replace {
            return Err(ToolError::Exists { path: target.path });
        }
        if !matches!(kind_of(there), Kind::File | Kind::Symlink) {
            return Err(wrong_kind(&target.path, there, "a file or a symbolic link"));
        }
        if (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino) {
            return Err(bad_input(NAME, "target", "is another name of the same file"));
        }
    }
    let moving = Moving {
        source,
        target,
        leaves,
    };
    for path in moving.targets() {
        fs.resolver.admit(call.caps, "write", &path, &path)?;
    }
    Ok(moving)
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let moving = resolve(fs, call)?;
    let targets = moving.targets();
    let sources = || moving.leaves.iter().map(|leaf| leaf.path.as_str());
    let mut required = accesses("delete", sources())?;
    required.extend(accesses("write", targets.iter().map(String::as_str))?);
    let replaced = moving.replaced().transpose()?;
    let bytes = replaced.as_ref().map_or(0, Leaf::bytes);
    let mut summary = format!("Move {} to {}", moving.source.path, moving.target.path);
    if replaced.is_some() {
        summary.push_str(&format!(", replacing what is there ({bytes} bytes)"));
    }
    // A replaced name that shares its file with others comes back as theirs only while they stay.
    let reversible = replaced
        .as_ref()
        .is_none_or(|leaf| leaf.kind() != Kind::File || leaf.stat.st_nlink == 1);
    let risk = match (&replaced, reversible) {
        (_, false) => Risk::High,
        (Some(_), true) => Risk::Medium,
        (None, true) => Risk::Low,
    };
    Ok(Prepared {
        identities: moving.identities(),
        required,
        risk: risk_on(sources().chain(targets.iter().map(String::as_str)), risk),
        mutating: true,
        reversible,
        files: moving.leaves.len() as u64 + u64::from(replaced.is_some()),
        bytes,
        summary,
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let moving = resolve(fs, call)?;
    same_identities(identities, &moving.identities())?;
    let thing = take(&moving.source.anchor, None, Depth::Outside, call.budget)?;
    let Some((dev, ino)) = thing.inode() else {
        return Err(ToolError::NotFound {
            path: moving.source.path,
        });
    };
    let replaced = moving.replaced().transpose()?;
    let before = match &replaced {
        Some(leaf) => {
            let names = shared_names(call, std::slice::from_ref(leaf))?;
            keep(fs, call, leaf, &names)?
        }
        None => Image::Absent,
    };
    let result = value_of(&MoveResult {
        source: moving.source.path,
        target: moving.target.path,
        replaced: replaced.is_some(),
        places: moving.leaves.len() as u64,
    })?;
    let come = Step::Rename {
        from: moving.source.anchor.clone(),
        dev,
        ino,
    };
    let changes = vec![
        Change::new(moving.target.anchor, before, come),
        Change::new(moving.source.anchor, thing, Step::Leave),
    ];
    Plan::new(tag(call), changes, result)
}
