//! What a boot said: the kernel's times of marks, and the processes that the probe saw.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

use super::machine::Said;

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) name: String,
    /// Memory that it has mapped, KiB.
    pub(super) rss_kib: u64,
    /// The same, where what several have mapped is shared out between them.
    pub(super) pss_kib: u64,
    /// How often its threads gave the processor up or lost it, since they were started.
    pub(super) switches: u64,
}

/// Processes by number; those of the kernel have no memory.
pub(super) type Processes = BTreeMap<u32, Process>;

/// Times of one boot, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    /// From the kernel's start to the execution of PID 1.
    pub(super) kernel: f64,
    /// From there until every core service was ready.
    pub(super) ready: f64,
    /// From the request to power off to the kernel's last word.
    pub(super) off: f64,
}

/// The kernel's last word.
const OFF: &str = "reboot: Power down";

/// Reads the times.
pub(super) fn times(said: &Said) -> Result<Times> {
    let kernel = section(&said.report, "kernel");
    let executed =
        stamp(&kernel, "as init process").context("the kernel's log does not name its init process")?;
    let ready = stamp(&kernel, "bench-boot: ready").context("the kernel's log has no mark of readiness")?;
    let asked =
        stamp(&said.console, "bench-boot: power-off").context("the console has no mark of power-off")?;
    let off = stamp(&said.console, OFF).context("the machine ended without a clean power-off")?;
    Ok(Times {
        kernel: executed,
        ready: ready - executed,
        off: off - asked,
    })
}

/// A section of the probe's words.
pub(super) fn section(report: &str, name: &str) -> String {
    let mut lines = report.lines().map(str::trim_end);
    let begun = lines.by_ref().any(|line| line.strip_prefix("--- ") == Some(name));
    let own = lines.take_while(|line| begun && !line.starts_with("--- "));
    own.collect::<Vec<_>>().join("\n")
}

/// Milliseconds that stand before a message: `[   42.499674] reboot: Power down`.
fn stamp(text: &str, message: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(message))?;
    let (_, rest) = line.split_once('[')?;
    let (seconds, _) = rest.split_once(']')?;
    seconds.trim().parse::<f64>().ok().map(|seconds| seconds * 1000.0)
}

/// Reads the processes of a section: `/proc/1/comm:NAME`, `/proc/1/smaps_rollup:Rss: 1 kB`,
/// `/proc/1/task/1/status:voluntary_ctxt_switches: 1`.
pub(super) fn processes(section: &str) -> Processes {
    let mut all = Processes::new();
    for line in section.lines() {
        // A process that ended while it was looked at leaves half of itself, which no figure uses.
        let Some((pid, file, text)) = place(line) else {
            continue;
        };
        let process = all.entry(pid).or_default();
        let number = || {
            text.split_whitespace()
                .nth(1)
                .and_then(|word| word.parse::<u64>().ok())
        };
        if file == "comm" {
            text.clone_into(&mut process.name);
        } else if text.starts_with("Rss:") {
            process.rss_kib = number().unwrap_or(0);
        } else if text.starts_with("Pss:") {
            process.pss_kib = number().unwrap_or(0);
        } else if text.contains("ctxt_switches:") {
            process.switches += number().unwrap_or(0);
        }
    }
    all
}

fn place(line: &str) -> Option<(u32, &str, &str)> {
    let (pid, rest) = line.strip_prefix("/proc/")?.split_once('/')?;
    let (file, text) = rest.split_once(':')?;
    Some((pid.parse().ok()?, file, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "--- kernel\r\n[    3.100000] Run /x as init process\r\n[   15.350000] bench-boot: ready\r\n\
        --- processes\r\n/proc/1/comm:aios-init\r\n/proc/7/comm:kthreadd\r\n/proc/1/smaps_rollup:Rss:    2048 kB\r\n\
        /proc/1/smaps_rollup:Pss:    1024 kB\r\n/proc/1/task/1/status:voluntary_ctxt_switches:\t40\r\n\
        /proc/1/task/1/status:nonvoluntary_ctxt_switches:\t2\r\n/proc/1/task/9/status:voluntary_ctxt_switches:\t5\r\n\
        grep: gone\r\n--- end\r\n";
    const CONSOLE: &str = "boot\n[   40.000000] bench-boot: power-off\n[   42.500000] reboot: Power down\n";

    fn said(report: &str, console: &str) -> Said {
        Said {
            report: report.to_owned(),
            console: console.to_owned(),
        }
    }

    #[test]
    fn times_are_the_differences_of_the_kernels_marks() {
        let times = times(&said(REPORT, CONSOLE)).unwrap();
        let rounded = [times.kernel, times.ready, times.off].map(f64::round);
        assert_eq!(rounded, [3100.0, 12250.0, 2500.0]);
    }

    #[test]
    fn a_boot_that_lacks_a_mark_has_no_times() {
        for (report, console, part) in [
            ("", CONSOLE, "init process"),
            (
                "--- kernel\n[ 1.0] Run /x as init process\n",
                CONSOLE,
                "readiness",
            ),
            (REPORT, "", "mark of power-off"),
            (REPORT, "[ 1.0] bench-boot: power-off\n", "clean power-off"),
        ] {
            let error = times(&said(report, console)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn processes_have_memory_and_the_switches_of_all_their_threads() {
        let all = processes(&section(REPORT, "processes"));
        let init = Process {
            name: "aios-init".to_owned(),
            rss_kib: 2048,
            pss_kib: 1024,
            switches: 47,
        };
        assert_eq!(all.get(&1), Some(&init));
        assert_eq!(all.len(), 2);
        assert!(section(REPORT, "other").is_empty());
    }
}
