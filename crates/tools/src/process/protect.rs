//! What no grant opens: processes that aiOS or the machine stands on.

use super::table::{Seen, seen};
use crate::error::{Result, ToolError};
use aios_auth::peer::{Role, Roles};

/// Longest chain of parents that is followed.
const GENERATIONS: usize = 64;

/// Refuses to change a process that is protected.
///
/// # Errors
/// [`ToolError::Protected`].
pub(super) fn refuse(target: &Seen, roles: &Roles) -> Result<()> {
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let mine = ancestors(me);
    let holders: Vec<[u32; 2]> = ancestors(target.stat.ppid)
        .into_iter()
        .chain([target.stat.ppid])
        .filter_map(|pid| seen(pid).map(|it| it.status.uids))
        .collect();
    let facts = Facts {
        pid: target.stat.pid,
        kernel_thread: target.is_kernel_thread(),
        uids: target.status.uids,
        holders: &holders,
        mine: &mine,
    };
    if facts.protected(roles, me) {
        return Err(ToolError::Protected { path: target.title() });
    }
    Ok(())
}

/// What is asked of a process.
struct Facts<'a> {
    pid: i32,
    kernel_thread: bool,
    uids: [u32; 2],
    /// Users of its parents.
    holders: &'a [[u32; 2]],
    /// This worker's parents: the supervisor and process 1.
    mine: &'a [i32],
}

impl Facts<'_> {
    fn protected(&self, roles: &Roles, me: i32) -> bool {
        let service = self.uids.iter().any(|uid| roles.is_service(*uid));
        // Agents run under subordinate users; they are known by who holds their container.
        let contained = self
            .holders
            .iter()
            .flatten()
            .any(|uid| roles.is(*uid, Role::Sandbox));
        self.pid <= 1
            || self.pid == me
            || self.kernel_thread
            || self.mine.contains(&self.pid)
            || service
            || contained
    }
}

/// Parents of a process, the nearest first.
fn ancestors(pid: i32) -> Vec<i32> {
    let mut chain = Vec::new();
    let mut next = pid;
    while let Some(seen) = seen(next) {
        next = seen.stat.ppid;
        if next <= 0 || chain.len() >= GENERATIONS {
            break;
        }
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_their_supervisor_agents_and_the_kernel_are_protected() {
        let roles = Roles::fixed(&[(Role::Guard, 782), (Role::Sandbox, 788), (Role::Process, 790)]);
        let ordinary = Facts {
            pid: 500,
            kernel_thread: false,
            uids: [1000, 1000],
            holders: &[[1000, 1000], [0, 0]],
            mine: &[40, 1],
        };
        assert!(!ordinary.protected(&roles, 60));
        let cases: [(&str, Facts<'_>); 8] = [
            ("process 1", Facts { pid: 1, ..ordinary }),
            ("the supervisor", Facts { pid: 40, ..ordinary }),
            ("this worker", Facts { pid: 60, ..ordinary }),
            (
                "a thread of the kernel",
                Facts {
                    kernel_thread: true,
                    ..ordinary
                },
            ),
            (
                "the guard",
                Facts {
                    uids: [782, 782],
                    ..ordinary
                },
            ),
            (
                "one that was a service",
                Facts {
                    uids: [790, 1000],
                    ..ordinary
                },
            ),
            (
                "an agent's container",
                Facts {
                    holders: &[[788, 788]],
                    ..ordinary
                },
            ),
            (
                "deep in an agent's container",
                Facts {
                    holders: &[[100_000, 100_000], [788, 788]],
                    ..ordinary
                },
            ),
        ];
        for (what, facts) in cases {
            assert!(facts.protected(&roles, 60), "{what}");
        }
    }
}
