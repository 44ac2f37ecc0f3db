//! Who may ask what. Goals are for persons: root and whom the guard has enrolled, from a process that is
//! not confined, and the console on behalf of a person who is signed in. What becomes of a goal is for
//! its owner and for root to say. Agents come through the sandbox alone.

use crate::clients::Clients;
use crate::error::Error;
use crate::model::Goal;
use aios_auth::peer::{self, PeerError, Role, Roles};
use aios_core::error::Report;
use aios_core::id::AgentId;
use aios_core::rpc::{self, Noted, Refusals, Refused};
use aios_core::tasks::Tasks;
use aios_proto::common::v1::{PersonProof, person_proof::Credential};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

/// How long the guard's word that a uid is a person's holds.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// Persons remembered at once; when there are more, all are asked about again.
const MAX_KNOWN: usize = 256;

/// An agent as the sandbox vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Instance.
    pub agent: AgentId,
    /// Kind.
    pub kind: String,
    /// Container.
    pub container_id: String,
}

/// A person who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// uid.
    pub uid: u32,
    /// User name.
    pub name: String,
}

impl Person {
    /// Whether this person may cancel, undo or answer a goal: its owner may, and root, who could stop the
    /// whole orchestrator.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub fn may_change(&self, goal: &Goal) -> Result<(), Error> {
        if self.uid == 0 || self.uid == goal.uid {
            return Ok(());
        }
        Err(Error::NotYours {
            goal: goal.id,
            owner: goal.submitted_by.clone(),
        })
    }
}

/// Names of persons by uid, and until when they hold.
type Known = BTreeMap<u32, (String, Instant)>;

/// Refusals of the orchestrator, of which the guard is told by tasks of `tasks`.
pub fn refusals(clients: &Clients, tasks: Tasks) -> Refusals {
    let guard = clients.clone();
    Refusals::new("orchestrator.denied", tasks, move |request| {
        let guard = guard.clone();
        async move { guard.record(request).await.map_err(|error| error.status()) }
    })
}

/// Decides who a caller is.
#[derive(Clone)]
pub struct Callers {
    roles: Roles,
    clients: Clients,
    refusals: Refusals,
    known: Arc<Mutex<Known>>,
}

impl Callers {
    /// Knows the system's users; the guard knows persons.
    pub fn new(roles: Roles, clients: Clients, refusals: Refusals) -> Self {
        Self {
            roles,
            clients,
            refusals,
            known: Arc::default(),
        }
    }

    /// Notes a refusal. What a caller without permission did is told, what the orchestrator could not
    /// find out is not.
    fn note<T>(&self, rpc: &'static str, request: &Request<T>, status: &Status) -> Option<Noted> {
        matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated).then(|| {
            self.refusals.note(Refused {
                uid: peer::peer(request).ok().map(|caller| caller.uid),
                rpc,
                check: "peer",
                goal_id: String::new(),
                report: rpc::report_of(status),
            })
        })
    }

    /// Notes a refusal of which nobody waits for the record; the status goes on.
    fn refused<T>(&self, rpc: &'static str, request: &Request<T>, status: Status) -> Status {
        drop(self.note(rpc, request, &status));
        status
    }

    /// Has it recorded that a person asked for a goal of another.
    pub(crate) async fn not_yours(&self, rpc: &'static str, person: &Person, goal: &Goal, report: Report) {
        let refused = Refused {
            uid: Some(person.uid),
            rpc,
            check: "owner",
            goal_id: goal.id.to_string(),
            report,
        };
        self.refusal(refused).await;
    }

    /// Has a refusal recorded.
    pub(crate) async fn refusal(&self, refused: Refused) {
        self.refusals.note(refused).await;
    }

    /// The person behind a request that changes something. The socket lets in the whole group `aios`, so
    /// the guard is asked whom it has enrolled; a process that runs confined is never a person. Root needs
    /// no enrolment, and no guard: it must be able to cancel what runs when everything else is down.
    ///
    /// # Errors
    /// The caller is a service, confined, nobody enrolled, or the console without a valid session; or the
    /// guard is away and cannot say.
    pub async fn person<T>(
        &self,
        rpc: &'static str,
        request: &Request<T>,
        proof: Option<&PersonProof>,
    ) -> Result<Person, Status> {
        let judged = self.judge(request, proof).await;
        if let Err(status) = &judged
            && let Some(noted) = self.note(rpc, request, status)
        {
            noted.await;
        }
        judged
    }

    async fn judge<T>(&self, request: &Request<T>, proof: Option<&PersonProof>) -> Result<Person, Status> {
        let caller = peer::peer(request).map_err(|error| aios_core::rpc::status(&error))?;
        if self.roles.is(caller.uid, Role::Console) && caller.uid != 0 {
            return signed_in(proof, &self.clients)
                .await
                .map_err(|error| error.status());
        }
        self.may_read(request)?;
        let (uid, name) = (caller.uid, peer::name_of(caller.uid));
        if uid == 0 {
            return Ok(Person { uid, name });
        }
        let enrolled = self.enrolled(uid).await.map_err(|error| error.status())?;
        let name = enrolled.ok_or_else(|| Error::NotEnrolled { name }.status())?;
        Ok(Person { uid, name })
    }

    /// What states goals of the system itself: the health service, or root.
    ///
    /// # Errors
    /// The caller is anybody else.
    pub async fn system<T>(&self, rpc: &'static str, request: &Request<T>) -> Result<Person, Status> {
        let judged = self
            .roles
            .require(request, &[Role::Health, Role::Root])
            .map(|caller| Person {
                uid: caller.uid,
                name: peer::name_of(caller.uid),
            })
            .map_err(|error| rpc::status(&error));
        if let Err(status) = &judged
            && let Some(noted) = self.note(rpc, request, status)
        {
            noted.await;
        }
        judged
    }

    /// The enrolled person's name. Only a yes is remembered: who was enrolled a moment ago need not wait.
    async fn enrolled(&self, uid: u32) -> Result<Option<String>, Error> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let name = known()
            .get(&uid)
            .filter(|(_, until)| now < *until)
            .map(|(name, _)| name.clone());
        if name.is_some() {
            return Ok(name);
        }
        let name = self.clients.person(uid).await?;
        let mut known = known();
        match &name {
            Some(name) => {
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(uid, (name.clone(), now + KNOWN_FOR));
            }
            None => drop(known.remove(&uid)),
        }
        Ok(name)
    }

    /// A caller that only reads: a person, or the console.
    ///
    /// # Errors
    /// The caller is another service, or confined.
    pub fn reader<T>(&self, rpc: &'static str, request: &Request<T>) -> Result<(), Status> {
        self.may_read(request)
            .map_err(|status| self.refused(rpc, request, status))
    }

    fn may_read<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let refuse = |error: PeerError| aios_core::rpc::status(&error);
        let caller = peer::peer(request).map_err(refuse)?;
        if caller.uid != 0 {
            if self.roles.is(caller.uid, Role::Console) {
                return Ok(());
            }
            if self.roles.is_service(caller.uid) {
                let wanted = "an enrolled person or the console".to_owned();
                return Err(refuse(PeerError::NotAllowed {
                    caller: self.roles.name(caller.uid),
                    wanted,
                }));
            }
        }
        peer::check_unconfined(caller).map_err(refuse)
    }

    /// The agent at the other end of a session, in the sandbox's words.
    ///
    /// # Errors
    /// The caller is not the sandbox, or does not say which agent it speaks for.
    pub fn agent<T>(&self, request: &Request<T>) -> Result<AgentIdentity, Status> {
        self.roles
            .require(request, &[Role::Sandbox])
            .map_err(|error| self.refused("Connect", request, rpc::status(&error)))?;
        let text = |key: &str| {
            request
                .metadata()
                .get(key)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        AgentIdentity::parse(
            text("aios-agent-id"),
            text("aios-agent-kind"),
            text("aios-container-id"),
        )
        .map_err(|error| error.status())
    }
}

async fn signed_in(proof: Option<&PersonProof>, clients: &Clients) -> Result<Person, Error> {
    let Some(Credential::Session(session)) = proof.and_then(|proof| proof.credential.as_ref()) else {
        return Err(Error::Refused(
            "the console must present the session of a signed-in person".to_owned(),
        ));
    };
    let session = clients.session(session.secret.clone()).await?;
    Ok(Person {
        uid: session.uid,
        name: session.person,
    })
}
