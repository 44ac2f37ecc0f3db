//! Between JSON and types, for every namespace: arguments were checked when they came in, so what fails here says where.

use crate::error::{Result, ToolError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Arguments as a type.
///
/// # Errors
/// [`ToolError::BadInput`] names the field.
pub fn typed<T: DeserializeOwned>(tool: &str, args: &Value) -> Result<T> {
    serde_path_to_error::deserialize(args).map_err(|error| ToolError::BadInput {
        tool: tool.to_owned(),
        field: error.path().to_string(),
        problem: error.inner().to_string(),
    })
}

/// A result as JSON.
///
/// # Errors
/// [`ToolError::Defect`]: the type cannot be JSON.
pub fn value_of(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| ToolError::Defect(error.to_string()))
}

/// What is wrong with an argument.
pub fn bad_input(tool: &str, field: &str, problem: impl Into<String>) -> ToolError {
    ToolError::BadInput {
        tool: tool.to_owned(),
        field: field.to_owned(),
        problem: problem.into(),
    }
}

/// There is no such tool here.
///
/// # Errors
/// Always.
pub fn unknown<T>(tool: &str) -> Result<T> {
    Err(ToolError::UnknownTool {
        name: tool.chars().take(80).collect(),
    })
}

/// A name that goes into a program's arguments or a file's name: it is no option and holds nothing that
/// ends a line or a string.
///
/// # Errors
/// [`ToolError::BadInput`] names the field.
pub fn plain_name(tool: &str, field: &str, name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.starts_with('-') {
        "begins with `-`, like an option"
    } else if name.chars().any(char::is_control) {
        "holds a NUL, a newline or another control character"
    } else if name.len() > LONGEST_NAME {
        "is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(bad_input(tool, field, problem))
}

/// Longest name, bytes.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_options_or_end_a_line_are_refused() {
        for name in ["", "-rf", "a\0b", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert!(plain_name("pkg.info", "name", name).is_err(), "{name:?}");
        }
        for name in ["nginx", "libc6:amd64", "g++", "naïve", "a b"] {
            assert!(plain_name("pkg.info", "name", name).is_ok(), "{name:?}");
        }
    }
}
