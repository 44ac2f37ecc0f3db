//! What the doubles share: goals, events, approvals, persons and a real audit log.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aios_audit::{AuditError, Durability, Log, Record};
use aios_auth::person::{self, MemoryNonces, PersonRequest};
use aios_core::clock::Clock;
use aios_core::error::Class;
use aios_core::rpc;
use aios_proto::common::v1::person_proof::Credential;
use aios_proto::guard::v1::{Approval, EmergencyState};
use aios_proto::orchestrator::v1::{GoalDetail, GoalEvent, Schedule};
use tokio::sync::watch;
use tonic::{Request, Status};

use super::refusal;

/// An enrolled person.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) uid: u32,
    pub(crate) name: String,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) goals: Vec<GoalDetail>,
    pub(crate) events: Vec<GoalEvent>,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) persons: HashMap<Vec<u8>, Person>,
    pub(crate) codes: HashSet<String>,
    pub(crate) sessions: HashMap<Vec<u8>, Person>,
    pub(crate) emergency: EmergencyState,
    pub(crate) nonces: MemoryNonces,
    ids: u64,
}

impl State {
    /// A new id; ids are the same in every run, so that output can be compared.
    pub(crate) fn id(&mut self) -> String {
        self.ids += 1;
        format!("01930000-0000-7000-8000-{:012x}", self.ids)
    }
}

/// The world.
pub(crate) struct World {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    pub(crate) log: Log,
    pub(crate) clock: Arc<dyn Clock>,
}

impl World {
    pub(crate) fn new(log: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, AuditError> {
        let log = Log::open(log, clock.clone())?;
        Ok(Arc::new(Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            log,
            clock,
        }))
    }

    /// The state; held only between awaits. A panic in a test is that test's failure, not ours.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells watchers that something changed.
    pub(crate) fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Writes a record.
    pub(crate) async fn record(&self, record: Record) -> Result<u64, Status> {
        let receipt = self.log.append(record, Durability::Durable).await;
        receipt
            .map(|receipt| receipt.seq)
            .map_err(|error| rpc::status(&error))
    }

    /// The person behind a request that must have one.
    pub(crate) fn person<R: PersonRequest>(&self, request: &Request<R>) -> Result<Person, Status> {
        let mut state = self.state();
        if let Some(Credential::Session(session)) = request
            .get_ref()
            .proof()
            .and_then(|proof| proof.credential.as_ref())
        {
            return state
                .sessions
                .get(&session.secret)
                .cloned()
                .ok_or_else(no_session);
        }
        let uid = rpc::peer_of(request).map_or(u32::MAX, |peer| peer.uid);
        let State { persons, nonces, .. } = &mut *state;
        let owner =
            |key: &aios_auth::key::PublicKey| persons.get(key.to_bytes().as_slice()).map(|person| person.uid);
        let key = person::verify(request.get_ref(), uid, owner, self.clock.now_ms(), nonces)
            .map_err(|error| rpc::status(&error))?;
        persons
            .get(key.to_bytes().as_slice())
            .cloned()
            .ok_or_else(no_session)
    }

    /// The person behind a request that may have one: the session's, or whoever calls.
    pub(crate) fn person_or_peer<R: PersonRequest>(&self, request: &Request<R>) -> Result<String, Status> {
        if request.get_ref().proof().is_some() {
            return Ok(self.person(request)?.name);
        }
        Ok("person".to_owned())
    }
}

pub(crate) fn no_session() -> Status {
    refusal(
        Class::Unauthenticated,
        "AIOS-DOUBLE-0003",
        "this session is not known",
        "sign in again",
    )
}
