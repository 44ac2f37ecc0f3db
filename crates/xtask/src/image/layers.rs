//! An image's layers: what they weigh, what made them, and which of them an update fetches.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::Path;

use crate::host::Host;

/// A layer's weight; the lowest comes first.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Layer {
    /// Digest of its tar file.
    pub(super) digest: String,
    /// The instruction that made it.
    pub(super) made_by: String,
    /// Of its files' content.
    pub(super) unpacked_bytes: u64,
    /// As an update fetches it; unknown until [`compress`] was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compressed_bytes: Option<u64>,
}

#[cfg(test)]
impl Layer {
    /// One that only its digest tells from others.
    pub(super) fn for_test(digest: &str) -> Self {
        Self {
            digest: digest.to_owned(),
            made_by: format!("RUN {digest}"),
            unpacked_bytes: 0,
            compressed_bytes: None,
        }
    }
}

/// What a machine fetches that has another image.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Update {
    /// How many.
    pub(super) layers: usize,
    /// Of all of them.
    pub(super) compressed_bytes: u64,
}

impl Update {
    /// From the layers of both.
    pub(super) fn new(old: &[Layer], new: &[Layer]) -> Self {
        let missing = |layer: &&Layer| !old.iter().any(|known| known.digest == layer.digest);
        let fetched = new.iter().filter(missing);
        Self {
            layers: fetched.clone().count(),
            compressed_bytes: fetched.filter_map(|layer| layer.compressed_bytes).sum(),
        }
    }
}

/// The image's layers from Podman: digests and steps from its configuration, sizes from its history.
pub(super) fn of(host: &Host, image: &str) -> Result<Vec<Layer>> {
    let inspected = host.podman().args(["image", "inspect", image]).read()?;
    let inspected: Vec<Inspected> = serde_json::from_str(&inspected)?;
    let history = host
        .podman()
        .args(["history", "--no-trunc", "--format", "json", image])
        .read()?;
    let sizes: Vec<Size> = serde_json::from_str(&history)?;
    let described = inspected.first().context("Podman describes the image")?;
    pair(described, &sizes).with_context(|| format!("layers of {image}"))
}

/// What `podman image inspect` says.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    history: Vec<Step>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    layers: Vec<String>,
}

/// One step of the image's making; there are more than layers.
#[derive(serde::Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

/// What `podman history` says of a step.
#[derive(serde::Deserialize)]
struct Size {
    size: u64,
}

/// Podman's history begins with the newest step, the configuration with the oldest.
fn pair(image: &Inspected, sizes: &[Size]) -> Result<Vec<Layer>> {
    ensure!(
        image.history.len() == sizes.len(),
        "the image has {} steps, its history {}",
        image.history.len(),
        sizes.len()
    );
    let steps = image.history.iter().zip(sizes.iter().rev());
    let made: Vec<_> = steps.filter(|(step, _)| !step.empty_layer).collect();
    ensure!(
        made.len() == image.root_fs.layers.len(),
        "the history names {} layers and the image has {}",
        made.len(),
        image.root_fs.layers.len()
    );
    Ok(image
        .root_fs
        .layers
        .iter()
        .zip(made)
        .map(|(digest, (step, size))| Layer {
            digest: digest.clone(),
            made_by: instruction(&step.created_by),
            unpacked_bytes: size.size,
            compressed_bytes: None,
        })
        .collect())
}

/// The instruction as the Containerfile has it, without arguments of the build and with short digests.
fn instruction(created_by: &str) -> String {
    let text = created_by
        .split_once("/bin/sh -c ")
        .map_or(created_by, |(_, text)| text);
    let text = text.strip_prefix("#(nop) ").unwrap_or(text);
    let short = |word: &str| match word.split_once(':') {
        Some((kind, digest)) if digest.len() == 64 => {
            format!("{kind}:{}", digest.chars().take(8).collect::<String>())
        }
        _ => word.to_owned(),
    };
    text.split_whitespace().map(short).collect::<Vec<_>>().join(" ")
}

/// Writes an OCI layout as an update would fetch it, and reads the layers' sizes from its manifest.
pub(super) fn compress(host: &Host, image: &str, layers: &mut [Layer]) -> Result<()> {
    let dir = host.shell.create_temp_dir()?;
    let layout = dir.path().join("layout");
    host.podman()
        .args(["push", "--quiet", "--compression-format", "zstd", image])
        .arg(format!("oci:{}:size", layout.display()))
        .ignore_stdout()
        .run()?;
    let read = |path: &Path| -> Result<serde_json::Value> {
        let text = host.root_cmd("cat").arg(path).read()?;
        Ok(serde_json::from_str(&text)?)
    };
    let index = read(&layout.join("index.json"))?;
    let digest = index
        .pointer("/manifests/0/digest")
        .and_then(|digest| digest.as_str());
    let digest = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    let manifest = read(
        &layout
            .join("blobs/sha256")
            .join(digest.context("a layout names its manifest")?),
    )?;
    let sizes = manifest.pointer("/layers").and_then(|layers| layers.as_array());
    for (layer, size) in layers.iter_mut().zip(sizes.context("a manifest lists layers")?) {
        layer.compressed_bytes = size.get("size").and_then(serde_json::Value::as_u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Inspected, Layer, Size, Update, pair};

    #[test]
    fn layers_are_paired_with_the_steps_that_made_them() {
        let image = serde_json::json!({
            "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
            "History": [
                {"created_by": format!("/bin/sh -c #(nop) ADD file:{:064x} in / ", 10)},
                {"created_by": "/bin/sh -c #(nop) LABEL a=b", "empty_layer": true},
                {"created_by": "|1 SOURCE_DATE_EPOCH=1 /bin/sh -c bash /usr/lib/finish.sh"},
            ]
        });
        let mut image: Inspected = serde_json::from_value(image).unwrap();
        let sizes: Vec<Size> = serde_json::from_str(r#"[{"size": 0}, {"size": 0}, {"size": 9}]"#).unwrap();
        let layers = pair(&image, &sizes).unwrap();
        assert_eq!(layers[0].made_by, "ADD file:00000000 in /");
        assert_eq!(
            (layers[0].digest.as_str(), layers[0].unpacked_bytes),
            ("sha256:a", 9)
        );
        assert_eq!(layers[1].made_by, "bash /usr/lib/finish.sh");

        image.root_fs.layers.pop();
        let error = pair(&image, &sizes).err().unwrap();
        assert!(
            error.to_string().contains("2 layers and the image has 1"),
            "{error}"
        );
        let error = pair(&image, &[]).err().unwrap();
        assert!(error.to_string().contains("3 steps, its history 0"), "{error}");
    }

    #[test]
    fn an_update_fetches_the_layers_that_the_old_image_lacks() {
        let layers = |digests: &[&str]| -> Vec<Layer> {
            let packed = |digest: &&str| Layer {
                compressed_bytes: Some(10),
                ..Layer::for_test(digest)
            };
            digests.iter().map(packed).collect()
        };
        let update = Update::new(&layers(&["base", "a", "c"]), &layers(&["base", "b", "c", "d"]));
        assert_eq!((update.layers, update.compressed_bytes), (2, 20));
    }
}
