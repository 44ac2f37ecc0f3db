//! Writing an OCI layout (OCI image-layout 1.0) by hand.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// `sha256:` and the digits.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Writes an image of these layers, uncompressed, under a tag. Answers the digest of its manifest.
///
/// # Errors
/// The directory cannot be written.
pub fn write_layout(dir: &Path, tag: &str, version: &str, layers: &[&[u8]]) -> Result<String> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8], kind: &str| -> Result<Value> {
        let digest = digest_of(bytes);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        let kind = format!("application/vnd.oci.image.{kind}");
        Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-11-23T09:00:00Z",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| put(layer, "layer.v1.tar"))
        .collect::<Result<_>>()?;
    let config = put(config.to_string().as_bytes(), "config.v1+json")?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
        "annotations": { "org.opencontainers.image.version": version },
    });
    let mut descriptor = put(manifest.to_string().as_bytes(), "manifest.v1+json")?;
    if let Some(map) = descriptor.as_object_mut() {
        let name = json!({ "org.opencontainers.image.ref.name": tag });
        map.insert("annotations".to_owned(), name);
    }
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(dir.join("index.json"), index.to_string())?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(digest_of(manifest.to_string().as_bytes()))
}
