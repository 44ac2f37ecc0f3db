//! The checkpoint keys. Each signs one checkpoint, which names its successor, and is then destroyed:
//! whoever takes the machine later can sign the future, never another past.
//!
//! `keys/current` holds the key of the next checkpoint. A crash between writing `keys/next` and
//! renaming it leaves both; the newest checkpoint says which one is current.

use crate::error::AuditError;
use crate::segment::{replace, sync_directory};
use ed25519_dalek::SigningKey;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// A key and the epoch that it serves.
pub(crate) struct EpochKey {
    pub(crate) epoch: u64,
    pub(crate) key: SigningKey,
}

impl EpochKey {
    pub(crate) fn generate(epoch: u64) -> Result<Self, AuditError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut())?;
        Ok(Self {
            epoch,
            key: SigningKey::from_bytes(&seed),
        })
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    fn text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(hex::encode(Zeroizing::new(self.key.to_bytes()).as_ref()));
        Zeroizing::new(format!("{} {}\n", self.epoch, seed.as_str()))
    }

    /// What its file holds.
    pub(crate) fn file(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.text().as_bytes().to_vec())
    }

    fn parse(text: &str) -> Option<Self> {
        let (epoch, seed) = text.trim_end().split_once(' ')?;
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(seed, bytes.as_mut()).ok()?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            key: SigningKey::from_bytes(&bytes),
        })
    }
}

/// The directory of the keys.
pub(crate) struct KeyStore {
    directory: PathBuf,
}

impl KeyStore {
    pub(crate) fn open(directory: PathBuf) -> Result<Self, AuditError> {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&directory)
            .map_err(AuditError::io("create", &directory))?;
        Ok(Self { directory })
    }

    /// The directory as it is; for reading.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The keys that are there: the current one, and the successor while a checkpoint is being signed. While the
    /// current one is being erased, the successor alone.
    pub(crate) fn held(&self) -> Result<Vec<EpochKey>, AuditError> {
        let upcoming = self.read(&self.upcoming())?;
        let current = match self.read(&self.current()) {
            Err(AuditError::Malformed { .. }) if upcoming.is_some() => None,
            current => current?,
        };
        Ok([current, upcoming].into_iter().flatten().collect())
    }

    fn current(&self) -> PathBuf {
        self.directory.join("current")
    }

    fn upcoming(&self) -> PathBuf {
        self.directory.join("next")
    }

    fn read(&self, path: &Path) -> Result<Option<EpochKey>, AuditError> {
        match fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => EpochKey::parse(&text)
                .map(Some)
                .ok_or_else(|| AuditError::Malformed {
                    path: path.to_owned(),
                    problem: "an epoch and a seed of 64 hexadecimal digits are expected".to_owned(),
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AuditError::Io {
                what: "read",
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The key whose public half the newest checkpoint named, finishing a rename that a crash interrupted.
    pub(crate) fn successor(&self, epoch: u64, public: &[u8; 32]) -> Result<EpochKey, AuditError> {
        // The successor first: a crash while the old key was being erased leaves an unreadable `current`.
        if let Some(key) = self.read(&self.upcoming())?.filter(|key| key.public() == *public) {
            self.promote()?;
            return Ok(key);
        }
        match self.read(&self.current())? {
            Some(key) if key.public() == *public => Ok(key),
            other => Err(AuditError::KeyMismatch {
                key: other.map_or(0, |key| key.epoch),
                checkpoint: epoch,
            }),
        }
    }

    /// The first key of a new log; the same again when a crash came before the first checkpoint.
    pub(crate) fn first(&self) -> Result<EpochKey, AuditError> {
        match self.read(&self.current())? {
            Some(key) if key.epoch == 0 => Ok(key),
            Some(key) => Err(AuditError::KeyMismatch {
                key: key.epoch,
                checkpoint: 0,
            }),
            None => {
                let key = EpochKey::generate(0)?;
                replace(&self.current(), key.text().as_bytes(), 0o600)?;
                Ok(key)
            }
        }
    }

    /// Makes the successor durable before the checkpoint that names it.
    pub(crate) fn prepare(&self, key: &EpochKey) -> Result<(), AuditError> {
        replace(&self.upcoming(), key.text().as_bytes(), 0o600)
    }

    /// Destroys the old key and puts the successor in its place.
    pub(crate) fn promote(&self) -> Result<(), AuditError> {
        let path = self.current();
        // Overwriting is best effort: what a flash disk keeps is beyond our reach, the unlink is not.
        if let Ok(file) = OpenOptions::new().write(true).open(&path) {
            let mut zeros = [0_u8; 96];
            let length = file
                .metadata()
                .map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(96))
                .min(96);
            if let Some(part) = zeros.get_mut(..length) {
                file.write_all_at(part, 0)
                    .map_err(AuditError::io("erase", &path))?;
                file.sync_data().map_err(AuditError::io("erase", &path))?;
                part.zeroize();
            }
        }
        fs::rename(self.upcoming(), &path).map_err(AuditError::io("replace", &path))?;
        sync_directory(&self.directory)
    }
}
