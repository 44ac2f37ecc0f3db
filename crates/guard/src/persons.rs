//! Persons: who is enrolled, whether a request is really theirs, and how a browser signs in.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::store::{CodeKind, Person};
use aios_audit::Record;
use aios_auth::key::PublicKey;
use aios_auth::peer::{self, PeerError, Role};
use aios_auth::person::{self, PersonError, PersonRequest};
use aios_core::rpc::Peer;
use aios_proto::common::v1::person_proof::Credential;
use aios_proto::guard::v1 as pb;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A person who proved a request.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    pub(crate) uid: u32,
    pub(crate) name: String,
    /// `key` or `session`.
    pub(crate) by: &'static str,
}

impl Guard {
    /// Accepts a request as a person's, or says why not.
    pub(crate) fn prove<R: PersonRequest>(&self, peer: &Peer, request: &R) -> Result<Proved, GuardError> {
        match request.proof().and_then(|proof| proof.credential.as_ref()) {
            Some(Credential::Session(session)) => self.prove_session(peer, &session.secret),
            _ => self.prove_key(peer, request),
        }
    }

    fn prove_session(&self, peer: &Peer, secret: &[u8]) -> Result<Proved, GuardError> {
        if !self.roles.is(peer.uid, Role::Console) {
            let caller = self.caller(peer);
            return Err(PeerError::NotAllowed {
                caller,
                wanted: Role::Console.as_str().to_owned(),
            }
            .into());
        }
        let (uid, _) = self.session(secret)?;
        Ok(Proved {
            uid,
            name: self.name_of(uid)?,
            by: "session",
        })
    }

    fn prove_key<R: PersonRequest>(&self, peer: &Peer, request: &R) -> Result<Proved, GuardError> {
        if self.roles.is_service(peer.uid) {
            let caller = self.caller(peer);
            return Err(PeerError::NotAllowed {
                caller,
                wanted: "an enrolled person".to_owned(),
            }
            .into());
        }
        peer::check_unconfined(peer)?;
        let now_ms = self.now_ms();
        let mut state = self.state();
        let state = &mut *state;
        let persons = &state.persons;
        let owner = |key: &PublicKey| {
            persons
                .iter()
                .find(|person| person.key == *key)
                .map(|person| person.uid)
        };
        let key = person::verify(request, peer.uid, owner, now_ms, &mut state.store)?;
        let person = persons.iter().find(|person| person.key == key);
        let person = person.ok_or(GuardError::Person(PersonError::Missing))?;
        Ok(Proved {
            uid: person.uid,
            name: person.name.clone(),
            by: "key",
        })
    }

    fn name_of(&self, uid: u32) -> Result<String, GuardError> {
        let state = self.state();
        let person = state.persons.iter().find(|person| person.uid == uid);
        person
            .map(|person| person.name.clone())
            .ok_or(GuardError::NoSession { what: "session" })
    }

    /// Enrols a person's key. The first one is root's to enrol; after that each needs the proof of one
    /// who is enrolled: for themselves, or as root for others.
    pub(crate) async fn enrol(
        &self,
        peer: &Peer,
        request: &pb::EnrolPersonRequest,
    ) -> Result<bool, GuardError> {
        let wrong = |problem| GuardError::Enrol {
            uid: request.uid,
            problem,
        };
        let key = PublicKey::from_bytes(&request.public_key)?;
        let name = request.name.as_str();
        if name.is_empty() || name.len() > 64 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(GuardError::field("name", "must be a user name"));
        }
        if self.roles.is_service(request.uid) {
            return Err(wrong("it is a service's user"));
        }
        let (first, known) = {
            let state = self.state();
            let known = state
                .persons
                .iter()
                .find(|person| person.key == key)
                .map(|person| person.uid);
            (state.persons.is_empty(), known)
        };
        match known {
            Some(uid) if uid == request.uid => return Ok(true),
            Some(_) => return Err(wrong("its key is another person's")),
            None => {}
        }
        let by = if first && peer.uid == 0 {
            peer::check_unconfined(peer)?;
            "root".to_owned()
        } else {
            let proved = self.prove(peer, request)?;
            if proved.uid != request.uid && peer.uid != 0 {
                return Err(wrong("only root enrols others"));
            }
            proved.name
        };
        let record = Record {
            person: Some(by),
            ..Record::new("person.enrolled")
        }
        .with("uid", request.uid)
        .with("name", name)
        .with("key", key.to_string());
        self.record(record).await?;
        let person = Person {
            uid: request.uid,
            name: name.to_owned(),
            key,
        };
        let now_ms = self.now_ms();
        let mut state = self.state();
        if !state.persons.iter().any(|known| known.key == key) {
            state.store.enrol(&person, now_ms)?;
            state.persons.push(person);
        }
        Ok(false)
    }

    /// Who a uid is. A service's uid is never a person's; enrolment refuses it.
    pub(crate) fn get_person(&self, uid: u32) -> pb::GetPersonResponse {
        let state = self.state();
        let newest = state.persons.iter().rev().find(|person| person.uid == uid);
        pb::GetPersonResponse {
            enrolled: newest.is_some(),
            name: newest.map(|person| person.name.clone()).unwrap_or_default(),
        }
    }

    /// Makes a one-time code.
    pub(crate) async fn create_sign_in(
        &self,
        person: &Proved,
    ) -> Result<pb::CreateSignInResponse, GuardError> {
        let record = Record {
            person: Some(person.name.clone()),
            ..Record::new("person.sign_in_created")
        };
        self.record(record).await?;
        let secret = secret()?;
        let expires_at_ms = self.keep(CodeKind::SignIn, &secret, person.uid, self.config.sign_in_ms)?;
        Ok(pb::CreateSignInResponse {
            code: URL_SAFE_NO_PAD.encode(secret),
            expires_at_ms,
        })
    }

    /// Exchanges a code for a session; the code is used up, whatever happens after.
    pub(crate) async fn redeem(&self, code: &str) -> Result<pb::RedeemSignInResponse, GuardError> {
        let unknown = || GuardError::NoSession { what: "sign-in code" };
        let code = URL_SAFE_NO_PAD.decode(code).map_err(|_| unknown())?;
        let hash = hash(&code);
        let uid = {
            let mut state = self.state();
            let (uid, _) = state
                .store
                .code(CodeKind::SignIn, &hash, self.now_ms())?
                .ok_or_else(unknown)?;
            state.store.end_code(CodeKind::SignIn, &hash)?;
            uid
        };
        let person = self.name_of(uid)?;
        self.record(Record {
            person: Some(person.clone()),
            ..Record::new("person.signed_in")
        })
        .await?;
        let secret = secret()?;
        let expires_at_ms = self.keep(CodeKind::Session, &secret, uid, self.config.session_ms)?;
        Ok(pb::RedeemSignInResponse {
            secret: secret.to_vec(),
            expires_at_ms,
            person,
        })
    }

    fn keep(&self, kind: CodeKind, secret: &[u8; 32], uid: u32, life_ms: u64) -> Result<i64, GuardError> {
        let now_ms = self.now_ms();
        let expires_at_ms = now_ms.saturating_add(i64::try_from(life_ms).unwrap_or(i64::MAX));
        self.state()
            .store
            .save_code(kind, &hash(secret), uid, expires_at_ms, now_ms)?;
        Ok(expires_at_ms)
    }

    /// uid and end of a session.
    fn session(&self, secret: &[u8]) -> Result<(u32, i64), GuardError> {
        let found = self
            .state()
            .store
            .code(CodeKind::Session, &hash(secret), self.now_ms())?;
        found.ok_or(GuardError::NoSession { what: "session" })
    }

    pub(crate) fn check_session(&self, secret: &[u8]) -> Result<pb::CheckSessionResponse, GuardError> {
        let (uid, expires_at_ms) = self.session(secret)?;
        Ok(pb::CheckSessionResponse {
            person: self.name_of(uid)?,
            uid,
            expires_at_ms,
        })
    }

    pub(crate) async fn end_session(&self, secret: &[u8]) -> Result<(), GuardError> {
        let known = self.session(secret).and_then(|(uid, _)| self.name_of(uid));
        if !self.state().store.end_code(CodeKind::Session, &hash(secret))? {
            return Err(GuardError::NoSession { what: "session" });
        }
        self.record(Record {
            person: known.ok(),
            ..Record::new("person.signed_out")
        })
        .await?;
        Ok(())
    }
}

fn secret() -> Result<[u8; 32], GuardError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(aios_audit::AuditError::Random)?;
    Ok(secret)
}

/// Secrets are random and long, so that a plain hash hides them.
fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}
