//! process.list and process.tree: what runs.

use super::args::{Line, ListArgs, ListResult, Node, Order, TreeArgs, TreeResult};
use super::eyes::Eyes;
use super::files::descriptors;
use super::info::listens;
use super::table::{Desk, Seen, all, command, missing};
use crate::budget::Budget;
use crate::error::Result;
use crate::typed::bad_input;
use globset::{Glob, GlobMatcher};
use std::collections::BTreeMap;

pub(super) const LIST: &str = "process.list";

/// Refuses what makes no sense.
pub(super) fn check(args: &ListArgs) -> Result<()> {
    matcher(args).map(drop)
}

fn matcher(args: &ListArgs) -> Result<Option<GlobMatcher>> {
    let glob = args.name.as_deref().map(Glob::new).transpose();
    glob.map(|glob| glob.map(|glob| glob.compile_matcher()))
        .map_err(|error| bad_input(LIST, "name", error.to_string()))
}

pub(super) fn list(args: &ListArgs, budget: &Budget) -> Result<ListResult> {
    let name = matcher(args)?;
    let mut desk = Desk::new()?;
    let mut processes: Vec<Line> = Vec::new();
    let mut fitting = all(budget)?;
    fitting.retain(|seen| {
        (args.kernel_threads || !seen.is_kernel_thread())
            && args.state.is_none_or(|state| state == seen.state())
            && name.as_ref().is_none_or(|glob| glob.is_match(seen.name()))
            && args
                .user
                .as_ref()
                .is_none_or(|user| is_user(&mut desk, seen, user))
    });
    let mut not_readable = 0;
    if let Some(port) = args.listens_on {
        (fitting, not_readable) = Eyes::lend(|eyes| listeners(eyes, fitting, port, budget))?;
    }
    for seen in fitting {
        budget.check()?;
        processes.push(desk.line(&seen));
    }
    processes.sort_by(|a, b| {
        let first = match args.sort_by {
            Order::Pid => std::cmp::Ordering::Equal,
            Order::Cpu => b.cpu_percent.total_cmp(&a.cpu_percent),
            Order::Memory => b.resident_bytes.cmp(&a.resident_bytes),
            Order::Newest => b.start_ticks.cmp(&a.start_ticks),
        };
        first.then(a.pid.cmp(&b.pid))
    });
    let matched = processes.len() as u64;
    processes.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    Ok(ListResult {
        truncated: matched > processes.len() as u64,
        processes,
        matched,
        not_readable,
        tainted: true,
    })
}

/// Those of them that have a socket which waits on a port, and of how many that cannot be told.
fn listeners(eyes: &Eyes, everything: Vec<Seen>, port: u16, budget: &Budget) -> Result<(Vec<Seen>, u64)> {
    let (mut found, mut not_readable) = (Vec::new(), 0);
    for seen in everything {
        budget.check()?;
        match descriptors(eyes, seen.stat.pid)? {
            Some(list) if listens(seen.stat.pid, &list, port) => found.push(seen),
            Some(_) => {}
            None => not_readable += 1,
        }
    }
    Ok((found, not_readable))
}

fn is_user(desk: &mut Desk, seen: &Seen, user: &str) -> bool {
    let [_, uid] = seen.status.uids;
    user.parse() == Ok(uid) || desk.user(uid) == user
}

pub(super) fn tree(args: &TreeArgs, budget: &Budget) -> Result<TreeResult> {
    let everything = all(budget)?;
    let mut children: BTreeMap<i32, Vec<&Seen>> = BTreeMap::new();
    for seen in &everything {
        if args.kernel_threads || !seen.is_kernel_thread() {
            children.entry(seen.stat.ppid).or_default().push(seen);
        }
    }
    let mut waiting: Vec<(u32, &Seen)> = match args.pid {
        Some(pid) => {
            let root = everything.iter().find(|seen| seen.stat.pid == pid);
            vec![(0, root.ok_or_else(|| missing(pid))?)]
        }
        None => roots(&everything, args.kernel_threads),
    };
    waiting.reverse();
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut desk = Desk::new()?;
    let mut result = TreeResult {
        processes: Vec::new(),
        truncated: false,
        tainted: true,
    };
    while let Some((depth, seen)) = waiting.pop() {
        budget.check()?;
        if result.processes.len() >= limit {
            result.truncated = true;
            break;
        }
        result.processes.push(node(&mut desk, depth, seen));
        let own = children.get(&seen.stat.pid).map_or(&[][..], Vec::as_slice);
        if depth >= args.depth {
            result.truncated |= !own.is_empty();
            continue;
        }
        waiting.extend(own.iter().rev().map(|child| (depth + 1, *child)));
    }
    Ok(result)
}

/// Processes whose parent is not in sight: process 1, and those put into this container from outside.
fn roots(everything: &[Seen], kernel_threads: bool) -> Vec<(u32, &Seen)> {
    everything
        .iter()
        .filter(|seen| kernel_threads || !seen.is_kernel_thread())
        .filter(|seen| !everything.iter().any(|other| other.stat.pid == seen.stat.ppid))
        .map(|seen| (0, seen))
        .collect()
}

fn node(desk: &mut Desk, depth: u32, seen: &Seen) -> Node {
    let [_, uid] = seen.status.uids;
    Node {
        depth,
        pid: seen.stat.pid,
        start_ticks: seen.stat.starttime,
        ppid: seen.stat.ppid,
        user: desk.user(uid),
        state: seen.state(),
        name: seen.name(),
        command: command(seen.stat.pid),
    }
}
