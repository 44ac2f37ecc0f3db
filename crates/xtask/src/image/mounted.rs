//! An image of root's store as a directory, for as long as somebody looks at it.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::host::Host;

/// Mounts the image, looks, and unmounts it again, whatever came of the look.
pub(crate) fn with<T>(host: &Host, image: &str, look: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let path = host
        .podman()
        .args(["image", "mount", image])
        .read()
        .with_context(|| format!("mount {image}"))?;
    let seen = look(&PathBuf::from(path.trim()));
    host.podman()
        .args(["image", "unmount", image])
        .ignore_stdout()
        .run()
        .with_context(|| format!("unmount {image}"))?;
    seen
}
