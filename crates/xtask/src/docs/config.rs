//! `config.md`: every section and key of `configs/config.toml`, with its type, default and comment.
//!
//! The vendor file states every key with its default and is what `aiosctl config check` holds other files against, so
//! it is the list of the keys that there are.

use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use toml::{Table, Value};

use super::cell;

const HEAD: &str = "# Configuration

Made by `cargo xtask docs` from `configs/config.toml`; do not edit. To change a value, put the same section and key into
`/etc/aios/config.toml`. Layers, later ones winning key by key: `/usr/lib/aios/config.toml` (the vendor's), `/etc/aios/config.toml`,
`/run/aios/config.toml`, then the environment (`AIOS_GUARD_TOKEN_MS=1000` for key `token_ms` of `[guard]`). `aiosctl config check`
finds mistakes, `aiosctl config show --origin` says where each value comes from. Durations are milliseconds, sizes are bytes.
";

/// The page of a configuration file's text.
pub(super) fn page(text: &str) -> Result<String> {
    let mut page = HEAD.to_owned();
    let mut comment = String::new();
    let mut statement = String::new();
    let mut section = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let at = || format!("line {}", number + 1);
        if !statement.is_empty() {
            statement.push_str(line);
        } else if let Some(words) = line.strip_prefix('#') {
            comment.push_str(words);
            continue;
        } else if line.is_empty() {
            // What stands apart is about the file, not about a key.
            comment.clear();
            continue;
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = Some(name.to_owned());
            let _infallible = writeln!(
                page,
                "\n## [{name}]\n\n| key | type | default | meaning |\n|---|---|---|---|"
            );
            comment.clear();
            continue;
        } else {
            statement.push_str(line);
        }
        // A list may go on over several lines.
        let Ok(table) = toml::from_str::<Table>(&statement) else {
            ensure!(
                statement.ends_with(['[', ',']),
                "{}: `{statement}` cannot be read",
                at()
            );
            continue;
        };
        let section = section.as_deref().with_context(at)?;
        for (key, value) in &table {
            page.push_str(&row(section, key, value, &comment).with_context(at)?);
        }
        statement.clear();
        // In [users] one comment is about all of them; elsewhere each key has its own.
        if section != SHARED {
            comment.clear();
        }
    }
    ensure!(statement.is_empty(), "the file ends inside `{statement}`");
    Ok(page)
}

/// The section whose keys share one comment.
const SHARED: &str = "users";

fn row(section: &str, key: &str, value: &Value, comment: &str) -> Result<String> {
    if comment.trim().is_empty() {
        bail!("key `{key}` of [{section}] has no comment: say above it what it is for");
    }
    let kind = match value {
        Value::String(_) => "text",
        Value::Integer(_) => "integer",
        Value::Float(_) => "number",
        Value::Boolean(_) => "`true` or `false`",
        Value::Array(_) => "list",
        Value::Table(_) => "table",
        Value::Datetime(_) => "date",
    };
    Ok(format!(
        "| `{key}` | {kind} | `{}` | {} |\n",
        cell(&value.to_string()),
        cell(comment)
    ))
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn each_key_is_a_row_with_type_default_and_comment() {
        let text = "# About the file.\n\n[guard]\n# Longest life\n# of a token.\ntoken_ms = 9\n# What it may.\nlist = [\n  \"fs:*:/**\",\n  \"hw:*:host\",\n]\n";
        let page = page(text).unwrap();
        assert!(
            page.contains("\n## [guard]\n\n| key | type | default | meaning |\n"),
            "{page}"
        );
        assert!(
            page.contains("| `token_ms` | integer | `9` | Longest life of a token. |\n"),
            "{page}"
        );
        assert!(
            page.contains("| `list` | list | `[\"fs:*:/**\", \"hw:*:host\"]` | What it may. |\n"),
            "{page}"
        );
        assert!(!page.contains("About the file"));
    }

    #[test]
    fn a_key_without_a_comment_is_an_error_that_names_it() {
        let error = page("[guard]\n# One.\na = 1\nb = 2\n").unwrap_err();
        assert!(
            format!("{error:#}").contains("line 4: key `b` of [guard] has no comment"),
            "{error:#}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_line() {
        for (text, part) in [
            ("[a]\n# x\nb = \n", "line 3"),
            ("a = 1\n", "line 1"),
            ("[a]\n# x\nb = [\n", "ends inside"),
        ] {
            let error = format!("{:#}", page(text).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_shipped_file_has_a_comment_for_every_key() {
        page(include_str!("../../../../configs/config.toml")).unwrap();
    }
}
