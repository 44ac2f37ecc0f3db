//! A guard without a process, for tests that need to set the clock.

use crate::guard::Guard;
use aios_auth::call;
use aios_auth::peer::Users;
use aios_core::clock::ManualClock;
use aios_core::id::{AgentId, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_proto::common::v1::{Identity, Risk};
use aios_proto::guard::v1 as pb;
use std::sync::Arc;

/// A guard with the vendor's policy; the directory holds all that is its own.
pub(crate) async fn guard(clock: &Arc<ManualClock>) -> (tempfile::TempDir, Arc<Guard>) {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::development(directory.path());
    for path in [&paths.vendor, &paths.etc, &paths.state, &paths.run] {
        std::fs::create_dir_all(path).unwrap();
    }
    let configs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    std::fs::copy(configs.join("policy.toml"), paths.vendor.join("policy.toml")).unwrap();
    std::fs::write(paths.vendor.join("config.toml"), Users::section_of_one("0")).unwrap();
    let guard = Guard::open(&paths, clock.clone()).await.unwrap();
    (directory, guard)
}

/// A request for a token of the executor.
pub(crate) fn mint_request(capabilities: &[&str]) -> pb::MintRequest {
    pb::MintRequest {
        agent_id: AgentId::new().to_string(),
        agent_kind: "executor".to_owned(),
        goal_id: GoalId::new().to_string(),
        task_id: TaskId::new().to_string(),
        capabilities: capabilities.iter().map(|it| (*it).to_owned()).collect(),
        ttl_ms: 60_000,
        tainted: false,
        autonomy: 0,
    }
}

/// Deleting a file, as the first step of a task.
pub(crate) fn delete(mint: &pb::MintRequest, token: Vec<u8>, path: &str) -> pb::AuthorizeRequest {
    let identities = vec![Identity {
        path: path.to_owned(),
        dev: 1,
        ino: 100,
        kind: "file".to_owned(),
    }];
    let args_json = serde_json::json!({ "paths": [path] }).to_string();
    let call_digest = call::digest_json("fs.delete", &args_json, &identities).unwrap();
    pb::AuthorizeRequest {
        token,
        key: Some(pb::ExecutionKey {
            task_id: mint.task_id.clone(),
            step: 1,
        }),
        tool: "fs.delete".to_owned(),
        args_json,
        identities,
        required: vec![format!("fs:delete:{path}")],
        risk: Risk::Medium.into(),
        mutating: true,
        reversible: true,
        files: 1,
        bytes: 10,
        dry_run: false,
        call_digest: call_digest.to_vec(),
        summary: String::new(),
    }
}
