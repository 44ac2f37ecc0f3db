//! Who may ask what. Goals are for persons: local users who are no service and no confined process,
//! and the console on behalf of a person who is signed in. Agents come through the sandbox alone.

use crate::clients::Clients;
use crate::error::Error;
use aios_auth::peer::{self, PeerError, Role, Roles};
use aios_core::id::AgentId;
use aios_proto::common::v1::{PersonProof, person_proof::Credential};
use tonic::{Request, Status};

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

/// Decides who a caller is.
#[derive(Debug, Clone)]
pub struct Callers {
    roles: Roles,
}

impl Callers {
    /// Knows the system's users.
    pub fn new(roles: Roles) -> Self {
        Self { roles }
    }

    /// The person behind a request that changes something. The socket lets in only group `aios`, which
    /// enrolment puts a person into; a process that runs confined is never a person.
    ///
    /// # Errors
    /// The caller is a service, confined, or the console without a valid session.
    pub async fn person<T>(
        &self,
        request: &Request<T>,
        proof: Option<&PersonProof>,
        clients: &Clients,
    ) -> Result<Person, Status> {
        let caller = peer::peer(request).map_err(|error| aios_core::rpc::status(&error))?;
        if self.roles.is(caller.uid, Role::Console) && caller.uid != 0 {
            return signed_in(proof, clients).await.map_err(|error| error.status());
        }
        self.reader(request)?;
        Ok(Person {
            uid: caller.uid,
            name: peer::name_of(caller.uid),
        })
    }

    /// A caller that only reads: a person, or the console.
    ///
    /// # Errors
    /// The caller is another service, or confined.
    pub fn reader<T>(&self, request: &Request<T>) -> Result<(), Status> {
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
            .map_err(|error| aios_core::rpc::status(&error))?;
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
