//! A person's proof: a signature over one request, made with a key that only that person can read.
//!
//! Signed text (after the domain prefix `aios-person-v1\0`): method, SHA-256 of the request with its
//! proof field cleared (protobuf encoding; none of these messages has maps, so it is canonical), time,
//! nonce and uid, one a line. The guard also demands that the calling process is of that uid and not
//! confined ([`crate::peer`]); a signature alone is never enough.

use std::collections::HashMap;
use std::path::Path;

use aios_core::error::{Class, Coded};
use aios_core::paths::Paths;
use aios_proto::common::v1::{KeyProof, PersonProof, person_proof::Credential};
use aios_proto::{guard::v1 as guard, orchestrator::v1 as orchestrator};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::key::{Domain, KeyError, PublicKey, SecretKey};

/// Largest difference between the proof's time and the verifier's clock, milliseconds.
pub const MAX_AGE_MS: i64 = 30_000;
/// Length of a nonce, bytes.
pub const NONCE_LEN: usize = 16;

/// A request that carries a person's proof.
pub trait PersonRequest: Message + Clone + Default {
    /// Full method name, `aios.guard.v1.Guard/DecideApproval`.
    const METHOD: &'static str;
    /// The proof, when there is one.
    fn proof(&self) -> Option<&PersonProof>;
    /// Replaces the proof.
    fn set_proof(&mut self, proof: Option<PersonProof>);

    /// SHA-256 of the request without its proof.
    fn digest(&self) -> [u8; 32] {
        let mut bare = self.clone();
        bare.set_proof(None);
        Sha256::digest(bare.encode_to_vec()).into()
    }
}

macro_rules! person_request {
    ($($message:ty = $method:literal),+ $(,)?) => {$(
        impl PersonRequest for $message {
            const METHOD: &'static str = $method;
            fn proof(&self) -> Option<&PersonProof> {
                self.proof.as_ref()
            }
            fn set_proof(&mut self, proof: Option<PersonProof>) {
                self.proof = proof;
            }
        }
    )+};
}

person_request! {
    guard::DecideApprovalRequest = "aios.guard.v1.Guard/DecideApproval",
    guard::EmergencyStopRequest = "aios.guard.v1.Guard/EmergencyStop",
    guard::ResumeRequest = "aios.guard.v1.Guard/Resume",
    guard::EnrolPersonRequest = "aios.guard.v1.Guard/EnrolPerson",
    guard::CreateSignInRequest = "aios.guard.v1.Guard/CreateSignIn",
    guard::AuditForgetRequest = "aios.guard.v1.Guard/AuditForget",
    orchestrator::SubmitGoalRequest = "aios.orchestrator.v1.Orchestrator/SubmitGoal",
    orchestrator::CancelGoalRequest = "aios.orchestrator.v1.Orchestrator/CancelGoal",
    orchestrator::ReplyGoalRequest = "aios.orchestrator.v1.Orchestrator/ReplyGoal",
    orchestrator::UndoGoalRequest = "aios.orchestrator.v1.Orchestrator/UndoGoal",
    orchestrator::AddScheduleRequest = "aios.orchestrator.v1.Orchestrator/AddSchedule",
    orchestrator::RemoveScheduleRequest = "aios.orchestrator.v1.Orchestrator/RemoveSchedule",
}

/// Why a proof is refused.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// There is none, or none of the wanted kind.
    #[error("this needs a person's proof")]
    Missing,
    /// The key is not enrolled.
    #[error("the key {key} is not enrolled")]
    UnknownKey {
        /// The public key, hex.
        key: String,
    },
    /// The key belongs to another person than the calling process.
    #[error("the key belongs to uid {owner}, but uid {peer} is calling")]
    OtherUid {
        /// Owner of the key.
        owner: u32,
        /// uid of the caller.
        peer: u32,
    },
    /// The proof is too old or from the future.
    #[error("the proof was made {age_ms} ms ago, at most {MAX_AGE_MS} ms are accepted")]
    Stale {
        /// Its age, milliseconds; negative when from the future.
        age_ms: i64,
    },
    /// The proof was used before.
    #[error("this proof was used before")]
    Replayed,
    /// The signature is over something else.
    #[error("the proof is not about this request")]
    Signature(#[source] KeyError),
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// More proofs within their time than are remembered.
    #[error("too many proofs at once")]
    Busy,
}

impl Coded for PersonError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "AIOS-AUTH-0501",
            Self::UnknownKey { .. } => "AIOS-AUTH-0502",
            Self::OtherUid { .. } => "AIOS-AUTH-0503",
            Self::Stale { .. } => "AIOS-AUTH-0504",
            Self::Replayed => "AIOS-AUTH-0505",
            Self::Signature(_) => "AIOS-AUTH-0506",
            Self::Key(error) => error.code(),
            Self::Busy => "AIOS-AUTH-0507",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Missing | Self::Replayed => {
                "use `aiosctl` or the console, which make a proof for each request".to_owned()
            }
            Self::UnknownKey { .. } => {
                "let root or an enrolled person enrol this key (`make run` enrols yours)".to_owned()
            }
            Self::OtherUid { .. } => "run the command as the person whose key it is".to_owned(),
            Self::Stale { .. } => "send it again; if it stays, compare the clocks".to_owned(),
            Self::Signature(_) => "sign the request as it is sent".to_owned(),
            Self::Key(error) => error.next_step(),
            Self::Busy => "try again in 30 s".to_owned(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Missing | Self::UnknownKey { .. } | Self::Signature(_) => Class::Unauthenticated,
            Self::OtherUid { .. } | Self::Stale { .. } | Self::Replayed => Class::PermissionDenied,
            Self::Key(error) => error.class(),
            Self::Busy => Class::ResourceExhausted,
        }
    }
}

/// Remembers nonces, so that each proof works once.
pub trait NonceStore {
    /// Takes a nonce; `false` when it was taken before. It must be remembered until `until_ms`.
    ///
    /// # Errors
    /// [`PersonError::Busy`] when no more can be remembered.
    fn claim(&mut self, nonce: [u8; NONCE_LEN], now_ms: i64, until_ms: i64) -> Result<bool, PersonError>;
}

/// A bounded store in memory. After a restart an old proof could be replayed for [`MAX_AGE_MS`]; what it
/// decides (an approval, a stop) is decided once anyway.
#[derive(Debug, Default)]
pub struct MemoryNonces {
    taken: HashMap<[u8; NONCE_LEN], i64>,
}

/// Most nonces remembered at once.
const MOST_NONCES: usize = 10_000;

impl NonceStore for MemoryNonces {
    fn claim(&mut self, nonce: [u8; NONCE_LEN], now_ms: i64, until_ms: i64) -> Result<bool, PersonError> {
        if self.taken.contains_key(&nonce) {
            return Ok(false);
        }
        if self.taken.len() >= MOST_NONCES {
            self.taken.retain(|_, until| *until > now_ms);
        }
        if self.taken.len() >= MOST_NONCES {
            return Err(PersonError::Busy);
        }
        self.taken.insert(nonce, until_ms);
        Ok(true)
    }
}

/// A person's private key with the uid it stands for.
#[derive(Debug)]
pub struct PersonKey {
    uid: u32,
    key: SecretKey,
}

impl PersonKey {
    /// The key of `uid` in an instance, made when it is not there. The directory must exist and belong
    /// to the person (set-up makes it).
    ///
    /// # Errors
    /// [`KeyError`], also when others could read the file.
    pub fn load_or_create(paths: &Paths, uid: u32) -> Result<Self, KeyError> {
        Ok(Self {
            uid,
            key: SecretKey::load_or_create(&paths.person_key(uid))?,
        })
    }

    /// The key in a file.
    ///
    /// # Errors
    /// [`KeyError`], also when others could read the file.
    pub fn load(path: &Path, uid: u32) -> Result<Self, KeyError> {
        Ok(Self {
            uid,
            key: SecretKey::load(path)?,
        })
    }

    /// A key that is in memory already.
    #[must_use]
    pub fn new(uid: u32, key: SecretKey) -> Self {
        Self { uid, key }
    }

    /// The public half, to be enrolled.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The uid.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Signs a request: replaces its proof.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn prove<R: PersonRequest>(&self, request: &mut R, now_ms: i64) -> Result<(), KeyError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| KeyError::Randomness(error.to_string()))?;
        let text = proof_text(R::METHOD, &request.digest(), now_ms, &nonce, self.uid);
        let proof = KeyProof {
            public_key: self.public().to_bytes().to_vec(),
            signature: self.key.sign(Domain::Person, &text).to_vec(),
            signed_at_ms: now_ms,
            nonce: nonce.to_vec(),
        };
        request.set_proof(Some(PersonProof {
            credential: Some(Credential::Key(proof)),
        }));
        Ok(())
    }
}

/// The text that is signed, without its domain prefix.
#[must_use]
pub fn proof_text(method: &str, digest: &[u8; 32], signed_at_ms: i64, nonce: &[u8], uid: u32) -> Vec<u8> {
    format!(
        "{method}\n{}\n{signed_at_ms}\n{}\n{uid}\n",
        hex::encode(digest),
        hex::encode(nonce)
    )
    .into_bytes()
}

/// Verifies a request's key proof. `owner` tells to which uid an enrolled key belongs; the nonce is
/// claimed last, so that a wrong proof uses up nothing. Confinement of the caller is
/// [`crate::peer::check_unconfined`]'s to check.
///
/// # Errors
/// [`PersonError`] says why not.
pub fn verify<R: PersonRequest>(
    request: &R,
    peer_uid: u32,
    owner: impl FnOnce(&PublicKey) -> Option<u32>,
    now_ms: i64,
    nonces: &mut impl NonceStore,
) -> Result<PublicKey, PersonError> {
    let Some(Credential::Key(proof)) = request.proof().and_then(|proof| proof.credential.as_ref()) else {
        return Err(PersonError::Missing);
    };
    let unknown = || PersonError::UnknownKey {
        key: hex::encode(proof.public_key.get(..32).unwrap_or_default()),
    };
    let key = PublicKey::from_bytes(&proof.public_key).map_err(|_| unknown())?;
    let owner = owner(&key).ok_or_else(unknown)?;
    if owner != peer_uid {
        return Err(PersonError::OtherUid {
            owner,
            peer: peer_uid,
        });
    }
    let nonce: [u8; NONCE_LEN] = proof
        .nonce
        .as_slice()
        .try_into()
        .map_err(|_| PersonError::Missing)?;
    let text = proof_text(R::METHOD, &request.digest(), proof.signed_at_ms, &nonce, owner);
    key.verify(Domain::Person, &text, &proof.signature)
        .map_err(PersonError::Signature)?;
    let age_ms = now_ms.saturating_sub(proof.signed_at_ms);
    if !(-MAX_AGE_MS..=MAX_AGE_MS).contains(&age_ms) {
        return Err(PersonError::Stale { age_ms });
    }
    let until_ms = proof.signed_at_ms.saturating_add(2 * MAX_AGE_MS);
    if nonces.claim(nonce, now_ms, until_ms)? {
        Ok(key)
    } else {
        Err(PersonError::Replayed)
    }
}
