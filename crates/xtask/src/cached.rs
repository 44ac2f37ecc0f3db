//! Digests of inputs, so that a task whose inputs did not change is not done again.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Made from other inputs, and never read by what is built.
const SKIPPED: &[&str] = &["__pycache__", "node_modules"];

/// Collects inputs into one digest. Order matters, and each part is length-prefixed.
#[derive(Default)]
pub(crate) struct Inputs(Sha256);

impl Inputs {
    /// Adds text.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    /// Adds a file's content, or a directory's names, modes and contents in sorted order. Skips what Python and npm keep there.
    pub(crate) fn path(mut self, path: &Path) -> Result<Self> {
        self.walk(path)
            .with_context(|| format!("read {}", path.display()))?;
        Ok(self)
    }

    /// Sixteen hexadecimal digits of the digest: enough to name a file.
    pub(crate) fn digest(self) -> String {
        hex::encode(self.0.finalize()).chars().take(16).collect()
    }

    fn walk(&mut self, path: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let meta = std::fs::symlink_metadata(path)?;
        if meta.is_symlink() && !path.exists() {
            // One that leads nowhere here is meant for the place that it is copied to.
            self.part(std::fs::read_link(path)?.as_os_str().as_encoded_bytes());
        } else if path.is_dir() {
            let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries
                .iter()
                .filter(|entry| !SKIPPED.iter().any(|name| entry.file_name() == *name))
            {
                self.part(entry.file_name().as_encoded_bytes());
                self.walk(&entry.path())?;
            }
        } else {
            let mode = std::fs::metadata(path)?.permissions().mode();
            self.part(&mode.to_le_bytes());
            self.part(&std::fs::read(path)?);
        }
        Ok(())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::Inputs;

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        let one = Inputs::default().text("ab").text("c").digest();
        let two = Inputs::default().text("a").text("bc").digest();
        assert_ne!(one, two);
    }

    #[test]
    fn a_changed_mode_or_content_changes_the_digest_and_python_caches_do_not() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "x").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let digest = || Inputs::default().path(dir.path()).unwrap().digest();
        let first = digest();
        std::fs::create_dir(dir.path().join("__pycache__")).unwrap();
        std::fs::write(dir.path().join("__pycache__/f.pyc"), "y").unwrap();
        assert_eq!(first, digest());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let second = digest();
        assert_ne!(first, second);
        std::fs::write(&file, "z").unwrap();
        assert_ne!(second, digest());
    }
}
