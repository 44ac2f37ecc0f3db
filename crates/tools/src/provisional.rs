//! Commit-confirmed changes: what could cut off the very person who made it takes itself back unless somebody
//! confirms it in time. The namespaces `net` and `firewall` say what a state is and how it is reached
//! ([`Ground`]); everything about plans, deadlines, confirming and undoing is here, once.
//!
//! The thread that executes also watches the deadlines, so a change and its taking back never meet. What is needed
//! to take a change back is durable before the change is made ([`Pending`]); a worker that was killed meanwhile
//! takes back at its start whatever is late and waits for the rest.

mod ground;
mod types;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::net::pending::{Change, Pending, State};
use crate::typed::{bad_input, value_of};
use crate::worker::{Call, Expired, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::id::{ExecutionKey, TaskId};
use aios_proto::common::v1::Identity;
use ground::{Aim, Deed};
pub use ground::{Ground, Plan};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
pub use types::{Confirmed, KeyArgs, PendingChange, PendingList, Undone};

/// Time that a change gets when nobody says one, milliseconds.
pub const WINDOW_MS: u64 = 60_000;
/// What may be asked for.
pub const WINDOWS_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
/// After this, taking back is tried again when it failed.
const RETRY: Duration = Duration::from_secs(2);

/// The plan of a [`Ground`].
pub type PlanOf<G> = Plan<<G as Ground>::State, <G as Ground>::Goal>;

/// A ground with its provisional changes.
pub struct Provisional<G> {
    /// The ground.
    pub ground: G,
    pending: Arc<Pending>,
    told: AtomicBool,
}

fn key_of(text: &str) -> Result<ExecutionKey> {
    text.parse().map_err(|_| ToolError::Corrupt {
        what: format!("the execution `{text}` in a plan"),
    })
}

/// The key that arguments name, in its one form.
///
/// # Errors
/// [`ToolError::BadInput`].
pub fn canonical_key(tool: &str, mut args: KeyArgs) -> Result<KeyArgs> {
    let task = TaskId::parse(&args.task_id).map_err(|error| bad_input(tool, "task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad_input(tool, "step", "must be at least 1"));
    }
    args.task_id = task.to_string();
    Ok(args)
}

/// Checks how long a change may wait for its confirmation.
///
/// # Errors
/// [`ToolError::BadInput`].
pub fn check_window(tool: &str, window_ms: u64) -> Result<()> {
    if WINDOWS_MS.contains(&window_ms) {
        return Ok(());
    }
    Err(bad_input(tool, "confirm_within_ms", "must be 1000 to 600000"))
}

impl<G: Ground> Provisional<G> {
    /// The ground with the list of its worker.
    pub fn new(ground: G, pending: Arc<Pending>) -> Self {
        Self {
            ground,
            pending,
            told: AtomicBool::new(false),
        }
    }

    /// Only one change waits at a time: two that could each take the other back would leave neither state.
    ///
    /// # Errors
    /// [`ToolError::Unconfirmed`] names the one that waits.
    pub fn free(&self, key: ExecutionKey) -> Result<()> {
        let waiting = self.pending.list(G::NAMESPACE, State::Provisional)?;
        match waiting.iter().find(|change| change.key != key) {
            None => Ok(()),
            Some(change) => Err(ToolError::Unconfirmed {
                namespace: G::NAMESPACE,
                key: change.key.to_string(),
                left_ms: self.pending.left_ms(change).unwrap_or(0),
            }),
        }
    }

    /// The plan of a change.
    pub fn change(
        &self,
        key: ExecutionKey,
        summary: String,
        before: G::State,
        goal: G::Goal,
        window_ms: u64,
    ) -> PlanOf<G> {
        Plan {
            key: key.to_string(),
            summary,
            deed: Deed::Set {
                before,
                aim: Aim::New { goal },
                window_ms: Some(window_ms),
                undoes: None,
                after: None,
            },
            result: Value::Null,
        }
    }

    fn waiting(&self, key: ExecutionKey, wanted: State) -> Result<Change> {
        let found = self.pending.find(G::NAMESPACE, key)?;
        let change = found.ok_or_else(|| ToolError::NoSuchExecution { key: key.to_string() })?;
        if change.state == wanted {
            return Ok(change);
        }
        Err(ToolError::NotWaiting {
            namespace: G::NAMESPACE,
            key: key.to_string(),
            is: change.state.as_str(),
            wanted: wanted.as_str(),
            why: change.why,
        })
    }

    fn about_key(key: ExecutionKey) -> Identity {
        Identity {
            path: key.to_string(),
            kind: "provisional change".to_owned(),
            ..Identity::default()
        }
    }

    fn light(required: Vec<Access>, key: ExecutionKey, summary: String) -> Prepared {
        Prepared {
            identities: vec![Self::about_key(key)],
            required,
            risk: Risk::Low,
            mutating: true,
            reversible: true,
            files: 0,
            bytes: 0,
            summary,
        }
    }

    /// Prepares the confirmation of a change.
    ///
    /// # Errors
    /// Not granted, or no such change waits.
    pub fn prepare_confirm(&self, call: &Call<'_>, args: &KeyArgs) -> Result<Prepared> {
        let access = Access::new(G::NAMESPACE, "confirm", &args.task_id).map_err(ToolError::auth)?;
        granted(call, &access)?;
        let key = args.key()?;
        let change = self.waiting(key, State::Provisional)?;
        Ok(Self::light(
            vec![access],
            key,
            format!("Keep for good: {}", change.summary),
        ))
    }

    /// The plan of a confirmation.
    ///
    /// # Errors
    /// No such change waits any more.
    pub fn confirm(&self, call: &Call<'_>, args: &KeyArgs, identities: &[Identity]) -> Result<PlanOf<G>> {
        let key = args.key()?;
        same_identities(identities, &[Self::about_key(key)])?;
        let change = self.waiting(key, State::Provisional)?;
        Ok(Plan {
            key: call.key.to_string(),
            summary: format!("Keep for good: {}", change.summary),
            deed: Deed::Confirm {
                target: key.to_string(),
            },
            result: value_of(&Confirmed {
                execution: key.to_string(),
                summary: change.summary,
            })?,
        })
    }

    /// See [`crate::worker::Namespace::prepare_undo`].
    ///
    /// # Errors
    /// As there.
    pub fn prepare_undo(&self, target: &Target<PlanOf<G>>) -> Result<Prepared> {
        let required = target.required.clone();
        match &target.plan.deed {
            Deed::Set { before, after, .. } => {
                let now = self.untouched(target, before, after.as_ref())?;
                Ok(Prepared {
                    identities: vec![self.ground.identity(&now)],
                    risk: Risk::Medium,
                    ..Self::light(
                        required,
                        target.key,
                        format!("Take back: {}", target.plan.summary),
                    )
                })
            }
            Deed::Confirm { target: change } => {
                let key = key_of(change)?;
                let change = self.waiting(key, State::Confirmed)?;
                let summary = format!("Make provisional again: {}", change.summary);
                Ok(Self::light(required, key, summary))
            }
            Deed::Unconfirm { .. } => Err(ToolError::NotUndoable {
                key: target.key.to_string(),
                why: "confirm the change instead".to_owned(),
            }),
        }
    }

    /// The state now, which must be the one that an execution left.
    fn untouched(
        &self,
        target: &Target<PlanOf<G>>,
        before: &G::State,
        after: Option<&G::State>,
    ) -> Result<G::State> {
        let now = self.ground.look(before)?;
        let after = after.ok_or_else(|| ToolError::Corrupt {
            what: format!("plan of {}", target.key),
        })?;
        match self.ground.difference(after, &now) {
            None => Ok(now),
            Some(differences) => Err(ToolError::UndoConflict {
                key: target.key.to_string(),
                differences,
            }),
        }
    }

    /// See [`crate::worker::Namespace::plan_undo`].
    ///
    /// # Errors
    /// As there.
    pub fn plan_undo(
        &self,
        call: &Call<'_>,
        target: &Target<PlanOf<G>>,
        identities: &[Identity],
    ) -> Result<PlanOf<G>> {
        let prepared = self.prepare_undo(target)?;
        same_identities(identities, &prepared.identities)?;
        let deed = match &target.plan.deed {
            Deed::Set {
                before,
                after,
                window_ms,
                ..
            } => Deed::Set {
                before: self.untouched(target, before, after.as_ref())?,
                aim: Aim::Back {
                    was: before.clone(),
                    left: after.clone().unwrap_or_else(|| before.clone()),
                },
                // Back to what worked needs nobody's word; forth again from there does.
                window_ms: window_ms.is_none().then_some(WINDOW_MS),
                undoes: Some(target.key.to_string()),
                after: None,
            },
            Deed::Confirm { target } | Deed::Unconfirm { target } => Deed::Unconfirm {
                target: target.clone(),
            },
        };
        Ok(Plan {
            key: call.key.to_string(),
            result: value_of(&Undone {
                execution: target.key.to_string(),
                summary: prepared.summary.clone(),
                confirm_by_ms: None,
            })?,
            summary: prepared.summary,
            deed,
        })
    }

    /// See [`crate::worker::Namespace::apply`].
    ///
    /// # Errors
    /// As there.
    pub fn apply(&self, plan: &mut PlanOf<G>, budget: &Budget) -> Result<()> {
        let key = key_of(&plan.key)?;
        match &plan.deed {
            Deed::Confirm { target } => {
                let target = key_of(target)?;
                let change = self.waiting(target, State::Provisional)?;
                if self.pending.left_ms(&change).unwrap_or(0) == 0 {
                    return Err(ToolError::NotWaiting {
                        namespace: G::NAMESPACE,
                        key: target.to_string(),
                        is: "being taken back",
                        wanted: State::Provisional.as_str(),
                        why: "its time is over".to_owned(),
                    });
                }
                self.pass(target, State::Provisional, State::Confirmed)
            }
            Deed::Unconfirm { target } => {
                let change = self.waiting(key_of(target)?, State::Confirmed)?;
                self.pending.arm(
                    G::NAMESPACE,
                    change.key,
                    &change.plan,
                    &change.summary,
                    change.window_ms,
                )
            }
            Deed::Set { window_ms, .. } => {
                if let Some(window_ms) = *window_ms {
                    self.free(key)?;
                    self.pending
                        .arm(G::NAMESPACE, key, &text_of(plan)?, &plan.summary, window_ms)?;
                }
                aios_core::failpoint::hit("worker.net.armed");
                self.set(plan, key, budget)
            }
        }
    }

    fn set(&self, plan: &mut PlanOf<G>, key: ExecutionKey, budget: &Budget) -> Result<()> {
        let Deed::Set {
            before,
            aim,
            window_ms,
            undoes,
            after,
        } = &mut plan.deed
        else {
            return Ok(());
        };
        match aim {
            Aim::New { goal } => self.ground.reach(before, goal, budget)?,
            Aim::Back { was, left } => self.ground.back(was, Some(left))?,
        }
        aios_core::failpoint::hit("worker.net.reached");
        let now = self.ground.look(before)?;
        if let Aim::New { goal } = aim {
            plan.result = self.ground.describe(goal, before, &now)?;
        }
        *after = Some(now);
        let (window_ms, undoes) = (*window_ms, undoes.clone());
        if let Some(undone) = undoes {
            let why = format!("undone by {key}");
            self.pending.pass(
                G::NAMESPACE,
                key_of(&undone)?,
                State::Provisional,
                State::Undone,
                &why,
            )?;
        }
        if window_ms.is_some() {
            self.pending.complete(G::NAMESPACE, key, &text_of(plan)?)?;
            let due_ms = self.pending.find(G::NAMESPACE, key)?.map(|change| change.due_ms);
            if let Some(result) = plan.result.as_object_mut() {
                result.insert("confirm_by_ms".to_owned(), due_ms.into());
            }
        }
        Ok(())
    }

    fn pass(&self, key: ExecutionKey, from: State, to: State) -> Result<()> {
        if self.pending.pass(G::NAMESPACE, key, from, to, "")? {
            return Ok(());
        }
        Err(ToolError::Defect(format!(
            "change {key} is not {}",
            from.as_str()
        )))
    }

    /// See [`crate::worker::Namespace::roll_back`].
    ///
    /// # Errors
    /// As there.
    pub fn roll_back(&self, plan: &PlanOf<G>) -> Result<()> {
        let half_done = |error: ToolError| ToolError::HalfDone {
            key: plan.key.clone(),
            why: error.report().message,
        };
        let key = key_of(&plan.key)?;
        match &plan.deed {
            Deed::Set {
                before,
                after,
                undoes,
                ..
            } => {
                self.ground.back(before, after.as_ref()).map_err(half_done)?;
                self.pending.forget(G::NAMESPACE, key)?;
                if let Some(undone) = undoes {
                    // The change that was to be undone stands again, and so does its deadline.
                    self.pending.pass(
                        G::NAMESPACE,
                        key_of(undone)?,
                        State::Undone,
                        State::Provisional,
                        "",
                    )?;
                }
            }
            Deed::Confirm { target } => {
                let target = key_of(target)?;
                self.pending
                    .pass(G::NAMESPACE, target, State::Confirmed, State::Provisional, "")?;
            }
            Deed::Unconfirm { target } => {
                let target = key_of(target)?;
                self.pending
                    .pass(G::NAMESPACE, target, State::Provisional, State::Confirmed, "")?;
            }
        }
        Ok(())
    }

    /// See [`crate::worker::Namespace::finish`]. A change that a crash interrupted is taken back, also when it was
    /// complete: nobody was told of it, so nobody would confirm it.
    ///
    /// # Errors
    /// As there.
    pub fn finish(&self, plan: &mut PlanOf<G>) -> Result<bool> {
        let state_of = |key: &str| -> Result<Option<State>> {
            Ok(self.pending.find(G::NAMESPACE, key_of(key)?)?.map(|it| it.state))
        };
        match &mut plan.deed {
            Deed::Set {
                aim: Aim::Back { was, .. },
                after,
                undoes,
                window_ms: None,
                ..
            } => {
                let now = self.ground.look(was)?;
                if self.ground.difference(was, &now).is_some() {
                    return Ok(false);
                }
                *after = Some(now);
                if let Some(undone) = undoes {
                    self.pending.pass(
                        G::NAMESPACE,
                        key_of(undone)?,
                        State::Provisional,
                        State::Undone,
                        "undone",
                    )?;
                }
                Ok(true)
            }
            Deed::Set { .. } => Ok(false),
            Deed::Confirm { target } => Ok(state_of(target)? == Some(State::Confirmed)),
            Deed::Unconfirm { target } => Ok(state_of(target)? == Some(State::Provisional)),
        }
    }

    /// See [`crate::worker::Namespace::result`].
    pub fn result(&self, plan: &PlanOf<G>) -> Value {
        plan.result.clone()
    }

    /// See [`crate::worker::Namespace::expire`].
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn expire(&self) -> Result<Expired> {
        let mut expired = Expired::default();
        // The journal may not have heard of what an earlier run of this worker took back.
        if !self.told.load(Ordering::SeqCst) {
            let earlier = self.pending.list(G::NAMESPACE, State::Reverted)?;
            expired
                .taken_back
                .extend(earlier.into_iter().map(|change| change.key));
            self.told.store(true, Ordering::SeqCst);
        }
        for change in self.pending.list(G::NAMESPACE, State::Provisional)? {
            let wait = match self.pending.left_ms(&change) {
                None => {
                    self.gone(&change)?;
                    expired.taken_back.push(change.key);
                    None
                }
                Some(0) if self.take_back(&change)? => {
                    expired.taken_back.push(change.key);
                    None
                }
                Some(0) => Some(RETRY),
                Some(left_ms) => Some(Duration::from_millis(left_ms)),
            };
            expired.again_in = [expired.again_in, wait].into_iter().flatten().min();
        }
        Ok(expired)
    }

    fn gone(&self, change: &Change) -> Result<()> {
        let why = "the machine was started anew, which forgot it";
        tracing::warn!(key = %change.key, change = change.summary, why, "an unconfirmed change is gone");
        self.pending
            .pass(G::NAMESPACE, change.key, State::Provisional, State::Reverted, why)
            .map(drop)
    }

    /// Whether an unconfirmed change could be taken back.
    fn take_back(&self, change: &Change) -> Result<bool> {
        let plan: PlanOf<G> = serde_json::from_str(&change.plan).map_err(|_| ToolError::Corrupt {
            what: format!("plan of {}", change.key),
        })?;
        if let Deed::Set { before, after, .. } = &plan.deed
            && let Err(error) = self.ground.back(before, after.as_ref())
        {
            tracing::error!(key = %change.key, change = change.summary, error = %error.report(),
                "an unconfirmed change could not be taken back; it is tried again");
            return Ok(false);
        }
        let why = format!("nobody confirmed it within {} ms", change.window_ms);
        self.pending.pass(
            G::NAMESPACE,
            change.key,
            State::Provisional,
            State::Reverted,
            &why,
        )?;
        tracing::warn!(key = %change.key, change = change.summary, why, "an unconfirmed change was taken back");
        Ok(true)
    }

    /// What waits, and what was taken back lately.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn pending(&self) -> Result<PendingList> {
        let of = |state| -> Result<Vec<PendingChange>> {
            let changes = self.pending.list(G::NAMESPACE, state)?;
            Ok(changes
                .into_iter()
                .map(|change| PendingChange::of(&change, self.pending.left_ms(&change)))
                .collect())
        };
        Ok(PendingList {
            provisional: of(State::Provisional)?,
            reverted: of(State::Reverted)?,
        })
    }
}

fn text_of(plan: &impl Serialize) -> Result<String> {
    serde_json::to_string(plan).map_err(|error| ToolError::Defect(error.to_string()))
}

/// Refuses what the token does not grant.
///
/// # Errors
/// [`ToolError::NotGranted`].
pub(crate) fn granted(call: &Call<'_>, access: &Access) -> Result<()> {
    if call.caps.allows_access(access) {
        return Ok(());
    }
    Err(ToolError::NotGranted {
        namespace: access.namespace().to_owned(),
        action: access.action().to_owned(),
        path: access.resource().to_owned(),
    })
}
