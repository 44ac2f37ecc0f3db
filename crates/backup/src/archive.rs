//! The file: tar, in zstd, in age where a key is set. Nothing of it is our own, so that `age`, `zstd` and `tar` get
//! everything out of it on any machine.

use crate::error::{BackupError, Result};
use crate::keys;
use crate::manifest::{Manifest, Member, NAME, Type};
use age::stream::{StreamReader, StreamWriter};
use age::x25519::{Identity, Recipient};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// zstd's own default: what takes room is compressed already.
const LEVEL: i32 = 3;
/// The longest manifest that is read, bytes: a million files.
const LONGEST: u64 = 512 << 20;
/// Of a tar, bytes.
const BLOCK: usize = 512;
const AGE: &[u8] = b"age-encryption.org/";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Where the compressed bytes go.
enum Envelope {
    Open(File),
    Sealed(StreamWriter<File>),
}

impl Write for Envelope {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write(bytes),
            Self::Sealed(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(file) => file.flush(),
            Self::Sealed(stream) => stream.flush(),
        }
    }
}

/// An archive that is being written.
pub(crate) struct Writer<'a> {
    tar: tar::Builder<zstd::Encoder<'static, Envelope>>,
    path: &'a Path,
}

impl<'a> Writer<'a> {
    /// Begins with an empty file, which is called `path` in errors.
    pub(crate) fn begin(file: File, path: &'a Path, recipients: &[Recipient]) -> Result<Self> {
        let failed = || BackupError::io("write", path);
        let envelope = if recipients.is_empty() {
            Envelope::Open(file)
        } else {
            let all = recipients.iter().map(|key| key as &dyn age::Recipient);
            let encryptor =
                age::Encryptor::with_recipients(all).map_err(|error| failed()(io::Error::other(error)))?;
            Envelope::Sealed(encryptor.wrap_output(file).map_err(failed())?)
        };
        let mut zstd = zstd::Encoder::new(envelope, LEVEL).map_err(failed())?;
        zstd.include_checksum(true).map_err(failed())?;
        Ok(Self {
            tar: tar::Builder::new(zstd),
            path,
        })
    }

    /// Writes the manifest, which comes first.
    pub(crate) fn manifest(&mut self, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        let appended = self.tar.append_data(&mut header, NAME, bytes);
        appended.map_err(BackupError::io("write", self.path))
    }

    /// Writes a member, whose content must be what the manifest says.
    pub(crate) fn add(&mut self, path: &str, member: &Member, content: impl Read) -> Result<()> {
        let mut header = header_of(member).map_err(BackupError::io("write", self.path))?;
        let failed = || BackupError::io("write", self.path);
        if member.kind == Type::Link {
            return self
                .tar
                .append_link(&mut header, path, &member.target)
                .map_err(failed());
        }
        let mut content = Hashing::new(content.take(member.size));
        self.tar
            .append_data(&mut header, path, &mut content)
            .map_err(failed())?;
        let (bytes, sha256) = content.end();
        if member.kind == Type::File && (bytes, sha256.as_str()) != (member.size, member.sha256.as_str()) {
            return Err(BackupError::Changed {
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    /// Ends it, and returns when it is on the disk.
    pub(crate) fn end(self) -> Result<()> {
        let end = || -> io::Result<()> {
            let file = match self.tar.into_inner()?.finish()? {
                Envelope::Open(file) => file,
                Envelope::Sealed(stream) => stream.finish()?,
            };
            file.sync_all()
        };
        end().map_err(BackupError::io("write", self.path))
    }
}

fn header_of(member: &Member) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(match member.kind {
        Type::Directory => tar::EntryType::Directory,
        Type::File => tar::EntryType::Regular,
        Type::Link => tar::EntryType::Symlink,
    });
    header.set_mode(member.mode);
    header.set_mtime(member.mtime.try_into().unwrap_or(0));
    header.set_size(member.size);
    // By name: tar(1) looks the number up where it unpacks.
    header.set_username(&member.user)?;
    header.set_groupname(&member.group)?;
    Ok(header)
}

/// Counts and hashes what passes.
pub(crate) struct Hashing<R> {
    inner: R,
    bytes: u64,
    hasher: Sha256,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            bytes: 0,
            hasher: Sha256::new(),
        }
    }

    /// How many bytes there were, and their SHA-256, hex.
    pub(crate) fn end(self) -> (u64, String) {
        (self.bytes, hex::encode(self.hasher.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Remembers that reading failed.
struct Broken<R> {
    inner: R,
    problem: Option<String>,
}

impl<R> Broken<R> {
    fn new(inner: R) -> Self {
        Self { inner, problem: None }
    }
}

impl<R: Read> Read for Broken<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .read(buffer)
            .inspect_err(|error| self.problem = Some(error.to_string()))
    }
}

/// An archive that is read.
pub struct Archive {
    tar: tar::Archive<Box<dyn Read>>,
    path: std::path::PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, hex: by it a backup is named in the audit log.
    pub digest: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("path", &self.path)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens an archive and reads its manifest; `key` is a file of secret keys.
    ///
    /// # Errors
    /// It cannot be read, is none of ours or of a newer version, or the key is missing or does not fit.
    pub fn open(path: &Path, key: Option<&Path>) -> Result<Self> {
        let file = File::open(path).map_err(BackupError::io("read", path))?;
        let (bytes, encrypted) = unseal(BufReader::with_capacity(1 << 18, file), path, key)?;
        let mut inner = bytes;
        let bytes = first_member(&mut inner, path)?;
        Ok(Self {
            manifest: Manifest::read(path, &bytes)?,
            digest: Manifest::digest(&bytes),
            tar: tar::Archive::new(inner),
            path: path.to_owned(),
            encrypted,
        })
    }

    /// Reads all members, hands each to `take`, and checks that all are there and as the manifest says.
    ///
    /// # Errors
    /// A member is missing, cut off, altered or not in the manifest; or `take` failed.
    pub fn read(
        mut self,
        mut take: impl FnMut(&str, &Member, &mut dyn Read) -> Result<()>,
    ) -> Result<Manifest> {
        let (manifest, path) = (self.manifest, &self.path);
        let altered = |member: &str, problem: String| BackupError::Altered {
            path: path.clone(),
            member: member.to_owned(),
            problem,
        };
        let mut missing: BTreeSet<&str> = manifest.members.keys().map(String::as_str).collect();
        // What is read next, where the archive ends too early.
        let mut at = NAME.to_owned();
        for entry in self
            .tar
            .entries()
            .map_err(|error| altered(&at, error.to_string()))?
        {
            let mut entry =
                entry.map_err(|error| altered(&format!("what follows {at}"), error.to_string()))?;
            at = String::from_utf8_lossy(&entry.path_bytes())
                .trim_end_matches('/')
                .to_owned();
            let Some(member) = manifest.members.get(&at).filter(|_| missing.remove(at.as_str())) else {
                return Err(altered(&at, "it is not in the manifest".to_owned()));
            };
            if let Some(problem) = difference(&entry, member) {
                return Err(altered(&at, problem.to_owned()));
            }
            let content = Hashing::new(&mut entry);
            // An archive that breaks off is told apart from a disk that is full.
            let mut content = Broken::new(content);
            let taken = take(&at, member, &mut content);
            if let Some(problem) = content.problem.take() {
                return Err(altered(&at, problem));
            }
            taken?;
            let mut content = content.inner;
            io::copy(&mut content, &mut io::sink()).map_err(|error| altered(&at, error.to_string()))?;
            let (bytes, sha256) = content.end();
            if member.kind == Type::File && (bytes, sha256.as_str()) != (member.size, member.sha256.as_str())
            {
                return Err(altered(
                    &at,
                    "its content is another one than was written".to_owned(),
                ));
            }
        }
        if let Some(first) = missing.first() {
            return Err(altered(first, "it is missing".to_owned()));
        }
        // What comes behind the end belongs to zstd's and age's own checks.
        let mut rest = self.tar.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(|error| altered("its end", error.to_string()))?;
        Ok(manifest)
    }
}

/// The manifest's bytes. It is read by hand, because what follows is read later, and tar's reader begins but once.
fn first_member(inner: &mut dyn Read, path: &Path) -> Result<Vec<u8>> {
    let foreign = |problem: String| BackupError::Foreign {
        path: path.to_owned(),
        problem,
    };
    let altered = |problem: String| BackupError::Altered {
        path: path.to_owned(),
        member: NAME.to_owned(),
        problem,
    };
    let mut block = [0; BLOCK];
    inner
        .read_exact(&mut block)
        .map_err(|error| altered(error.to_string()))?;
    let header = tar::Header::from_byte_slice(&block);
    let size = header.size().map_err(|error| foreign(error.to_string()))?;
    if header.path_bytes().as_ref() != NAME.as_bytes() || size > LONGEST {
        return Err(foreign(format!("it does not begin with {NAME}")));
    }
    let mut bytes = Vec::new();
    let padded = size.next_multiple_of(BLOCK as u64);
    let read = inner.take(padded).read_to_end(&mut bytes);
    let whole = read.map(|_| bytes.len() as u64 == padded);
    if !matches!(whole, Ok(true)) {
        return Err(altered(
            whole
                .err()
                .map_or_else(|| "it is cut off".to_owned(), |error| error.to_string()),
        ));
    }
    bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(bytes)
}

/// What differs between a member and what the manifest says of it.
fn difference(entry: &tar::Entry<'_, Box<dyn Read>>, member: &Member) -> Option<&'static str> {
    let kind = match entry.header().entry_type() {
        tar::EntryType::Directory => Type::Directory,
        tar::EntryType::Regular => Type::File,
        tar::EntryType::Symlink => Type::Link,
        _ => return Some("it is of a type that no backup holds"),
    };
    let target = entry.link_name_bytes().unwrap_or_default();
    if kind != member.kind || entry.size() != member.size || target.as_ref() != member.target.as_bytes() {
        return Some("it is not what the manifest says");
    }
    None
}

/// Takes the envelope off.
fn unseal(mut file: BufReader<File>, path: &Path, key: Option<&Path>) -> Result<(Box<dyn Read>, bool)> {
    let start = file.fill_buf().map_err(BackupError::io("read", path))?;
    let foreign = |problem: String| BackupError::Foreign {
        path: path.to_owned(),
        problem,
    };
    if start.starts_with(ZSTD) {
        let zstd = zstd::Decoder::with_buffer(file).map_err(BackupError::io("read", path))?;
        return Ok((Box::new(zstd), false));
    }
    if !start.starts_with(AGE) {
        return Err(foreign(
            "it is neither compressed by zstd nor encrypted by age".to_owned(),
        ));
    }
    let Some(key) = key else {
        return Err(BackupError::Locked {
            path: path.to_owned(),
        });
    };
    let zstd = zstd::Decoder::new(decrypt(file, path, &keys::identities(key)?)?);
    Ok((Box::new(zstd.map_err(BackupError::io("read", path))?), true))
}

fn decrypt(file: BufReader<File>, path: &Path, keys: &[Identity]) -> Result<StreamReader<BufReader<File>>> {
    let decrypted = age::Decryptor::new_buffered(file)
        .and_then(|decryptor| decryptor.decrypt(keys.iter().map(|key| key as &dyn age::Identity)));
    decrypted.map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => BackupError::WrongKey {
            path: path.to_owned(),
        },
        error => BackupError::Altered {
            path: path.to_owned(),
            member: "its beginning".to_owned(),
            problem: error.to_string(),
        },
    })
}
