//! What one mutating call is going to do, written down before it is done, and what is known of it after a
//! crash.
//!
//! Stopping, continuing and limits can be read off the process, so a crash leaves no doubt about them. A
//! signal or a program cannot: a [`Mark`], a small file made before and changed after, says how far it
//! came. Without a mark nothing was begun, and the call may be made again; with one that says no more than
//! that it began, nobody can know, and a person is asked. In no case is it done twice.

use super::args::LimitNow;
use super::table::Proc;
use crate::error::{Result, ToolError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// A program to run, everything resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Path, every symbolic link resolved.
    pub path: String,
    /// Device of the file.
    pub dev: u64,
    /// Inode of the file.
    pub ino: u64,
    /// Arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Directory.
    pub cwd: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// How long it may run, milliseconds.
    pub run_ms: u64,
    /// Most bytes kept of each stream.
    pub max_output_bytes: u64,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A process is stopped or continued.
    Stop {
        /// Which.
        process: Proc,
        /// Stopped or continued.
        stop: bool,
        /// Whether it was stopped before.
        was_stopped: bool,
    },
    /// A process gets a signal that cannot be called back.
    Signal {
        /// Which.
        process: Proc,
        /// Number of the signal.
        number: i32,
        /// Its name.
        name: String,
    },
    /// Limits of a process change.
    Limits {
        /// Which.
        process: Proc,
        /// What holds before.
        before: Vec<LimitNow>,
        /// What holds afterwards.
        after: Vec<LimitNow>,
    },
    /// A program runs.
    Spawn(Launch),
}

/// One mutating call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Task and step, as a file name.
    pub tag: String,
    /// What is done.
    pub action: Action,
    /// What the call answers when it is done.
    pub result: Value,
}

/// How far something came that cannot be read off the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// It was about to be done.
    Begun,
    /// The program runs as this process, which leads its own session.
    Running {
        /// Which.
        process: Proc,
    },
    /// It was done.
    Ended {
        /// What the call answers.
        result: Value,
        /// Whether the journal could not take the result: the mark is then the only record of it.
        kept: bool,
    },
}

/// The marks of one worker.
#[derive(Debug)]
pub struct Marks {
    dir: PathBuf,
}

impl Marks {
    /// Marks in a directory, which is made.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir).map_err(|error| ToolError::io("make", dir.to_string_lossy(), error))?;
        Ok(Self { dir })
    }

    fn file(&self, tag: &str) -> PathBuf {
        self.dir.join(format!("{tag}.json"))
    }

    /// Writes a mark; it is durable when this returns.
    ///
    /// # Errors
    /// The disk.
    pub fn write(&self, tag: &str, mark: &Mark) -> Result<()> {
        let (file, new) = (self.file(tag), self.dir.join(format!("{tag}.new")));
        let text = serde_json::to_vec(mark).map_err(|error| ToolError::Defect(error.to_string()))?;
        let write = || {
            let mut out = File::create(&new)?;
            out.write_all(&text)?;
            out.sync_all()?;
            std::fs::rename(&new, &file)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error| ToolError::io("write", file.to_string_lossy(), error))
    }

    /// The mark of a call.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn read(&self, tag: &str) -> Result<Option<Mark>> {
        let file = self.file(tag);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ToolError::io("read", file.to_string_lossy(), error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| ToolError::Corrupt {
                what: format!("mark of {tag}"),
            })
    }

    /// Removes the mark of a call of which nothing remains.
    ///
    /// # Errors
    /// The disk.
    pub fn remove(&self, tag: &str) -> Result<()> {
        let file = self.file(tag);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ToolError::io("remove", file.to_string_lossy(), error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the marks of calls that the journal has the result of. Calls are executed one after the
    /// other, so when the next one begins, the journal has those of all earlier ones that ended.
    ///
    /// # Errors
    /// The disk.
    pub fn forget_ended(&self) -> Result<()> {
        let io = |error| ToolError::io("list", self.dir.to_string_lossy(), error);
        for entry in std::fs::read_dir(&self.dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let Some(tag) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if matches!(self.read(tag), Ok(Some(Mark::Ended { kept: false, .. }))) {
                self.remove(tag)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_marks_whose_result_the_journal_has_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::open(dir.path().join("marks")).unwrap();
        let ended = |kept| Mark::Ended {
            result: json!({}),
            kept,
        };
        let process = Proc { pid: 1, start: 2 };
        for (tag, mark) in [
            ("a", Mark::Begun),
            ("b", Mark::Running { process }),
            ("c", ended(false)),
            ("d", ended(true)),
        ] {
            marks.write(tag, &mark).unwrap();
            assert_eq!(marks.read(tag).unwrap(), Some(mark));
        }
        marks.forget_ended().unwrap();
        let left = ["a", "b", "c", "d"].map(|tag| marks.read(tag).unwrap().is_some());
        assert_eq!(left, [true, true, false, true]);
        marks.remove("a").unwrap();
        marks.remove("a").unwrap();
        assert_eq!(marks.read("a").unwrap(), None);
        std::fs::write(dir.path().join("marks/e.json"), "{").unwrap();
        assert!(matches!(marks.read("e"), Err(ToolError::Corrupt { .. })));
    }
}
