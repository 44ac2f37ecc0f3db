//! From a request to a verified call: keys, tokens, arguments, targets of an undo. Shared by Prepare
//! and Execute, so that both understand a request the same way.

use crate::error::{Result, ToolError};
use crate::registry::ToolSpec;
use crate::worker::journal::{Execution, Journal, State};
use crate::worker::{Prepared, Target};
use aios_auth::call::{canonical_args, digest};
use aios_auth::capability::{Access, CapabilitySet};
use aios_auth::level::Risk;
use aios_auth::receipt::Extent;
use aios_core::id::ExecutionKey;
use aios_proto::common::v1::Identity;
use aios_proto::worker::v1::PrepareResponse;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Longest time that a call may be given, milliseconds.
const LONGEST_MS: u64 = 1_800_000;

/// What a request asks for, understood but not yet resolved.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) key: ExecutionKey,
    pub(super) tool: String,
    pub(super) args: Value,
    pub(super) args_text: String,
    pub(super) mutating: bool,
    pub(super) undo_of: Option<ExecutionKey>,
    pub(super) timeout_ms: u64,
}

impl Asked {
    /// Digest of the call on these identities.
    pub(super) fn digest(&self, identities: &[Identity]) -> Result<[u8; 32]> {
        digest(&self.tool, &self.args, identities).map_err(ToolError::auth)
    }
}

/// The parts of a request that Prepare and Execute have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) key: Option<&'a aios_proto::guard::v1::ExecutionKey>,
    pub(super) tool: &'a str,
    pub(super) args_json: &'a str,
    pub(super) undo_of: Option<&'a aios_proto::guard::v1::ExecutionKey>,
    pub(super) timeout_ms: u64,
}

/// Understands a request.
pub(super) fn understand(
    raw: Raw<'_>,
    namespace: &str,
    specs: &[ToolSpec],
    canonical: impl Fn(&str, &str) -> Result<Value>,
) -> Result<Asked> {
    let key = ExecutionKey::try_from(raw.key).map_err(ToolError::auth)?;
    let spec = specs
        .iter()
        .find(|spec| spec.name == raw.tool)
        .ok_or_else(|| ToolError::UnknownTool {
            name: raw.tool.chars().take(80).collect(),
        })?;
    let is_undo = spec.name.strip_prefix(namespace) == Some(".undo");
    let undo_of = match raw.undo_of {
        Some(target) => Some(ExecutionKey::try_from(Some(target)).map_err(ToolError::auth)?),
        None => None,
    };
    if is_undo != undo_of.is_some() {
        return Err(ToolError::BadInput {
            tool: spec.name.to_owned(),
            field: "undo_of".to_owned(),
            problem: "must be set for an undo and for nothing else".to_owned(),
        });
    }
    let text = match undo_of {
        None => raw.args_json.to_owned(),
        Some(target) => undo_args(spec.name, raw.args_json, target)?,
    };
    let args = canonical(spec.name, &text)?;
    let args_text = canonical_args(&args).map_err(ToolError::auth)?;
    let timeout_ms = if raw.timeout_ms == 0 {
        spec.timeout_ms
    } else {
        raw.timeout_ms
    };
    if timeout_ms > LONGEST_MS {
        return Err(ToolError::TooLarge {
            what: "the time allowed",
            actual: timeout_ms,
            limit: LONGEST_MS,
        });
    }
    Ok(Asked {
        key,
        tool: spec.name.to_owned(),
        args,
        args_text,
        mutating: spec.mutating,
        undo_of,
        timeout_ms,
    })
}

/// Arguments of an undo: what it undoes is what the request names, whatever they say; the rest of them
/// says how.
fn undo_args(tool: &str, args_json: &str, target: ExecutionKey) -> Result<String> {
    let given = if args_json.trim().is_empty() {
        "{}"
    } else {
        args_json
    };
    let mut args: Map<String, Value> = serde_json::from_str(given).map_err(|error| ToolError::BadInput {
        tool: tool.to_owned(),
        field: ".".to_owned(),
        problem: error.to_string(),
    })?;
    args.insert("task_id".to_owned(), json!(target.task.to_string()));
    args.insert("step".to_owned(), json!(target.step));
    Ok(Value::Object(args).to_string())
}

/// The answer to a Prepare.
pub(super) fn answer(asked: &Asked, prepared: &Prepared) -> Result<PrepareResponse> {
    Ok(PrepareResponse {
        required: prepared.required.iter().map(ToString::to_string).collect(),
        risk: prepared.risk.to_wire(),
        mutating: prepared.mutating,
        reversible: prepared.reversible,
        files: prepared.files,
        bytes: prepared.bytes,
        summary: prepared.summary.clone(),
        canonical_args_json: asked.args_text.clone(),
        call_digest: asked.digest(&prepared.identities)?.to_vec(),
        identities: prepared.identities.clone(),
    })
}

/// The recorded answer to an earlier Prepare of the same key, when that execution began and was not
/// interrupted without a trace.
pub(super) fn known_answer(
    journal: &Journal,
    asked: &Asked,
    caps: &CapabilitySet,
) -> Result<Option<PrepareResponse>> {
    let Some(known) = journal.find(asked.key)? else {
        return Ok(None);
    };
    if known.state == State::RolledBack && known.error.is_none() {
        return Ok(None);
    }
    if known.tool != asked.tool || known.args != asked.args_text || known.undo_of != asked.undo_of {
        return Err(ToolError::KeyReused {
            key: asked.key.to_string(),
        });
    }
    let response = stored_answer(&known)?;
    all_granted(caps, &accesses(&response)?)?;
    Ok(Some(response))
}

fn stored_answer(execution: &Execution) -> Result<PrepareResponse> {
    PrepareResponse::decode(execution.prepared.as_slice()).map_err(|_| ToolError::Corrupt {
        what: format!("preparation of {}", execution.key),
    })
}

/// What an answer says the call needs.
pub(super) fn accesses(response: &PrepareResponse) -> Result<Vec<Access>> {
    response
        .required
        .iter()
        .map(|text| Access::parse(text).map_err(ToolError::auth))
        .collect()
}

/// How far an answer says the call goes.
pub(super) fn extent(response: &PrepareResponse) -> Extent {
    Extent {
        risk: Risk::from_wire(response.risk),
        reversible: response.reversible,
        files: response.files,
        bytes: response.bytes,
    }
}

fn all_granted(caps: &CapabilitySet, required: &[Access]) -> Result<()> {
    match required.iter().find(|access| !caps.allows_access(access)) {
        None => Ok(()),
        Some(access) => Err(ToolError::NotGranted {
            namespace: access.namespace().to_owned(),
            action: access.action().to_owned(),
            path: access.resource().to_owned(),
        }),
    }
}

/// The finished execution that an undo names.
pub(super) fn target<P: DeserializeOwned>(
    journal: &Journal,
    key: ExecutionKey,
    caps: &CapabilitySet,
) -> Result<Target<P>> {
    let known = journal
        .find(key)?
        .ok_or_else(|| ToolError::NoSuchExecution { key: key.to_string() })?;
    let required = accesses(&stored_answer(&known)?)?;
    all_granted(caps, &required)?;
    let not = |why: &str| ToolError::NotUndoable {
        key: key.to_string(),
        why: why.to_owned(),
    };
    match known.state {
        State::Done => {}
        State::Undone => return Err(not("it was undone already")),
        State::RolledBack => return Err(not("nothing of it remains: it failed or was interrupted")),
        State::Received | State::Snapshotted => return Err(not("it is not finished")),
    }
    let text = known.plan.ok_or_else(|| not("its journal entry has no plan"))?;
    let plan = serde_json::from_str(&text).map_err(|_| ToolError::Corrupt {
        what: format!("plan of {key}"),
    })?;
    Ok(Target { key, required, plan })
}
