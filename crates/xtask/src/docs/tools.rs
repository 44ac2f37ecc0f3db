//! `tools.md`: every tool of the registry, by namespace.

use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

use super::{cell, schema};

/// A tool, as `aios-tools --print-registry` prints it.
#[derive(Deserialize)]
pub(super) struct Tool {
    name: String,
    summary: String,
    input_schema: Value,
    output_schema: Value,
    risk: String,
    mutating: bool,
    idempotent: bool,
    reversible: bool,
    capability: String,
    timeout_ms: u64,
}

const HEAD: &str = "# Tools

Made by `cargo xtask docs` from the registry of `aios-tools`; do not edit. How a call is checked, asked about, logged and undone is
in [TOOL-REGISTRY](../architecture/TOOL-REGISTRY.md). `aiosctl tool show NAME` prints one tool with its JSON Schemas.

*Risk* is the highest that a call of the tool can have; policy decides from it, from what the call touches and from the goal's
level of autonomy. *Undo* says whether a change is taken back exactly. In a capability, `PATH` stands for each path that a call
touches, and another word in capitals for the argument of that name.
";

impl Tool {
    fn namespace(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    fn undo(&self) -> &'static str {
        match (self.mutating, self.reversible) {
            (false, _) => "changes nothing",
            (true, true) => "exact",
            (true, false) => "not exact",
        }
    }

    fn section(&self) -> String {
        let undo = match self.mutating {
            true => format!("undo {}", self.undo()),
            false => self.undo().to_owned(),
        };
        let again = match (self.mutating, self.idempotent) {
            (false, _) => "",
            (true, true) => " · running it twice equals running it once",
            (true, false) => " · running it twice is not running it once",
        };
        format!(
            "\n### {}\n\n{}\n\nrisk {} · {undo}{again} · capability `{}` · time allowed {}\n\n**Arguments:**{}\n\n**Result:**{}\n",
            self.name,
            self.summary,
            self.risk,
            self.capability,
            duration(self.timeout_ms),
            table(&self.input_schema),
            table(&self.output_schema)
        )
    }
}

/// Tables begin on a line of their own; what is no table goes on in the line.
fn table(of: &Value) -> String {
    let tables = schema::tables(of);
    let tables = tables.trim_end();
    if tables.starts_with('|') {
        format!("\n\n{tables}")
    } else {
        format!(" {tables}")
    }
}

fn duration(ms: u64) -> String {
    match (ms / 60_000, ms % 60_000, ms / 1000, ms % 1000) {
        (minutes, 0, _, _) if minutes > 0 => format!("{minutes} min"),
        (_, _, seconds, 0) => format!("{seconds} s"),
        _ => format!("{ms} ms"),
    }
}

/// The page; `workers` is the section about them.
pub(super) fn page(tools: &[Tool], workers: &str) -> String {
    let mut page = HEAD.to_owned();
    let mut namespaces: Vec<&str> = tools.iter().map(Tool::namespace).collect();
    namespaces.dedup();
    let _infallible = writeln!(
        page,
        "\n{} tools in {} namespaces.\n\n| tool | risk | undo | what it does |\n|---|---|---|---|",
        tools.len(),
        namespaces.len()
    );
    for tool in tools {
        let anchor = tool.name.replace('.', "");
        let _infallible = writeln!(
            page,
            "| [{}](#{anchor}) | {} | {} | {} |",
            tool.name,
            tool.risk,
            tool.undo(),
            cell(&tool.summary)
        );
    }
    page.push_str(workers);
    for namespace in namespaces {
        let _infallible = writeln!(page, "\n## {namespace}");
        for tool in tools.iter().filter(|tool| tool.namespace() == namespace) {
            page.push_str(&tool.section());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_is_a_row_and_a_section_with_both_tables() {
        let tool = |name: &str, mutating: bool| Tool {
            name: name.to_owned(),
            summary: "Does it.".to_owned(),
            input_schema: json!({"type": "object"}),
            output_schema: json!({"type": "object", "properties": {"files": {"type": "integer"}}, "required": ["files"]}),
            risk: "low".to_owned(),
            mutating,
            idempotent: false,
            reversible: true,
            capability: "fs:do:PATH".to_owned(),
            timeout_ms: 120_000,
        };
        let page = page(&[tool("fs.do", true), tool("hw.look", false)], "\n## Workers\n");
        for part in [
            "2 tools in 2 namespaces",
            "| [fs.do](#fsdo) | low | exact | Does it. |",
            "| [hw.look](#hwlook) | low | changes nothing | Does it. |",
            "\n## fs\n\n### fs.do\n\nDoes it.\n\nrisk low · undo exact · running it twice is not running it once · capability `fs:do:PATH` · time allowed 2 min\n\n**Arguments:** nothing\n",
            "**Result:**\n\n| field | type | given | meaning |\n|---|---|---|---|\n| `files` | integer | always |  |\n",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn durations_are_said_in_their_largest_whole_unit() {
        assert_eq!(
            [500, 5000, 90_000, 120_000].map(duration),
            ["500 ms", "5 s", "90 s", "2 min"]
        );
    }
}
