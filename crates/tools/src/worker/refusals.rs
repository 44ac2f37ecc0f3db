//! What a worker refused, until the guard has it in the audit log. The worker has no way to the guard,
//! so it answers each of the guard's pushes with the list; the next push says how much of it is recorded.
//!
//! Everything is told: a Prepare that was refused is noted by an honest tool service as well
//! (`tool.denied`), but a captured one would note nothing. In the audit log the worker's own word is the
//! record of kind `denied` with `check:worker`.
//!
//! Not kept across a restart of the worker: what was refused in its last second is then lost.

use aios_auth::peer::PeerError;
use aios_core::error::{Class, Coded};
use aios_proto::guard::v1::ExecutionKey;
use aios_proto::worker::v1::Refusal;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refusals that are kept; of more, the newest.
const KEPT: usize = 64;
/// Most characters of a message.
const LONGEST_MESSAGE: usize = 300;
/// Most characters of what a caller said.
const LONGEST_NAME: usize = 80;

/// Which request was refused.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused<'a> {
    /// The rpc.
    pub(super) rpc: &'static str,
    /// Who called.
    pub(super) uid: Option<u32>,
    /// The key in the request.
    pub(super) key: Option<&'a ExecutionKey>,
    /// The tool in the request.
    pub(super) tool: &'a str,
}

/// What a push is answered with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// This run of the worker.
    pub(super) run: u64,
    /// Oldest first.
    pub(super) refusals: Vec<Refusal>,
    /// Refusals that were dropped.
    pub(super) dropped: u64,
}

/// The list. It allocates nothing until something is refused.
#[derive(Debug)]
pub(super) struct Refusals {
    run: u64,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    kept: VecDeque<Refusal>,
    newest: u64,
    dropped: u64,
}

impl Refusals {
    /// An empty list of a new run.
    pub(super) fn new() -> Self {
        // The standard library's hash keys are random; another run must not be taken for this one.
        Self {
            run: RandomState::new().hash_one(std::process::id()).max(1),
            list: Mutex::default(),
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error when it is a refusal: not every failure is one.
    pub(super) fn note(&self, refused: Refused<'_>, error: &dyn Coded, now_ms: i64) {
        if matches!(error.class(), Class::PermissionDenied | Class::Unauthenticated) {
            self.keep(refused, error, now_ms);
        }
    }

    /// Keeps a caller of the wrong role, or one that nobody knows.
    pub(super) fn note_caller(&self, refused: Refused<'_>, error: &PeerError, now_ms: i64) {
        self.keep(refused, error, now_ms);
    }

    fn keep(&self, refused: Refused<'_>, error: &dyn Coded, now_ms: i64) {
        let mut refusal = Refusal {
            number: 0,
            time_ms: now_ms,
            rpc: refused.rpc.to_owned(),
            uid: refused.uid,
            code: error.code().to_owned(),
            message: cut(&error.to_string(), LONGEST_MESSAGE),
            key: refused.key.map(|key| ExecutionKey {
                task_id: cut(&key.task_id, LONGEST_NAME),
                step: key.step,
            }),
            tool: cut(refused.tool, LONGEST_NAME),
        };
        tracing::warn!(
            rpc = refusal.rpc,
            code = refusal.code,
            uid = refusal.uid,
            message = refusal.message,
            "refused"
        );
        let mut list = self.list();
        list.newest += 1;
        refusal.number = list.newest;
        if list.kept.len() == KEPT {
            list.kept.pop_front();
            list.dropped += 1;
        }
        list.kept.push_back(refusal);
    }

    /// Forgets what the guard has recorded, when it means this run.
    pub(super) fn recorded(&self, run: u64, number: u64) {
        if run == self.run {
            let mut list = self.list();
            while list.kept.front().is_some_and(|refusal| refusal.number <= number) {
                list.kept.pop_front();
            }
        }
    }

    /// What the guard has not recorded yet.
    pub(super) fn tell(&self) -> Told {
        let list = self.list();
        Told {
            run: self.run,
            refusals: list.kept.iter().cloned().collect(),
            dropped: list.dropped,
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ToolError;

    fn refused(list: &Refusals, times: u64) {
        let denied = ToolError::NotGranted {
            namespace: "fs".to_owned(),
            action: "read".to_owned(),
            path: "/x".repeat(1000),
        };
        for _ in 0..times {
            list.note(
                Refused {
                    rpc: "Execute",
                    uid: Some(7),
                    key: Some(&ExecutionKey {
                        task_id: "t".repeat(1000),
                        step: 3,
                    }),
                    tool: "fs.read",
                },
                &denied,
                5,
            );
        }
    }

    fn numbers(list: &Refusals) -> Vec<u64> {
        list.tell().refusals.iter().map(|it| it.number).collect()
    }

    #[test]
    fn a_refusal_is_told_until_it_is_recorded() {
        let list = Refusals::new();
        assert_eq!(list.tell().refusals, []);
        refused(&list, 3);
        let told = list.tell();
        assert_eq!(told, list.tell(), "a push may fail: it is told again");
        assert_eq!(numbers(&list), [1, 2, 3]);
        list.recorded(told.run, 2);
        assert_eq!(numbers(&list), [3]);
        list.recorded(told.run, 3);
        list.recorded(told.run, 3);
        refused(&list, 1);
        assert_eq!(numbers(&list), [4]);
    }

    #[test]
    fn what_was_recorded_of_another_run_is_kept() {
        let list = Refusals::new();
        refused(&list, 1);
        list.recorded(list.run.wrapping_add(1), 9);
        list.recorded(0, 9);
        assert_eq!(numbers(&list), [1]);
        assert_ne!(list.run, Refusals::new().run);
    }

    #[test]
    fn of_too_many_the_newest_are_kept_and_the_others_counted() {
        let list = Refusals::new();
        refused(&list, 70);
        assert_eq!(numbers(&list), (7..=70).collect::<Vec<_>>());
        assert_eq!(list.tell().dropped, 6);
        list.recorded(list.run, 70);
        refused(&list, 64);
        assert_eq!((numbers(&list).len(), list.tell().dropped), (64, 6));
    }

    #[test]
    fn long_words_are_cut_and_failures_that_are_no_refusals_are_not_kept() {
        let list = Refusals::new();
        refused(&list, 1);
        let told = list.tell();
        let [first] = told.refusals.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(first.code, "AIOS-TOOLS-0005");
        assert_eq!(
            (first.rpc.as_str(), first.uid, first.time_ms),
            ("Execute", Some(7), 5)
        );
        assert_eq!(first.message.len(), 300);
        assert_eq!(first.key.as_ref().unwrap().task_id.len(), 80);
        let missing = ToolError::NotFound {
            path: "/x".to_owned(),
        };
        list.note(Refused::default(), &missing, 5);
        assert_eq!(numbers(&list), [1]);
    }
}
