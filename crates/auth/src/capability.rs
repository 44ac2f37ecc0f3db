//! The capability language: `namespace:action:resource-glob`.
//!
//! A [`Capability`] is a pattern that a token carries (`fs:write:/var/tmp/**`); an [`Access`] is one
//! concrete thing that a call needs (`fs:write:/var/tmp/a`), in which `*` is an ordinary character of
//! a file name. [`Capability::allows`] compares the two, [`Capability::covers`] compares two patterns.
//! Nothing here touches the file system: paths must have been resolved by whoever asks.
//!
//! ```
//! use aios_auth::capability::Capability;
//! let grant = Capability::parse("fs:*:/var/tmp/**")?;
//! assert!(grant.allows("fs", "delete", "/var/tmp/a/b.log"));
//! assert!(!grant.allows("fs", "delete", "/var/tmp/../../etc/shadow"));
//! assert!(grant.covers(&Capability::parse("fs:read:/var/tmp/*.log")?));
//! # Ok::<(), aios_auth::capability::CapabilityError>(())
//! ```
//!
//! Resources that start with `/` are paths, matched segment by segment: `*` stays within one segment,
//! `**` is a whole segment and stands for any number of segments, also none, so `/a/**` allows `/a`
//! itself. Other resources are names (`nginx`, `*.example.org:443`): `*` is any run of characters
//! without `/` and `:`; `**` alone is any name.

use std::fmt;
use std::str::FromStr;

use aios_core::error::Coded;
use serde::{Deserialize, Serialize};

use crate::glob::{Glob, PathGlob};

/// Longest capability text, bytes.
pub const MAX_LEN: usize = 4096 + 128;
/// Most wildcards in one pattern, so that matching stays linear in practice.
pub const MAX_WILDCARDS: usize = 16;

/// Why a text is no capability. Positions are byte offsets from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// One of the two colons is missing.
    #[error("capability `{text}` has no {missing}; the form is `namespace:action:resource`")]
    Incomplete {
        /// The text.
        text: String,
        /// The part that is missing.
        missing: &'static str,
    },
    /// The namespace or action holds something else than `[a-z0-9_-]`, or is empty.
    #[error("capability `{text}`: {part} `{found}` must start with a-z and hold only a-z, 0-9, `_` and `-`")]
    Name {
        /// The text.
        text: String,
        /// `namespace` or `action`.
        part: &'static str,
        /// What stands there.
        found: String,
    },
    /// The resource cannot be a pattern.
    #[error("capability `{text}`: resource {problem} at byte {at}")]
    Resource {
        /// The text.
        text: String,
        /// What is wrong.
        problem: &'static str,
        /// Offset of the offending part within the text.
        at: usize,
    },
    /// The text is longer than [`MAX_LEN`].
    #[error("capability of {len} bytes is longer than {MAX_LEN}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl Coded for CapabilityError {
    fn code(&self) -> &'static str {
        match self {
            Self::Incomplete { .. } => "AIOS-AUTH-0101",
            Self::Name { .. } => "AIOS-AUTH-0102",
            Self::Resource { .. } => "AIOS-AUTH-0103",
            Self::TooLong { .. } => "AIOS-AUTH-0104",
        }
    }

    fn next_step(&self) -> String {
        "write it as `namespace:action:resource`, for example `fs:write:/var/tmp/**`".to_owned()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Any,
    One(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Resource {
    Any,
    Path(PathGlob),
    Name(Glob),
}

/// A pattern of things that may be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability {
    text: String,
    namespace: String,
    action: Action,
    resource: Resource,
}

impl Capability {
    /// Parses `namespace:action:resource-glob`.
    ///
    /// # Errors
    /// Says which part is wrong and where.
    pub fn parse(text: &str) -> Result<Self, CapabilityError> {
        let (namespace, action, resource) = split(text)?;
        check_name(text, "namespace", namespace)?;
        let action = if action == "*" {
            Action::Any
        } else {
            check_name(text, "action", action)?;
            Action::One(action.to_owned())
        };
        let at = text.len() - resource.len();
        let bad = |(problem, offset): (&'static str, usize)| CapabilityError::Resource {
            text: printable(text),
            problem,
            at: at + offset,
        };
        let resource = if resource.starts_with('/') {
            Resource::Path(PathGlob::parse(resource).map_err(bad)?)
        } else if namespace == "fs" {
            return Err(bad(("is not an absolute path", 0)));
        } else if resource == "**" {
            Resource::Any
        } else {
            Resource::Name(Glob::parse_name(resource).map_err(bad)?)
        };
        Ok(Self {
            text: text.to_owned(),
            namespace: namespace.to_owned(),
            action,
            resource,
        })
    }

    /// The namespace, `fs`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The action, or `None` for `*`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        match &self.action {
            Action::Any => None,
            Action::One(action) => Some(action),
        }
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The resource pattern as it was written.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.text.splitn(3, ':').nth(2).unwrap_or_default()
    }

    /// Whether this pattern allows one concrete access. A path that is relative, has `.`, `..`, empty
    /// segments or NUL is never allowed, whatever the pattern.
    #[must_use]
    pub fn allows(&self, namespace: &str, action: &str, resource: &str) -> bool {
        self.namespace == namespace
            && match &self.action {
                Action::Any => !action.is_empty(),
                Action::One(own) => own == action,
            }
            && match &self.resource {
                Resource::Path(glob) => glob.matches(resource),
                Resource::Name(glob) => is_plain_name(resource) && glob.matches_name(resource),
                Resource::Any => is_plain_name(resource) || is_plain_path(resource),
            }
    }

    /// Whether this pattern allows an [`Access`].
    #[must_use]
    pub fn allows_access(&self, access: &Access) -> bool {
        self.allows(access.namespace(), access.action(), access.resource())
    }

    /// Whether everything that `other` allows is allowed by this pattern too. Sound, and complete for
    /// patterns without overlapping wildcards; a `false` may be over-careful, a `true` never wrong.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let action = match (&self.action, &other.action) {
            (Action::Any, _) => true,
            (Action::One(own), Action::One(theirs)) => own == theirs,
            (Action::One(_), Action::Any) => false,
        };
        let resource = match (&self.resource, &other.resource) {
            (Resource::Any, _) => true,
            (Resource::Path(own), Resource::Path(theirs)) => own.covers(theirs),
            (Resource::Name(own), Resource::Name(theirs)) => own.covers_name(theirs),
            _ => false,
        };
        self.namespace == other.namespace && action && resource
    }
}

impl FromStr for Capability {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Capability {
    type Error = CapabilityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.text
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One concrete thing that a call needs, on a resolved name: `fs:delete:/var/tmp/a.log`.
/// A `*` in it is an ordinary character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Access {
    namespace: String,
    action: String,
    resource: String,
}

impl Access {
    /// Parses `namespace:action:resource`, the form in which workers send what a call needs.
    ///
    /// # Errors
    /// When a part is missing or misspelt, or the resource is a path that is not plainly absolute.
    pub fn parse(text: &str) -> Result<Self, CapabilityError> {
        let (namespace, action, resource) = split(text)?;
        check_name(text, "namespace", namespace)?;
        check_name(text, "action", action)?;
        let path = resource.starts_with('/') || namespace == "fs";
        if (path && !is_plain_path(resource)) || (!path && !is_plain_name(resource)) {
            return Err(CapabilityError::Resource {
                text: printable(text),
                problem: "is not a resolved name (absolute, without `.`, `..`, `//` or NUL)",
                at: text.len() - resource.len(),
            });
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
        })
    }

    /// Builds an access from its parts.
    ///
    /// # Errors
    /// As [`Access::parse`].
    pub fn new(namespace: &str, action: &str, resource: &str) -> Result<Self, CapabilityError> {
        Self::parse(&format!("{namespace}:{action}:{resource}"))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The action.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The resource, a resolved absolute path or a name.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.namespace, self.action, self.resource)
    }
}

impl TryFrom<String> for Access {
    type Error = CapabilityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Access> for String {
    fn from(access: Access) -> Self {
        access.to_string()
    }
}

/// The effective capabilities of a token: what *every* layer (the minted block and each attenuation)
/// allows. Adding a layer can only take away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CapabilitySet {
    layers: Vec<Vec<Capability>>,
}

impl CapabilitySet {
    /// A set of one layer.
    #[must_use]
    pub fn new(granted: Vec<Capability>) -> Self {
        Self {
            layers: vec![granted],
        }
    }

    /// Adds an attenuation.
    pub fn narrow(&mut self, layer: Vec<Capability>) {
        self.layers.push(layer);
    }

    /// Whether every layer allows the access. A set without layers allows nothing.
    #[must_use]
    pub fn allows(&self, namespace: &str, action: &str, resource: &str) -> bool {
        !self.layers.is_empty()
            && self
                .layers
                .iter()
                .all(|layer| layer.iter().any(|cap| cap.allows(namespace, action, resource)))
    }

    /// Whether every layer allows the access.
    #[must_use]
    pub fn allows_access(&self, access: &Access) -> bool {
        self.allows(access.namespace(), access.action(), access.resource())
    }

    /// Whether every layer covers the pattern.
    #[must_use]
    pub fn covers(&self, wanted: &Capability) -> bool {
        !self.layers.is_empty()
            && self
                .layers
                .iter()
                .all(|layer| layer.iter().any(|cap| cap.covers(wanted)))
    }

    /// The patterns that hold after all layers, for people and logs: those of any layer that all layers
    /// cover. Decisions use [`CapabilitySet::allows`], which is exact.
    #[must_use]
    pub fn effective(&self) -> Vec<Capability> {
        let mut out: Vec<Capability> = Vec::new();
        for cap in self.layers.iter().flatten().filter(|cap| self.covers(cap)) {
            if !out.iter().any(|kept| kept.covers(cap)) {
                out.retain(|kept| !cap.covers(kept));
                out.push(cap.clone());
            }
        }
        out
    }
}

fn split(text: &str) -> Result<(&str, &str, &str), CapabilityError> {
    if text.len() > MAX_LEN {
        return Err(CapabilityError::TooLong { len: text.len() });
    }
    let missing = |missing| CapabilityError::Incomplete {
        text: printable(text),
        missing,
    };
    let (namespace, rest) = text.split_once(':').ok_or_else(|| missing("action"))?;
    let (action, resource) = rest.split_once(':').ok_or_else(|| missing("resource"))?;
    if resource.is_empty() {
        return Err(missing("resource"));
    }
    Ok((namespace, action, resource))
}

fn check_name(text: &str, part: &'static str, found: &str) -> Result<(), CapabilityError> {
    let mut bytes = found.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && found.len() <= 64;
    if good {
        Ok(())
    } else {
        Err(CapabilityError::Name {
            text: printable(text),
            part,
            found: printable(found),
        })
    }
}

/// Control characters out, so that an error message cannot write to a terminal.
fn printable(text: &str) -> String {
    text.escape_debug().take(256).collect()
}

/// Whether a text is a resolved absolute path: no NUL, no `.`, `..` or empty segment, at most 4096 bytes.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    path.len() <= 4096
        && !path.contains('\0')
        && (rest.is_empty() || rest.split('/').all(|seg| !matches!(seg, "" | "." | "..")))
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 4096
        && !name.starts_with('/')
        && !name.chars().any(char::is_control)
        && name.split('/').all(|seg| seg != "..")
}
