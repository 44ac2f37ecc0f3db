//! What `make run` does first: a real goal on a scratch tree, approved by the person who typed `make run`.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Instance, process};
use crate::host::say;

const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// Twelve logs, a day and a half apart: five are younger than a week.
const FILES: u64 = 12;
const APART_S: u64 = 36 * 3600;
const SIZE: usize = 512 * 1024;

/// Makes the tree, runs the goal, approves its one step, and shows how to undo it.
pub(super) fn run(instance: &Instance<'_>) -> Result<()> {
    let tree = scratch(instance)?;
    let text = format!(
        "free space under {}: delete *.log older than 7 days, keep the newest 3",
        tree.display()
    );
    say(&format!("goal: {text}"));
    let goal = json(instance, &["goal", "run", "--detach", &text])?;
    let goal = text_at(&goal, "goal_id")?;
    let begin = Instant::now();
    loop {
        let detail = json(instance, &["goal", "show", &goal])?;
        let state = text_at(detail.get("goal").context("the goal of an answer")?, "state")?;
        match state.as_str() {
            "completed" => break,
            "awaiting_approval" => approve(instance, &goal)?,
            "failed" | "cancelled" | "awaiting_input" => {
                instance.ctl(&["goal", "show", &goal]).run()?;
                bail!("the first goal is {state}; see above");
            }
            _ if begin.elapsed() > LIMIT => bail!("the first goal is {state} after {} s", LIMIT.as_secs()),
            _ => process::pause(POLL),
        }
    }
    instance.ctl(&["goal", "show", &goal]).run()?;
    say(&format!("undo it: {} goal undo {goal}", aiosctl(instance)));
    Ok(())
}

fn aiosctl(instance: &Instance<'_>) -> String {
    instance.state.join("vendor/bin/aiosctl").display().to_string()
}

/// Approves what waits for this goal, and says so: the person typed `make run` to see it done.
fn approve(instance: &Instance<'_>, goal: &str) -> Result<()> {
    let waiting = json(instance, &["approval", "list", "--goal", goal])?;
    for approval in waiting.as_array().into_iter().flatten() {
        let id = text_at(approval, "approval_id")?;
        let summary = text_at(approval, "summary")?;
        say(&format!(
            "approval {id}: {summary}; approved, since you typed `make run`"
        ));
        instance
            .ctl(&["approval", "approve", &id])
            .ignore_stdout()
            .run()?;
    }
    process::pause(POLL);
    Ok(())
}

fn json(instance: &Instance<'_>, args: &[&str]) -> Result<serde_json::Value> {
    let words: Vec<&str> = std::iter::once("--json").chain(args.iter().copied()).collect();
    let text = instance.ctl(&words).read()?;
    serde_json::from_str(&text).with_context(|| format!("aiosctl {} answered `{text}`", words.join(" ")))
}

fn text_at(value: &serde_json::Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(serde_json::Value::as_str);
    Ok(found
        .with_context(|| format!("no `{key}` in {value}"))?
        .to_owned())
}

/// A fresh tree of logs of different ages.
fn scratch(instance: &Instance<'_>) -> Result<PathBuf> {
    let tree = instance.state.join("scratch");
    instance.host.shell.remove_path(&tree)?;
    instance.host.shell.create_dir(&tree)?;
    let now = SystemTime::now();
    for index in 0..FILES {
        let age = Duration::from_secs(index * APART_S);
        write_aged(
            &tree.join(format!("service-{index:02}.log")),
            now.checked_sub(age).unwrap_or(now),
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
