//! What came of it, a line each.

use anyhow::{Result, ensure};
use std::io::{Write, stdout};

/// What came of one fault and its control.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Anything was found.
    pub(crate) detected: bool,
    /// The cause, on what it is about.
    pub(crate) right_cause: bool,
    /// Whether a repair was to be made.
    pub(crate) repairs: bool,
    /// Seen from outside.
    pub(crate) repaired: bool,
    /// Findings, and changes, in the control.
    pub(crate) false_alarms: usize,
    /// Paths changed that no repair needs, in both.
    pub(crate) beyond_need: usize,
    /// Approvals that a person gave.
    pub(crate) approvals: usize,
    /// From the goal to its end.
    pub(crate) seconds: f64,
    /// What went wrong, or empty.
    pub(crate) problem: String,
}

impl Row {
    fn good(&self) -> bool {
        self.problem.is_empty()
            && self.right_cause
            && (self.repaired || !self.repairs)
            && self.false_alarms == 0
            && self.beyond_need == 0
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Table {
    seed: u64,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Prints it.
    ///
    /// # Errors
    /// Something was not found, not repaired, claimed without cause, or changed without need.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "seed {}", self.seed)?;
        writeln!(
            out,
            "{:<28} {:>8} {:>6} {:>8} {:>7} {:>7} {:>9} {:>7}  problem",
            "fault", "detected", "cause", "repaired", "alarms", "beyond", "approvals", "seconds"
        )?;
        for row in &self.rows {
            let repaired = if row.repairs { word(row.repaired) } else { "advice" };
            writeln!(
                out,
                "{:<28} {:>8} {:>6} {repaired:>8} {:>7} {:>7} {:>9} {:>7.1}  {}",
                row.name,
                word(row.detected),
                word(row.right_cause),
                row.false_alarms,
                row.beyond_need,
                row.approvals,
                row.seconds,
                row.problem
            )?;
        }
        let bad: Vec<&str> = self
            .rows
            .iter()
            .filter(|row| !row.good())
            .map(|row| row.name)
            .collect();
        let good = self.rows.len() - bad.len();
        writeln!(out, "{good} of {} as they should be", self.rows.len())?;
        ensure!(bad.is_empty(), "not as they should be: {}", bad.join(", "));
        Ok(())
    }
}

fn word(yes: bool) -> &'static str {
    if yes { "yes" } else { "NO" }
}
