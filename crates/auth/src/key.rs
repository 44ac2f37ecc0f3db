//! Ed25519 keys and signatures with a domain prefix, so that a signature for one purpose can never be
//! taken for another. Verification is strict (RFC 8032 with small-order keys refused).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aios_core::error::{Class, Coded};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What a signature is for. The prefix is part of the signed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A receipt of the guard.
    Receipt,
    /// An approval of the guard.
    Approval,
    /// A trust state of the guard.
    Trust,
    /// A person's proof.
    Person,
    /// An image of the operating system.
    Image,
}

impl Domain {
    /// The prefix, with its closing NUL.
    #[must_use]
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Self::Receipt => b"aios-receipt-v1\0",
            Self::Approval => b"aios-approval-v1\0",
            Self::Trust => b"aios-trust-v1\0",
            Self::Person => b"aios-person-v1\0",
            Self::Image => b"aios-image-v1\0",
        }
    }
}

/// A key or signature could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes, or no point on the curve, or a weak one.
    #[error("this is no usable Ed25519 public key")]
    BadPublicKey,
    /// The signature does not fit the text and key.
    #[error("the {} signature does not verify", String::from_utf8_lossy(.domain.prefix()).trim_end_matches('\0'))]
    BadSignature {
        /// What it was for.
        domain: Domain,
    },
    /// The system has no randomness.
    #[error("no randomness for a new key: {0}")]
    Randomness(String),
    /// The key file cannot be read or written.
    #[error("key file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The key file could be read by others, or belongs to someone else.
    #[error("key file {} {problem}", path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Coded for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadPublicKey => "AIOS-AUTH-0401",
            Self::BadSignature { .. } => "AIOS-AUTH-0402",
            Self::Randomness(_) => "AIOS-AUTH-0403",
            Self::File { .. } => "AIOS-AUTH-0404",
            Self::Loose { .. } => "AIOS-AUTH-0405",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::BadPublicKey => "send the 32 bytes of an Ed25519 public key".to_owned(),
            Self::BadSignature { .. } => {
                "ask the guard for a new one; if it stays, compare run/trust/trust.json".to_owned()
            }
            Self::Randomness(_) => "check that getrandom(2) is allowed for this process".to_owned(),
            Self::File { path, .. } => format!("check owner and mode of {}", path.display()),
            Self::Loose { path, .. } => {
                format!(
                    "replace the key if others may have read it, then `chmod 0600 {}`",
                    path.display()
                )
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::BadPublicKey => Class::InvalidArgument,
            Self::BadSignature { .. } => Class::PermissionDenied,
            Self::Randomness(_) | Self::File { .. } | Self::Loose { .. } => Class::Internal,
        }
    }
}

/// A private key. Prints `***`; its bytes are wiped when it is dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes a new key from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| KeyError::Randomness(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for storing it.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `body` for one purpose; 64 bytes.
    #[must_use]
    pub fn sign(&self, domain: Domain, body: &[u8]) -> [u8; 64] {
        self.0.sign(&[domain.prefix(), body].concat()).to_bytes()
    }

    /// Reads a key file (32 raw bytes, mode 0600 or 0400, owned by us, no symbolic link).
    ///
    /// # Errors
    /// [`KeyError::File`] when it cannot be read, [`KeyError::Loose`] when others could read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::load_of(path, rustix::process::geteuid().as_raw())
    }

    /// Reads a key file that belongs to `owner`, for root who enrols somebody else.
    ///
    /// # Errors
    /// As [`SecretKey::load`].
    pub fn load_of(path: &Path, owner: u32) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        let loose = |problem: &str| KeyError::Loose {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(nofollow)
            .open(path)
            .map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(loose("is no regular file"));
        }
        if meta.permissions().mode() & 0o177 != 0 {
            return Err(loose(&format!(
                "has mode {:04o}, wanted 0600",
                meta.permissions().mode() & 0o7777
            )));
        }
        if meta.uid() != owner {
            return Err(loose(&format!("belongs to uid {}", meta.uid())));
        }
        let mut seed = Zeroizing::new([0_u8; 32]);
        file.read_exact(seed.as_mut()).map_err(failed)?;
        if meta.len() != 32 {
            return Err(loose(&format!("holds {} bytes, wanted 32", meta.len())));
        }
        Ok(Self::from_seed(&seed))
    }

    /// Writes a new key file with mode 0600, durably, in a directory that is made with mode 0700. An
    /// existing file is never replaced.
    ///
    /// # Errors
    /// [`KeyError::File`], also when the file is there already.
    pub fn store_new(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !directory.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(failed)?;
        }
        // Written beside and linked into place, so that a crash leaves no half key and a race no loser.
        let beside = directory.join(format!(".key.{}", std::process::id()));
        let written = self
            .write_beside(&beside)
            .and_then(|()| fs::hard_link(&beside, path));
        let removed = fs::remove_file(&beside);
        written.map_err(failed)?;
        removed.map_err(failed)?;
        File::open(directory)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)
    }

    fn write_beside(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(self.seed().as_ref())?;
        file.sync_all()
    }

    /// Reads the key file, or makes one when there is none.
    ///
    /// # Errors
    /// As [`SecretKey::load`] and [`SecretKey::store_new`].
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                match key.store_new(path) {
                    Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path)
                    }
                    Err(error) => Err(error),
                    Ok(()) => Ok(key),
                }
            }
            other => other,
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

/// A public key; as text 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`], also for keys of small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::BadPublicKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::BadPublicKey)?;
        if key.is_weak() {
            Err(KeyError::BadPublicKey)
        } else {
            Ok(Self(key))
        }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Checks a signature for one purpose.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`].
    pub fn verify(&self, domain: Domain, body: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let bad = || KeyError::BadSignature { domain };
        let signature = Signature::from_slice(signature).map_err(|_| bad())?;
        self.0
            .verify_strict(&[domain.prefix(), body].concat(), &signature)
            .map_err(|_| bad())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.to_bytes()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text)
            .map_err(|_| KeyError::BadPublicKey)
            .and_then(|bytes| Self::from_bytes(&bytes))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}
