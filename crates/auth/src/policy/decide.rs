//! The decision itself: no I/O, no state.

use serde_json::Value;

use super::file::Limits;
use super::{DEFAULT_RULE, Decision, Effect, PROTECTED_RULE, Policy, PolicyCall, Rule};

pub(super) fn decide(policy: &Policy, call: &PolicyCall<'_>) -> Decision {
    let matched: Vec<&Rule> = policy.rules.iter().filter(|rule| applies(rule, call)).collect();
    let mut decision = builtin(policy, DEFAULT_RULE, "no rule allows this call".to_owned());
    decision.matched = matched.iter().map(|rule| rule.id.clone()).collect();
    decision.redact = matched
        .iter()
        .flat_map(|rule| rule.redact.iter().cloned())
        .collect();
    decision.redact.sort();
    decision.redact.dedup();
    if let Some(reason) = protected(policy, call) {
        return Decision {
            reason,
            rule_id: PROTECTED_RULE.to_owned(),
            ..decision
        };
    }
    let deny = matched.iter().find(|rule| rule.effect == Effect::Deny);
    let Some(rule) = deny.or(matched.last()) else {
        return decision;
    };
    decision.effect = rule.effect;
    decision.rule_id.clone_from(&rule.id);
    decision.reason.clone_from(&rule.reason);
    decision.origin.clone_from(&rule.origin);
    decision.limits = narrower(policy.limits, rule.limits);
    decision.approvals.timeout_ms = rule.approval_timeout_ms.unwrap_or(policy.approvals.timeout_ms);
    if call.tainted && call.mutating && policy.taint.mutating > decision.effect {
        decision.effect = policy.taint.mutating;
        decision.reason = format!(
            "untrusted text shaped this task, and it changes something; {}",
            rule.reason
        );
    }
    decision
}

fn builtin(policy: &Policy, rule_id: &str, reason: String) -> Decision {
    Decision {
        effect: Effect::Deny,
        rule_id: rule_id.to_owned(),
        reason,
        matched: Vec::new(),
        origin: "built in".to_owned(),
        redact: Vec::new(),
        limits: policy.limits,
        approvals: policy.approvals,
    }
}

fn protected(policy: &Policy, call: &PolicyCall<'_>) -> Option<String> {
    let protected = policy.protected.as_ref()?;
    call.paths.iter().find_map(|path| {
        if let Some(prefix) = protected.covering(path, call.mutating) {
            return Some(format!("{path} lies in a protected place ({})", prefix.display()));
        }
        let whole = call.mutating && protected.is_above(path);
        whole.then(|| format!("{path} holds a protected place"))
    })
}

fn applies(rule: &Rule, call: &PolicyCall<'_>) -> bool {
    let names =
        |own: &[String], name: &str| own.is_empty() || own.iter().any(|own| own == "*" || own == name);
    names(&rule.namespaces, call.namespace())
        && names(&rule.actions, call.action())
        && (rule.risks.is_empty() || rule.risks.contains(&call.risk))
        && (rule.autonomies.is_empty() || rule.autonomies.contains(&call.autonomy))
        && rule.tainted.is_none_or(|tainted| tainted == call.tainted)
        && rule.mutating.is_none_or(|mutating| mutating == call.mutating)
        && paths_apply(rule, call)
}

fn paths_apply(rule: &Rule, call: &PolicyCall<'_>) -> bool {
    if rule.paths.is_empty() {
        return true;
    }
    let mut hits = call
        .paths
        .iter()
        .map(|path| rule.paths.iter().any(|glob| glob.matches(path)));
    match rule.effect {
        Effect::Allow => !call.paths.is_empty() && hits.all(|hit| hit),
        Effect::Confirm | Effect::Deny => hits.any(|hit| hit),
    }
}

fn narrower(own: Limits, rule: Limits) -> Limits {
    fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
    Limits {
        per_minute: least(own.per_minute, rule.per_minute),
        files: least(own.files, rule.files),
        bytes: least(own.bytes, rule.bytes),
    }
}

/// Replaces the named fields, at any depth, by `***`.
pub fn redact(args: &mut Value, fields: &[String]) {
    match args {
        Value::Object(object) => {
            for (name, value) in object {
                if fields.iter().any(|field| field == name) {
                    *value = Value::String("***".to_owned());
                } else {
                    redact(value, fields);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, fields)),
        _ => {}
    }
}
