//! One table: what was measured, how much, and what is promised.

use anyhow::{Result, ensure};
use std::io::{Write, stdout};

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Nothing: a figure to compare with.
    Nothing,
}

/// Figures in the order in which they were taken.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(String, f64, &'static str, Promise)>,
}

impl Table {
    /// Adds a figure with its unit.
    pub(crate) fn add(&mut self, what: impl Into<String>, figure: f64, unit: &'static str, promise: Promise) {
        self.rows.push((what.into(), figure, unit, promise));
    }

    /// Prints all figures.
    ///
    /// # Errors
    /// A promise is not kept, or standard output is closed.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = stdout().lock();
        writeln!(
            out,
            "{:<58} {:>12} {:<10} {:<14} ok",
            "what", "figure", "unit", "promise"
        )?;
        let mut missed = Vec::new();
        for (what, figure, unit, promise) in &self.rows {
            let (promised, kept) = match promise {
                Promise::AtMost(limit) => (format!("<= {limit}"), Some(figure <= limit)),
                Promise::AtLeast(limit) => (format!(">= {limit}"), Some(figure >= limit)),
                Promise::Nothing => (String::new(), None),
            };
            let kept = kept.map_or("", |kept| if kept { "yes" } else { "NO" });
            if kept == "NO" {
                missed.push(what.as_str());
            }
            let digits = if *figure >= 1000.0 { 0 } else { 3 };
            writeln!(
                out,
                "{what:<58} {figure:>12.digits$} {unit:<10} {promised:<14} {kept}"
            )?;
        }
        ensure!(missed.is_empty(), "not as promised: {}", missed.join("; "));
        Ok(())
    }
}
