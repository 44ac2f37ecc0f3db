//! How backups are shown.

use std::path::Path;

use aios_backup::Manifest;
use aios_backup::create::Made;
use aios_backup::manifest::Type;
use aios_backup::progress::Step;
use aios_backup::restore::Restored;
use serde_json::{Value, json};

use super::table::{Table, fields};
use super::text::{count, one_line, size};
use crate::terminal::{Terminal, Tone};

/// Shows how far the work is: a line for each phase, and one for each quarter of a long one.
pub(crate) struct Shown<'a> {
    terminal: &'a mut Terminal,
    phase: &'static str,
    quarter: u64,
}

/// What takes a moment only is not told in parts, bytes.
const LONG: u64 = 64 << 20;

impl<'a> Shown<'a> {
    pub(crate) fn new(terminal: &'a mut Terminal) -> Self {
        Self {
            terminal,
            phase: "",
            quarter: 0,
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        if step.phase != self.phase {
            (self.phase, self.quarter) = (step.phase, 0);
            let of = if step.total > 0 {
                format!(": {}", size(step.total))
            } else {
                String::new()
            };
            self.say(step, &format!("{}{of}", step.phase));
        }
        let quarter = step.done.saturating_mul(4).checked_div(step.total).unwrap_or(0);
        if step.total >= LONG && quarter > self.quarter {
            self.quarter = quarter;
            self.say(step, &format!("{}: {} %", step.phase, quarter.saturating_mul(25)));
        }
    }

    fn say(&mut self, step: Step, text: &str) {
        if self.terminal.json() {
            let step = json!({ "phase": step.phase, "done": step.done, "total": step.total });
            self.terminal.note(json!({ "progress": step }).to_string());
        } else {
            let text = self.terminal.tone(Tone::Quiet, text);
            self.terminal.note(text);
        }
    }
}

/// A manifest as JSON, without its files' digests.
pub(crate) fn json(manifest: &Manifest, digest: &str, encrypted: bool) -> Value {
    let databases: Vec<Value> = manifest
        .databases()
        .map(|(path, schema)| json!({ "path": path, "schema": schema }))
        .collect();
    json!({
        "backup": digest, "format": manifest.format, "aios": manifest.aios, "machine": manifest.machine,
        "host": manifest.host, "created": manifest.created, "encrypted": encrypted, "at_once": manifest.at_once,
        "log": manifest.log, "files": manifest.files(), "bytes": manifest.bytes(), "databases": databases,
        "unlisted": manifest.unlisted,
    })
}

/// A manifest for people.
pub(crate) fn manifest(
    terminal: &mut Terminal,
    manifest: &Manifest,
    digest: &str,
    encrypted: bool,
    files: bool,
) {
    head(terminal, manifest, digest, encrypted);
    let mut table = Table::new(&["DATABASE", "SCHEMA"]);
    for (path, schema) in manifest.databases() {
        table.row([path.to_owned(), schema.to_string()]);
    }
    table.print(terminal, "no database");
    if !files {
        return;
    }
    let mut table = Table::new(&["FILE", "OWNER", "MODE", "SIZE"]);
    for (path, member) in manifest
        .members
        .iter()
        .filter(|(_, member)| member.kind != Type::Directory)
    {
        let owner = format!("{}:{}", one_line(&member.user), one_line(&member.group));
        table.row([
            one_line(path),
            owner,
            format!("{:04o}", member.mode),
            size(member.size),
        ]);
    }
    table.print(terminal, "no file");
}

fn head(terminal: &mut Terminal, manifest: &Manifest, digest: &str, encrypted: bool) {
    let moment = if manifest.at_once {
        "one instant: nothing was written meanwhile"
    } else {
        "within moments, service after service: it was busy"
    };
    let log = manifest.log.as_ref().map_or_else(
        || "no checkpoint yet".to_owned(),
        |log| {
            format!(
                "{}, {} under checkpoint {}",
                one_line(&log.origin),
                count(log.size, "record"),
                log.epoch
            )
        },
    );
    fields(
        terminal,
        &[
            ("backup", digest.to_owned()),
            (
                "of",
                format!(
                    "{} (machine {})",
                    one_line(&manifest.host),
                    one_line(&manifest.machine)
                ),
            ),
            ("made", one_line(&manifest.created)),
            (
                "by",
                format!("aiOS {}, format {}", one_line(&manifest.aios), manifest.format),
            ),
            (
                "holds",
                format!("{} files, {}", manifest.files(), size(manifest.bytes())),
            ),
            ("moment", moment.to_owned()),
            ("log", log),
            ("encrypted", if encrypted { "yes" } else { "no" }.to_owned()),
        ],
    );
}

/// A backup that was just made.
pub(crate) fn made(terminal: &mut Terminal, made: &Made, path: &Path) {
    head(terminal, &made.manifest, &made.digest, made.encrypted);
    let done = terminal.tone(Tone::Good, "written");
    terminal.line(format!("{done}: {}, {}", path.display(), size(made.size)));
    for path in &made.manifest.unlisted {
        terminal.note(format!(
            "not on the list of what aiOS keeps, copied as it was: {}",
            one_line(path)
        ));
    }
    if !made.encrypted {
        let attention = terminal.tone(Tone::Attention, "not encrypted");
        terminal.note(format!(
            "{attention}: whoever reads this file has this machine's keys; `aiosctl backup key FILE` makes a pair to encrypt with"
        ));
    }
}

/// A backup that was read to its end.
pub(crate) fn whole(terminal: &mut Terminal, manifest: &Manifest, digest: &str) {
    let whole = terminal.tone(Tone::Good, "whole");
    let (files, bytes) = (manifest.files(), size(manifest.bytes()));
    terminal.line(format!("{whole}: {files} files, {bytes}, as they were written"));
    terminal.line(format!("backup {digest}"));
    terminal.line("the audit log of its machine names it by this: aiosctl audit tail shows backup.created");
}

/// A restore that came to its end.
pub(crate) fn restored(terminal: &mut Terminal, restored: &Restored, installed: bool) {
    for kept in &restored.note.kept {
        terminal.line(format!("kept {}", one_line(kept)));
    }
    if restored.note.goals_that_go_on > 0 {
        let goals = count(restored.note.goals_that_go_on, "goal");
        terminal.line(format!(
            "{goals} of the backup not at their end: they go on when aiOS starts; see `aiosctl goal list`, end one with `aiosctl goal cancel`"
        ));
    }
    let Some([state, etc]) = &restored.before else {
        terminal.line("everything unpacked, and was whole; nothing was put in place");
        return;
    };
    let done = terminal.tone(Tone::Good, "restored");
    let manifest = &restored.manifest;
    terminal.line(format!(
        "{done}: the state of {} of {}",
        one_line(&manifest.host),
        one_line(&manifest.created)
    ));
    terminal.line(format!(
        "the state before is {}, the files before are {}",
        state.display(),
        etc.display()
    ));
    terminal.line("remove both when nothing is missing");
    let start = if installed { "systemctl reboot" } else { "make up" };
    terminal.line(format!("next: {start}"));
}
