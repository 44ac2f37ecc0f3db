//! Who stands for an image: Ed25519 signatures over the digest of its manifest, beside the `index.json` of a layout.
//!
//! ```json
//! {"schema": 1, "digest": "sha256:…", "signatures": [{"key": "1f0c…", "signature": "…"}]}
//! ```
//!
//! The digest names everything in the image, so nothing else needs a signature. Whose signature counts is said by public
//! keys in directories: the vendor's below `/usr`, which change only with the image, and the administrator's below `/etc`.
//! Images of registries are signed otherwise; there containers-policy.json(5) decides, see [`crate::policy`].

use crate::error::{DeploymentError, Result};
use crate::image::{Digest, Layout};
use aios_auth::key::{Domain, PublicKey, SecretKey};
use aios_core::paths::Paths;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Name of the file in the layout's directory.
pub const FILE: &str = "aios.signature.json";
/// How a key's file is named.
const ENDING: &str = "pub";
const SCHEMA: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signatures {
    schema: u32,
    digest: Digest,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// Which key made it, [`key_id`].
    key: String,
    /// 64 bytes, hexadecimal.
    signature: String,
}

/// Where the keys are that images are trusted by: the vendor's, and the administrator's.
#[must_use]
pub fn key_dirs(paths: &Paths) -> Vec<PathBuf> {
    [&paths.vendor, &paths.etc]
        .map(|layer| layer.join("trust").join("images"))
        .to_vec()
}

/// Short name of a key: the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    let mut id = hex::encode(Sha256::digest(key.to_bytes()));
    id.truncate(16);
    id
}

/// A key that images are trusted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The key.
    pub key: PublicKey,
    /// The file that holds it.
    pub file: PathBuf,
}

/// Keys of the given directories, and what is wrong with those that cannot be used. A directory that is not there holds none.
///
/// # Errors
/// A directory cannot be read.
pub fn trusted(dirs: &[PathBuf]) -> Result<(Vec<Trusted>, Vec<String>)> {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for dir in dirs {
        let files = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            read => read.map_err(DeploymentError::path("cannot read", dir))?,
        };
        let mut files = files
            .map(|file| file.map(|file| file.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(DeploymentError::path("cannot read", dir))?;
        files.sort();
        for file in files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|it| it == ENDING))
        {
            match fs::read_to_string(&file)
                .map_err(|error| error.to_string())
                .and_then(|text| read_key(&text))
            {
                Ok(key) => keys.push(Trusted { key, file }),
                Err(problem) => problems.push(format!("{}: {problem}", file.display())),
            }
        }
    }
    Ok((keys, problems))
}

/// A key's file: 64 hexadecimal digits, and lines of comment that begin with `#`.
fn read_key(text: &str) -> std::result::Result<PublicKey, String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    match lines.as_slice() {
        [line] => PublicKey::try_from((*line).to_owned()).map_err(|error| error.to_string()),
        _ => Err("it must hold one line with a key".to_owned()),
    }
}

/// What a key's file holds.
#[must_use]
pub fn write_key(key: &PublicKey, comment: &str) -> String {
    let comment = comment.replace(char::is_control, " ");
    format!("# {comment}, key {}\n{key}\n", key_id(key))
}

/// What the signatures of an image are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A trusted key signed it.
    Signed {
        /// Which.
        key: String,
        /// The file that says that it is trusted.
        file: PathBuf,
    },
    /// Nobody signed it.
    Unsigned,
    /// Others signed it.
    Stranger {
        /// Their keys.
        keys: Vec<String>,
    },
    /// What is there is no signature of this image.
    Bad {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed { key, file } => write!(f, "signed by key {key}, which {} trusts", file.display()),
            Self::Unsigned => write!(f, "it has no {FILE}"),
            Self::Stranger { keys } => write!(f, "no trusted key signed it, only {}", keys.join(", ")),
            Self::Bad { why } => f.write_str(why),
        }
    }
}

/// Judges the signatures of a layout. Says nothing of its blobs: see [`Layout::verify`].
///
/// # Errors
/// The file of signatures is there and cannot be read.
pub fn judge(layout: &Layout, keys: &[Trusted]) -> Result<Verdict> {
    let path = layout.dir().join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Verdict::Unsigned),
        read => read.map_err(DeploymentError::path("cannot read", &path))?,
    };
    let bad = |why: String| Ok(Verdict::Bad { why });
    let file: Signatures = match serde_json::from_slice(&text) {
        Ok(file) => file,
        Err(error) => return bad(format!("{} cannot be understood: {error}", path.display())),
    };
    if file.digest != layout.digest {
        return bad(format!(
            "{} is of another image: it names {}, and this one is {}",
            path.display(),
            file.digest,
            layout.digest
        ));
    }
    for signature in &file.signatures {
        let Some(trusted) = keys.iter().find(|trusted| key_id(&trusted.key) == signature.key) else {
            continue;
        };
        let bytes = hex::decode(&signature.signature).unwrap_or_default();
        return match trusted
            .key
            .verify(Domain::Image, layout.digest.as_str().as_bytes(), &bytes)
        {
            Ok(()) => Ok(Verdict::Signed {
                key: signature.key.clone(),
                file: trusted.file.clone(),
            }),
            Err(_) => bad(format!(
                "the signature of key {} is forged or damaged",
                signature.key
            )),
        };
    }
    Ok(match file.signatures.as_slice() {
        [] => Verdict::Unsigned,
        others => Verdict::Stranger {
            keys: others.iter().map(|signature| signature.key.clone()).collect(),
        },
    })
}

/// Signs a layout, beside what others signed. The caller has verified its blobs. Answers the key's short name.
///
/// # Errors
/// The file cannot be written.
pub fn sign(layout: &Layout, key: &SecretKey) -> Result<String> {
    let path = layout.dir().join(FILE);
    // Signatures of another image, or a damaged file, are of no use to anybody.
    let known: Option<Signatures> = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let mut signatures = known
        .filter(|known| known.digest == layout.digest)
        .map(|known| known.signatures)
        .unwrap_or_default();
    let id = key_id(&key.public());
    signatures.retain(|signature| signature.key != id);
    signatures.push(Signature {
        key: id.clone(),
        signature: hex::encode(key.sign(Domain::Image, layout.digest.as_str().as_bytes())),
    });
    let file = Signatures {
        schema: SCHEMA,
        digest: layout.digest.clone(),
        signatures,
    };
    let failed = || DeploymentError::path("cannot write", &path);
    let text = serde_json::to_vec_pretty(&file).map_err(|error| failed()(error.into()))?;
    let part = path.with_extension("part");
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, &path))
        .map_err(failed())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_tests_bootc::layout::write_layout;
    use std::path::Path;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn trust(dir: &Path, seeds: &[u8]) -> Vec<Trusted> {
        for seed in seeds {
            fs::write(
                dir.join(format!("{seed}.pub")),
                write_key(&key(*seed).public(), "test"),
            )
            .unwrap();
        }
        trusted(&[dir.to_owned(), dir.join("absent")]).unwrap().0
    }

    #[test]
    fn an_image_is_trusted_by_a_trusted_key_and_by_no_other() {
        let (home, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_layout(home.path(), "v1", "1", &[b"one"]).unwrap();
        let layout = Layout::open(home.path().to_str().unwrap()).unwrap();
        let trusted = trust(keys.path(), &[1, 2]);
        assert_eq!(judge(&layout, &trusted).unwrap(), Verdict::Unsigned);
        sign(&layout, &key(9)).unwrap();
        assert!(matches!(judge(&layout, &trusted).unwrap(), Verdict::Stranger { keys } if keys.len() == 1));
        let id = sign(&layout, &key(2)).unwrap();
        sign(&layout, &key(2)).unwrap();
        let verdict = judge(&layout, &trusted).unwrap();
        let wanted = Verdict::Signed {
            key: id,
            file: keys.path().join("2.pub"),
        };
        assert_eq!(verdict, wanted);
        assert!(matches!(judge(&layout, &[]).unwrap(), Verdict::Stranger { keys } if keys.len() == 2));
    }

    #[test]
    fn a_signature_of_another_image_or_a_forged_one_is_bad() {
        let (home, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let trusted = trust(keys.path(), &[1]);
        write_layout(home.path(), "v1", "1", &[b"one"]).unwrap();
        let name = home.path().to_str().unwrap();
        sign(&Layout::open(name).unwrap(), &key(1)).unwrap();
        write_layout(home.path(), "v1", "2", &[b"two"]).unwrap();
        let other = Layout::open(name).unwrap();
        let verdict = judge(&other, &trusted).unwrap();
        assert!(verdict.to_string().contains("of another image"), "{verdict}");
        // The digest alone was put right.
        let file = home.path().join(FILE);
        let mut signed: Signatures = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        signed.digest = other.digest.clone();
        fs::write(&file, serde_json::to_vec(&signed).unwrap()).unwrap();
        let verdict = judge(&other, &trusted).unwrap();
        assert!(verdict.to_string().contains("forged"), "{verdict}");
        fs::write(&file, "{").unwrap();
        assert!(matches!(judge(&other, &trusted).unwrap(), Verdict::Bad { .. }));
    }

    #[test]
    fn a_damaged_key_is_told_and_the_others_count() {
        let keys = tempfile::tempdir().unwrap();
        trust(keys.path(), &[1]);
        fs::write(keys.path().join("bad.pub"), "xyz").unwrap();
        fs::write(keys.path().join("note.txt"), "xyz").unwrap();
        let (good, problems) = trusted(&[keys.path().to_owned()]).unwrap();
        assert_eq!((good.len(), problems.len()), (1, 1));
        assert!(problems[0].contains("bad.pub"), "{problems:?}");
    }
}
