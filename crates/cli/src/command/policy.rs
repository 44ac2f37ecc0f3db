//! `aiosctl policy …`

use aios_proto::guard::v1::ExplainRequest;
use aios_proto::tools::v1::GetRequest;
use serde_json::json;

use super::{Ended, goal::autonomy};
use crate::args::Policy;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render::table::fields;
use crate::render::text::one_line;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Policy, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let Policy::Explain {
        name,
        args,
        level,
        tainted,
        paths,
    } = verb;
    // The tool's own judgement of its risk; the guard does not know tools.
    let tool = instance
        .services
        .tools()
        .await?
        .get(GetRequest { name: name.clone() })
        .await?
        .into_inner();
    let request = ExplainRequest {
        tool: name,
        paths: if paths.is_empty() {
            path_arguments(&args)
        } else {
            paths
        },
        args_json: args,
        risk: tool.risk,
        autonomy: autonomy(level).into(),
        tainted,
    };
    let answer = instance
        .services
        .guard()
        .await?
        .explain(request)
        .await?
        .into_inner();
    if terminal.json() {
        terminal.document(&json!({
            "effect": answer.effect, "rule_id": answer.rule_id, "reason": answer.reason,
            "matched": answer.matched, "origin": answer.origin,
        }));
        return Ok(Exit::Done);
    }
    fields(
        terminal,
        &[
            ("effect", one_line(&answer.effect)),
            ("rule", one_line(&answer.rule_id)),
            ("because", one_line(&answer.reason)),
            ("where", one_line(&answer.origin)),
            ("matched", one_line(&answer.matched.join(", "))),
        ],
    );
    Ok(Exit::Done)
}

/// Absolute paths among the arguments, so that a person need not repeat them.
fn path_arguments(args: &str) -> Vec<String> {
    let value = serde_json::from_str::<serde_json::Value>(args).unwrap_or_default();
    let mut found = Vec::new();
    let mut queue = vec![&value];
    while let Some(value) = queue.pop() {
        match value {
            serde_json::Value::String(text) if text.starts_with('/') => found.push(text.clone()),
            serde_json::Value::Array(items) => queue.extend(items),
            serde_json::Value::Object(map) => queue.extend(map.values()),
            _ => {}
        }
    }
    found.sort();
    found
}
