//! Trust without a round trip: the guard's public keys ([`TrustKeys`], `run/trust/trust.json`) and the
//! signed state that it pushes to each worker every second ([`TrustState`], held by [`TrustView`]).
//!
//! A worker that heard nothing for [`STALE_AFTER`] accepts only reads.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use aios_core::error::{Class, Coded};
use aios_proto::worker::v1::PushTrustRequest;
use serde::{Deserialize, Serialize};

use crate::key::{Domain, PublicKey, SecretKey};
use crate::signed::{self, SignedError};
use crate::token::Revocations;

const WHAT: &str = "trust state";

/// How long a pushed state holds for mutating calls.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// The guard's public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustKeys {
    /// Signs tokens.
    pub mint: PublicKey,
    /// Signs receipts.
    pub receipt: PublicKey,
    /// Signs approvals.
    pub approval: PublicKey,
    /// Signs trust states.
    pub trust: PublicKey,
}

impl TrustKeys {
    /// Reads the file. It must belong to root or `owner_uid` (the guard's user) and be writable by its
    /// owner only.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn read(path: &Path, owner_uid: Option<u32>) -> Result<Self, TrustError> {
        let failed = |source| TrustError::File {
            path: path.to_owned(),
            source,
        };
        let file = fs::File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let owned = meta.uid() == 0 || owner_uid.is_none_or(|uid| uid == meta.uid());
        if !owned || meta.mode() & 0o022 != 0 {
            return Err(TrustError::Untrusted {
                path: path.to_owned(),
                uid: meta.uid(),
                mode: meta.mode() & 0o7777,
            });
        }
        let text = io::read_to_string(file).map_err(failed)?;
        serde_json::from_str(&text).map_err(|source| TrustError::Malformed {
            path: path.to_owned(),
            source,
        })
    }

    /// Replaces the file atomically; world-readable, writable by its owner.
    ///
    /// # Errors
    /// [`TrustError::File`].
    pub fn write(&self, path: &Path) -> Result<(), TrustError> {
        let failed = |source| TrustError::File {
            path: path.to_owned(),
            source,
        };
        let beside = path.with_extension("json.new");
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(io::Error::other(error)))?;
        text.push(b'\n');
        if let Err(error) = fs::remove_file(&beside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(failed(error));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&beside)
            .map_err(failed)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        // The mode above is cut by the umask; readers are other users.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)
    }
}

/// What the guard tells the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustState {
    /// Grows by one at each push; the guard keeps it above all earlier ones, also after a restart.
    pub counter: u64,
    /// Grows at each revocation, policy change and emergency change.
    pub epoch: u64,
    /// Tokens minted in an epoch before this one are revoked, whatever their id.
    pub min_token_epoch: u64,
    /// Revoked token ids, hex, that have not expired yet.
    pub revoked: BTreeSet<String>,
    /// True while an emergency stop holds.
    pub emergency: bool,
    /// Made at, UTC milliseconds.
    pub issued_at_ms: i64,
}

impl TrustState {
    /// Signs it as a push.
    ///
    /// # Errors
    /// [`SignedError::Malformed`] when it has no canonical form.
    pub fn sign(&self, key: &SecretKey) -> Result<PushTrustRequest, SignedError> {
        let (body, signature) = signed::sign(WHAT, Domain::Trust, key, self)?;
        Ok(PushTrustRequest {
            body,
            signature,
            ..PushTrustRequest::default()
        })
    }
}

/// Why trust is refused or missing.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The keys' file cannot be read or written.
    #[error("trust file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else than the guard can write the keys' file.
    #[error("trust file {} belongs to uid {uid} with mode {mode:04o}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// The keys' file is not what it should be.
    #[error("trust file {} cannot be read as keys", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The push was not signed by the guard.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The push is not newer than what is held.
    #[error("the trust state {found} is not newer than {held}")]
    Old {
        /// Counter of the push.
        found: u64,
        /// Counter held.
        held: u64,
    },
    /// The push was made too long ago.
    #[error("the trust state was made {age_ms} ms ago")]
    Late {
        /// Its age in milliseconds.
        age_ms: i64,
    },
    /// Nothing was heard from the guard for too long.
    #[error("nothing was heard from the guard for {}", .silent_ms.map_or_else(|| "as long as this process runs".to_owned(), |ms| format!("{ms} ms")))]
    Silent {
        /// Milliseconds since the last push; `None` when there was none.
        silent_ms: Option<u64>,
    },
    /// An emergency stop holds.
    #[error("an emergency stop holds: nothing may change")]
    Emergency,
}

impl Coded for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "AIOS-AUTH-0420",
            Self::Untrusted { .. } => "AIOS-AUTH-0421",
            Self::Malformed { .. } => "AIOS-AUTH-0422",
            Self::Signed(error) => error.code(),
            Self::Old { .. } => "AIOS-AUTH-0423",
            Self::Late { .. } => "AIOS-AUTH-0424",
            Self::Silent { .. } => "AIOS-AUTH-0425",
            Self::Emergency => "AIOS-AUTH-0426",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::File { .. } | Self::Untrusted { .. } | Self::Malformed { .. } => {
                "restart aios-guard, which writes this file, and check who may write its directory".to_owned()
            }
            Self::Signed(error) => error.next_step(),
            Self::Old { .. } | Self::Late { .. } => "push a fresh state".to_owned(),
            Self::Silent { .. } => {
                "see `aiosctl service status guard`; only reads run until it answers".to_owned()
            }
            Self::Emergency => "a person lifts it with `aiosctl emergency resume`".to_owned(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::File { .. } | Self::Untrusted { .. } | Self::Malformed { .. } => Class::Internal,
            Self::Signed(_) => Class::PermissionDenied,
            Self::Old { .. } | Self::Late { .. } => Class::FailedPrecondition,
            Self::Silent { .. } => Class::Unavailable,
            Self::Emergency => Class::PermissionDenied,
        }
    }
}

#[derive(Debug, Default)]
struct Held {
    state: Option<TrustState>,
    heard: Option<Instant>,
}

/// A worker's view of the guard's trust state. Shared between its tasks; its lock is held for moments.
#[derive(Debug)]
pub struct TrustView {
    key: PublicKey,
    held: RwLock<Held>,
}

impl TrustView {
    /// A view that has heard nothing yet, and so accepts only reads.
    #[must_use]
    pub fn new(keys: &TrustKeys) -> Self {
        Self {
            key: keys.trust,
            held: RwLock::default(),
        }
    }

    /// Takes a push; answers the counter now held. `now` is monotonic, `now_ms` UTC milliseconds.
    ///
    /// # Errors
    /// When it is forged, older than what is held, or made more than [`STALE_AFTER`] ago.
    pub fn accept(&self, push: &PushTrustRequest, now: Instant, now_ms: i64) -> Result<u64, TrustError> {
        let state: TrustState = signed::open(WHAT, Domain::Trust, &self.key, &push.body, &push.signature)?;
        let age_ms = now_ms.saturating_sub(state.issued_at_ms);
        if age_ms.unsigned_abs() > u64::try_from(STALE_AFTER.as_millis()).unwrap_or(u64::MAX) {
            return Err(TrustError::Late { age_ms });
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = &held.state
            && (state.counter <= old.counter || state.epoch < old.epoch)
        {
            return Err(TrustError::Old {
                found: state.counter,
                held: old.counter,
            });
        }
        let counter = state.counter;
        *held = Held {
            state: Some(state),
            heard: Some(now),
        };
        Ok(counter)
    }

    /// Whether mutating calls may run now.
    ///
    /// # Errors
    /// [`TrustError::Silent`] or [`TrustError::Emergency`].
    pub fn may_mutate(&self, now: Instant) -> Result<(), TrustError> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let silent = held.heard.map(|heard| now.saturating_duration_since(heard));
        let silent_ms = silent.map(|silent| u64::try_from(silent.as_millis()).unwrap_or(u64::MAX));
        match (&held.state, silent) {
            (Some(state), Some(silent)) if silent <= STALE_AFTER => {
                if state.emergency {
                    Err(TrustError::Emergency)
                } else {
                    Ok(())
                }
            }
            _ => Err(TrustError::Silent { silent_ms }),
        }
    }

    /// The state held, for status pages.
    #[must_use]
    pub fn state(&self) -> Option<TrustState> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .state
            .clone()
    }
}

impl Revocations for TrustView {
    fn epoch(&self) -> u64 {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.state.as_ref().map_or(0, |state| state.epoch)
    }

    fn is_revoked(&self, token_id: &str) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.state
            .as_ref()
            .is_some_and(|state| state.revoked.contains(token_id))
    }

    fn min_token_epoch(&self) -> u64 {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.state.as_ref().map_or(0, |state| state.min_token_epoch)
    }
}
