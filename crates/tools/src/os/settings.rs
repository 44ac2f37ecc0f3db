//! Where things are on the machine whose images are managed: this one's, or those of a tree of its own in a test.

use aios_deployment::image::Reference;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Section `[os]` of `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// bootc, with first arguments if it needs any.
    pub bootc: Vec<String>,
    /// skopeo, which asks registries what they have.
    pub skopeo: Vec<String>,
    /// Podman, which makes images with packages that people added.
    pub podman: Vec<String>,
    /// The root below which `/sysroot`, `/run/composefs` and `/etc/containers` lie.
    pub root: PathBuf,
    /// Where the boot partition is mounted; empty to mount it while it is used.
    pub boot_partition: PathBuf,
    /// The image that `os.reset` goes back to; empty for the one that ran before the first `os.switch`.
    pub image: String,
    /// Whether an image must be signed.
    pub require_signature: bool,
    /// Images that need no signature all the same: `oci:/srv/builds/*`.
    pub unsigned: Vec<String>,
    /// What must stay free when a new image is laid out, bytes, on the disk and a hundredth of it on the boot partition.
    pub reserve_bytes: u64,
    /// How long after its approval the machine starts again, milliseconds: the call is recorded before.
    pub reboot_after_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bootc: vec!["/usr/bin/bootc".to_owned()],
            skopeo: vec!["/usr/bin/skopeo".to_owned()],
            podman: vec!["/usr/bin/podman".to_owned()],
            root: PathBuf::from("/"),
            boot_partition: PathBuf::new(),
            image: String::new(),
            require_signature: true,
            unsigned: Vec::new(),
            reserve_bytes: 256 << 20,
            reboot_after_ms: 5_000,
        }
    }
}

impl Settings {
    /// A place below the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether the configuration excuses an image from being signed.
    pub(crate) fn excuses(&self, image: &Reference) -> bool {
        let name = image.to_string();
        let fits =
            |glob: &String| globset::Glob::new(glob).is_ok_and(|glob| glob.compile_matcher().is_match(&name));
        !self.require_signature || self.unsigned.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_configuration_names_needs_no_signature() {
        let image = |text| Reference::parse(text).unwrap();
        let mut settings = Settings {
            unsigned: vec!["oci:/srv/builds/*".to_owned(), "[".to_owned()],
            ..Settings::default()
        };
        assert!(settings.excuses(&image("oci:/srv/builds/7")));
        assert!(!settings.excuses(&image("oci:/srv/other/7")));
        assert!(!settings.excuses(&image("docker://srv/builds/7")));
        settings.require_signature = false;
        assert!(settings.excuses(&image("docker://any")));
    }
}
