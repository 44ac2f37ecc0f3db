//! Images of the operating system.

use aios_client::time::rfc3339;
use serde::Deserialize;
use serde_json::Value;

use super::table::{Table, fields};
use super::text::{count, one_line, size};
use crate::terminal::{Terminal, Tone};

/// Characters of a digest or a deployment's name that tell it from others.
const SHORT: usize = 12;

#[derive(Deserialize)]
struct Deployment {
    id: String,
    image: String,
    digest: String,
    version: Option<String>,
    made_at: Option<String>,
}

#[derive(Deserialize)]
struct Trial {
    tries_left: u32,
    deadline_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Failed {
    image: String,
    digest: String,
    why: String,
    boots: u64,
    found_ms: i64,
}

#[derive(Deserialize)]
struct Base {
    image: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Added {
    name: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    running: Deployment,
    #[serde(default)]
    base: Option<Base>,
    #[serde(default)]
    packages: Vec<Added>,
    #[serde(default)]
    transient: Vec<Added>,
    staged: Option<Deployment>,
    rollback: Option<Deployment>,
    others: Vec<Deployment>,
    next_boot: String,
    trial: Option<Trial>,
    blessed: Option<String>,
    blessed_ms: Option<i64>,
    failed: Vec<Failed>,
    doing: Option<String>,
}

#[derive(Deserialize)]
struct Room {
    needed_bytes: u64,
    free_bytes: u64,
    boot_needed_bytes: u64,
    boot_free_bytes: u64,
}

#[derive(Deserialize)]
struct Check {
    image: String,
    available: bool,
    digest: String,
    version: Option<String>,
    made_at: Option<String>,
    size_bytes: u64,
    fetch_bytes: u64,
    room: Room,
    signed: bool,
    signature: String,
    failed_before: Option<String>,
    blocked_by: Vec<String>,
}

#[derive(Deserialize)]
struct Changed {
    changed: bool,
    next_boot: String,
    next: Deployment,
    then: String,
}

/// What a newer or older service answers is shown as it is.
fn shown<'a, T: Deserialize<'a>>(terminal: &mut Terminal, value: &'a Value) -> Option<T> {
    match T::deserialize(value) {
        Ok(known) => Some(known),
        Err(_) => {
            terminal.document(value);
            None
        }
    }
}

fn short(digest: &str) -> String {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    one_line(digits).chars().take(SHORT).collect()
}

impl Deployment {
    fn version(&self) -> String {
        self.version.as_deref().map_or_else(|| "-".to_owned(), one_line)
    }

    /// In one piece.
    fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} ({})", one_line(version), one_line(&self.image)),
            None => format!("{} ({})", one_line(&self.image), short(&self.id)),
        }
    }
}

impl Added {
    /// With its version.
    fn name(&self) -> String {
        let version = self.version.as_deref().map(one_line).unwrap_or_default();
        format!("{} {version}", one_line(&self.name))
            .trim_end()
            .to_owned()
    }
}

/// What runs, what is staged, what a rollback goes to, and what failed.
pub(crate) fn status(terminal: &mut Terminal, value: &Value) {
    let Some(status) = shown::<Status>(terminal, value) else {
        return;
    };
    let mut table = Table::new(&["SLOT", "VERSION", "IMAGE", "DIGEST", "MADE", "STATE"]);
    let own = [
        ("running", Some(&status.running)),
        ("staged", status.staged.as_ref()),
        ("rollback", status.rollback.as_ref()),
    ];
    let others = status.others.iter().map(|other| ("other", Some(other)));
    for (what, deployment) in own.into_iter().chain(others) {
        let Some(it) = deployment else { continue };
        let mut words = Vec::new();
        if what == "running" {
            words.push(trust(&status, terminal));
        }
        if what == status.next_boot && what != "running" {
            words.push("starts next".to_owned());
        }
        let made = terminal.date(it.made_at.as_deref());
        table.row([
            what.to_owned(),
            it.version(),
            one_line(&it.image),
            short(&it.digest),
            made,
            words.join(", "),
        ]);
    }
    table.print(terminal, "nothing is laid out");
    if let Some(base) = &status.base {
        let names: Vec<String> = status.packages.iter().map(Added::name).collect();
        let version = base.version.as_deref().map(one_line).unwrap_or_default();
        let base = format!("{} {version}", one_line(&base.image));
        terminal.line(format!("\nadded to {}: {}", base.trim_end(), names.join(", ")));
    }
    if !status.transient.is_empty() {
        let names: Vec<String> = status.transient.iter().map(Added::name).collect();
        terminal.line(format!("\nuntil the next start: {}", names.join(", ")));
    }
    if let Some(doing) = &status.doing {
        terminal.line(format!("\n{}", one_line(doing)));
    }
    for failed in status.failed.iter().rev() {
        let head = terminal.tone(Tone::Bad, "failed");
        let when = terminal.date(rfc3339(failed.found_ms).as_deref());
        terminal.line(format!(
            "\n{head}  {} {}: {}",
            one_line(&failed.image),
            short(&failed.digest),
            one_line(&failed.why)
        ));
        terminal.line(format!(
            "        found {when}, after {} that came as far as aiOS",
            count(failed.boots, "boot")
        ));
    }
}

/// How far what runs is trusted.
fn trust(status: &Status, terminal: &Terminal) -> String {
    if let Some(trial) = &status.trial {
        let left = match trial.tries_left {
            1 => "1 try".to_owned(),
            tries => format!("{tries} tries"),
        };
        let until = trial.deadline_ms.and_then(rfc3339);
        let until = until.map(|until| format!(", must be healthy until {}", terminal.clock(Some(&until))));
        return format!("on trial, {left} left{}", until.unwrap_or_default());
    }
    let since = status
        .blessed_ms
        .filter(|_| status.blessed.as_ref() == Some(&status.running.id));
    match since.and_then(rfc3339) {
        Some(since) => format!("trusted since {}", terminal.date(Some(&since))),
        None => "trusted".to_owned(),
    }
}

/// What an upgrade would bring.
pub(crate) fn check(terminal: &mut Terminal, value: &Value) {
    let Some(check) = shown::<Check>(terminal, value) else {
        return;
    };
    if !check.available {
        terminal.line(format!("{} is up to date", one_line(&check.image)));
        return;
    }
    let made = check
        .made_at
        .as_deref()
        .map(|made| terminal.date(Some(made)))
        .unwrap_or_default();
    let room = &check.room;
    let signature = terminal.tone(
        if check.signed { Tone::Good } else { Tone::Bad },
        &one_line(&check.signature),
    );
    fields(
        terminal,
        &[
            ("image", one_line(&check.image)),
            (
                "version",
                check.version.as_deref().map(one_line).unwrap_or_default(),
            ),
            ("digest", one_line(&check.digest)),
            ("made", made),
            (
                "to fetch",
                format!("{} of {}", size(check.fetch_bytes), size(check.size_bytes)),
            ),
            (
                "room",
                format!(
                    "{} needed, {} free",
                    size(room.needed_bytes),
                    size(room.free_bytes)
                ),
            ),
            (
                "boot room",
                format!(
                    "{} needed, {} free",
                    size(room.boot_needed_bytes),
                    size(room.boot_free_bytes)
                ),
            ),
            ("signature", signature),
            (
                "failed before",
                check.failed_before.as_deref().map(one_line).unwrap_or_default(),
            ),
        ],
    );
    for obstacle in &check.blocked_by {
        let head = terminal.tone(Tone::Bad, "in the way");
        terminal.line(format!("{head}: {}", one_line(obstacle)));
    }
    if check.blocked_by.is_empty() {
        terminal.line("stage it with: aiosctl os upgrade");
    }
}

/// What starts next.
pub(crate) fn changed(terminal: &mut Terminal, value: &Value) {
    let Some(changed) = shown::<Changed>(terminal, value) else {
        return;
    };
    let what = if changed.changed {
        "next"
    } else {
        "nothing changed; next"
    };
    let which = if changed.next_boot == "running" {
        ", which runs now"
    } else {
        ""
    };
    terminal.line(format!("{what}: {}{which}", changed.next.name()));
    terminal.line(one_line(&changed.then));
}
