//! Which deployment runs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of a deployment: the digest of its root file system's image, in hexadecimal digits, as bootc's composefs backend
/// writes it on the kernel command line (`composefs=DIGEST`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(String);

/// Longest digest, hexadecimal digits: SHA-512.
const LONGEST: usize = 128;

impl DeploymentId {
    /// A digest. `None` when it is not one: it becomes part of paths.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (digits && (16..=LONGEST).contains(&text.len())).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The one that a kernel command line names. A question mark before the digest means that a file without
    /// fs-verity is tolerated.
    #[must_use]
    pub fn of_command_line(line: &str) -> Option<Self> {
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("composefs="))
            .and_then(|digest| Self::new(digest.trim_start_matches('?')))
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for a person.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_deployment_with_or_without_required_verity() {
        let digest = "ab".repeat(64);
        for line in [
            format!("root=UUID=1 composefs={digest} quiet"),
            format!("composefs=?{digest}"),
        ] {
            assert_eq!(DeploymentId::of_command_line(&line).unwrap().as_str(), digest);
        }
        assert_eq!(DeploymentId::of_command_line("root=/dev/sda quiet"), None);
    }

    #[test]
    fn what_could_lead_a_path_elsewhere_is_no_digest() {
        for text in ["", "../../etc", "abcd", "0123456789abcdef/", &"a".repeat(129)] {
            assert_eq!(DeploymentId::new(text), None, "{text}");
        }
    }
}
