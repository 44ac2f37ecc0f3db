//! An instance of doubles in a directory, and `aiosctl` run against it.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aios_client::doubles::{ALL, Double, Doubles};
use aios_core::clock::SystemClock;
use aiosctl::{Exit, Surroundings, Terminal, run_as};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Exit code and both outputs, with everything that differs between runs replaced.
    pub(crate) fn stable(&self) -> String {
        let err = if self.err.is_empty() {
            String::new()
        } else {
            format!("--- stderr\n{}", stable(&self.err))
        };
        format!("exit {}\n{}{err}", self.exit.code(), stable(&self.out))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {:?}", self.out))
    }
}

/// Replaces times and hashes.
pub(crate) fn stable(text: &str) -> String {
    let text = replace(text, "dddd-dd-ddTdd:dd:dd.dddZ", "RFC3339");
    let text = replace(&text, "dddd-dd-dd dd:dd:dd", "DATE");
    let text = replace(&text, "dd:dd:dd", "TIME");
    replace(&text, &"x".repeat(64), "HASH")
}

/// Replaces what looks like `pattern`: `d` is a digit, `x` a hex digit, all else itself.
fn replace(text: &str, pattern: &str, with: &str) -> String {
    let fits = |rest: &[char]| {
        rest.len() >= pattern.len()
            && pattern.chars().zip(rest).all(|(p, c)| match p {
                'd' => c.is_ascii_digit(),
                'x' => c.is_ascii_hexdigit(),
                other => other == *c,
            })
    };
    let characters: Vec<char> = text.chars().collect();
    let (mut at, mut out) = (0, String::new());
    while at < characters.len() {
        if fits(&characters[at..]) {
            out.push_str(with);
            at += pattern.len();
        } else {
            out.push(characters[at]);
            at += 1;
        }
    }
    out
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An instance.
pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    _doubles: Option<Doubles>,
}

impl Bench {
    /// With all services.
    pub(crate) async fn new() -> Self {
        Self::with(&ALL).await
    }

    /// With some.
    pub(crate) async fn with(services: &[Double]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (run, var) = (root.path().join("run"), root.path().join("var"));
        let doubles = Doubles::start(&run, &var, Arc::new(SystemClock), services)
            .await
            .unwrap();
        Self {
            root,
            _doubles: Some(doubles),
        }
    }

    /// Without any.
    pub(crate) fn empty() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            _doubles: None,
        }
    }

    /// With the caller enrolled.
    pub(crate) async fn enrolled() -> Self {
        let bench = Self::new().await;
        let ran = bench.run(&["person", "enrol"]).await;
        assert_eq!(ran.exit, Exit::Done, "{ran:?}");
        bench
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// Runs a command where nobody can be asked.
    pub(crate) async fn run(&self, words: &[&str]) -> Ran {
        self.run_with("aiosctl", words, None).await
    }

    /// Runs the program under another name.
    pub(crate) async fn called(&self, name: &str, words: &[&str]) -> Ran {
        self.run_with(name, words, None).await
    }

    /// Runs a command where a person answers.
    pub(crate) async fn answered(&self, words: &[&str], answer: &str) -> Ran {
        self.run_with("aiosctl", words, Some(answer)).await
    }

    async fn run_with(&self, name: &str, words: &[&str], answer: Option<&str>) -> Ran {
        let (out, err) = (Buffer::default(), Buffer::default());
        let input = answer.map(|answer| Box::new(Cursor::new(answer.as_bytes().to_vec())) as _);
        let mut terminal = Terminal::of_parts(Box::new(out.clone()), Box::new(err.clone()), input);
        let surroundings = Surroundings {
            current_dir: self.root.path().to_owned(),
            environment: BTreeMap::new(),
            installed_run: self.root.path().join("run"),
            uid: rustix::process::geteuid().as_raw(),
        };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let exit = run_as(name, &words, &surroundings, &mut terminal).await;
        let root = self.root.path().display().to_string();
        Ran {
            exit,
            out: out.text().replace(&root, "ROOT"),
            err: err.text().replace(&root, "ROOT"),
        }
    }
}

/// The id behind `word ` in a text.
pub(crate) fn id_after(text: &str, word: &str) -> String {
    let rest = text
        .split_once(word)
        .unwrap_or_else(|| panic!("no {word:?} in {text}"))
        .1;
    rest.trim_start().chars().take(36).collect()
}
