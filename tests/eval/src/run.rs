//! One fault from making to counting, and its control.

use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use crate::table::Row;
use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_e2e::tree::{self, Picture};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A goal that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(180);

/// Makes the fault, has it found and mended; the same with its healthy twin. What goes wrong is in the row.
pub(crate) fn run(instance: &Instance, fault: &dyn Fault, random: &mut Random) -> Row {
    let mut row = Row {
        name: fault.name(),
        ..Row::default()
    };
    let done =
        faulty(instance, fault, random, &mut row).and_then(|()| control(instance, fault, random, &mut row));
    if let Err(error) = done {
        row.problem = format!("{error:#}");
    }
    row
}

fn faulty(instance: &Instance, fault: &dyn Fault, random: &mut Random, row: &mut Row) -> Result<()> {
    let scratch = tree::scratch();
    let place = Place {
        dir: scratch.path(),
        instance,
    };
    let made = fault.make(&place, random, true).context("make the fault")?;
    let wanted = made.wanted.clone().context("a fault wants a cause")?;
    row.repairs = wanted.repairs;
    let before = tree::pictures(scratch.path());
    let ended = goal(instance, &made.goal, row)?;
    let findings = findings(&ended);
    row.detected = !findings.is_empty();
    row.right_cause = findings.iter().any(|finding| is(finding, &wanted));
    row.repaired = wanted.repairs && (made.healthy)().is_ok();
    row.beyond_need = beyond(&before, scratch.path(), &made);
    explain(row, &wanted, &findings, &ended, &made);
    Ok(())
}

/// What is not as it should be, in words.
fn explain(row: &mut Row, wanted: &Wanted, findings: &[Value], ended: &Value, made: &Made) {
    if !row.right_cause {
        let found: Vec<String> = findings
            .iter()
            .map(|finding| format!("{} {}", finding["cause"], finding["subject"]))
            .collect();
        row.problem = format!(
            "wanted {} {}, found [{}]; {}",
            wanted.cause,
            wanted.subject,
            found.join(", "),
            string(ended, "/goal/status_line")
        );
    } else if wanted.repairs
        && let Err(still) = (made.healthy)()
    {
        row.problem = format!("{still:#}; {}", string(ended, "/goal/status_line"));
    } else if string(ended, "/goal/state") != "completed" {
        // What is repaired must be known to be.
        row.problem = format!("the goal says: {}", string(ended, "/goal/status_line"));
    }
}

fn control(instance: &Instance, fault: &dyn Fault, random: &mut Random, row: &mut Row) -> Result<()> {
    let scratch = tree::scratch();
    let place = Place {
        dir: scratch.path(),
        instance,
    };
    let made = fault.make(&place, random, false).context("make the control")?;
    (made.healthy)().context("the control is not healthy")?;
    let before = tree::pictures(scratch.path());
    let mut ignored = Row::default();
    let ended = goal(instance, &made.goal, &mut ignored)?;
    let findings = findings(&ended);
    let changed = beyond(&before, scratch.path(), &made);
    row.false_alarms += findings.len() + changed + ignored.approvals;
    let completed = string(&ended, "/goal/state") == "completed";
    if (row.false_alarms > 0 || !completed) && row.problem.is_empty() {
        row.problem = format!("in the control: {}", string(&ended, "/goal/status_line"));
    }
    (made.healthy)().context("the control is not healthy any more")
}

/// States the goal, and answers it in full when it has ended.
fn goal(instance: &Instance, text: &str, row: &mut Row) -> Result<Value> {
    ended(instance, &instance.submit(text), text, row)
}

/// Approves whatever a goal asks, and answers it in full when it has ended.
pub(crate) fn ended(instance: &Instance, id: &str, text: &str, row: &mut Row) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let detail = instance.json(&["goal", "show", id]);
        match string(&detail, "/goal/state").as_str() {
            "completed" | "failed" | "cancelled" => {
                row.seconds = begun.elapsed().as_secs_f64();
                return Ok(detail);
            }
            "awaiting_input" => {
                instance.json(&["goal", "cancel", id]);
                bail!(
                    "`{text}` was not understood: {}",
                    string(&detail, "/goal/status_line")
                );
            }
            "awaiting_approval" => row.approvals += approve(instance, id),
            _ => {}
        }
        if begun.elapsed() > LONGEST {
            instance.json(&["goal", "cancel", id]);
            bail!(
                "`{text}` took longer than {LONGEST:?}: {}",
                string(&detail, "/goal/status_line")
            );
        }
        pause();
    }
}

/// Approves what waits for this goal; answers how much that was.
fn approve(instance: &Instance, goal: &str) -> usize {
    let waiting = instance.json(&["approval", "list", "--goal", goal]);
    let waiting = waiting.as_array().map(Vec::as_slice).unwrap_or_default();
    for approval in waiting {
        instance.json(&["approval", "approve", &string(approval, "/approval_id")]);
    }
    waiting.len()
}

fn findings(ended: &Value) -> Vec<Value> {
    let found = ended.pointer("/result/findings").and_then(Value::as_array);
    found.cloned().unwrap_or_default()
}

fn is(finding: &Value, wanted: &Wanted) -> bool {
    let mut lines = wanted.subject.lines();
    let subject = lines.next().unwrap_or_default();
    finding["cause"] == wanted.cause
        && finding["subject"]
            .as_str()
            .is_some_and(|told| told.contains(subject))
        && lines.all(|line| says(finding).any(|told| told.contains(line)))
}

/// What a person reads of a finding: its title, and what shows it.
fn says(finding: &Value) -> impl Iterator<Item = &str> {
    let evidence = finding["evidence"].as_array().into_iter().flatten();
    let shown = evidence.filter_map(|shown| shown["shows"].as_str());
    finding["title"].as_str().into_iter().chain(shown)
}

/// How many paths changed that no repair needs.
fn beyond(before: &BTreeMap<PathBuf, Picture>, dir: &Path, made: &Made) -> usize {
    let after = tree::pictures(dir);
    let changed = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path));
    let mut beyond: Vec<&PathBuf> = changed
        .filter(|path| {
            !made
                .needed
                .iter()
                .any(|needed| dir.join(path).starts_with(needed))
        })
        .collect();
    beyond.sort();
    beyond.dedup();
    beyond.len()
}
