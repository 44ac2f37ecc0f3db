//! What `make run` and `make container` do first: a real goal on a scratch tree, approved by the person who typed that.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use xshell::Cmd;

use crate::host::say;
use crate::process;

const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// Twelve logs, a day and a half apart: five are younger than a week.
const FILES: u64 = 12;
const APART_S: u64 = 36 * 3600;
const SIZE: usize = 512 * 1024;

/// A running aiOS: one of this machine's own, or one in a container.
pub(crate) trait System {
    /// `aiosctl` on it, as the person.
    fn ctl(&self, args: &[&str]) -> Cmd<'_>;
    /// How the person types that.
    fn typed(&self) -> String;
    /// What the person typed to see the goal done.
    fn asked_by(&self) -> &'static str;
    /// Brings a tree that was made here to where its services find it, and says where.
    fn take_in(&self, made: PathBuf) -> Result<PathBuf>;
}

/// Makes the tree below `place`, runs the goal, approves its one step, and shows how to undo it; answers the goal.
pub(crate) fn run(system: &impl System, place: &Path) -> Result<String> {
    let tree = system.take_in(scratch(place)?)?;
    let text = format!(
        "free space under {}: delete *.log older than 7 days, keep the newest 3",
        tree.display()
    );
    say(&format!("goal: {text}"));
    let goal = json(system, &["goal", "run", "--detach", &text])?;
    let goal = text_at(&goal, "goal_id")?;
    follow(system, &goal)?;
    system.ctl(&["goal", "show", &goal]).run()?;
    say(&format!("undo it: {} goal undo {goal}", system.typed()));
    Ok(goal)
}

/// Waits until a goal is done, and approves what it asks for.
pub(crate) fn follow(system: &impl System, goal: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        let detail = json(system, &["goal", "show", goal])?;
        let state = text_at(detail.get("goal").context("the goal of an answer")?, "state")?;
        match state.as_str() {
            "completed" => return Ok(()),
            "awaiting_approval" => approve(system, goal)?,
            "failed" | "cancelled" | "awaiting_input" => {
                system.ctl(&["goal", "show", goal]).run()?;
                bail!("the first goal is {state}; see above");
            }
            _ if begin.elapsed() > LIMIT => bail!("the first goal is {state} after {} s", LIMIT.as_secs()),
            _ => process::pause(POLL),
        }
    }
}

/// Approves what waits for this goal, and says so: the person asked to see it done.
fn approve(system: &impl System, goal: &str) -> Result<()> {
    let waiting = json(system, &["approval", "list", "--goal", goal])?;
    for approval in waiting.as_array().into_iter().flatten() {
        let id = text_at(approval, "approval_id")?;
        let summary = text_at(approval, "summary")?;
        say(&format!(
            "approval {id}: {summary}; approved, since you typed `{}`",
            system.asked_by()
        ));
        system.ctl(&["approval", "approve", &id]).ignore_stdout().run()?;
    }
    process::pause(POLL);
    Ok(())
}

fn json(system: &impl System, args: &[&str]) -> Result<serde_json::Value> {
    let words: Vec<&str> = std::iter::once("--json").chain(args.iter().copied()).collect();
    let text = system.ctl(&words).read()?;
    serde_json::from_str(&text).with_context(|| format!("aiosctl {} answered `{text}`", words.join(" ")))
}

fn text_at(value: &serde_json::Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(serde_json::Value::as_str);
    Ok(found
        .with_context(|| format!("no `{key}` in {value}"))?
        .to_owned())
}

/// A fresh tree of logs of different ages.
fn scratch(place: &Path) -> Result<PathBuf> {
    let tree = place.join("scratch");
    if tree.exists() {
        std::fs::remove_dir_all(&tree).with_context(|| tree.display().to_string())?;
    }
    std::fs::create_dir_all(&tree).with_context(|| tree.display().to_string())?;
    // Whole seconds, which every way of copying keeps.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    for index in 0..FILES {
        let modified = Duration::from_secs(now.saturating_sub(index * APART_S));
        write_aged(
            &tree.join(format!("service-{index:02}.log")),
            SystemTime::UNIX_EPOCH + modified,
        )?;
    }
    Ok(tree)
}

fn write_aged(path: &Path, modified: SystemTime) -> Result<()> {
    let line = b"2026-01-01T00:00:00Z service: nothing happened\n";
    let content: Vec<u8> = line.iter().copied().cycle().take(SIZE).collect();
    std::fs::write(path, content)?;
    std::fs::File::options()
        .write(true)
        .open(path)?
        .set_modified(modified)?;
    Ok(())
}
