//! An update and the way back by aiOS's own commands, each approved by a person; before that, images that nobody may stage.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;

use super::update::blessed;
use super::{BOOT, Life};
use crate::life::install::Bed;

/// The first administrator, as a shell of theirs would run it.
const ADMIN: [&str; 6] = [
    "setpriv",
    "--reuid=admin",
    "--regid=admin",
    "--init-groups",
    "aiosctl",
    "--json",
];
/// Exit code of aiosctl.
const NEEDS_APPROVAL: i32 = 4;
const IMAGE: &str = "/var/lib/life-image";
const ALTERED: &str = "/var/lib/life-altered";

pub(super) fn by_aiosctl(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    life.runs("1")?;
    life.done(&["aiosctl", "person", "enrol", "--user", "admin"])?;
    life.done(&["aiosctl", "os", "key", "/root/key"])?;
    life.done(&["cp", "/root/key.pub", "/etc/aios/trust/images/"])?;
    life.done(&["cp", "-r", "/run/images/v2", IMAGE])?;
    refused(&mut life, IMAGE, "AIOS-OS-0004").context("nobody signed it")?;
    life.done(&["aiosctl", "os", "sign", IMAGE, "--key", "/root/key"])?;
    life.done(&["cp", "-r", IMAGE, ALTERED])?;
    // One byte of its largest layer.
    let alter = format!(
        "f={ALTERED}/blobs/sha256/$(ls -S {ALTERED}/blobs/sha256 | head -1) && printf x | dd of=$f bs=1 seek=100000 conv=notrunc"
    );
    life.done(&["sh", "-c", &alter])?;
    refused(&mut life, ALTERED, "AIOS-DEPLOYMENT-0007").context("a layer was altered")?;
    approved(&mut life, &["os", "switch", &format!("oci:{IMAGE}")])?;
    ensure!(staged(&mut life)?, "nothing is staged");
    restart(&mut life)?;
    life.runs("2")?;
    blessed(&mut life)?;
    approved(&mut life, &["os", "rollback"])?;
    restart(&mut life)?;
    life.runs("1")?;
    life.end()
}

/// One command from its parts.
fn words<'a>(first: &[&'a str], then: &[&'a str]) -> Vec<&'a str> {
    [first, then].concat()
}

/// Asks for an image that nobody may stage: a signature is looked for before a person is asked, and the layers are read once
/// the person has said yes.
fn refused(life: &mut Life, image: &str, code: &str) -> Result<()> {
    let image = format!("oci:{image}");
    let mut done = life.run(&words(&ADMIN, &["os", "switch", &image]))?;
    if done.code == NEEDS_APPROVAL {
        let goal = say_yes(life)?;
        done = life.run(&words(&ADMIN, &["goal", "watch", &goal]))?;
    }
    ensure!(
        done.code != 0 && done.out.contains(code),
        "it was not refused by {code}, but ended with {}: {}{}",
        done.code,
        done.out,
        done.err
    );
    ensure!(!staged(life)?, "it was refused and staged all the same");
    Ok(())
}

fn staged(life: &mut Life) -> Result<bool> {
    let status = life.json(&["bootc", "status", "--json"])?;
    Ok(status.pointer("/status/staged").is_some_and(|it| !it.is_null()))
}

/// Has something done that waits for a person, who says yes.
fn approved(life: &mut Life, verb: &[&str]) -> Result<()> {
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
fn approve(life: &mut Life, verb: &[&str]) -> Result<String> {
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

/// Approves what waits; answers its goal.
fn say_yes(life: &mut Life) -> Result<String> {
    let waiting = life.json(&words(&ADMIN, &["approval", "list"]))?;
    let text = |name: &str| -> Result<String> {
        let at = format!("/0/{name}");
        let value = waiting.pointer(&at).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .with_context(|| format!("an approval without {name}: {waiting}"))
    };
    let (approval, goal) = (text("approval_id")?, text("goal_id")?);
    life.done(&words(&ADMIN, &["approval", "approve", &approval]))?;
    Ok(goal)
}

/// Starts the machine again by its own tool, which does so some seconds after it answered.
fn restart(life: &mut Life) -> Result<()> {
    approve(life, &["os", "reboot"])?;
    life.next_boot(BOOT)
}
