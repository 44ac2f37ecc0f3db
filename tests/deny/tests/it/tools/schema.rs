//! Arguments that a tool's own schema forbids, one for each way to be wrong.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Nothing that any tool takes: a list, and in it an object with a field that nobody has.
fn nonsense() -> Value {
    json!([{ NO_SUCH_FIELD: true }])
}

const NO_SUCH_FIELD: &str = "no_such_field";

/// Wrong arguments, and the field that a refusal must name.
pub(super) struct Wrong {
    pub(super) args: String,
    pub(super) field: String,
}

/// Good arguments spoilt in each way: every field of the schema with the wrong type, every required one left out, one
/// field too many.
pub(super) fn every_wrong(schema: &Value, good: &Value) -> Result<Vec<Wrong>> {
    let good = good.as_object().context("arguments are an object")?;
    let spoilt = |field: &str, spoil: &dyn Fn(&mut Map<String, Value>)| {
        let mut args = good.clone();
        spoil(&mut args);
        Wrong {
            args: Value::Object(args).to_string(),
            field: field.to_owned(),
        }
    };
    let empty = Map::new();
    let fields = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut wrong = vec![spoilt(NO_SUCH_FIELD, &|args| {
        args.insert(NO_SUCH_FIELD.to_owned(), json!(1));
    })];
    for field in fields.keys() {
        wrong.push(spoilt(field, &|args| {
            args.insert(field.clone(), nonsense());
        }));
    }
    for field in required.filter_map(Value::as_str) {
        wrong.push(spoilt(field, &|args| {
            args.remove(field);
        }));
    }
    Ok(wrong)
}
