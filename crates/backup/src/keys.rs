//! Keys of archives: age's X25519 pairs, in the files that `age-keygen` writes and `age` reads.
//!
//! A public key encrypts and cannot open, so it may lie on the machine: whoever takes the machine later cannot read
//! its backups by it. The secret one belongs elsewhere.

use crate::error::{BackupError, Result};
use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a machine's public key lies below its configuration: with it, every backup is encrypted.
pub const PUBLIC: &str = "backup.pub";
const SECRET: &str = "AGE-SECRET-KEY-";

/// A new pair.
#[derive(Debug)]
pub struct Pair {
    /// The public key, `age1…`.
    pub public: String,
    /// The file that it is in.
    pub public_file: PathBuf,
}

/// Makes a pair: the secret key in `file`, which only its owner reads, the public one in `file.pub`.
///
/// # Errors
/// One of them exists already, or cannot be written.
pub fn make(file: &Path, created: &str) -> Result<Pair> {
    let public_file = PathBuf::from(
        [file.as_os_str(), ".pub".as_ref()]
            .into_iter()
            .collect::<std::ffi::OsString>(),
    );
    let taken = [file, &public_file].into_iter().find(|path| path.exists());
    if let Some(path) = taken {
        return Err(BackupError::Exists {
            path: path.to_owned(),
        });
    }
    let identity = Identity::generate();
    let public = identity.to_public().to_string();
    // The public one first: a secret key without it would be of little use.
    write(&public_file, 0o644, &format!("{public}\n"))?;
    let secret = identity.to_string();
    write(
        file,
        0o600,
        &format!(
            "# created: {created}\n# public key: {public}\n{}\n",
            secret.expose_secret()
        ),
    )?;
    Ok(Pair { public, public_file })
}

fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(BackupError::io("write", path))
}

/// The public keys in a file, one a line; a line with `#` is a comment.
///
/// # Errors
/// There is none, or something else.
pub(crate) fn recipients(path: &Path) -> Result<Vec<Recipient>> {
    let wrong = |problem: &str| BackupError::Key {
        path: path.to_owned(),
        wanted: "public key",
        problem: problem.to_owned(),
    };
    let text = fs::read_to_string(path).map_err(BackupError::io("read", path))?;
    if text.contains(SECRET) {
        return Err(wrong(
            "it is a secret one, which does not belong on the machine that is backed up",
        ));
    }
    let keys: Vec<Recipient> = lines(&text)
        .map(|line| line.parse().map_err(wrong))
        .collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(keys)
}

/// The secret keys in a file.
///
/// # Errors
/// There is none, or something else.
pub(crate) fn identities(path: &Path) -> Result<Vec<Identity>> {
    let wrong = |problem: &str| BackupError::Key {
        path: path.to_owned(),
        wanted: "secret key",
        problem: problem.to_owned(),
    };
    let text = fs::read_to_string(path).map_err(BackupError::io("read", path))?;
    if lines(&text).any(|line| line.starts_with("age1")) {
        return Err(wrong("it is a public one, which cannot open anything"));
    }
    let keys: Vec<Identity> = lines(&text)
        .map(|line| line.parse().map_err(wrong))
        .collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(keys)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pair_fits_and_only_its_owner_reads_the_secret_half() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("key");
        let pair = make(&file, "now").unwrap();
        let identity = identities(&file).unwrap().remove(0);
        assert_eq!(identity.to_public().to_string(), pair.public);
        assert_eq!(recipients(&pair.public_file).unwrap().len(), 1);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(
            make(&file, "now").unwrap_err(),
            BackupError::Exists { .. }
        ));
    }

    #[test]
    fn refused_when_a_file_holds_the_other_half_or_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("key");
        let pair = make(&file, "now").unwrap();
        let empty = home.path().join("empty");
        fs::write(&empty, "# nothing\n").unwrap();
        let garbage = home.path().join("garbage");
        fs::write(&garbage, "age1garbage\n").unwrap();
        for path in [&file, &empty, &garbage] {
            assert!(
                matches!(recipients(path), Err(BackupError::Key { .. })),
                "{}",
                path.display()
            );
        }
        for path in [&pair.public_file, &empty, &garbage] {
            assert!(
                matches!(identities(path), Err(BackupError::Key { .. })),
                "{}",
                path.display()
            );
        }
        let error = recipients(&file).unwrap_err().to_string();
        assert!(!error.contains(SECRET), "a secret is never shown: {error}");
    }
}
