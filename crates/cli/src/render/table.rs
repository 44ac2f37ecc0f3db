//! Columns that line up.

use crate::terminal::{Terminal, Tone};

/// Rows under headings; each column as wide as its widest cell, the last one free.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it, or `nothing` when it has no row.
    pub(crate) fn print(&self, terminal: &mut Terminal, nothing: &str) {
        if self.rows.len() < 2 {
            terminal.line(nothing);
            return;
        }
        for (index, line) in self.lines().iter().enumerate() {
            let line = if index == 0 {
                terminal.tone(Tone::Quiet, line)
            } else {
                line.clone()
            };
            terminal.line(line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let pad = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
        let line = |row: &Vec<String>| {
            row.iter()
                .zip(&widths)
                .map(pad)
                .collect::<Vec<_>>()
                .join("  ")
                .trim_end()
                .to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// Lines of `name: value`, values lined up; empty values are left out.
pub(crate) fn fields(terminal: &mut Terminal, fields: &[(&str, String)]) {
    let width = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let name = terminal.tone(Tone::Quiet, &format!("{name:<width$}"));
        terminal.line(format!("{name}  {value}"));
    }
}
