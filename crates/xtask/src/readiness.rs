//! Whether an instance is up, as `aiosctl --json service list` tells.

use anyhow::{Result, ensure};
use serde_json::Value;

/// Services that should be ready and are not, with their states. One that its file does not enable waits for a machine's
/// boot to want it, and elsewhere for nothing.
///
/// # Errors
/// The text is no list of services.
pub(crate) fn waiting_for(list: &str) -> Result<Vec<String>> {
    let services: Vec<Value> = serde_json::from_str(list)?;
    ensure!(!services.is_empty(), "aios-init lists no service");
    let text = |service: &Value, key: &str| {
        let text = service.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    Ok(services
        .iter()
        .filter(|service| service.get("enabled") != Some(&Value::Bool(false)))
        .filter(|service| !matches!(text(service, "state").as_str(), "ready" | "listening"))
        .map(|service| format!("{} ({})", text(service, "name"), text(service, "state")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::waiting_for;

    #[test]
    fn only_what_should_run_is_waited_for() {
        let list = r#"[
            {"name": "a", "state": "ready", "enabled": true}, {"name": "b", "state": "listening", "enabled": true},
            {"name": "c", "state": "starting", "enabled": true}, {"name": "d", "state": "stopped", "enabled": false}
        ]"#;
        assert_eq!(waiting_for(list).unwrap(), ["c (starting)"]);
        assert!(
            waiting_for("[]").is_err(),
            "an init that knows no service is not up"
        );
    }
}
