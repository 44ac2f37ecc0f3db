//! The text form of a policy: reading, checking, layering.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aios_core::config::parse_file;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::{Effect, Policy, PolicyError};
use crate::glob::PathGlob;
use crate::level::{Autonomy, Risk};
use crate::protected::Protected;

/// Section `[approval]`: times of approvals, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approvals {
    /// How long a request waits for a person.
    pub timeout_ms: u64,
    /// How long a given approval of one call holds.
    pub valid_ms: u64,
    /// How long a remembered approval or decline holds.
    pub remember_ms: u64,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            timeout_ms: 15 * 60_000,
            valid_ms: 5 * 60_000,
            remember_ms: 24 * 60 * 60_000,
        }
    }
}

/// Limits of a goal or rule; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Calls in any 60 seconds, of one goal under one rule.
    pub per_minute: Option<u32>,
    /// Files that one goal may change.
    pub files: Option<u64>,
    /// Bytes that one goal may change.
    pub bytes: Option<u64>,
}

/// Section `[taint]`: what an `allow` becomes for a mutating call of a tainted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taint {
    /// `confirm` or `deny`.
    pub mutating: Effect,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// `file:line` of it.
    pub origin: String,
    /// What it says.
    pub effect: Effect,
    /// Why, one sentence.
    pub reason: String,
    pub(super) namespaces: Vec<String>,
    pub(super) actions: Vec<String>,
    pub(super) risks: Vec<Risk>,
    pub(super) autonomies: Vec<Autonomy>,
    pub(super) tainted: Option<bool>,
    pub(super) mutating: Option<bool>,
    pub(super) paths: Vec<PathGlob>,
    pub(super) redact: Vec<String>,
    pub(super) limits: Limits,
    pub(super) approval_timeout_ms: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct FileText {
    epoch: Option<u64>,
    approval: ApprovalText,
    limits: LimitsText,
    taint: TaintText,
    rule: Vec<RuleText>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ApprovalText {
    timeout_ms: Option<u64>,
    valid_ms: Option<u64>,
    remember_ms: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LimitsText {
    per_minute: Option<u32>,
    files: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct TaintText {
    mutating: Option<Effect>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn many(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: Spanned<String>,
    namespace: OneOrMany<String>,
    action: Option<OneOrMany<String>>,
    risk: Option<OneOrMany<Risk>>,
    autonomy: Option<OneOrMany<Autonomy>>,
    tainted: Option<bool>,
    mutating: Option<bool>,
    paths: Option<OneOrMany<String>>,
    effect: Effect,
    reason: Option<String>,
    per_minute: Option<u32>,
    files: Option<u64>,
    bytes: Option<u64>,
    redact: Option<OneOrMany<String>>,
    approval_timeout_ms: Option<u64>,
}

/// Name and text of a file, `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<(String, String)>, PolicyError> {
    let failed = |source| PolicyError::Read {
        file: path.to_owned(),
        source,
    };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(PolicyError::Loose {
            file: path.to_owned(),
            mode,
        });
    }
    let text = io::read_to_string(file).map_err(failed)?;
    Ok(Some((path.display().to_string(), text)))
}

pub(super) fn build(layers: &[(&str, &str)], protected: Option<Protected>) -> Result<Policy, PolicyError> {
    let mut policy = Policy {
        epoch: 0,
        digest: digest(layers),
        approvals: Approvals::default(),
        limits: Limits::default(),
        taint: Taint {
            mutating: Effect::Confirm,
        },
        rules: Vec::new(),
        protected,
        replaced: BTreeMap::new(),
    };
    for (name, text) in layers {
        let parsed: FileText = parse_file(name, text)?;
        policy.epoch = policy.epoch.max(parsed.epoch.unwrap_or(0));
        settings(&mut policy, &parsed);
        let mut own = Vec::new();
        for rule in parsed.rule {
            own.push(check(name, text, rule)?);
        }
        layer(&mut policy, own)?;
    }
    Ok(policy)
}

fn settings(policy: &mut Policy, text: &FileText) {
    let approvals = &mut policy.approvals;
    approvals.timeout_ms = text.approval.timeout_ms.unwrap_or(approvals.timeout_ms);
    approvals.valid_ms = text.approval.valid_ms.unwrap_or(approvals.valid_ms);
    approvals.remember_ms = text.approval.remember_ms.unwrap_or(approvals.remember_ms);
    policy.limits.per_minute = text.limits.per_minute.or(policy.limits.per_minute);
    policy.limits.files = text.limits.files.or(policy.limits.files);
    policy.limits.bytes = text.limits.bytes.or(policy.limits.bytes);
    policy.taint.mutating = text.taint.mutating.unwrap_or(policy.taint.mutating);
}

/// Adds the rules of the next layer; the same id in a lower one is replaced.
fn layer(policy: &mut Policy, own: Vec<Rule>) -> Result<(), PolicyError> {
    for (at, rule) in own.iter().enumerate() {
        if own.iter().take(at).any(|other| other.id == rule.id) {
            return Err(wrong(rule, "appears twice"));
        }
        if let Some(lower) = policy.rules.iter().find(|other| other.id == rule.id) {
            if lower.effect == Effect::Deny {
                return Err(wrong(
                    rule,
                    &format!("cannot replace the deny at {}", lower.origin),
                ));
            }
            policy
                .replaced
                .insert(rule.id.clone(), format!("{} by {}", lower.origin, rule.origin));
        }
    }
    policy
        .rules
        .retain(|lower| own.iter().all(|rule| rule.id != lower.id));
    policy.rules.extend(own);
    Ok(())
}

fn wrong(rule: &Rule, problem: &str) -> PolicyError {
    let (file, line) = rule
        .origin
        .rsplit_once(':')
        .unwrap_or((rule.origin.as_str(), "0"));
    let line = line.parse().unwrap_or_default();
    PolicyError::Rule {
        file: file.to_owned(),
        line,
        id: rule.id.clone(),
        problem: problem.to_owned(),
    }
}

fn check(file: &str, text: &str, rule: RuleText) -> Result<Rule, PolicyError> {
    let line = text
        .bytes()
        .take(rule.id.span().start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1;
    let id = rule.id.into_inner();
    let fail = |problem: String| PolicyError::Rule {
        file: file.to_owned(),
        line,
        id: id.clone(),
        problem,
    };
    if id.is_empty() || id.starts_with("builtin:") || id.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Err(fail(
            "needs an id without blanks that does not start with `builtin:`".to_owned(),
        ));
    }
    let mut paths = Vec::new();
    for glob in rule.paths.map(OneOrMany::many).unwrap_or_default() {
        let bad = |(problem, at)| fail(format!("has the path `{glob}`, which {problem} at byte {at}"));
        paths.push(PathGlob::parse(&glob).map_err(bad)?);
    }
    if rule.effect == Effect::Deny
        && (rule.per_minute.is_some() || rule.files.is_some() || rule.bytes.is_some())
    {
        return Err(fail("denies, so its limits can never count".to_owned()));
    }
    let reason = rule
        .reason
        .unwrap_or_else(|| format!("rule `{id}` says {}", rule.effect.as_str()));
    Ok(Rule {
        origin: format!("{file}:{line}"),
        effect: rule.effect,
        reason,
        namespaces: rule.namespace.many(),
        actions: rule.action.map(OneOrMany::many).unwrap_or_default(),
        risks: rule.risk.map(OneOrMany::many).unwrap_or_default(),
        autonomies: rule.autonomy.map(OneOrMany::many).unwrap_or_default(),
        tainted: rule.tainted,
        mutating: rule.mutating,
        paths,
        redact: rule.redact.map(OneOrMany::many).unwrap_or_default(),
        limits: Limits {
            per_minute: rule.per_minute,
            files: rule.files,
            bytes: rule.bytes,
        },
        approval_timeout_ms: rule.approval_timeout_ms,
        id,
    })
}

/// Lengths keep two layers from being read as one other.
fn digest(layers: &[(&str, &str)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (_, text) in layers {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}
