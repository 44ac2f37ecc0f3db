//! The guard's four private keys, one a purpose, and their public halves for everyone else.

use crate::error::GuardError;
use aios_auth::key::SecretKey;
use aios_auth::token::Minter;
use aios_auth::trust::TrustKeys;
use aios_core::paths::Paths;
use std::fs;
use std::os::unix::fs::DirBuilderExt;

/// The keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) minter: Minter,
    pub(crate) receipt: SecretKey,
    pub(crate) approval: SecretKey,
    pub(crate) trust: SecretKey,
    pub(crate) public: TrustKeys,
}

impl Keys {
    /// Reads the keys below `state/guard/keys`; makes them at the first start.
    pub(crate) fn open(paths: &Paths) -> Result<Self, GuardError> {
        let directory = paths.state_of("guard").join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(GuardError::io("create", &directory))?;
        let key = |name: &str| SecretKey::load_or_create(&directory.join(name));
        let (mint, receipt, approval, trust) =
            (key("mint")?, key("receipt")?, key("approval")?, key("trust")?);
        let public = TrustKeys {
            mint: mint.public(),
            receipt: receipt.public(),
            approval: approval.public(),
            trust: trust.public(),
        };
        Ok(Self {
            minter: Minter::new(&mint)?,
            receipt,
            approval,
            trust,
            public,
        })
    }

    /// Publishes the public halves at `run/trust/trust.json`.
    pub(crate) fn publish(&self, paths: &Paths) -> Result<(), GuardError> {
        let file = paths.trust_file();
        if let Some(directory) = file.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
                .map_err(GuardError::io("create", directory))?;
        }
        Ok(self.public.write(&file)?)
    }
}
