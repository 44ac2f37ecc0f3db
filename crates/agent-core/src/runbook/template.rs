//! Filling `{input}` into a runbook's texts. A text that is nothing but one `{input}` takes the
//! value with its type; anything else becomes text.

use crate::intent::{SlotValue, Slots};
use serde_json::Value;

/// A template that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not an input.
    #[error("{{{0}}} is no input of the runbook")]
    Unknown(String),
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner")]
    Brace(String),
    /// An operation that the executor does not know.
    #[error("operation: {0}")]
    Operation(String),
}

pub(super) fn json(template: &Value, values: &Slots) -> Result<Value, TemplateError> {
    Ok(match template {
        Value::String(text) => match whole(text) {
            Some(name) => lookup(name, values)?.to_json(),
            None => Value::String(self::text(text, values)?),
        },
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| json(item, values))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), json(value, values)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
        other => other.clone(),
    })
}

pub(super) fn text(template: &str, values: &Slots) -> Result<String, TemplateError> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after
            .split_once('}')
            .ok_or_else(|| TemplateError::Brace(template.to_owned()))?;
        filled.push_str(before);
        let value = lookup(name, values)?;
        // `{dir}/**` of the root directory is `/**`, not `//**`.
        if !(matches!(value, SlotValue::Dir(dir) if dir == "/") && tail.starts_with('/')) {
            filled.push_str(&value.to_string());
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

fn lookup<'a>(name: &str, values: &'a Slots) -> Result<&'a SlotValue, TemplateError> {
    values
        .get(name)
        .ok_or_else(|| TemplateError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_whole_slot_keeps_its_type_and_a_part_becomes_text() {
        let values: Slots = [
            ("dir".to_owned(), SlotValue::Dir("/srv/x".to_owned())),
            ("keep".to_owned(), SlotValue::Count(3)),
        ]
        .into();
        let filled = json(&json!({"keep": "{keep}", "paths": ["{dir}/{keep}.log"]}), &values).unwrap();
        assert_eq!(filled, json!({"keep": 3, "paths": ["/srv/x/3.log"]}));
    }

    #[test]
    fn the_root_directory_does_not_double_its_slash() {
        let values: Slots = [("dir".to_owned(), SlotValue::Dir("/".to_owned()))].into();
        assert_eq!(text("fs:read:{dir}/**", &values), Ok("fs:read:/**".to_owned()));
        assert_eq!(text("{dir}", &values), Ok("/".to_owned()));
    }

    #[test]
    fn what_cannot_be_filled_is_an_error() {
        assert_eq!(
            text("{x}", &Slots::new()),
            Err(TemplateError::Unknown("x".to_owned()))
        );
        assert!(matches!(text("{x", &Slots::new()), Err(TemplateError::Brace(_))));
        assert!(matches!(text("x}", &Slots::new()), Err(TemplateError::Brace(_))));
    }
}
