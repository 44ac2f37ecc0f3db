//! What all parts of the guard share, and how it comes up: keys, policy, log, databases.

use crate::ceilings::Ceilings;
use crate::config::Config;
use crate::error::GuardError;
use crate::keys::Keys;
use crate::refusals::{self, Recorded};
use crate::store::{Execution, Person, Store};
use crate::trust::Trust;
use aios_audit::{AuditError, Durability, Hash, Log, Receipt, Record};
use aios_auth::peer::{self, Role, Roles, Users};
use aios_auth::policy::{Ledger, Policy};
use aios_auth::token::Verifier;
use aios_core::clock::Clock;
use aios_core::error::Coded;
use aios_core::id::{ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc::Peer;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::GuardEvent;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast};

/// Events that a slow follower may be behind before it is cut off.
const BACKLOG: usize = 256;

/// The guard. Shared by all tasks.
#[derive(Debug)]
pub struct Guard {
    pub(crate) config: Config,
    pub(crate) paths: Paths,
    pub(crate) roles: Roles,
    pub(crate) keys: Keys,
    pub(crate) verifier: Verifier,
    pub(crate) policy: Policy,
    pub(crate) ceilings: Ceilings,
    pub(crate) degradations: Vec<String>,
    /// The audit log.
    pub log: Log,
    pub(crate) clock: ClockHandle,
    pub(crate) events: broadcast::Sender<GuardEvent>,
    /// Wakes whoever tells the workers what is revoked.
    pub(crate) push_now: Notify,
    /// Wakes whoever waits for the next approval request to lapse.
    pub(crate) expiry_changed: Notify,
    state: Mutex<State>,
}

/// A clock that can be printed.
#[derive(Clone)]
pub(crate) struct ClockHandle(pub(crate) Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What changes. The lock is held for moments, never across a wait.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) trust: Trust,
    pub(crate) persons: Vec<Person>,
    pub(crate) workers_reached: BTreeSet<String>,
    /// How far the refusals of each worker are recorded.
    pub(crate) refusals: BTreeMap<String, Recorded>,
    handling: HashSet<ExecutionKey>,
}

impl Guard {
    /// Brings the guard up, without serving.
    ///
    /// # Errors
    /// Configuration, keys, policy, databases or the audit log cannot be used.
    pub async fn open(paths: &Paths, clock: Arc<dyn Clock>) -> Result<Arc<Self>, GuardError> {
        let config: Config = aios_core::config::load(paths, "guard")?;
        let users: Users = aios_core::config::load(paths, "users")?;
        let roles = Roles::resolve(&users)?;
        let directory = paths.state_of("guard");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(GuardError::io("create", &directory))?;
        let keys = Keys::open(paths)?;
        let policy = Policy::load(paths)?;
        let ceilings = Ceilings::load(paths, &config)?;
        let mut store = Store::open(&directory)?;
        policy.check_epoch(store.number("policy_epoch")?)?;
        store.set_meta(&[("policy_epoch", policy.epoch().to_string())])?;
        store.begin_boot(&boot_id()?)?;
        let log = Log::open(directory.join("audit"), clock.clone())?;
        replay(&log, &mut store).await?;
        let trust = Trust::load(&mut store, clock.now_ms())?;
        let ledger = ledger(&store)?;
        let persons = store.persons()?;
        let verifier = Verifier::new(&keys.public.mint)?;
        keys.publish(paths)?;
        let state = State {
            store,
            ledger,
            trust,
            persons,
            workers_reached: BTreeSet::new(),
            refusals: BTreeMap::new(),
            handling: HashSet::new(),
        };
        let guard = Arc::new(Self {
            config,
            paths: paths.clone(),
            roles,
            keys,
            verifier,
            policy,
            ceilings,
            degradations: crate::status::degradations(),
            log,
            clock: ClockHandle(clock),
            events: broadcast::Sender::new(BACKLOG),
            push_now: Notify::new(),
            expiry_changed: Notify::new(),
            state: Mutex::new(state),
        });
        let started = Record::new("guard.started")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("policy_digest", hex::encode(guard.policy.digest()))
            .with("policy_epoch", guard.policy.epoch());
        guard.log.append(started, Durability::Durable).await?;
        crate::restored::record(&guard.log, &directory).await?;
        Ok(guard)
    }

    /// Starts what runs beside the rpcs.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (told, heard) = refusals::channel();
        tasks.spawn("trust push", crate::push::run(self.clone(), told, tasks.token()));
        tasks.spawn(
            "worker refusals",
            refusals::run(self.clone(), heard, tasks.token()),
        );
        tasks.spawn(
            "approval expiry",
            crate::approvals::expire(self.clone(), tasks.token()),
        );
        tasks.spawn("audit head", crate::journal::publish(self.clone(), tasks.token()));
    }

    /// Ends: everything durable and covered by a checkpoint.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub async fn close(&self) -> Result<(), GuardError> {
        self.log
            .append(Record::new("guard.stopped"), Durability::Durable)
            .await?;
        self.mark_applied();
        Ok(self.log.close().await?)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.0.now_ms()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells followers; nobody may be listening.
    pub(crate) fn tell(&self, event: aios_proto::guard::v1::guard_event::Event) {
        drop(self.events.send(GuardEvent { event: Some(event) }));
    }

    /// Keeps a second call with the same key out while one is decided.
    pub(crate) fn handle(&self, key: ExecutionKey) -> Result<Handling<'_>, GuardError> {
        if self.state().handling.insert(key) {
            Ok(Handling { guard: self, key })
        } else {
            Err(GuardError::Busy { key: key.to_string() })
        }
    }

    /// Notes how far the projection of the log is complete, when nothing is under way.
    pub(crate) fn mark_applied(&self) {
        let mut state = self.state();
        if state.handling.is_empty() {
            let size = self.log.size();
            if let Err(error) = state.store.set_applied(size) {
                tracing::warn!(%error, "the next start will read more of the audit log");
            }
        }
    }

    /// Appends a durable record.
    pub(crate) async fn record(&self, record: Record) -> Result<Receipt, AuditError> {
        self.log.append(record, Durability::Durable).await
    }

    /// Records a denial, naming the rule; returns its number.
    pub(crate) async fn record_denial(&self, context: Record, error: &GuardError) -> Result<u64, AuditError> {
        let rule = error.rule().unwrap_or("check:other").to_owned();
        tracing::warn!(rule, code = error.code(), %error, "denied");
        let record = Record {
            kind: "denied".to_owned(),
            rule: Some(rule),
            ..context
        }
        .with("code", error.code())
        .with("reason", error.to_string());
        Ok(self.record(record).await?.seq)
    }

    /// Who a peer is, for records.
    pub(crate) fn caller(&self, peer: &Peer) -> String {
        if self.roles.is_service(peer.uid) {
            self.roles.name(peer.uid)
        } else {
            peer::name_of(peer.uid)
        }
    }

    /// A service that may read, or an enrolled person.
    pub(crate) fn reader(&self, peer: &Peer) -> Result<(), GuardError> {
        let services = [
            Role::Root,
            Role::Guard,
            Role::Orchestrator,
            Role::Tools,
            Role::Memory,
            Role::Console,
            Role::Sandbox,
        ];
        let service = services.iter().any(|role| self.roles.is(peer.uid, *role));
        if service || self.is_person(peer.uid) {
            Ok(())
        } else {
            Err(GuardError::Stranger { uid: peer.uid })
        }
    }

    pub(crate) fn is_person(&self, uid: u32) -> bool {
        self.state().persons.iter().any(|person| person.uid == uid)
    }
}

fn boot_id() -> Result<String, GuardError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).map_err(GuardError::io("read", path))?;
    Ok(text.trim().to_owned())
}

/// While this lives, its key is being handled.
#[derive(Debug)]
pub(crate) struct Handling<'a> {
    guard: &'a Guard,
    key: ExecutionKey,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.guard.state().handling.remove(&self.key);
    }
}

/// Brings the projection of the log up to date: a crash may have come between log and database.
async fn replay(log: &Log, store: &mut Store) -> Result<(), GuardError> {
    let mut next = store.applied()?;
    while next < log.size() {
        for entry in log.read(next, 4096).await? {
            next = entry.seq + 1;
            if matches!(entry.kind.as_str(), "intent" | "outcome") {
                apply(store, &entry.kind, entry.seq, &entry.line)?;
            }
        }
    }
    store.set_applied(next)
}

fn apply(store: &mut Store, kind: &str, seq: u64, line: &[u8]) -> Result<(), GuardError> {
    let record: Value = serde_json::from_slice(line).map_err(|error| AuditError::Altered {
        finding: format!("record {seq} is no JSON: {error}"),
    })?;
    let text = |name: &str| {
        record
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let count = |name: &str| {
        record
            .pointer(&format!("/details/{name}"))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    let step = record.get("step").and_then(Value::as_u64).unwrap_or(0);
    let key = ExecutionKey {
        task: TaskId::parse(&text("task_id"))?,
        step,
    };
    if kind == "outcome" {
        return store.save_outcome(key, seq);
    }
    let digest = Hash::from_hex(text("call_digest").as_bytes()).unwrap_or_default();
    let execution = Execution {
        digest: digest.0,
        goal: text("goal_id"),
        approval: Some(text("approval_id")).filter(|id| !id.is_empty()),
        files: count("files"),
        bytes: count("bytes"),
        intent: seq,
        outcome: None,
    };
    store.save_intent(key, &execution)
}

fn ledger(store: &Store) -> Result<Ledger, GuardError> {
    let mut ledger = Ledger::default();
    for (goal, files, bytes) in store.totals()? {
        ledger.restore(GoalId::parse(&goal)?, files, bytes);
    }
    Ok(ledger)
}
