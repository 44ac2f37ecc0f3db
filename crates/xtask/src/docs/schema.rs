//! JSON Schemas as tables that a person reads: the fields of an object, and of every object below it.
//!
//! It reads what schemars writes. A keyword that it does not know is left out of the words, not an error.

use serde_json::{Map, Value};
use std::fmt::Write;

use super::cell;

/// Tables of a schema's fields and of the types that it defines.
pub(super) fn tables(schema: &Value) -> String {
    let mut out = String::new();
    match fields(schema) {
        Some(table) => out.push_str(&table),
        None => {
            // A type that is no object of its own, or an object without fields.
            let words = kind(schema);
            out.push_str(if words == "object" { "nothing\n" } else { "" });
            if words != "object" {
                let _infallible = writeln!(out, "{words}");
            }
        }
    }
    for (name, definition) in entries(schema, "$defs") {
        let about = text(definition, "description");
        let _infallible = writeln!(out, "\n`{name}`: {}\n", sentence(&about, definition));
        out.push_str(&fields(definition).unwrap_or_default());
    }
    out
}

/// What a defined type is in words; its values where it is a list of words.
fn sentence(about: &str, definition: &Value) -> String {
    let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    match (about.is_empty(), is_object(definition)) {
        (_, true) => about,
        (true, false) => kind(definition),
        (false, false) => format!("{about} {}", kind(definition)),
    }
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").is_some()
}

/// The table of an object's fields; `None` where there are none.
fn fields(schema: &Value) -> Option<String> {
    if let Some(variants) = schema
        .get("oneOf")
        .or_else(|| schema.get("anyOf"))
        .and_then(Value::as_array)
        && variants.iter().any(is_object)
    {
        return Some(alternatives(variants));
    }
    let properties = entries(schema, "properties");
    if properties.is_empty() {
        return None;
    }
    let required: Vec<&str> = strings(schema, "required");
    let mut table = "| field | type | given | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, property) in properties {
        let given = match property.get("default") {
            _ if required.contains(&name) => "always".to_owned(),
            Some(Value::Null) | None => "when wanted".to_owned(),
            Some(default) => format!("default `{default}`"),
        };
        let _infallible = writeln!(
            table,
            "| `{name}` | {} | {given} | {} |",
            cell(&kind(property)),
            cell(&text(property, "description"))
        );
    }
    Some(table)
}

/// One of several shapes: a table each.
fn alternatives(variants: &[Value]) -> String {
    let tables = variants.iter().map(|variant| {
        let about = text(variant, "description");
        format!(
            "{}\n\n{}",
            cell(&about),
            fields(variant).unwrap_or_else(|| format!("{}\n", kind(variant)))
        )
    });
    tables.collect::<Vec<_>>().join("\nor ")
}

/// A type in words: `text`, `list of Entry`, `integer 1 to 65535`, `"a" or "b"`.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return literal(value);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = values
            .iter()
            .filter(|value| !value.is_null())
            .map(literal)
            .collect();
        return words.join(" or ");
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return format!("`{}`", name.rsplit('/').next().unwrap_or(name));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(list) = schema.get(key).and_then(Value::as_array) {
            let words: Vec<String> = list.iter().filter(|it| !is_null(it)).map(kind).collect();
            return words.join(" or ");
        }
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return "anything".to_owned(),
    };
    let words: Vec<String> = names
        .iter()
        .filter(|name| **name != "null")
        .map(|name| plain(name, schema))
        .collect();
    words.join(" or ")
}

/// A value as it is written; a word without its quotes.
fn literal(value: &Value) -> String {
    match value.as_str() {
        Some(word) => format!("`{word}`"),
        None => format!("`{value}`"),
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

fn plain(name: &str, schema: &Value) -> String {
    match name {
        "string" => format!("text{}", range(schema, "minLength", "maxLength", "characters")),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" | "number" => format!("{name}{}", bounds(schema)),
        "array" => {
            let of = schema.get("items").map_or_else(|| "anything".to_owned(), kind);
            format!("list of {of}{}", range(schema, "minItems", "maxItems", "entries"))
        }
        "object" => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("map to {}", kind(values)),
            _ => "object".to_owned(),
        },
        other => other.to_owned(),
    }
}

/// The bounds of a number, where they say more than its width does.
fn bounds(schema: &Value) -> String {
    let least = schema.get("minimum").filter(|it| it.as_f64() != Some(0.0));
    match (least, schema.get("maximum")) {
        (None, None) => String::new(),
        (Some(least), None) => format!(" from {least}"),
        (None, Some(most)) => format!(" to {most}"),
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
    }
}

fn range(schema: &Value, least: &str, most: &str, what: &str) -> String {
    match (schema.get(least), schema.get(most)) {
        (None, None) => String::new(),
        (Some(least), None) => format!(", {least} {what} or more"),
        (None, Some(most)) => format!(", {most} {what} or fewer"),
        (Some(least), Some(most)) => format!(", {least} to {most} {what}"),
    }
}

fn entries<'a>(schema: &'a Value, key: &str) -> Vec<(&'a str, &'a Value)> {
    let map = schema.get(key).and_then(Value::as_object);
    map.into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

fn strings<'a>(schema: &'a Value, key: &str) -> Vec<&'a str> {
    let list = schema.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text(schema: &Value, key: &str) -> String {
    schema
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_said_in_words() {
        let cases = [
            (json!({"type": "string"}), "text"),
            (json!({"type": ["string", "null"]}), "text"),
            (
                json!({"type": "integer", "format": "uint64", "minimum": 0}),
                "integer",
            ),
            (
                json!({"type": "integer", "minimum": 1, "maximum": 65535}),
                "integer from 1 to 65535",
            ),
            (
                json!({"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1, "maxItems": 9}),
                "list of text, 1 to 9 entries",
            ),
            (
                json!({"type": "array", "items": {"$ref": "#/$defs/Entry"}}),
                "list of `Entry`",
            ),
            (
                json!({"anyOf": [{"$ref": "#/$defs/Entry"}, {"type": "null"}]}),
                "`Entry`",
            ),
            (json!({"enum": ["a", "b"], "type": "string"}), "`a` or `b`"),
            (json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), "`a` or `b`"),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                "map to integer",
            ),
            (json!(true), "anything"),
        ];
        for (schema, words) in cases {
            assert_eq!(kind(&schema), words, "{schema}");
        }
    }

    #[test]
    fn an_object_is_a_table_of_its_fields_and_of_what_they_use() {
        let schema = json!({
            "type": "object",
            "required": ["path"],
            "properties": {
                "path": {"type": "string", "description": "Where | what."},
                "keep": {"type": "integer", "default": 3, "description": "How many."},
                "found": {"type": "array", "items": {"$ref": "#/$defs/Entry"}}
            },
            "$defs": {
                "Entry": {"type": "object", "description": "A file.", "properties": {"size_bytes": {"type": "integer"}}},
                "Kind": {"description": "What it is.", "enum": ["dir", "file"]}
            }
        });
        let tables = tables(&schema);
        for line in [
            "| `path` | text | always | Where \\| what. |",
            "| `keep` | integer | default `3` | How many. |",
            "| `found` | list of `Entry` | when wanted |  |",
            "`Entry`: A file.",
            "| `size_bytes` | integer | when wanted |  |",
            "`Kind`: What it is. `dir` or `file`",
        ] {
            assert!(tables.contains(line), "{line}\n{tables}");
        }
    }

    #[test]
    fn arguments_that_there_are_none_of_are_said_so() {
        assert_eq!(
            tables(&json!({"type": "object", "additionalProperties": false})),
            "nothing\n"
        );
    }
}
