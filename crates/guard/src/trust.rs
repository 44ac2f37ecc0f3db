//! What is revoked and whether an emergency stop holds: the state, and the rpcs that change it.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::persons::Proved;
use crate::store::Store;
use aios_audit::Record;
use aios_auth::peer::{self, Role};
use aios_auth::token::Revocations;
use aios_auth::trust::TrustState;
use aios_core::rpc::Peer;
use aios_proto::guard::v1 as pb;
use aios_proto::guard::v1::guard_event::Event;
use std::collections::BTreeSet;

/// Numbers of pushes that are reserved at once, so that not each one is written to disk.
const RESERVED: u64 = 100_000;
/// How often tokens that have expired are dropped from the revoked ones, milliseconds.
const SWEEP_MS: i64 = 60_000;
/// Longest reason of a stop that is kept, characters; it goes to each worker with every push.
const MAX_REASON: usize = 1000;

/// The trust state in memory.
#[derive(Debug)]
pub(crate) struct Trust {
    epoch: u64,
    min_token_epoch: u64,
    revoked: BTreeSet<String>,
    emergency: pb::EmergencyState,
    counter: u64,
    reserved: u64,
    /// When expired tokens were dropped last.
    swept_ms: i64,
}

impl Trust {
    pub(crate) fn load(store: &mut Store, now_ms: i64) -> Result<Self, GuardError> {
        let counter = store.number("push_counter")?;
        let reserved = counter + RESERVED;
        store.set_meta(&[("push_counter", reserved.to_string())])?;
        let since_ms = store.meta("stopped_since")?.and_then(|text| text.parse().ok());
        let emergency = pb::EmergencyState {
            stopped: since_ms.is_some_and(|since| since > 0),
            since_ms: since_ms.unwrap_or(0),
            by: store.meta("stopped_by")?.unwrap_or_default(),
            reason: store.meta("stopped_reason")?.unwrap_or_default(),
        };
        Ok(Self {
            epoch: store.number("epoch")?,
            min_token_epoch: store.number("min_token_epoch")?,
            revoked: store.revoked(now_ms)?,
            emergency,
            counter,
            reserved,
            swept_ms: now_ms,
        })
    }

    pub(crate) fn emergency(&self) -> &pb::EmergencyState {
        &self.emergency
    }

    fn set_emergency(&mut self, emergency: pb::EmergencyState) {
        self.epoch += 1;
        if emergency.stopped {
            // Every token of before is revoked at once.
            self.min_token_epoch = self.epoch;
        }
        self.emergency = emergency;
    }

    fn save(&self, store: &mut Store) -> Result<(), GuardError> {
        let since = if self.emergency.stopped {
            self.emergency.since_ms
        } else {
            0
        };
        store.set_meta(&[
            ("epoch", self.epoch.to_string()),
            ("min_token_epoch", self.min_token_epoch.to_string()),
            ("stopped_since", since.to_string()),
            ("stopped_by", self.emergency.by.clone()),
            ("stopped_reason", self.emergency.reason.clone()),
        ])
    }

    /// The next state to push.
    pub(crate) fn next_push(&mut self, store: &mut Store, now_ms: i64) -> Result<TrustState, GuardError> {
        if self.counter + 1 >= self.reserved {
            let reserved = self.reserved + RESERVED;
            store.set_meta(&[("push_counter", reserved.to_string())])?;
            self.reserved = reserved;
        }
        // Each push carries all of them, to every worker.
        if now_ms >= self.swept_ms.saturating_add(SWEEP_MS) || now_ms < self.swept_ms {
            self.revoked = store.revoked(now_ms)?;
            self.swept_ms = now_ms;
        }
        self.counter += 1;
        Ok(TrustState {
            counter: self.counter,
            epoch: self.epoch,
            min_token_epoch: self.min_token_epoch,
            revoked: self.revoked.clone(),
            emergency: self.emergency.stopped,
            issued_at_ms: now_ms,
        })
    }
}

impl Revocations for Trust {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn is_revoked(&self, token_id: &str) -> bool {
        self.revoked.contains(token_id)
    }

    fn min_token_epoch(&self) -> u64 {
        self.min_token_epoch
    }
}

impl Guard {
    /// Who may revoke: the orchestrator, the sandbox, and a person outside all confinement.
    pub(crate) fn may_revoke(&self, peer: &Peer) -> Result<(), GuardError> {
        if [Role::Orchestrator, Role::Sandbox]
            .iter()
            .any(|role| self.roles.is(peer.uid, *role))
        {
            return Ok(());
        }
        if !self.is_person(peer.uid) {
            return Err(GuardError::Stranger { uid: peer.uid });
        }
        Ok(peer::check_unconfined(peer)?)
    }

    /// Revokes tokens. It takes effect before it is recorded: when the log cannot be written, less may
    /// happen, never more.
    pub(crate) async fn revoke(
        &self,
        peer: &Peer,
        request: pb::RevokeRequest,
    ) -> Result<pb::RevokeResponse, GuardError> {
        let fields = [
            &request.token_id,
            &request.task_id,
            &request.goal_id,
            &request.agent_id,
        ];
        if fields.iter().all(|field| field.is_empty()) {
            return Err(GuardError::field(
                "token_id",
                "or another of the ids must say what to revoke",
            ));
        }
        if request.token_id.len() > 256 || !request.token_id.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(GuardError::field(
                "token_id",
                "is not a revocation id in hexadecimal",
            ));
        }
        let until_ms = self
            .now_ms()
            .saturating_add(i64::try_from(self.config.token_ms).unwrap_or(i64::MAX));
        let (epoch, ids) = {
            let mut state = self.state();
            let epoch = state.trust.epoch + 1;
            let ids = state.store.revoke(&request, epoch, until_ms)?;
            state.trust.epoch = epoch;
            state.trust.revoked.extend(ids.iter().cloned());
            (epoch, ids)
        };
        self.push_now.notify_one();
        self.tell(Event::Revoked(request.clone()));
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let record = Record {
            goal_id: some(&request.goal_id),
            task_id: some(&request.task_id),
            agent_id: some(&request.agent_id),
            token_id: some(&request.token_id),
            ..Record::new("token.revoked")
        }
        .with("by", self.caller(peer))
        .with("reason", request.reason)
        .with("tokens", ids.clone());
        self.record(record).await?;
        Ok(pb::RevokeResponse {
            epoch,
            revoked: u32::try_from(ids.len()).unwrap_or(u32::MAX),
        })
    }

    /// Stops everything that changes anything. It takes effect at once, also when neither database nor
    /// log can be written.
    /// What is said about it never keeps a stop from happening: a long reason is cut.
    pub(crate) async fn emergency_stop(&self, person: &Proved, mut reason: String) -> pb::EmergencyState {
        if let Some((end, _)) = reason.char_indices().nth(MAX_REASON) {
            reason.truncate(end);
            reason.push('…');
        }
        let emergency = {
            let mut state = self.state();
            let state = &mut *state;
            if !state.trust.emergency.stopped {
                let by = person.name.clone();
                state.trust.set_emergency(pb::EmergencyState {
                    stopped: true,
                    since_ms: self.now_ms(),
                    by,
                    reason,
                });
                if let Err(error) = state.trust.save(&mut state.store) {
                    tracing::error!(%error, "the emergency stop holds, but would not survive a restart");
                }
            }
            state.trust.emergency.clone()
        };
        self.push_now.notify_one();
        self.tell(Event::Emergency(emergency.clone()));
        let record = Record {
            person: Some(person.name.clone()),
            ..Record::new("emergency.stopped")
        }
        .with("reason", emergency.reason.clone());
        if let Err(error) = self.record(record).await {
            tracing::error!(%error, "the emergency stop holds, but could not be recorded");
        }
        emergency
    }

    /// Lifts the stop, once that is recorded.
    pub(crate) async fn resume(&self, person: &Proved) -> Result<pb::EmergencyState, GuardError> {
        let record = Record {
            person: Some(person.name.clone()),
            ..Record::new("emergency.resumed")
        };
        self.record(record).await?;
        let emergency = {
            let mut state = self.state();
            let state = &mut *state;
            state.trust.set_emergency(pb::EmergencyState::default());
            state.trust.save(&mut state.store)?;
            state.trust.emergency.clone()
        };
        self.push_now.notify_one();
        self.tell(Event::Emergency(emergency.clone()));
        Ok(emergency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TokenRow;

    #[test]
    fn a_push_carries_revoked_tokens_until_they_expire() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        for (id, expires_ms) in [("aa", 50_000), ("bb", 500_000)] {
            let token = TokenRow {
                id: id.to_owned(),
                task: String::new(),
                goal: "g".to_owned(),
                agent: String::new(),
                epoch: 0,
                expires_ms,
            };
            store.save_token(&token, 0).unwrap();
        }
        let revoke = pb::RevokeRequest {
            goal_id: "g".to_owned(),
            ..pb::RevokeRequest::default()
        };
        assert_eq!(store.revoke(&revoke, 1, 0).unwrap().len(), 2);
        let mut trust = Trust::load(&mut store, 0).unwrap();
        let mut pushed = |now_ms| trust.next_push(&mut store, now_ms).unwrap().revoked.len();
        assert_eq!([pushed(1_000), pushed(SWEEP_MS)], [2, 1]);
    }
}
