//! Reading the runbooks of both layers.

use super::error::{Problem, Source};
use super::{Runbook, RunbookError};
use crate::intent;
use aios_core::paths::Paths;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Loads every runbook of both layers, sorted by file name.
///
/// # Errors
/// [`RunbookError`] of the first broken one: nothing is skipped.
pub fn load(paths: &Paths) -> Result<Vec<Runbook>, RunbookError> {
    let mut runbooks = Vec::new();
    for path in files(paths)?.values() {
        runbooks.push(load_file(path)?);
    }
    check_together(&runbooks)?;
    Ok(runbooks)
}

/// The files in force, by name.
fn files(paths: &Paths) -> Result<BTreeMap<String, PathBuf>, RunbookError> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in paths.layers("runbooks") {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => {
                return Err(RunbookError::Read {
                    path: directory,
                    source,
                });
            }
        };
        for entry in entries {
            let path = entry
                .map_err(|source| RunbookError::Read {
                    path: directory.clone(),
                    source,
                })?
                .path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, path);
            }
        }
    }
    Ok(files)
}

fn load_file(path: &Path) -> Result<Runbook, RunbookError> {
    let text = std::fs::read_to_string(path).map_err(|source| RunbookError::Read {
        path: path.to_owned(),
        source,
    })?;
    Runbook::parse(&path.display().to_string(), &text)
}

/// Names are unique, and no runbook takes the words that another gives as its example.
pub(crate) fn check_together(runbooks: &[Runbook]) -> Result<(), RunbookError> {
    for (index, runbook) in runbooks.iter().enumerate() {
        let source = Source {
            file: &runbook.file,
            text: "",
        };
        let earlier = runbooks.iter().take(index);
        if let Some(other) = earlier.clone().find(|other| other.name == runbook.name) {
            let problem = format!("{} is called `{}` too", other.file, runbook.name);
            return Err(source.wrong("", Problem::Incomplete(problem)));
        }
        for example in &runbook.examples {
            let taken = earlier.clone().find(|other| {
                let patterns = other.patterns.iter().map(|pattern| ((), pattern));
                intent::understand(patterns, example).is_ok()
            });
            if let Some(other) = taken {
                let problem = format!("runbook `{}` ({}) takes it first", other.name, other.file);
                let example = example.clone();
                return Err(source.wrong("", Problem::Example { example, problem }));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Vec<Runbook> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/runbooks");
        let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| load_file(path).unwrap_or_else(|error| panic!("{error}")))
            .collect()
    }

    #[test]
    fn every_shipped_runbook_is_whole_and_passes_its_cases() {
        let runbooks = shipped();
        assert!(runbooks.len() > 3);
        for runbook in &runbooks {
            let tried = runbook.try_cases();
            assert!(
                !runbook.diagnoses() || tried.len() > 1 || runbook.causes().len() == 1,
                "{}",
                runbook.name
            );
            for case in tried {
                assert_eq!(case.problem, "", "{}: {}", runbook.name, case.words);
            }
        }
        if let Err(error) = check_together(&runbooks) {
            panic!("{error}");
        }
    }

    #[test]
    fn one_name_and_one_example_belong_to_one_runbook() {
        let shipped = shipped();
        let mut twice = vec![shipped[0].clone(), shipped[0].clone()];
        let error = check_together(&twice).unwrap_err().to_string();
        assert!(error.contains("is called"), "{error}");
        twice[1].name = "another".to_owned();
        let error = check_together(&twice).unwrap_err().to_string();
        assert!(error.contains("takes it first"), "{error}");
    }
}
