//! process.limits and process.set_limits: what a process may use.

use super::args::{LimitChange, LimitNow, LimitsResult, Resource, SetLimitsArgs};
use super::table::{Handle, Proc, dir};
use crate::error::{Result, ToolError};
use crate::host::parsed;
use crate::typed::bad_input;
use procfs::process::{Limit, LimitValue, Limits};
use rustix::process::{Pid, Resource as Raw, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::time::Duration;

const SET: &str = "process.set_limits";

/// Every resource, and the kernel's number of it.
const RESOURCES: [(Resource, Raw); 9] = [
    (Resource::CpuSeconds, Raw::Cpu),
    (Resource::FileBytes, Raw::Fsize),
    (Resource::DataBytes, Raw::Data),
    (Resource::StackBytes, Raw::Stack),
    (Resource::CoreBytes, Raw::Core),
    (Resource::Processes, Raw::Nproc),
    (Resource::OpenFiles, Raw::Nofile),
    (Resource::LockedBytes, Raw::Memlock),
    (Resource::AddressBytes, Raw::As),
];

/// The limits of a process as they are now.
pub(super) fn now(proc: Proc) -> Result<Vec<LimitNow>> {
    let read = parsed::<Limits>(&dir(proc.pid).join("limits"));
    // What was read is its own only if it still lives.
    if proc.seen().is_none() {
        return Err(proc.missing());
    }
    let all = read?;
    Ok(RESOURCES
        .iter()
        .map(|(resource, _)| of(*resource, &all))
        .collect())
}

fn of(resource: Resource, all: &Limits) -> LimitNow {
    let limit: &Limit = match resource {
        Resource::CpuSeconds => &all.max_cpu_time,
        Resource::FileBytes => &all.max_file_size,
        Resource::DataBytes => &all.max_data_size,
        Resource::StackBytes => &all.max_stack_size,
        Resource::CoreBytes => &all.max_core_file_size,
        Resource::Processes => &all.max_processes,
        Resource::OpenFiles => &all.max_open_files,
        Resource::LockedBytes => &all.max_locked_memory,
        Resource::AddressBytes => &all.max_address_space,
    };
    let value = |value: &LimitValue| match value {
        LimitValue::Unlimited => None,
        LimitValue::Value(value) => Some(*value),
    };
    LimitNow {
        resource,
        soft: value(&limit.soft_limit),
        hard: value(&limit.hard_limit),
    }
}

pub(super) fn limits(proc: Proc) -> Result<LimitsResult> {
    Ok(result(proc, now(proc)?))
}

pub(super) fn result(proc: Proc, limits: Vec<LimitNow>) -> LimitsResult {
    LimitsResult {
        pid: proc.pid,
        start_ticks: proc.start,
        limits,
    }
}

/// Refuses what makes no sense, and sorts: the order means nothing.
pub(super) fn check(args: &mut SetLimitsArgs) -> Result<()> {
    if args.limits.is_empty() {
        return Err(bad_input(SET, "limits", "names no limit"));
    }
    let mut known = BTreeSet::new();
    for (index, change) in args.limits.iter().enumerate() {
        let field = |name: &str| format!("limits[{index}].{name}");
        if !known.insert(change.resource) {
            return Err(bad_input(SET, &field("resource"), "is named twice"));
        }
        if change.soft.is_none() && change.hard.is_none() {
            return Err(bad_input(
                SET,
                &field("soft"),
                "one of `soft` and `hard` is wanted",
            ));
        }
        for (name, value) in [("soft", change.soft), ("hard", change.hard)] {
            if value.is_some_and(|value| value < -1) {
                return Err(bad_input(SET, &field(name), "must be -1 or more"));
            }
        }
    }
    args.limits.sort_by_key(|change| change.resource);
    Ok(())
}

/// What holds before and afterwards, of those that are named.
pub(super) fn change(proc: Proc, args: &SetLimitsArgs) -> Result<(Vec<LimitNow>, Vec<LimitNow>)> {
    let all = now(proc)?;
    let mut before = Vec::new();
    let mut after = Vec::new();
    for (index, change) in args.limits.iter().enumerate() {
        let Some(old) = all.iter().find(|it| it.resource == change.resource) else {
            return Err(ToolError::Defect("a resource without a limit".to_owned()));
        };
        let new = changed(old, change);
        if !at_most(new.soft, new.hard) {
            let field = format!("limits[{index}].soft");
            return Err(bad_input(SET, &field, "would be above the hard limit"));
        }
        before.push(old.clone());
        after.push(new);
    }
    Ok((before, after))
}

fn changed(old: &LimitNow, change: &LimitChange) -> LimitNow {
    // -1 is no number of the kernel's, and so "none".
    let value = |wanted: Option<i64>, old: Option<u64>| match wanted {
        Some(wanted) => u64::try_from(wanted).ok(),
        None => old,
    };
    LimitNow {
        resource: old.resource,
        soft: value(change.soft, old.soft),
        hard: value(change.hard, old.hard),
    }
}

fn at_most(soft: Option<u64>, hard: Option<u64>) -> bool {
    match (soft, hard) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(soft), Some(hard)) => soft <= hard,
    }
}

/// Whether exactly these hold now.
pub(super) fn hold(proc: Proc, wanted: &[LimitNow]) -> Result<bool> {
    let all = now(proc)?;
    Ok(wanted.iter().all(|limit| all.contains(limit)))
}

/// Sets limits. The kernel sets them by number only, so the process is held before and must live after.
pub(super) fn set(proc: Proc, wanted: &[LimitNow]) -> Result<()> {
    let handle = Handle::open(proc)?.ok_or_else(|| proc.missing())?;
    let pid = Pid::from_raw(proc.pid).ok_or_else(|| proc.missing())?;
    for limit in wanted {
        let Some((_, raw)) = RESOURCES.iter().find(|(resource, _)| *resource == limit.resource) else {
            return Err(ToolError::Defect("a resource without a number".to_owned()));
        };
        let new = Rlimit {
            current: limit.soft,
            maximum: limit.hard,
        };
        let set = prlimit(Some(pid), *raw, new);
        if handle.ended(Duration::ZERO)? {
            return Err(proc.missing());
        }
        set.map_err(|errno| ToolError::io("set limits of", format!("process {}", proc.pid), errno))?;
    }
    Ok(())
}

/// `open_files 1024 of 4096`.
pub(super) fn words(limits: &[LimitNow]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let one = |limit: &LimitNow| {
        let name = serde_json::to_value(limit.resource).unwrap_or_default();
        let name = name.as_str().unwrap_or_default().to_owned();
        format!("{name} {} of {}", number(limit.soft), number(limit.hard))
    };
    limits.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let old = LimitNow {
            resource: Resource::OpenFiles,
            soft: Some(10),
            hard: Some(20),
        };
        let after = |soft, hard| {
            let change = LimitChange {
                resource: Resource::OpenFiles,
                soft,
                hard,
            };
            let new = changed(&old, &change);
            (new.soft, new.hard)
        };
        assert_eq!(after(Some(5), None), (Some(5), Some(20)));
        assert_eq!(after(None, Some(-1)), (Some(10), None));
        assert_eq!(after(Some(-1), Some(-1)), (None, None));
        assert!(at_most(Some(1), None) && at_most(Some(2), Some(2)));
        assert!(!at_most(None, Some(2)) && !at_most(Some(3), Some(2)));
    }
}
