//! Layered configuration. Each service reads one section of `config.toml`:
//! vendor file, then the administrator's in `etc`, then the runtime one in `run`, then the
//! environment (`AIOS_GUARD_APPROVAL_TIMEOUT_MS=1000` for key `approval_timeout_ms` of `[guard]`).
//! Later layers win key by key. A wrong key or value names file, line, key and the nearest right one.
//!
//! ```
//! #[derive(serde::Deserialize, Default)]
//! #[serde(default, deny_unknown_fields)]
//! struct Guard { approval_timeout_ms: u64 }
//! let text = "[guard]\napproval_timeout_m = 5\n";
//! let error = aios_core::config::parse_section::<Guard>("x.toml", text, "guard").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "x.toml:2: unknown key `approval_timeout_m` in [guard]; did you mean `approval_timeout_ms`?",
//! );
//! ```

mod problem;

pub use problem::{ConfigError, describe};

use crate::paths::Paths;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use toml::{Table, Value};

/// Where a value came from: a file, or `environment NAME`.
pub type Origins = BTreeMap<String, String>;

/// The files of the layers, lowest first.
pub fn files(paths: &Paths) -> [PathBuf; 3] {
    [
        paths.vendor.join("config.toml"),
        paths.etc.join("config.toml"),
        paths.run.join("config.toml"),
    ]
}

/// Loads one section for a service.
///
/// # Errors
/// [`ConfigError`] with file, line, key and the nearest right key.
pub fn load<T: DeserializeOwned>(paths: &Paths, section: &str) -> Result<T, ConfigError> {
    load_with_origins(paths, section, env::vars()).map(|(value, _)| value)
}

/// Loads one section and says where each key came from.
///
/// # Errors
/// As [`load`].
pub fn load_with_origins<T: DeserializeOwned>(
    paths: &Paths,
    section: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(T, Origins), ConfigError> {
    let mut merged = Table::new();
    let mut origins = Origins::new();
    for file in files(paths) {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ConfigError::Read { file, source }),
        };
        let name = file.display().to_string();
        // Each file is checked by itself, so that an error points into the file that has it.
        parse_section::<T>(&name, &text, section)?;
        if let Some(table) = section_of(&name, &text, section)? {
            for (key, value) in table {
                origins.insert(key.clone(), name.clone());
                merge(&mut merged, key, value);
            }
        }
    }
    let prefix = format!("AIOS_{}_", section.to_uppercase());
    for (name, text) in environment {
        // The four directories share the prefix scheme but belong to `Paths`.
        if let Some(key) = name.strip_prefix(&prefix).filter(|key| *key != "DIR") {
            let key = key.to_lowercase();
            origins.insert(key.clone(), format!("environment {name}"));
            merged.insert(key, scalar(&text));
        }
    }
    let value = Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| {
            ConfigError::value("merged configuration", section, error.message())
        })?;
    Ok((value, origins))
}

/// Parses one section of one file; a missing section is an empty one.
///
/// # Errors
/// [`ConfigError`] with line, key and the nearest right key.
pub fn parse_section<T: DeserializeOwned>(file: &str, text: &str, section: &str) -> Result<T, ConfigError> {
    let table = section_of(file, text, section)?.unwrap_or_default();
    Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| problem::locate(file, text, Some(section), &error.to_string()))
}

/// Parses a whole file as `T`, with the same errors as the layered configuration.
///
/// # Errors
/// [`ConfigError`] with line, key and the nearest right key.
pub fn parse_file<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| describe(file, text, &error))
}

fn section_of(file: &str, text: &str, section: &str) -> Result<Option<Table>, ConfigError> {
    let mut table: Table = toml::from_str(text).map_err(|error| describe(file, text, &error))?;
    match table.remove(section) {
        None => Ok(None),
        Some(Value::Table(table)) => Ok(Some(table)),
        Some(other) => Err(problem::locate(
            file,
            text,
            None,
            &format!("`{section}` must be a table, not a {}", other.type_str()),
        )),
    }
}

fn merge(into: &mut Table, key: String, value: Value) {
    match (into.get_mut(&key), value) {
        (Some(Value::Table(old)), Value::Table(new)) => {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        (_, value) => {
            into.insert(key, value);
        }
    }
}

/// An environment value as the TOML scalar it looks like.
fn scalar(text: &str) -> Value {
    let looked = toml::from_str::<Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"));
    looked.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        size: u64,
        name: String,
        users: BTreeMap<String, String>,
    }

    fn layered(
        vendor: &str,
        etc: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Sample, Origins), ConfigError> {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        for (directory, text) in [(&paths.vendor, vendor), (&paths.etc, etc)] {
            fs::create_dir_all(directory).unwrap();
            fs::write(directory.join("config.toml"), text).unwrap();
        }
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load_with_origins(&paths, "sample", environment)
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let vendor = "[sample]\nsize = 1\nname = \"a\"\nusers = { x = \"1\", y = \"2\" }\n";
        let (value, origins) = layered(
            vendor,
            "[sample]\nname = \"b\"\nusers = { y = \"3\" }\n",
            &[("AIOS_SAMPLE_SIZE", "7")],
        )
        .unwrap();
        assert_eq!((value.size, value.name.as_str()), (7, "b"));
        assert_eq!(value.users.get("x").unwrap(), "1");
        assert_eq!(value.users.get("y").unwrap(), "3");
        assert_eq!(origins.get("size").unwrap(), "environment AIOS_SAMPLE_SIZE");
        assert!(origins.get("name").unwrap().ends_with("etc/config.toml"));
    }

    #[test]
    fn errors_name_file_line_key_and_the_nearest_key() {
        let cases = [
            (
                "[sample]\nsiz = 1\n",
                "f:2: unknown key `siz` in [sample]; did you mean `size`?",
            ),
            (
                "[sample]\nsize = \"x\"\n",
                "f:2: key `size`: invalid type: string \"x\", expected u64",
            ),
            ("[sample\n", "f:1: "),
            ("sample = 3\n", "f:1: `sample` must be a table, not a integer"),
        ];
        for (text, wanted) in cases {
            let error = parse_section::<Sample>("f", text, "sample")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_an_empty_layer() {
        let paths = Paths::development(Path::new("/nonexistent"));
        let (value, _) = load_with_origins::<Sample>(&paths, "sample", []).unwrap();
        assert_eq!(value, Sample::default());
    }
}
