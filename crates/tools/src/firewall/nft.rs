//! Runs `nft`: JSON in, JSON or text out, all of a change in one transaction of the kernel.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const NFT: &str = "/usr/sbin/nft";
/// Its standard input by a name that it can open: `-` means /dev/stdin to it, and there is no such thing in the
/// worker's view.
const STANDARD_INPUT: &str = "/proc/self/fd/0";
/// Most bytes of an answer; a rule set of some ten thousand rules.
const LARGEST: u64 = 8 << 20;
/// Time that it gets when nobody gave one: for taking back.
const LONGEST_MS: u64 = 30_000;

fn failed(why: impl Into<String>) -> ToolError {
    ToolError::Program {
        program: NFT,
        why: why.into(),
    }
}

fn broken(doing: &'static str) -> impl Fn(std::io::Error) -> ToolError {
    move |error| ToolError::io(doing, NFT, error)
}

/// Reads all of it, but not more than is kept, on a thread of its own.
fn collect(name: &str, mut from: impl Read + Send + 'static) -> Result<Receiver<Vec<u8>>> {
    let (out, collected) = channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut bytes = Vec::new();
            let read = (&mut from).take(LARGEST).read_to_end(&mut bytes);
            // Nobody waits any more when it was killed; an error shows as an answer that is cut short.
            drop(read.and_then(|_| out.send(bytes).map_err(std::io::Error::other)));
        })
        .map_err(broken("start a thread for"))?;
    Ok(collected)
}

/// Runs it with these words, and this on its standard input.
fn run(words: &[&str], input: Option<String>, budget: &Budget) -> Result<Vec<u8>> {
    budget.check()?;
    let mut child = Command::new(NFT)
        .args(words)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(broken("start"))?;
    let outcome = converse(&mut child, input, budget);
    if outcome.is_err() {
        end(&mut child);
    }
    let (answer, complaint) = outcome?;
    let status = child.wait().map_err(broken("wait for"))?;
    if status.success() {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let first = complaint
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it says nothing");
    Err(failed(first.chars().take(300).collect::<String>()))
}

fn converse(child: &mut Child, input: Option<String>, budget: &Budget) -> Result<(Vec<u8>, Vec<u8>)> {
    let no_pipe = || ToolError::Defect("nft was started without its pipes".to_owned());
    let answer = collect("nft-out", child.stdout.take().ok_or_else(no_pipe)?)?;
    let complaint = collect("nft-err", child.stderr.take().ok_or_else(no_pipe)?)?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // It reads all of its input before it says anything, and the readers above are at work.
        pipe.write_all(input.as_bytes()).map_err(broken("write to"))?;
    }
    let patience = budget.left().max(Duration::from_millis(1));
    let late = |_| match budget.check() {
        Err(error) => error,
        Ok(()) => failed("it ended without an answer"),
    };
    let answer = answer.recv_timeout(patience).map_err(late)?;
    let complaint = complaint.recv_timeout(patience).map_err(late)?;
    Ok((answer, complaint))
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process_group(pid, Signal::KILL)
    {
        tracing::warn!(%error, "nft could not be ended");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "nft could not be waited for");
    }
}

/// Every object of a listing, without the one about the program itself.
pub(super) fn objects(listing: &[u8]) -> Result<Vec<Value>> {
    let mut listing: Value =
        serde_json::from_slice(listing).map_err(|error| failed(format!("its answer is no JSON: {error}")))?;
    let Some(Value::Array(objects)) = listing.get_mut("nftables").map(Value::take) else {
        return Err(failed("its answer holds no `nftables`"));
    };
    Ok(objects
        .into_iter()
        .filter(|object| object.get("metainfo").is_none())
        .collect())
}

/// Everything in a table; nothing when there is no such table.
pub(super) fn table(family: &str, name: &str, budget: &Budget) -> Result<Option<Vec<Value>>> {
    let tables = objects(&run(&["-j", "list", "tables"], None, budget)?)?;
    let there = tables
        .iter()
        .filter_map(|object| object.get("table"))
        .any(|table| table.get("family") == Some(&json!(family)) && table.get("name") == Some(&json!(name)));
    if !there {
        return Ok(None);
    }
    objects(&run(&["-j", "list", "table", family, name], None, budget)?).map(Some)
}

/// The whole rule set as people write it.
pub(super) fn ruleset(budget: &Budget) -> Result<String> {
    let text = run(&["list", "ruleset"], None, budget)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Makes all of these changes at once, or none.
pub(super) fn commit(commands: &[Value], budget: &Budget) -> Result<()> {
    let input = json!({ "nftables": commands }).to_string();
    run(&["-j", "-f", STANDARD_INPUT], Some(input), budget).map(drop)
}

/// Time for what must be done although the call's own is over.
pub(super) fn patience() -> Budget {
    Budget::of_ms(LONGEST_MS)
}
