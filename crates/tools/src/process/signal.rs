//! process.signal. Stopping and continuing are exact opposites and can be read off the process; any other
//! signal is whatever the process makes of it, and cannot be called back.

use super::args::SignalResult;
use super::plan::{Mark, Marks};
use super::table::{Handle, Proc};
use crate::error::{Result, ToolError};
use crate::typed::{bad_input, value_of};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const NAME: &str = "process.signal";
/// How long the effect of a signal is waited for.
const SETTLES: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(5);

/// Names and numbers on every machine that aiOS runs on (x86-64, AArch64).
const SIGNALS: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The name and number of a signal that was named or numbered.
pub(super) fn parse(text: &str) -> Result<(&'static str, i32)> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = text.parse::<i32>().ok();
    SIGNALS
        .iter()
        .find(|(known, raw)| *known == name || number == Some(*raw))
        .copied()
        .ok_or_else(|| {
            bad_input(
                NAME,
                "signal",
                "must be a signal's name, like `TERM`, or its number, 1 to 31",
            )
        })
}

/// Whether a signal stops a process for sure (`true`), continues it (`false`), or does neither.
pub(super) fn stops(name: &str) -> Option<bool> {
    match name {
        "STOP" => Some(true),
        "CONT" => Some(false),
        _ => None,
    }
}

fn raw(number: i32) -> Result<Signal> {
    Signal::from_named_raw(number).ok_or_else(|| ToolError::Defect(format!("signal {number}")))
}

/// Stops or continues a process, and waits until it is so.
pub(super) fn set_stopped(proc: Proc, stop: bool) -> Result<()> {
    let handle = Handle::open(proc)?.ok_or_else(|| proc.missing())?;
    let is_so = || {
        proc.seen()
            .map(|seen| seen.is_stopped() == stop)
            .ok_or_else(|| proc.missing())
    };
    if is_so()? {
        return Ok(());
    }
    handle.signal(if stop { Signal::STOP } else { Signal::CONT })?;
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() >= SETTLES {
            let allowed_ms = u64::try_from(SETTLES.as_millis()).unwrap_or(u64::MAX);
            return Err(ToolError::TimedOut { allowed_ms });
        }
        handle.ended(STEP)?;
    }
    Ok(())
}

/// Brings a process back to what it was, also when a signal is still on its way.
pub(super) fn take_back(proc: Proc, stop: bool, was_stopped: bool) -> Result<()> {
    if stop == was_stopped {
        return Ok(());
    }
    match Handle::open(proc)? {
        Some(handle) => handle.signal(if was_stopped { Signal::STOP } else { Signal::CONT }),
        None => Ok(()),
    }
}

/// Sends a signal that cannot be called back; what the call answers.
pub(super) fn send(marks: &Marks, tag: &str, proc: Proc, number: i32, name: &str) -> Result<Value> {
    let signal = raw(number)?;
    marks.forget_ended()?;
    let handle = Handle::open(proc)?.ok_or_else(|| proc.missing())?;
    marks.write(tag, &Mark::Begun)?;
    if let Err(error) = handle.signal(signal) {
        // It was not delivered, so nothing of the call remains.
        marks.remove(tag)?;
        return Err(error);
    }
    let patience = if matches!(name, "KILL" | "TERM" | "INT" | "QUIT" | "ABRT" | "HUP") {
        SETTLES
    } else {
        Duration::ZERO
    };
    let ended = handle.ended(patience)?;
    let result = value_of(&SignalResult {
        pid: proc.pid,
        start_ticks: proc.start,
        signal: name.to_owned(),
        ended,
        stopped: !ended && proc.seen().is_some_and(|seen| seen.is_stopped()),
    })?;
    let mark = Mark::Ended {
        result: result.clone(),
        kept: false,
    };
    marks.write(tag, &mark)?;
    Ok(result)
}

/// What the call answers, when the machine shows that it was done though no mark says so: only SIGKILL
/// leaves such a sign, and a process that has ended needs none any more.
pub(super) fn evident(proc: Proc, name: &str) -> Result<Option<Value>> {
    let ended = match Handle::open(proc)? {
        None => true,
        Some(handle) => handle.ended(SETTLES)?,
    };
    if name != "KILL" || !ended {
        return Ok(None);
    }
    value_of(&SignalResult {
        pid: proc.pid,
        start_ticks: proc.start,
        signal: name.to_owned(),
        ended,
        stopped: false,
    })
    .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for text in ["TERM", "term", "SIGTERM", "15"] {
            assert_eq!(parse(text).unwrap(), ("TERM", 15), "{text}");
        }
        for text in ["", "0", "32", "-9", "NOPE", "SIG", "9 ", "KILL\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        for (name, number) in SIGNALS {
            assert_eq!(raw(number).unwrap().as_raw(), number, "{name}");
        }
    }
}
