//! The two files of a new key: made whole beside their places, then named; taken away as exactly.
//!
//! After a crash nobody has the key but its file, so an interrupted making is taken back. Whether a file at its
//! place is the one that was made is told by its content, the public half of the key: what somebody else put
//! there stays.

use super::generate::public_digest_of_pem;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::image::Image;
use crate::fs::plan::look;
use crate::fs::resolve::{Anchor, Follow, entry_in, identity_of, kind_name, open_inode};
use crate::fs::same_identities;
use crate::sec::types::UndoResult;
use crate::sec::{Plan, Sec};
use crate::typed::value_of;
use crate::worker::{Call, Prepared, Target};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fchmod, fsync, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use zeroize::Zeroizing;

const KEY_MODE: u32 = 0o600;
const CERT_MODE: u32 = 0o644;
/// A key or certificate that was made here is shorter, bytes.
const LONGEST: u64 = 64 << 10;

/// A key and its certificate are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Making {
    tag: String,
    key: Anchor,
    cert: Anchor,
    /// Digest of the key's public half.
    public_sha256: String,
    cert_pem: String,
    /// The key file and the other one, once they were made.
    after: Option<(Image, Image)>,
    result: Value,
}

/// They are taken away again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Removal {
    tag: String,
    /// Each place and what is there.
    files: Vec<(Anchor, Image)>,
    result: Value,
}

fn aside(tag: &str, index: usize) -> String {
    format!(".aios-sec-{tag}-{index}")
}

impl Making {
    pub(super) fn new(
        tag: String,
        (key, cert): (Anchor, Anchor),
        public_sha256: String,
        cert_pem: String,
        result: Value,
    ) -> Self {
        Self {
            tag,
            key,
            cert,
            public_sha256,
            cert_pem,
            after: None,
            result,
        }
    }

    pub(in crate::sec) fn result(&self) -> Value {
        self.result.clone()
    }

    pub(in crate::sec) fn apply(&mut self, sec: &Sec, budget: &Budget) -> Result<()> {
        budget.check()?;
        let pem = sec.keys.take(&self.public_sha256).ok_or_else(|| {
            ToolError::Defect("the key of this call is not in this process's memory".to_owned())
        })?;
        let dir = self.key.open_parent()?;
        let files = [
            (&self.key, pem.as_bytes(), KEY_MODE),
            (&self.cert, self.cert_pem.as_bytes(), CERT_MODE),
        ];
        for (index, (anchor, content, mode)) in files.into_iter().enumerate() {
            write(
                dir.as_fd(),
                &aside(&self.tag, index),
                content,
                mode,
                &anchor.path(),
            )?;
        }
        for (index, (anchor, ..)) in files.into_iter().enumerate() {
            name(
                dir.as_fd(),
                &aside(&self.tag, index),
                &anchor.name,
                &anchor.path(),
            )?;
        }
        sync(dir.as_fd(), &self.key.parent)?;
        self.after = Some((look(&self.key, budget)?, look(&self.cert, budget)?));
        Ok(())
    }

    pub(in crate::sec) fn roll_back(&self, sec: &Sec) -> Result<()> {
        drop(sec.keys.take(&self.public_sha256));
        let dir = self.key.open_parent()?;
        for index in 0..2 {
            unlink(dir.as_fd(), &aside(&self.tag, index), &self.key.parent)?;
        }
        if self.is_own(dir.as_fd(), &self.key, |text| {
            public_digest_of_pem(text).as_deref() == Some(self.public_sha256.as_str())
        })? {
            unlink(dir.as_fd(), &self.key.name, &self.key.path())?;
        }
        if self.is_own(dir.as_fd(), &self.cert, |text| text == self.cert_pem)? {
            unlink(dir.as_fd(), &self.cert.name, &self.cert.path())?;
        }
        sync(dir.as_fd(), &self.key.parent)
    }

    fn is_own(&self, dir: BorrowedFd<'_>, anchor: &Anchor, is: impl Fn(&str) -> bool) -> Result<bool> {
        let path = anchor.path();
        let Some((fd, stat)) = entry_in(dir, &anchor.name, &path, &anchor.root)? else {
            return Ok(false);
        };
        if kind_name(crate::fs::resolve::kind_of(&stat)) != "file" {
            return Ok(false);
        }
        let mut text = Zeroizing::new(String::new());
        let read = open_inode(fd.as_fd(), OFlags::RDONLY, &path)?
            .take(LONGEST)
            .read_to_string(&mut text);
        // What is no text was not made here.
        Ok(read.is_ok() && is(&text))
    }

    /// What is at the two places now, which must be what was made.
    fn unchanged(&self, sec: &Sec, call: &Call<'_>, target: &Target<Plan>) -> Result<Vec<(Anchor, Image)>> {
        let Some((key, cert)) = &self.after else {
            return Err(ToolError::Corrupt {
                what: format!("plan of {}", target.key),
            });
        };
        let mut files = Vec::new();
        let mut differences = Vec::new();
        for (anchor, then) in [(&self.key, key), (&self.cert, cert)] {
            let path = anchor.path();
            // The place must still be one that the undoing token reaches.
            let place = sec
                .resolver
                .resolve(call.caps, "cert_generate", &path, Follow::No)?;
            if (place.anchor.dev, place.anchor.ino) != (anchor.dev, anchor.ino) {
                differences.push(format!("{path}: its directory is another one now"));
                continue;
            }
            match look(anchor, call.budget) {
                Ok(now) => {
                    differences.extend(then.difference(&now).map(|it| format!("{path}: {it}")));
                    files.push((anchor.clone(), now));
                }
                Err(ToolError::WrongKind { is, .. }) => {
                    differences.push(format!("{path}: a {is} is there now"));
                }
                Err(error) => return Err(error),
            }
        }
        if differences.is_empty() {
            return Ok(files);
        }
        Err(ToolError::UndoConflict {
            key: target.key.to_string(),
            differences: differences.join("; "),
        })
    }

    pub(in crate::sec) fn prepare_removal(
        &self,
        sec: &Sec,
        call: &Call<'_>,
        target: &Target<Plan>,
    ) -> Result<Prepared> {
        let files = self.unchanged(sec, call, target)?;
        Ok(Prepared {
            identities: identities(&files),
            required: target.required.clone(),
            // The key exists nowhere else.
            risk: Risk::High,
            mutating: true,
            reversible: false,
            files: files.len() as u64,
            bytes: files.iter().map(|(_, image)| image.bytes()).sum(),
            summary: format!(
                "Take the key {} and {} away for good",
                self.key.path(),
                self.cert.path()
            ),
        })
    }

    pub(in crate::sec) fn plan_removal(
        &self,
        sec: &Sec,
        call: &Call<'_>,
        target: &Target<Plan>,
        authorized: &[Identity],
    ) -> Result<Removal> {
        let files = self.unchanged(sec, call, target)?;
        same_identities(authorized, &identities(&files))?;
        let restored = files.iter().map(|(anchor, _)| anchor.path()).collect();
        Ok(Removal {
            tag: call.key.to_string().replace('/', "-"),
            files,
            result: value_of(&UndoResult { restored })?,
        })
    }
}

fn identities(files: &[(Anchor, Image)]) -> Vec<Identity> {
    let identity = |(anchor, image): &(Anchor, Image)| {
        let (dev, ino) = image.inode().unwrap_or_default();
        Identity {
            path: anchor.path(),
            dev,
            ino,
            kind: "file".to_owned(),
        }
    };
    let mut identities: Vec<Identity> = files.iter().map(identity).collect();
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities
}

impl Removal {
    pub(in crate::sec) fn result(&self) -> Value {
        self.result.clone()
    }

    /// Moves both aside, proves that they are what was authorized, then removes them, the key last.
    pub(in crate::sec) fn apply(&self) -> Result<()> {
        for (index, (anchor, image)) in self.files.iter().enumerate() {
            let dir = anchor.open_parent()?;
            let (aside, path) = (aside(&self.tag, index), anchor.path());
            name(dir.as_fd(), &anchor.name, &aside, &path)?;
            let caught = entry_in(dir.as_fd(), &aside, &path, &anchor.root)?;
            let same = caught
                .as_ref()
                .is_some_and(|(_, stat)| image.inode() == Some((stat.st_dev, stat.st_ino)));
            if !same {
                let found = caught.map_or("nothing".to_owned(), |(_, stat)| identity_of(&path, &stat).kind);
                return Err(ToolError::Changed {
                    path,
                    difference: format!("another {found} is there now"),
                });
            }
        }
        self.clear()
    }

    fn clear(&self) -> Result<()> {
        for (index, (anchor, _)) in self.files.iter().enumerate().rev() {
            let dir = anchor.open_parent()?;
            unlink(dir.as_fd(), &aside(&self.tag, index), &anchor.path())?;
            sync(dir.as_fd(), &anchor.parent)?;
        }
        Ok(())
    }

    pub(in crate::sec) fn roll_back(&self) -> Result<()> {
        for (index, (anchor, _)) in self.files.iter().enumerate() {
            let dir = anchor.open_parent()?;
            let (aside, path) = (aside(&self.tag, index), anchor.path());
            if entry_in(dir.as_fd(), &aside, &path, &anchor.root)?.is_some() {
                name(dir.as_fd(), &aside, &anchor.name, &path)?;
            }
        }
        Ok(())
    }

    /// Whether both had been moved aside: then the rest is done now.
    pub(in crate::sec) fn finish(&self) -> Result<bool> {
        for (anchor, _) in &self.files {
            let dir = anchor.open_parent()?;
            if entry_in(dir.as_fd(), &anchor.name, &anchor.path(), &anchor.root)?.is_some() {
                return Ok(false);
            }
        }
        self.clear().map(|()| true)
    }
}

/// Writes a whole new file; durable when it returns.
fn write(dir: BorrowedFd<'_>, name: &str, content: &[u8], mode: u32, path: &str) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::from_raw_mode(KEY_MODE))
        .map_err(|errno| ToolError::io("make", path, errno))?;
    let mut file = File::from(fd);
    file.write_all(content)
        .map_err(|error| ToolError::io("write", path, error))?;
    fchmod(&file, Mode::from_raw_mode(mode))
        .map_err(|errno| ToolError::io("set the mode of", path, errno))?;
    fsync(&file).map_err(|errno| ToolError::io("make durable", path, errno))
}

/// Gives a file another name, which must be free.
fn name(dir: BorrowedFd<'_>, from: &str, to: &str, path: &str) -> Result<()> {
    match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(ToolError::Exists {
            path: path.to_owned(),
        }),
        Err(Errno::NOENT) => Err(ToolError::NotFound {
            path: path.to_owned(),
        }),
        Err(errno) => Err(ToolError::io("name", path, errno)),
    }
}

fn unlink(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(ToolError::io("delete", path, errno)),
    }
}

fn sync(dir: BorrowedFd<'_>, path: &str) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
        .and_then(fsync)
        .map_err(|errno| ToolError::io("make durable", path, errno))
}
