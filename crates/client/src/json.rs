//! JSON texts that travel inside messages, as values.

use serde_json::Value;

/// The value in `text`; `null` when empty, and the text itself when it is not JSON, so that
/// nothing a service said is lost.
pub(crate) fn value(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_json_is_kept_as_a_string() {
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("{\"a\":1}"), serde_json::json!({"a": 1}));
        assert_eq!(value("not {json"), Value::String("not {json".into()));
    }
}
