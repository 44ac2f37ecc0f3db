//! What containers-policy.json(5) asks of an image's signature. skopeo, by which bootc fetches, holds to it at every fetch;
//! it allows everything where a file says `insecureAcceptAnything`, as distributions ship it. So before an image
//! is fetched this is looked at too.

use crate::error::{DeploymentError, Result};
use crate::image::{REGISTRY, Reference};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where skopeo reads it.
pub const FILE: &str = "/etc/containers/policy.json";

#[derive(Debug, Deserialize)]
struct Policy {
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    #[serde(rename = "type")]
    kind: String,
}

/// What is asked of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A signature that skopeo checks.
    Signature,
    /// Nothing.
    Nothing,
    /// Such images are refused.
    Refused,
}

/// What the file asks of an image.
///
/// # Errors
/// It cannot be read or understood; skopeo fetches nothing then.
pub fn asked(file: &Path, image: &Reference) -> Result<Asked> {
    let text = fs::read(file).map_err(DeploymentError::path("cannot read", file))?;
    let policy: Policy = serde_json::from_slice(&text).map_err(|error| DeploymentError::Damaged {
        path: file.to_owned(),
        reason: error.to_string(),
    })?;
    let transport = if image.transport == REGISTRY {
        "docker"
    } else {
        &image.transport
    };
    let scopes = policy.transports.get(transport);
    let requirements = scopes
        .and_then(|scopes| places(image).iter().find_map(|place| scopes.get(place)))
        .unwrap_or(&policy.default);
    let all = |kinds: &[&str]| requirements.iter().any(|it| kinds.contains(&it.kind.as_str()));
    // All requirements of a list must be met.
    Ok(if all(&["reject"]) || requirements.is_empty() {
        Asked::Refused
    } else if all(&["signedBy", "sigstoreSigned"]) {
        Asked::Signature
    } else {
        Asked::Nothing
    })
}

/// The scopes of an image, the narrowest first: itself, its repository, each namespace above it, the host, wildcards of the
/// host's domains, and the whole transport.
fn places(image: &Reference) -> Vec<String> {
    let mut places = vec![image.name.clone()];
    let mut rest = image.name.as_str();
    if image.transport == REGISTRY {
        // A colon before the last slash is the host's port.
        let from = rest.rfind('/').map_or(0, |slash| slash + 1);
        if let Some(end) = rest.get(from..).and_then(|last| last.find(['@', ':'])) {
            rest = rest.get(..from + end).unwrap_or(rest);
            places.push(rest.to_owned());
        }
        while let Some((parent, _)) = rest.rsplit_once('/') {
            rest = parent;
            places.push(rest.to_owned());
        }
        let mut domain = rest.split(':').next().unwrap_or_default();
        while let Some((_, parent)) = domain.split_once('.') {
            places.push(format!("*.{parent}"));
            domain = parent;
        }
    }
    places.push(String::new());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_scope_decides() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("policy.json");
        let text = r#"{
            "default": [{"type": "insecureAcceptAnything"}],
            "transports": {
                "docker": {
                    "quay.io/good": [{"type": "sigstoreSigned", "keyPath": "/k"}],
                    "quay.io/good/loose": [{"type": "insecureAcceptAnything"}],
                    "quay.io/good/os:bad": [{"type": "reject"}],
                    "*.example.org": [{"type": "signedBy"}],
                    "localhost:5000": [{"type": "insecureAcceptAnything"}, {"type": "signedBy"}]
                },
                "containers-storage": {"": [{"type": "reject"}]}
            }
        }"#;
        fs::write(&file, text).unwrap();
        for (image, wanted) in [
            ("quay.io/good/os:7", Asked::Signature),
            ("quay.io/good/os@sha256:00", Asked::Signature),
            ("quay.io/good/loose:7", Asked::Nothing),
            ("quay.io/good/os:bad", Asked::Refused),
            ("quay.io/other/os", Asked::Nothing),
            ("a.b.example.org/os", Asked::Signature),
            ("localhost:5000/os", Asked::Signature),
            ("containers-storage:localhost/os", Asked::Refused),
            ("oci-archive:/a.tar", Asked::Nothing),
        ] {
            let image = Reference::parse(image).unwrap();
            assert_eq!(asked(&file, &image).unwrap(), wanted, "{image}");
        }
        fs::write(&file, "{}").unwrap();
        let image = Reference::parse("quay.io/x").unwrap();
        assert!(
            asked(&file, &image)
                .unwrap_err()
                .to_string()
                .contains("policy.json")
        );
        assert!(asked(&home.path().join("none"), &image).is_err());
    }
}
