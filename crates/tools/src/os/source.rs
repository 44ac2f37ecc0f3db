//! An image before it is fetched: what it consists of, who stands for it, and how much of it is here already.

use super::error::OsError;
use super::{Os, Patience};
use crate::budget::Budget;
use crate::error::Result;
use aios_deployment::DeploymentError;
use aios_deployment::bootc::Program;
use aios_deployment::image::{Config, Digest, Index, Layout, Manifest, OCI, REGISTRY, Reference};
use aios_deployment::policy::{self, Asked};
use aios_deployment::signature::{self, Verdict};
use serde::de::DeserializeOwned;

/// How much larger a compressed layer may be unpacked; measured 2.1 to 2.6 for the OS image's layers.
const UNPACKED: u64 = 3;

/// An image that could be fetched.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) image: Reference,
    /// Digest of its manifest.
    pub(crate) digest: Digest,
    /// Digest of the index that led to it, where there is one.
    index: Option<Digest>,
    pub(crate) manifest: Manifest,
    pub(crate) config: Config,
    /// As skopeo names exactly this image.
    name: String,
    /// Where it lies, when that is a directory.
    layout: Option<Layout>,
}

/// Whether an image's signature is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) enough: bool,
    /// In words.
    pub(crate) words: String,
}

impl Source {
    /// Looks an image up where it comes from.
    pub(crate) fn find(os: &Os, image: &Reference, budget: &Budget) -> Result<Self> {
        if image.transport == OCI {
            let layout = Layout::open(&image.name).map_err(OsError::from)?;
            return Ok(Self {
                image: image.clone(),
                digest: layout.digest.clone(),
                index: None,
                name: image.for_skopeo(),
                manifest: layout.manifest.clone(),
                config: layout.config.clone(),
                layout: Some(layout),
            });
        }
        let raw = inspect(os, &["--raw"], &image.for_skopeo(), budget)?;
        let found = Digest::of(raw.as_bytes());
        let (name, index, raw) = match serde_json::from_str::<Index>(&raw) {
            Ok(index) => {
                let digest = of_this_machine(&index)?;
                let name = pinned(image, &digest);
                let raw = inspect(os, &["--raw"], &name, budget)?;
                (name, Some(found), raw)
            }
            Err(_) => (image.for_skopeo(), None, raw),
        };
        let config = inspect(os, &["--config", "--raw"], &name, budget)?;
        Ok(Self {
            image: image.clone(),
            digest: Digest::of(raw.as_bytes()),
            index,
            manifest: understood(&raw)?,
            config: understood(&config)?,
            name,
            layout: None,
        })
    }

    /// As skopeo names it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies, when that is a directory.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// What bootc may call it once it is staged.
    pub(crate) fn digests(&self) -> Vec<String> {
        let all = [Some(&self.digest), self.index.as_ref()];
        all.into_iter().flatten().map(ToString::to_string).collect()
    }

    /// For a person.
    pub(crate) fn title(&self) -> String {
        match self.manifest.version() {
            Some(version) => format!("{} version {version}", self.image),
            None => self.image.to_string(),
        }
    }

    /// What its signature is worth here.
    pub(crate) fn standing(&self, os: &Os) -> Result<Standing> {
        // Only this worker writes where it lies, and its base was looked at before.
        if let Some(recipe) = os.images.recipe(&self.image).map_err(OsError::from)? {
            let words = format!("it was made here, of {} ({})", recipe.follows, recipe.base);
            return Ok(Standing { enough: true, words });
        }
        let (signed, words) = match &self.layout {
            Some(layout) => {
                let (keys, problems) = signature::trusted(&os.keys).map_err(OsError::from)?;
                for problem in problems {
                    tracing::warn!(problem, "a key for images is not used");
                }
                let verdict = signature::judge(layout, &keys).map_err(OsError::from)?;
                (matches!(verdict, Verdict::Signed { .. }), verdict.to_string())
            }
            None => {
                let file = os.settings.at(policy::FILE);
                match policy::asked(&file, &self.image).map_err(OsError::from)? {
                    Asked::Signature => (
                        true,
                        format!(
                            "{} asks for a signature, which is checked when it is fetched",
                            file.display()
                        ),
                    ),
                    Asked::Nothing => (false, format!("{} asks for no signature of it", file.display())),
                    Asked::Refused => {
                        let words = format!("{} refuses it", file.display());
                        return Ok(Standing { enough: false, words });
                    }
                }
            }
        };
        let excused = !signed && os.settings.excuses(&self.image);
        Ok(Standing {
            enough: signed || excused,
            words: if excused {
                format!("{words}; the configuration excuses it from that")
            } else {
                words
            },
        })
    }

    /// Reads all of it, when it lies in a directory: what is not what the manifest says is found here, not by bootc half way.
    pub(crate) fn verify(&self, budget: &Budget) -> Result<()> {
        let Some(layout) = &self.layout else {
            return Ok(());
        };
        match layout.verify(&|_| budget.check().is_ok()) {
            Err(DeploymentError::Stopped) => budget.check(),
            other => Ok(other.map_err(OsError::from)?),
        }
    }

    /// Bytes of all its layers, and of those that are not here.
    pub(crate) fn sizes(&self, os: &Os) -> (u64, u64) {
        let streams = os.settings.at("/sysroot/composefs/streams");
        let layers = || self.manifest.layers.iter().enumerate();
        let is_here = |place: usize| {
            let diff = self.config.rootfs.diff_ids.get(place);
            diff.is_some_and(|diff| {
                streams
                    .join(format!("oci-layer-{diff}"))
                    .symlink_metadata()
                    .is_ok()
            })
        };
        let all = layers().map(|(_, layer)| layer.size).sum();
        let missing = layers()
            .filter(|(place, _)| !is_here(*place))
            .map(|(_, layer)| layer.size)
            .sum();
        (all, missing)
    }

    /// Bytes that its layers take that are not here.
    pub(crate) fn unpacked(&self, os: &Os) -> u64 {
        self.sizes(os).1.saturating_mul(growth(&self.manifest))
    }
}

/// How much larger the layers of an image are unpacked.
fn growth(manifest: &Manifest) -> u64 {
    if manifest.is_compressed() { UNPACKED } else { 1 }
}

/// Bytes that all layers of an image take, an estimate from above.
pub(super) fn unpacked_whole(manifest: &Manifest) -> u64 {
    let all: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
    all.saturating_mul(growth(manifest))
}

fn inspect(os: &Os, how: &[&str], name: &str, budget: &Budget) -> Result<String> {
    let skopeo = Program {
        command: &os.settings.skopeo,
        as_root: os.bootc.as_root,
        dir: None,
    };
    let args = [&["inspect"], how, &[name]].concat();
    let answer = skopeo.run(&args, &Patience::of(budget));
    super::stopped(answer, budget)
}

/// The manifest for this kind of machine.
fn of_this_machine(index: &Index) -> Result<Digest> {
    let wanted = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |platform: &aios_deployment::image::Platform| platform.architecture == wanted;
    let found = index
        .manifests
        .iter()
        .find(|it| it.platform.as_ref().is_some_and(fits));
    let found = found.ok_or_else(|| OsError::Otherwise {
        why: format!("the image has no variant for {wanted}"),
    })?;
    Ok(found.digest.clone())
}

/// The name of exactly that manifest.
fn pinned(image: &Reference, digest: &Digest) -> String {
    let name = &image.name;
    let after = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name
        .get(after..)
        .and_then(|last| last.find(['@', ':']))
        .map_or(name.len(), |at| after + at);
    let repository = name.get(..end).unwrap_or(name);
    let transport = if image.transport == REGISTRY {
        "docker://"
    } else {
        ""
    };
    format!("{transport}{repository}@{digest}")
}

fn understood<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        OsError::from(DeploymentError::Answer {
            command: "skopeo inspect".to_owned(),
            reason: error.to_string(),
        })
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_an_index_is_named_by_its_own_digest() {
        let digest = Digest::of(b"x");
        for (image, wanted) in [
            ("quay.io/org/os:7", "docker://quay.io/org/os"),
            ("localhost:5000/os", "docker://localhost:5000/os"),
            ("localhost:5000/os@sha256:00", "docker://localhost:5000/os"),
        ] {
            let name = pinned(&Reference::parse(image).unwrap(), &digest);
            assert_eq!(name, format!("{wanted}@{digest}"));
        }
    }
}
