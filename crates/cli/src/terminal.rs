//! Where a command writes and whom it can ask: the real terminal, or a buffer in a test.

use std::io::{self, BufRead, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::args::{Cli, When};

/// Standard output, standard error and, when a person sits there, their answers.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Option<Box<dyn BufRead + Send>>,
    zone: TimeZone,
    out_is_terminal: bool,
    colour: bool,
    json: bool,
}

/// Ways to make text stand out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
    Attention,
    Quiet,
    Strong,
}

impl Terminal {
    /// That of this process.
    pub fn of_process() -> Self {
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: asks.then(|| Box::new(io::BufReader::new(io::stdin())) as Box<dyn BufRead + Send>),
            zone: TimeZone::system(),
            out_is_terminal: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            colour: false,
            json: false,
        }
    }

    /// One that writes to the given places; with `input`, a person is taken to sit there.
    pub fn of_parts(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        input: Option<Box<dyn BufRead + Send>>,
    ) -> Self {
        Self {
            out,
            err,
            input,
            zone: TimeZone::UTC,
            out_is_terminal: false,
            colour: false,
            json: false,
        }
    }

    /// Takes over what the command line says about output.
    pub(crate) fn configure(&mut self, cli: &Cli) {
        self.json = cli.json;
        self.colour = match cli.color {
            When::Auto => self.out_is_terminal && !cli.json,
            When::Always => !cli.json,
            When::Never => false,
        };
    }

    /// Whether answers are JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a person can be asked.
    pub(crate) fn interactive(&self) -> bool {
        self.input.is_some() && !self.json
    }

    /// A line of the answer. An output that is gone (`| head`) ends nothing half done, so it is
    /// no error here; the command itself goes on to its end.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        drop(writeln!(self.out, "{}", text.as_ref()));
        drop(self.out.flush());
    }

    /// Text of the answer, as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        drop(self.out.write_all(bytes));
        drop(self.out.flush());
    }

    /// A line for the person, apart from the answer.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        drop(writeln!(self.err, "{}", text.as_ref()));
    }

    /// The answer as one JSON document: indented alone, one line within a stream.
    pub(crate) fn document(&mut self, value: &impl Serialize) {
        let text =
            serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        self.line(text);
    }

    /// One JSON document of a stream, on a line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) {
        let text = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        self.line(text);
    }

    /// Asks a yes-or-no question; anything but yes is no.
    pub(crate) fn confirm(&mut self, question: &str) -> bool {
        let Some(input) = self.input.as_mut() else {
            return false;
        };
        drop(write!(self.err, "{question} [y/N] "));
        drop(self.err.flush());
        let mut answer = String::new();
        let read = input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// `text` in a tone, where colour is on.
    pub(crate) fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Attention => "33",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Time of day of an RFC 3339 time, in the person's zone.
    pub(crate) fn clock(&self, time: Option<&str>) -> String {
        self.zoned(time, "%H:%M:%S")
    }

    /// Date and time of an RFC 3339 time, in the person's zone.
    pub(crate) fn date(&self, time: Option<&str>) -> String {
        self.zoned(time, "%Y-%m-%d %H:%M:%S")
    }

    fn zoned(&self, time: Option<&str>, format: &str) -> String {
        let parsed = time.and_then(|time| time.parse::<Timestamp>().ok());
        parsed.map_or_else(
            || "-".to_owned(),
            |time| time.to_zoned(self.zone.clone()).strftime(format).to_string(),
        )
    }
}
