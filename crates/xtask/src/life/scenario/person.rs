//! The first administrator at a shell: asks for something by `aiosctl`, and says yes to it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{BOOT, Life};
use crate::host::say;

/// The first administrator, as a shell of theirs would run it.
pub(super) const ADMIN: [&str; 6] = [
    "setpriv",
    "--reuid=admin",
    "--regid=admin",
    "--init-groups",
    "aiosctl",
    "--json",
];
/// Exit code of aiosctl.
pub(super) const NEEDS_APPROVAL: i32 = 4;

/// One command from its parts.
pub(super) fn words<'a>(first: &[&'a str], then: &[&'a str]) -> Vec<&'a str> {
    [first, then].concat()
}

/// Whether an image waits for the next start.
pub(super) fn staged(life: &mut Life) -> Result<bool> {
    let status = life.json(&["bootc", "status", "--json"])?;
    Ok(status.pointer("/status/staged").is_some_and(|it| !it.is_null()))
}

/// Has something done that waits for a person, who says yes.
pub(super) fn approved(life: &mut Life, verb: &[&str]) -> Result<()> {
    let goal = approve(life, verb)?;
    let done = life.run(&words(&ADMIN, &["goal", "watch", &goal]))?;
    ensure!(
        done.code == 0,
        "{} ended with {}: {}{}",
        verb.join(" "),
        done.code,
        done.out,
        done.err
    );
    Ok(())
}

/// Answers the goal that was approved.
pub(super) fn approve(life: &mut Life, verb: &[&str]) -> Result<String> {
    let done = life.run(&words(&ADMIN, verb))?;
    ensure!(
        done.code == NEEDS_APPROVAL,
        "{} asked nobody and ended with {}: {}{}",
        verb.join(" "),
        done.code,
        done.out,
        done.err
    );
    say_yes(life)
}

/// Approves what waits, and says what that is; answers its goal.
pub(super) fn say_yes(life: &mut Life) -> Result<String> {
    let waiting = life.json(&words(&ADMIN, &["approval", "list"]))?;
    let text = |name: &str| -> Result<String> {
        let at = format!("/0/{name}");
        let value = waiting.pointer(&at).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .with_context(|| format!("an approval without {name}: {waiting}"))
    };
    let (approval, goal) = (text("approval_id")?, text("goal_id")?);
    say(&format!("       yes to: {}", text("summary")?));
    life.done(&words(&ADMIN, &["approval", "approve", &approval]))?;
    Ok(goal)
}

/// Starts the machine again by its own tool, which does so some seconds after it answered.
pub(super) fn restart(life: &mut Life) -> Result<()> {
    approve(life, &["os", "reboot"])?;
    life.next_boot(BOOT)
}
