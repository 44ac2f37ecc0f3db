//! `aiosctl config …`: reads the layers itself, as every service does.
//!
//! The vendor file states every key with its default, so it is also the list of the keys that there
//! are: a key that another layer sets and the vendor file lacks is a mistake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aios_client::{Failure, Kind};
use aios_core::config;
use serde_json::json;
use toml::{Table, Value};

use super::Ended;
use crate::args::Config;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::terminal::{Terminal, Tone};

/// Runs a verb.
pub(crate) fn run(verb: Config, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Config::Show { origin } => show(origin, instance, terminal),
        Config::Check { file } => check(file, instance, terminal),
    }
}

fn show(origin: bool, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut sections: Vec<String> = Vec::new();
    for file in config::files(&instance.paths) {
        sections.extend(read(&file)?.unwrap_or_default().keys().cloned());
    }
    sections.sort();
    sections.dedup();
    let mut document = serde_json::Map::new();
    for section in sections {
        let (values, origins) = config::load_with_origins::<BTreeMap<String, Value>>(
            &instance.paths,
            &section,
            instance.environment.clone(),
        )
        .map_err(|error| Failure::coded(&error))?;
        if terminal.json() {
            let entries = values.iter().map(|(key, value)| {
                let value = serde_json::to_value(value).unwrap_or_default();
                (
                    key.clone(),
                    if origin {
                        json!({ "value": value, "origin": origins.get(key) })
                    } else {
                        value
                    },
                )
            });
            document.insert(section, entries.collect::<serde_json::Map<_, _>>().into());
            continue;
        }
        let head = terminal.tone(Tone::Strong, &format!("[{section}]"));
        terminal.line(head);
        for (key, value) in &values {
            let source = origins.get(key).filter(|_| origin);
            let source = source
                .map(|source| terminal.tone(Tone::Quiet, &format!("  # {source}")))
                .unwrap_or_default();
            terminal.line(format!("{key} = {value}{source}"));
        }
    }
    if terminal.json() {
        terminal.document(&document);
    }
    Ok(Exit::Done)
}

fn check(file: Option<PathBuf>, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let known = read(&instance.paths.vendor.join("config.toml"))?;
    let files = match file {
        Some(file) if !file.exists() => return Err(no_file(&file)),
        Some(file) => vec![file],
        None => config::files(&instance.paths)
            .into_iter()
            .filter(|file| file.exists())
            .collect(),
    };
    for file in &files {
        let table = read(file)?.unwrap_or_default();
        if let Some(known) = &known {
            compare(file, &table, known)?;
        }
    }
    if terminal.json() {
        terminal.document(&json!({ "ok": true, "files": files }));
    } else if files.is_empty() {
        terminal.line("no configuration files: every value is a default");
    } else {
        for file in &files {
            terminal.line(format!("{}: good", file.display()));
        }
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<Option<Table>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let error = config::ConfigError::Read {
                file: file.to_owned(),
                source,
            };
            return Err(Failure {
                kind: Kind::Failed,
                ..Failure::coded(&error)
            });
        }
    };
    config::parse_file(&file.display().to_string(), &text)
        .map(Some)
        .map_err(|error| Failure {
            kind: Kind::Failed,
            ..Failure::coded(&error)
        })
}

/// Each section and key must be one that the vendor file states, with a value of the same type.
fn compare(file: &Path, table: &Table, known: &Table) -> Result<(), Failure> {
    for (section, value) in table {
        let Some(expected) = known.get(section) else {
            return Err(mistake(
                file,
                &format!("unknown section [{section}]{}", nearest(section, known)),
            ));
        };
        let (Value::Table(entries), Value::Table(expected)) = (value, expected) else {
            return Err(mistake(file, &format!("`{section}` must be a section")));
        };
        for (key, value) in entries {
            let Some(default) = expected.get(key) else {
                return Err(mistake(
                    file,
                    &format!("unknown key `{key}` in [{section}]{}", nearest(key, expected)),
                ));
            };
            if !value.same_type(default) {
                let what = format!(
                    "key `{key}` in [{section}] must be a {}, not a {}",
                    default.type_str(),
                    value.type_str()
                );
                return Err(mistake(file, &what));
            }
        }
    }
    Ok(())
}

fn nearest(word: &str, known: &Table) -> String {
    let near = known
        .keys()
        .map(|key| (strsim::damerau_levenshtein(word, key), key))
        .min();
    let near = near.filter(|(distance, key)| *distance <= key.len().max(3) / 2);
    near.map(|(_, key)| format!("; did you mean `{key}`?"))
        .unwrap_or_default()
}

fn mistake(file: &Path, what: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        "AIOS-CLI-0015",
        format!("{}: {what}", file.display()),
        "correct it; `aiosctl config show --origin` lists the keys that there are",
    )
}

fn no_file(file: &Path) -> Failure {
    Failure::new(
        Kind::NotFound,
        "AIOS-CLI-0016",
        format!("there is no file {}", file.display()),
        "name a configuration file, or none to check those of the instance",
    )
}
