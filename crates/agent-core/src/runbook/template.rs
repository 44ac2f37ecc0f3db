//! Filling `{name}` into a runbook's texts. A text that is nothing but one `{name}` takes the value
//! with its type; anything else becomes text. Names are the runbook's inputs and, in a remedy, the
//! values of the finding. What a finding brings came out of evidence: it never widens a capability.

use crate::intent::PATTERN_CHARACTERS;
use crate::model::plan::{Operation, TaskPlan};
use crate::model::remedy::TaskTemplate;
use aios_core::id::TaskId;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most capabilities that a list may make of one.
const MAX_CAPABILITIES: usize = 64;
/// Most operations that a list may make of one.
const MAX_EACH: usize = 64;

/// A template that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not an input.
    #[error("{{{0}}} is no input of the runbook")]
    Unknown(String),
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner")]
    Brace(String),
    /// A list inside a text.
    #[error("{{{0}}} is a list and must stand alone")]
    List(String),
    /// An operation that the executor does not know.
    #[error("operation: {0}")]
    Operation(String),
    /// A value that cannot be granted.
    #[error("{{{name}}} cannot be granted: {problem}")]
    Grant {
        /// Its name.
        name: String,
        /// Why.
        problem: String,
    },
}

/// What names stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill<'a> {
    /// Inputs, which a person said.
    pub(crate) inputs: &'a Map<String, Value>,
    /// Values of a finding, which evidence said.
    pub(crate) found: &'a Map<String, Value>,
}

impl<'a> Fill<'a> {
    fn lookup(&self, name: &str) -> Result<&'a Value, TemplateError> {
        self.inputs
            .get(name)
            .or_else(|| self.found.get(name))
            .ok_or_else(|| TemplateError::Unknown(name.to_owned()))
    }
}

/// What a task's plan says besides its template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    /// It only looks.
    pub(crate) looks: bool,
    /// Evidence shaped it.
    pub(crate) tainted: bool,
}

/// Fills a task. `names` are the names that the tasks of its part have in the plan.
pub(crate) fn task(
    task: &TaskTemplate,
    fill: &Fill<'_>,
    names: &BTreeMap<String, String>,
    nature: Nature,
    id: TaskId,
) -> Result<TaskPlan, TemplateError> {
    let own = |name: &String| names.get(name).unwrap_or(name).clone();
    let mut operations = Vec::new();
    for operation in &task.operations {
        operations.extend(operations_of(operation, fill, names)?);
    }
    let mut capabilities = Vec::new();
    for text in &task.capabilities {
        capabilities.extend(capability(text, fill)?);
    }
    Ok(TaskPlan {
        id,
        name: own(&task.name),
        needs: task.needs.iter().map(own).collect(),
        skill: task.skill.clone(),
        agent_kind: task.agent_kind.clone(),
        capabilities,
        input: json(&task.input, fill)?,
        operations,
        verifies: task.verifies,
        looks: nature.looks,
        tainted: nature.tainted,
    })
}

/// Keys of each operation that a runbook may state.
const KEYS: [(&str, &[&str]); 2] = [
    (
        "call",
        &[
            "do", "tool", "args", "expect", "reason", "when", "optional", "for_each",
        ],
    ),
    ("analyze", &["do", "analyzer", "evidence", "settings"]),
];

/// An operation, or with `for_each = "{list}"` one for each `{each}` of the list.
fn operations_of(
    operation: &Value,
    fill: &Fill<'_>,
    names: &BTreeMap<String, String>,
) -> Result<Vec<Operation>, TemplateError> {
    let wrong = |problem: String| TemplateError::Operation(problem);
    let does = operation.get("do").and_then(Value::as_str).unwrap_or_default();
    let Some((_, keys)) = KEYS.iter().find(|(kind, _)| *kind == does) else {
        return Err(wrong(format!(
            "unknown variant `{does}`, expected `call` or `analyze`"
        )));
    };
    let mut fields = operation.as_object().cloned().unwrap_or_default();
    if let Some(key) = fields.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(wrong(format!("`{does}` has no key `{key}`")));
    }
    let Some(each) = fields.remove("for_each") else {
        return one_operation(&Value::Object(fields), fill, names).map(|one| vec![one]);
    };
    let list = json(&each, fill)?;
    let Value::Array(items) = list else {
        return Err(wrong("`for_each` must be one {name} that is a list".to_owned()));
    };
    if items.len() > MAX_EACH {
        return Err(wrong(format!("{} are more than {MAX_EACH}", items.len())));
    }
    let fields = Value::Object(fields);
    let mut operations = Vec::with_capacity(items.len());
    for item in items {
        let mut found = fill.found.clone();
        found.insert("each".to_owned(), item);
        let fill = Fill {
            inputs: fill.inputs,
            found: &found,
        };
        operations.push(one_operation(&fields, &fill, names)?);
    }
    Ok(operations)
}

fn one_operation(
    operation: &Value,
    fill: &Fill<'_>,
    names: &BTreeMap<String, String>,
) -> Result<Operation, TemplateError> {
    let mut operation = serde_json::from_value::<Operation>(json(operation, fill)?)
        .map_err(|error| TemplateError::Operation(error.to_string()))?;
    operation.rename(|pointer| renamed(pointer, names));
    Ok(operation)
}

/// A pointer into outputs, with the name that its task has in the plan.
fn renamed(pointer: &str, names: &BTreeMap<String, String>) -> Option<String> {
    let rest = pointer.strip_prefix('/')?;
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let name = names.get(name)?;
    Some(format!("/{name}/{below}").trim_end_matches('/').to_owned())
}

/// Fills every text of a JSON value.
pub(crate) fn json(template: &Value, fill: &Fill<'_>) -> Result<Value, TemplateError> {
    Ok(match template {
        Value::String(text) => match whole(text) {
            Some(name) => fill.lookup(name)?.clone(),
            None => Value::String(self::text(text, fill)?),
        },
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| json(item, fill))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), json(value, fill)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
        other => other.clone(),
    })
}

/// Fills a text.
pub(crate) fn text(template: &str, fill: &Fill<'_>) -> Result<String, TemplateError> {
    fill_text(template, |name| match fill.lookup(name)? {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Object(_) => Err(TemplateError::List(name.to_owned())),
        other => Ok(other.to_string()),
    })
}

/// Fills a capability; with a list in it, one for each element.
fn capability(template: &str, fill: &Fill<'_>) -> Result<Vec<String>, TemplateError> {
    let names = names_in(template)?;
    let list = names.iter().find_map(|name| match fill.lookup(name) {
        Ok(Value::Array(items)) => Some((name, items)),
        _ => None,
    });
    let one = |each: Option<(&str, &Value)>| {
        fill_text(template, |name| {
            let value = match each {
                Some((list, item)) if list == name => item,
                _ => fill.lookup(name)?,
            };
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Array(_) | Value::Object(_) => return Err(TemplateError::List(name.to_owned())),
                other => other.to_string(),
            };
            if !fill.inputs.contains_key(name) {
                grantable(name, &text)?;
            }
            Ok(text)
        })
    };
    match list {
        None => one(None).map(|one| vec![one]),
        Some((name, items)) if items.len() > MAX_CAPABILITIES => Err(TemplateError::Grant {
            name: name.clone(),
            problem: format!("{} are more than {MAX_CAPABILITIES}", items.len()),
        }),
        Some((name, items)) => items.iter().map(|item| one(Some((name, item)))).collect(),
    }
}

/// Evidence must not be able to write a pattern, or another path than it shows.
fn grantable(name: &str, text: &str) -> Result<(), TemplateError> {
    let problem = if text.is_empty() || text.len() > 4096 {
        "it is empty or too long".to_owned()
    } else if let Some(bad) = text
        .chars()
        .find(|it| it.is_control() || PATTERN_CHARACTERS.contains(it))
    {
        format!("it holds {bad:?}")
    } else if text.split('/').any(|part| part == "..") {
        "it holds `..`".to_owned()
    } else {
        return Ok(());
    };
    Err(TemplateError::Grant {
        name: name.to_owned(),
        problem,
    })
}

fn names_in(template: &str) -> Result<Vec<String>, TemplateError> {
    let mut names = Vec::new();
    fill_text(template, |name| {
        names.push(name.to_owned());
        Ok("x".to_owned())
    })?;
    Ok(names)
}

fn fill_text(
    template: &str,
    mut value: impl FnMut(&str) -> Result<String, TemplateError>,
) -> Result<String, TemplateError> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after
            .split_once('}')
            .ok_or_else(|| TemplateError::Brace(template.to_owned()))?;
        filled.push_str(before);
        let value = value(name)?;
        // `{dir}/**` of the root directory is `/**`, not `//**`.
        if !(value == "/" && tail.starts_with('/')) {
            filled.push_str(&value);
        }
        rest = tail;
    }
    if rest.contains('}') {
        return Err(TemplateError::Brace(template.to_owned()));
    }
    filled.push_str(rest);
    Ok(filled)
}

fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_whole_slot_keeps_its_type_and_a_part_becomes_text() {
        let (inputs, found) = (map(json!({"dir": "/srv/x", "keep": 3})), map(json!({})));
        let fill = Fill {
            inputs: &inputs,
            found: &found,
        };
        let filled = json(&json!({"keep": "{keep}", "paths": ["{dir}/{keep}.log"]}), &fill).unwrap();
        assert_eq!(filled, json!({"keep": 3, "paths": ["/srv/x/3.log"]}));
    }

    #[test]
    fn the_root_directory_does_not_double_its_slash() {
        let (inputs, found) = (map(json!({"dir": "/"})), map(json!({})));
        let fill = Fill {
            inputs: &inputs,
            found: &found,
        };
        assert_eq!(text("fs:read:{dir}/**", &fill), Ok("fs:read:/**".to_owned()));
        assert_eq!(text("{dir}", &fill), Ok("/".to_owned()));
    }

    #[test]
    fn what_cannot_be_filled_is_an_error() {
        let none = Map::new();
        let fill = Fill {
            inputs: &none,
            found: &none,
        };
        assert_eq!(text("{x}", &fill), Err(TemplateError::Unknown("x".to_owned())));
        assert!(matches!(text("{x", &fill), Err(TemplateError::Brace(_))));
        assert!(matches!(text("x}", &fill), Err(TemplateError::Brace(_))));
    }

    #[test]
    fn evidence_cannot_write_a_pattern_into_a_capability() {
        let inputs = map(json!({"dir": "/srv"}));
        for (value, fits) in [
            (json!("/srv/app/data"), true),
            (json!("/srv/*"), false),
            (json!("/srv/../etc"), false),
            (json!("/srv/a\nb"), false),
            (json!(""), false),
            (json!(["/srv/a", "/srv/**"]), false),
        ] {
            let found = map(json!({"path": value}));
            let fill = Fill {
                inputs: &inputs,
                found: &found,
            };
            assert_eq!(capability("fs:chmod:{path}", &fill).is_ok(), fits, "{value}");
        }
    }

    #[test]
    fn a_list_makes_one_capability_and_one_operation_of_each_element() {
        let (inputs, found) = (map(json!({})), map(json!({"paths": ["/a", "/b"]})));
        let fill = Fill {
            inputs: &inputs,
            found: &found,
        };
        assert_eq!(
            capability("fs:stat:{paths}", &fill),
            Ok(vec!["fs:stat:/a".to_owned(), "fs:stat:/b".to_owned()])
        );
        let operation =
            json!({"do": "call", "tool": "fs.stat", "args": {"path": "{each}"}, "for_each": "{paths}"});
        let all = operations_of(&operation, &fill, &BTreeMap::new()).unwrap();
        assert_eq!(all.len(), 2);
        assert!(matches!(text("x {paths}", &fill), Err(TemplateError::List(_))));
    }
}
