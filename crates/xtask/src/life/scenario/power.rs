//! Power cuts at random instants of download, staging, finalizing, first boot, and normal work.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use super::update::blessed;
use super::{BOOT, Life};
use crate::host::{copy, say};
use crate::life::cut::{Chance, Log};
use crate::life::install::Bed;

/// Cuts in each part of the story; there are five parts.
const CUTS: usize = 4;
/// `AIOS_CUTS` takes another number, and `AIOS_SEED` another seed.
const SEED: u64 = 11;
/// Which part of an upgrade's writes comes last: kernel, entries and state of the new deployment.
const STAGING: u64 = 10;
/// Goals of normal work.
const GOALS: usize = 6;

/// A part of the story, as far as the log had been written when it ended.
struct Part {
    name: &'static str,
    end: u64,
}

/// A goal that was acknowledged when the log had this length.
struct Acknowledged {
    goal: String,
    at: u64,
}

/// What the story left.
struct Story {
    parts: Vec<Part>,
    goals: Vec<Acknowledged>,
}

/// Lives once through everything with a log of all writes, and then boots what each cut leaves.
pub(super) fn cuts(bed: &Bed, disk: PathBuf) -> Result<()> {
    let begun = disk.with_extension("begun");
    copy(&disk, &begun)?;
    let path = disk.with_extension("writes");
    let story = tell(bed, disk.clone(), &path)?;
    let log = Log::open(&path)?;
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let seed = number("AIOS_SEED", SEED);
    let cuts = usize::try_from(number("AIOS_CUTS", CUTS as u64))?;
    let mut chance = Chance::seeded(seed);
    let mut low = 0;
    for part in &story.parts {
        let high = log.before(part.end);
        for _ in 0..cuts {
            let count = chance.within(low, high);
            let cut = disk.with_extension("cut.raw");
            let survived = log.cut(&begun, &cut, count, &mut chance)?;
            let _variables = std::fs::remove_file(cut.with_extension("vars"));
            let boots = lives(bed, cut, &story, &log, count).with_context(|| {
                format!(
                    "cut in {}, after write {count} (seed {seed}): {survived:?}",
                    part.name
                )
            })?;
            say(&format!(
                "       cut in {:<12} after write {count:>6}: {} writes lost, {} got through; v{boots} boots and is whole",
                part.name, survived.lost, survived.lucky
            ));
        }
        low = high;
    }
    for file in [begun, path] {
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// The story, once.
fn tell(bed: &Bed, disk: PathBuf, log: &Path) -> Result<Story> {
    let mut story = Story {
        parts: Vec::new(),
        goals: Vec::new(),
    };
    let length = || -> Result<u64> { Ok(std::fs::metadata(log)?.len()) };
    let mut life = Life::begin_logged(bed, disk, Some(log.to_owned()))?;
    life.healthy()?;
    life.offer("v2")?;
    let ended = |story: &mut Story, name| -> Result<()> {
        story.parts.push(Part { name, end: length()? });
        Ok(())
    };
    for _ in 0..GOALS {
        let goal = life.goal()?;
        story.goals.push(Acknowledged { goal, at: length()? });
    }
    ended(&mut story, "normal work")?;
    // bootc stages in the same breath as it downloads: the half of the cuts that come late may hit either.
    life.done(&["bootc", "upgrade", "--quiet"])?;
    let whole = length()?;
    let before = story.parts.last().map_or(0, |part| part.end);
    story.parts.push(Part {
        name: "download",
        end: whole - (whole - before) / STAGING,
    });
    ended(&mut story, "staging")?;
    life.reboot()?;
    life.next_boot(BOOT)?;
    life.runs("2")?;
    ended(&mut story, "finalizing")?;
    blessed(&mut life)?;
    ended(&mut story, "first boot")?;
    life.end()?;
    Ok(story)
}

/// Boots what a cut left; answers which image runs.
fn lives(bed: &Bed, disk: PathBuf, story: &Story, log: &Log, count: usize) -> Result<String> {
    let mut life = Life::begin(bed, disk)?;
    let version = life.hello.version.clone();
    ensure!(
        ["1", "2"].contains(&version.as_str()),
        "v{version} was never there"
    );
    life.healthy()?;
    life.done(&["aiosctl", "audit", "verify"])?;
    life.done(&["python3", "/usr/lib/aios-life/databases.py"])?;
    let status = life.json(&["bootc", "status", "--json"])?;
    ensure!(
        status.pointer("/status/booted").is_some_and(|it| !it.is_null()),
        "bootc has no status: {status}"
    );
    for goal in story.goals.iter().filter(|goal| log.before(goal.at) <= count) {
        life.done(&["aiosctl", "--json", "goal", "show", &goal.goal])
            .context("a goal that was acknowledged is lost")?;
    }
    life.end()?;
    Ok(version)
}
