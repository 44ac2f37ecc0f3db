//! sec.integrity_baseline remembers what a directory tree is like; sec.integrity_check says what changed
//! since.

use super::baseline::{Baseline, Entry, Pointer};
use super::change::{BaselineChange, Plan};
use super::tree::{Tree, octal};
use super::types::{
    BaselineArgs, BaselineResult, ChangeKind, FieldChange, IntegrityArgs, IntegrityResult, TreeChange,
};
use super::{Sec, access, check_limit, looking};
use crate::error::{Result, ToolError};
use crate::fs::resolve::{Follow, Place, join, normalize};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::typed::{plain_name, typed, value_of};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

pub(super) const BASELINE: &str = "sec.integrity_baseline";
pub(super) const CHECK: &str = "sec.integrity_check";
const BASELINE_ACTION: &str = "integrity_baseline";
const CHECK_ACTION: &str = "integrity_check";

pub(super) fn baseline_spec() -> ToolSpec {
    ToolSpec::of::<BaselineArgs, BaselineResult>(About {
        name: BASELINE,
        summary: "Remembers what a directory tree is like now: content digests, modes, owners, times, attributes, links.",
        risk: Risk::Low,
        idempotent: true,
        reversible: true,
        capability: "sec:integrity_baseline:PATH/**",
        timeout_ms: 300_000,
    })
}

pub(super) fn check_spec() -> ToolSpec {
    ToolSpec::of::<IntegrityArgs, IntegrityResult>(About {
        name: CHECK,
        summary: "Says what was added, removed and changed in a directory tree since its baseline.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:integrity_check:PATH",
        timeout_ms: 300_000,
    })
}

pub(super) fn canonical_baseline(mut args: BaselineArgs) -> Result<BaselineArgs> {
    args.path = normalize(&args.path)?;
    plain_name(BASELINE, "name", &args.name)?;
    Ok(args)
}

pub(super) fn canonical_check(mut args: IntegrityArgs) -> Result<IntegrityArgs> {
    args.path = normalize(&args.path)?;
    plain_name(CHECK, "name", &args.name)?;
    check_limit(CHECK, args.limit)?;
    Ok(args)
}

pub(super) fn prepare_baseline(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let args: BaselineArgs = typed(BASELINE, call.args)?;
    let place = sec
        .resolver
        .resolve(call.caps, BASELINE_ACTION, &args.path, Follow::Yes)?;
    place.open_dir()?;
    let replaces = sec.baselines.pointer(&place.path, &args.name)?.is_some();
    if !replaces {
        sec.baselines.has_room()?;
    }
    let summary = format!(
        "{} the baseline `{}` of {}",
        if replaces { "Replace" } else { "Make" },
        args.name,
        place.path
    );
    Ok(Prepared {
        identities: vec![place.identity()],
        required: vec![access(BASELINE_ACTION, &place.path)?],
        risk: Risk::Low,
        mutating: true,
        reversible: true,
        // Nothing of the tree changes; what is written is the worker's own.
        files: 0,
        bytes: 0,
        summary,
    })
}

pub(super) fn plan_baseline(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let args: BaselineArgs = typed(BASELINE, call.args)?;
    let place = sec
        .resolver
        .resolve(call.caps, BASELINE_ACTION, &args.path, Follow::Yes)?;
    same_identities(identities, &[place.identity()])?;
    let baseline = take(sec, call, &place, BASELINE_ACTION)?;
    let before = sec.baselines.pointer(&place.path, &args.name)?;
    let sha256 = sec.baselines.keep(&baseline, call.budget)?;
    let after = Pointer {
        path: place.path.clone(),
        name: args.name.clone(),
        sha256: sha256.clone(),
        made_ms: sec.clock.now_ms(),
        entries: baseline.entries.len() as u64,
    };
    let result = value_of(&BaselineResult {
        path: place.path.clone(),
        name: args.name.clone(),
        entries: after.entries,
        bytes: baseline.bytes(),
        sha256,
        replaced: before.is_some(),
        skipped: baseline.skipped,
    })?;
    Ok(Plan::Baseline(BaselineChange {
        path: place.path,
        name: args.name,
        before,
        after: Some(after),
        result,
    }))
}

fn take(sec: &Sec, call: &Call<'_>, place: &Place, action: &str) -> Result<Baseline> {
    let root = place.open_dir()?;
    Baseline::take(&Tree {
        root: &root,
        path: &place.path,
        budget: call.budget,
        granted: &sec.granted(call, action),
    })
}

pub(super) fn prepare_check(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let args: IntegrityArgs = typed(CHECK, call.args)?;
    let place = sec
        .resolver
        .resolve(call.caps, CHECK_ACTION, &args.path, Follow::Yes)?;
    place.open_dir()?;
    if sec.baselines.pointer(&place.path, &args.name)?.is_none() {
        return Err(ToolError::NotFound {
            path: format!("baseline `{}` of {}", args.name, place.path),
        });
    }
    looking(
        CHECK_ACTION,
        &[&place],
        format!("Compare {} with its baseline `{}`", place.path, args.name),
    )
}

pub(super) fn run_check(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<IntegrityResult> {
    let args: IntegrityArgs = typed(CHECK, call.args)?;
    let place = sec.target(call, identities, CHECK_ACTION, &args.path)?;
    let (pointer, mut then) = sec.baselines.load(&place.path, &args.name)?;
    let now = take(sec, call, &place, CHECK_ACTION)?;
    // What this call may not look at is not called removed.
    let granted = sec.granted(call, CHECK_ACTION);
    let all = then.entries.len();
    then.entries
        .retain(|below, _| granted(&whole(&place.path, below)));
    let withheld = (all - then.entries.len()) as u64;
    let mut changes = compare(&place.path, &then, &now);
    let count = |kind| changes.iter().filter(|it| it.change == kind).count() as u64;
    let (added, removed, changed) = (
        count(ChangeKind::Added),
        count(ChangeKind::Removed),
        count(ChangeKind::Changed),
    );
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let truncated = changes.len() > limit;
    changes.truncate(limit);
    Ok(IntegrityResult {
        path: place.path,
        name: args.name,
        made_ms: pointer.made_ms,
        changes,
        added,
        removed,
        changed,
        unchanged: (now.entries.len() as u64).saturating_sub(added + changed),
        truncated,
        skipped: now.skipped + withheld,
    })
}

fn whole(root: &str, below: &str) -> String {
    if below.is_empty() {
        root.to_owned()
    } else {
        join(root, below)
    }
}

/// What differs, by path.
fn compare(root: &str, then: &Baseline, now: &Baseline) -> Vec<TreeChange> {
    let mut changes = Vec::new();
    let mut note = |below: &str, kind, change, fields| {
        changes.push(TreeChange {
            path: whole(root, below),
            kind,
            change,
            fields,
        });
    };
    for (below, was) in &then.entries {
        match now.entries.get(below) {
            None => note(below, was.kind, ChangeKind::Removed, Vec::new()),
            Some(is) => {
                let fields = differences(was, is);
                if !fields.is_empty() {
                    note(below, is.kind, ChangeKind::Changed, fields);
                }
            }
        }
    }
    for (below, is) in &now.entries {
        if !then.entries.contains_key(below) {
            note(below, is.kind, ChangeKind::Added, Vec::new());
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn differences(was: &Entry, is: &Entry) -> Vec<FieldChange> {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let kind = |it: &Entry| crate::fs::resolve::kind_name(it.kind).to_owned();
    let time = |it: &Entry| format!("{}.{:09}", it.mtime.sec, it.mtime.nsec);
    let device = |it: &Entry| it.device.map_or_else(String::new, |number| number.to_string());
    let mut pairs = vec![
        ("kind", kind(was), kind(is)),
        ("mode", octal(was.mode), octal(is.mode)),
        ("uid", was.uid.to_string(), is.uid.to_string()),
        ("gid", was.gid.to_string(), is.gid.to_string()),
        ("size_bytes", was.size.to_string(), is.size.to_string()),
        ("sha256", text(&was.sha256), text(&is.sha256)),
        ("target", text(&was.target), text(&is.target)),
        ("xattrs", text(&was.xattrs), text(&is.xattrs)),
        ("device", device(was), device(is)),
    ];
    // Time and links of a directory change with its entries, which are told by themselves.
    if was.kind != crate::fs::args::Kind::Dir {
        pairs.push(("mtime", time(was), time(is)));
        pairs.push(("links", was.links.to_string(), is.links.to_string()));
    }
    let differing = pairs.into_iter().filter(|(_, before, after)| before != after);
    differing
        .map(|(field, before, after)| FieldChange {
            field: field.to_owned(),
            before,
            after,
        })
        .collect()
}
