//! Policy: `policy.toml` maps namespace, action, risk, autonomy and taint to allow, confirm or deny.
//!
//! The vendor's file is read first, then the administrator's. Of all rules that match a call a `deny`
//! wins; else the last one decides, so that a later, more special rule overrides an earlier one; with
//! none the call is denied. An administrator's rule with a vendor rule's id replaces it, unless the
//! vendor's denies. Afterwards taint can only raise the answer ([`Taint`]), and what lies in a protected
//! place ([`crate::protected`]) is denied before any rule is looked at.
//!
//! `paths` of an `allow` must match *every* path that the call touches; of a `confirm` or `deny` *any*.
//!
//! ```
//! use aios_auth::policy::{Effect, Policy, PolicyCall};
//! let text = r#"
//! [[rule]]
//! id = "reads"
//! namespace = "*"
//! mutating = false
//! effect = "allow"
//! "#;
//! let policy = Policy::parse(&[("policy.toml", text)], None)?;
//! let decision = policy.decide(&PolicyCall::explain("fs.read"));
//! assert_eq!((decision.effect, decision.rule_id.as_str()), (Effect::Allow, "reads"));
//! # Ok::<(), aios_auth::policy::PolicyError>(())
//! ```

mod decide;
mod file;
mod limits;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use aios_core::paths::Paths;
use serde::{Deserialize, Serialize};

use crate::level::{Autonomy, Risk};
use crate::protected::Protected;

pub use decide::redact;
pub use file::{Approvals, Limits, Rule, Taint};
pub use limits::{Ledger, LimitError};

/// Rule id of calls that touch a protected path.
pub const PROTECTED_RULE: &str = "builtin:protected";
/// Rule id of calls that no rule matches.
pub const DEFAULT_RULE: &str = "builtin:default";

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Go.
    Allow,
    /// Ask a person.
    Confirm,
    /// No.
    Deny,
}

impl Effect {
    /// `allow`, `confirm`, `deny`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Confirm => "confirm",
            Self::Deny => "deny",
        }
    }
}

/// A call as policy sees it.
#[derive(Debug, Clone)]
pub struct PolicyCall<'a> {
    /// Tool, `fs.delete`: namespace and action.
    pub tool: &'a str,
    /// Risk as the tool's code judged it.
    pub risk: Risk,
    /// Whether it changes anything.
    pub mutating: bool,
    /// How much the goal's owner wants to be asked.
    pub autonomy: Autonomy,
    /// Whether untrusted text shaped the task.
    pub tainted: bool,
    /// Resolved paths that it touches.
    pub paths: &'a [&'a str],
}

impl<'a> PolicyCall<'a> {
    /// A supervised, untainted read, as a start for explanations.
    #[must_use]
    pub fn explain(tool: &'a str) -> Self {
        Self {
            tool,
            risk: Risk::Read,
            mutating: false,
            autonomy: Autonomy::Supervised,
            tainted: false,
            paths: &[],
        }
    }

    /// Namespace: what stands before the first dot.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.tool.split('.').next().unwrap_or_default()
    }

    /// Action: what stands after the first dot.
    #[must_use]
    pub fn action(&self) -> &str {
        self.tool.split_once('.').map_or("", |(_, action)| action)
    }
}

/// What policy decides, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allow, confirm or deny.
    pub effect: Effect,
    /// The rule that decided.
    pub rule_id: String,
    /// One sentence for a person.
    pub reason: String,
    /// Ids of every rule that matched, in order.
    pub matched: Vec<String>,
    /// `file:line` of the rule that decided.
    pub origin: String,
    /// Argument fields that people and logs must not see.
    pub redact: Vec<String>,
    /// Limits that hold for it.
    pub limits: Limits,
    /// How long an approval may be waited for and holds.
    pub approvals: Approvals,
}

/// A policy that was read and checked.
#[derive(Debug, Clone)]
pub struct Policy {
    epoch: u64,
    digest: [u8; 32],
    approvals: Approvals,
    limits: Limits,
    taint: Taint,
    rules: Vec<Rule>,
    protected: Option<Protected>,
    replaced: BTreeMap<String, String>,
}

impl Policy {
    /// Reads `policy.toml` of both layers. The vendor's must be there.
    ///
    /// # Errors
    /// [`PolicyError`] with file, line, key and the nearest right key.
    pub fn load(paths: &Paths) -> Result<Self, PolicyError> {
        let [vendor, admin] = paths.layers("policy.toml");
        let mut texts = vec![file::read(&vendor)?.ok_or(PolicyError::Missing { file: vendor })?];
        texts.extend(file::read(&admin)?);
        let texts: Vec<(&str, &str)> = texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Self::parse(&texts, Some(Protected::of(paths)))
    }

    /// Builds a policy from texts with their file names, lowest layer first.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn parse(layers: &[(&str, &str)], protected: Option<Protected>) -> Result<Self, PolicyError> {
        file::build(layers, protected)
    }

    /// Decides about a call.
    #[must_use]
    pub fn decide(&self, call: &PolicyCall<'_>) -> Decision {
        decide::decide(self, call)
    }

    /// The policy's epoch: the highest `epoch` of its files. A verifier that has seen a higher one must
    /// refuse this policy, because somebody brought back an older file.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Refuses a policy that is older than one that was in force before.
    ///
    /// # Errors
    /// [`PolicyError::Older`].
    pub fn check_epoch(&self, seen: u64) -> Result<(), PolicyError> {
        if self.epoch < seen {
            Err(PolicyError::Older {
                epoch: self.epoch,
                seen,
            })
        } else {
            Ok(())
        }
    }

    /// SHA-256 over all its texts, with their lengths.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The protected paths it knows.
    #[must_use]
    pub fn protected(&self) -> Option<&Protected> {
        self.protected.as_ref()
    }

    /// Its rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Which lower rules were replaced, by id: `file:line by file:line`.
    #[must_use]
    pub fn replaced(&self) -> &BTreeMap<String, String> {
        &self.replaced
    }
}

/// What is wrong with a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The vendor's file is not there.
    #[error("there is no policy at {}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read policy {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Everybody can write a file.
    #[error("policy {} has mode {mode:04o}: others can write it", file.display())]
    Loose {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A wrong key or value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A rule that is well-formed but wrong.
    #[error("{file}:{line}: rule `{id}` {problem}")]
    Rule {
        /// The file.
        file: String,
        /// Line of the rule's id, from 1.
        line: usize,
        /// The rule.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// An older policy than one that was in force.
    #[error("the policy has epoch {epoch}, but {seen} was in force before")]
    Older {
        /// Its epoch.
        epoch: u64,
        /// The highest seen.
        seen: u64,
    },
}

impl Coded for PolicyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "AIOS-AUTH-0701",
            Self::Read { .. } => "AIOS-AUTH-0702",
            Self::Loose { .. } => "AIOS-AUTH-0703",
            Self::Config(error) => error.code(),
            Self::Rule { .. } => "AIOS-AUTH-0704",
            Self::Older { .. } => "AIOS-AUTH-0705",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Missing { .. } => "install the vendor files again (`make run` does)".to_owned(),
            Self::Read { file, .. } => format!("check owner and mode of {}", file.display()),
            Self::Loose { file, .. } => format!("read it through, then `chmod 0644 {}`", file.display()),
            Self::Config(error) => error.next_step(),
            Self::Rule { .. } => "correct that rule, then run `aiosctl config check`".to_owned(),
            Self::Older { .. } => {
                "install the newer policy, or let a person raise `epoch` in /etc/aios/policy.toml".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        Class::Internal
    }
}
