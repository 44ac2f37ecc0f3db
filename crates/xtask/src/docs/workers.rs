//! The table of workers in `tools.md`, from their service files: process, user, namespaces, what it is given.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

/// What of a service file the table shows.
#[derive(Deserialize)]
struct Service {
    description: String,
    user: String,
    #[serde(default)]
    socket: Vec<Socket>,
    #[serde(default)]
    confine: Confine,
}

#[derive(Deserialize)]
struct Socket {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Confine {
    capabilities: Vec<String>,
}

/// A worker's sockets lie here, each named after its namespace.
const SOCKETS: &str = "${RUN}/worker/";

/// The section, from the directory of service files.
pub(super) fn section(dir: &Path) -> Result<String> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.extension().is_some_and(|it| it == "toml") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            rows.extend(row(&name, &text).with_context(|| path.display().to_string())?);
        }
    }
    rows.sort();
    let mut section = "\n## Workers\n\nThe processes that do what tools say, each as a user of its own.\n\n\
                       | process | user | namespaces | Linux capabilities | what it is |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let _infallible = writeln!(section, "{row}");
    }
    Ok(section)
}

/// The row of a service that has a worker's socket.
fn row(name: &str, text: &str) -> Result<Option<String>> {
    let service: Service = toml::from_str(text)?;
    let namespaces: Vec<&str> = service
        .socket
        .iter()
        .filter_map(|socket| socket.path.strip_prefix(SOCKETS)?.strip_suffix(".sock"))
        .collect();
    if namespaces.is_empty() {
        return Ok(None);
    }
    let capabilities = match service.confine.capabilities.as_slice() {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(|it| it.trim_start_matches("CAP_"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    Ok(Some(format!(
        "| `{name}` | `{}` | {} | {capabilities} | {} |",
        service.user,
        namespaces.join(", "),
        super::cell(&service.description)
    )))
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_service_with_a_workers_socket_is_a_row_and_another_is_none() {
        let worker = "description = \"Looks\"\nuser = \"aios-x\"\n[[socket]]\npath = \"${RUN}/worker/a.sock\"\n\
                      [[socket]]\npath = \"${RUN}/worker/b.sock\"\n[confine]\ncapabilities = [\"CAP_KILL\"]\n";
        assert_eq!(
            row("aios-worker-x", worker).unwrap().unwrap(),
            "| `aios-worker-x` | `aios-x` | a, b | KILL | Looks |"
        );
        let other = "description = \"x\"\nuser = \"y\"\n[[socket]]\npath = \"${RUN}/guard.sock\"\n";
        assert_eq!(row("aios-guard", other).unwrap(), None);
    }
}
