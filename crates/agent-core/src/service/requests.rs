//! Requests, parsed to types once.

use crate::error::Error;
use crate::model::event::{Autonomy, Origin};
use crate::model::state::GoalState;
use aios_proto::common::v1 as common;
use aios_proto::orchestrator::v1 as api;
use serde_json::Value;

/// Longest text of a goal, bytes.
const MAX_TEXT: usize = 4096;
/// Longest arguments of a call, bytes.
const MAX_ARGS: usize = 2 << 20;

/// A submission that is well formed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Submit {
    pub(super) text: String,
    pub(super) priority: u8,
    pub(super) autonomy: Option<Autonomy>,
    pub(super) dry_run: bool,
    pub(super) client_id: String,
}

pub(super) fn submit(request: api::SubmitGoalRequest) -> Result<Submit, Error> {
    let autonomy = autonomy(request.autonomy)?;
    Ok(Submit {
        priority: priority(request.priority)?,
        text: goal_text(request.text)?,
        autonomy,
        dry_run: request.dry_run,
        client_id: client_id(request.client_id)?,
    })
}

pub(super) fn priority(priority: Option<u32>) -> Result<u8, Error> {
    let priority = priority.unwrap_or(5);
    match u8::try_from(priority) {
        Ok(fits @ 0..=9) => Ok(fits),
        _ => Err(Error::field(
            "priority",
            format!("{priority} is not between 0 and 9"),
        )),
    }
}

pub(super) fn call(request: api::CallToolRequest) -> Result<(Submit, Origin), Error> {
    let name_fits = request.tool.len() <= 100
        && request.tool.contains('.')
        && request
            .tool
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "._-".contains(it));
    if !name_fits {
        return Err(Error::field("tool", "must be a name like `fs.stat`"));
    }
    if request.tool.ends_with(".undo") {
        return Err(Error::field("tool", "undoing is asked for with UndoGoal"));
    }
    if request.args_json.len() > MAX_ARGS {
        return Err(Error::field(
            "args_json",
            format!("is longer than {MAX_ARGS} bytes"),
        ));
    }
    let args = if request.args_json.is_empty() {
        "{}"
    } else {
        &request.args_json
    };
    let args: Value =
        serde_json::from_str(args).map_err(|error| Error::field("args_json", error.to_string()))?;
    if !args.is_object() {
        return Err(Error::field("args_json", "must be a JSON object"));
    }
    let shown: String = args.to_string().chars().take(200).collect();
    let submit = Submit {
        text: format!("{} {shown}", request.tool),
        priority: 5,
        autonomy: None,
        dry_run: request.dry_run,
        client_id: client_id(request.client_id)?,
    };
    Ok((
        submit,
        Origin::Call {
            tool: request.tool,
            args,
        },
    ))
}

/// A goal's text: 1 to 4096 bytes, no control characters but line breaks and tabs.
pub(super) fn goal_text(text: String) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::field("text", "is empty; say what you want"));
    }
    if text.len() > MAX_TEXT {
        return Err(Error::field(
            "text",
            format!("has {} bytes; {MAX_TEXT} are the most", text.len()),
        ));
    }
    if let Some(bad) = text.chars().find(|it| it.is_control() && !"\n\r\t".contains(*it)) {
        return Err(Error::field(
            "text",
            format!("has the control character {:?}", bad),
        ));
    }
    Ok(text)
}

/// A goal id or part of one, which is not empty.
pub(super) fn goal_id(id: &str) -> Result<&str, Error> {
    if id.is_empty() {
        Err(Error::field("goal_id", "is empty"))
    } else {
        Ok(id)
    }
}

pub(super) fn client_id(id: String) -> Result<String, Error> {
    // Any UUID will do: it is the client's own.
    if id.is_empty() || aios_core::id::GoalId::parse(&id).is_ok() {
        Ok(id)
    } else {
        Err(Error::field("client_id", "must be a UUID or empty"))
    }
}

pub(super) fn autonomy(value: i32) -> Result<Option<Autonomy>, Error> {
    match common::Autonomy::try_from(value) {
        Ok(common::Autonomy::Unspecified) => Ok(None),
        Ok(common::Autonomy::Manual) => Ok(Some(Autonomy::Manual)),
        Ok(common::Autonomy::Supervised) => Ok(Some(Autonomy::Supervised)),
        Ok(common::Autonomy::Full) => Ok(Some(Autonomy::Full)),
        Err(_) => Err(Error::field("autonomy", format!("{value} is no autonomy level"))),
    }
}

pub(super) fn states(values: &[i32]) -> Result<Vec<GoalState>, Error> {
    values
        .iter()
        .map(|value| {
            super::convert::state_of(*value)
                .ok_or_else(|| Error::field("states", format!("{value} is no goal state")))
        })
        .collect()
}
