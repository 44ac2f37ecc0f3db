//! Who may ask the worker, and with which key and receipt: what is refused, with which code.

use crate::common::{House, Secrets};
use aios_auth::peer::{Role, Roles};
use aios_core::rpc::{Peer, report_of};
use aios_proto::guard::v1::{AuthorizeRequest, ExecutionKey};
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1::worker_server::Worker;
use aios_proto::worker::v1::{self as worker, ExecuteRequest, PrepareRequest};
use serde_json::json;
use std::fs;
use tonic::{Request, Status};

#[tokio::test]
async fn the_worker_refuses_a_receipt_that_is_missing_forged_or_for_another_call() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    fs::write(house.path("b"), "2").unwrap();
    let token = house.token();
    let (key, other_key) = (house.key(), house.key());
    let mut prepared = Vec::new();
    for name in ["a", "b"] {
        let request = PrepareRequest {
            token: token.clone(),
            key: Some(key.into()),
            tool: "fs.delete".into(),
            args_json: json!({"path": house.path(name)}).to_string(),
            timeout_ms: 0,
            undo_of: None,
        };
        prepared.push(house.worker.clone().prepare(request).await.unwrap().into_inner());
    }
    let authorize = |index: usize, key: aios_core::id::ExecutionKey| AuthorizeRequest {
        token: token.clone(),
        key: Some(key.into()),
        tool: "fs.delete".into(),
        args_json: prepared[index].canonical_args_json.clone(),
        identities: prepared[index].identities.clone(),
        risk: prepared[index].risk,
        mutating: true,
        reversible: prepared[index].reversible,
        files: prepared[index].files,
        bytes: prepared[index].bytes,
        call_digest: prepared[index].call_digest.clone(),
        ..Default::default()
    };
    let smaller = AuthorizeRequest {
        files: 0,
        ..authorize(0, key)
    };
    let right = house.guard.sign(&authorize(0, key), None);
    let mut forged = right.clone();
    forged.body = String::from_utf8(forged.body)
        .unwrap()
        .replace("double", "forged")
        .into_bytes();
    let mut stranger_signed = right.clone();
    stranger_signed.signature = Secrets::new()
        .receipt
        .sign(aios_auth::key::Domain::Receipt, &right.body)
        .to_vec();
    let mut not_approved = house
        .guard
        .sign(&authorize(0, key), Some(aios_core::id::ApprovalId::new()));
    not_approved.approval = None;
    let cases = [
        ("missing", None, "AIOS-AUTH-0410"),
        ("forged", Some(forged), "AIOS-AUTH-0411"),
        ("of another key", Some(stranger_signed), "AIOS-AUTH-0411"),
        (
            "for another call",
            Some(house.guard.sign(&authorize(1, key), None)),
            "AIOS-AUTH-0414",
        ),
        (
            "for another step",
            Some(house.guard.sign(&authorize(0, other_key), None)),
            "AIOS-AUTH-0414",
        ),
        (
            "for a smaller call",
            Some(house.guard.sign(&smaller, None)),
            "AIOS-AUTH-0415",
        ),
        ("approval missing", Some(not_approved), "AIOS-AUTH-0410"),
    ];
    for (what, receipt, wanted) in cases {
        let request = ExecuteRequest {
            token: token.clone(),
            key: Some(key.into()),
            tool: "fs.delete".into(),
            args_json: prepared[0].canonical_args_json.clone(),
            identities: prepared[0].identities.clone(),
            receipt,
            timeout_ms: 0,
            undo_of: None,
        };
        let status = house.worker.clone().execute(request).await.unwrap_err();
        assert_eq!(report_of(&status).code, wanted, "{what}");
    }
    assert!(fs::exists(house.path("a")).unwrap());
}

#[tokio::test]
async fn a_bad_key_is_refused_by_every_method() {
    let house = House::new().await;
    let keys = [
        None,
        Some(ExecutionKey {
            task_id: house.task.to_string(),
            step: 0,
        }),
        Some(ExecutionKey {
            task_id: "x".into(),
            step: 1,
        }),
    ];
    for key in keys {
        let refused = [
            house
                .pipeline
                .call(tools::CallRequest {
                    key: key.clone(),
                    tool: "fs.list".into(),
                    ..Default::default()
                })
                .await
                .unwrap_err(),
            house
                .pipeline
                .undo(tools::UndoRequest {
                    key: key.clone(),
                    namespace: "fs".into(),
                    ..Default::default()
                })
                .await
                .unwrap_err(),
            house
                .pipeline
                .execution(tools::GetExecutionRequest {
                    key: key.clone(),
                    namespace: "fs".into(),
                })
                .await
                .unwrap_err(),
            house
                .pipeline
                .cancel(tools::CancelRequest {
                    key: key.clone(),
                    namespace: "fs".into(),
                })
                .await
                .unwrap_err(),
        ];
        for status in refused {
            assert_eq!(report_of(&status).code, "AIOS-CORE-0002", "{status:?}");
        }
    }
    let key = Some(house.key().into());
    let unknown = house
        .pipeline
        .execution(tools::GetExecutionRequest {
            key,
            namespace: "nowhere".into(),
        })
        .await;
    assert_eq!(report_of(&unknown.unwrap_err()).code, "AIOS-TOOLS-0001");
}

/// uids of the tool service and of the guard, as the worker below knows them; and of nobody that it knows.
const TOOLS: u32 = 4242;
const GUARD: u32 = 4343;
const STRANGER: u32 = 4444;

/// A request as it comes over a socket from a process of this user.
fn from<T>(uid: u32, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Peer {
        uid,
        gid: uid,
        pid: 1,
        pidfd: None,
    });
    request
}

/// Every rpc of the worker as a user, each good for who may make it: its name, and the code of its refusal.
async fn every_rpc(service: &impl Worker, house: &House, uid: u32) -> Vec<(&'static str, Option<String>)> {
    let token = house.token();
    let key: Option<ExecutionKey> = Some(house.key().into());
    let args_json = json!({"path": house.path("a")}).to_string();
    let prepare = PrepareRequest {
        token: token.clone(),
        key: key.clone(),
        tool: "fs.stat".into(),
        args_json: args_json.clone(),
        timeout_ms: 1000,
        undo_of: None,
    };
    let execute = ExecuteRequest {
        token,
        key: key.clone(),
        tool: "fs.stat".into(),
        args_json,
        timeout_ms: 1000,
        ..Default::default()
    };
    let status = worker::GetStatusRequest { key: key.clone() };
    let trust = house.trust(false, &[]);
    vec![
        ("Prepare", refusal(service.prepare(from(uid, prepare)).await)),
        ("Execute", refusal(service.execute(from(uid, execute)).await)),
        ("GetStatus", refusal(service.get_status(from(uid, status)).await)),
        (
            "Cancel",
            refusal(service.cancel(from(uid, worker::CancelRequest { key })).await),
        ),
        ("PushTrust", refusal(service.push_trust(from(uid, trust)).await)),
        (
            "Describe",
            refusal(service.describe(from(uid, worker::DescribeRequest {})).await),
        ),
    ]
}

fn refusal<T>(answer: Result<T, Status>) -> Option<String> {
    answer.err().map(|status| report_of(&status).code)
}

#[tokio::test]
async fn callers_with_another_uid_are_refused_by_every_rpc() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let paths = aios_core::paths::Paths::development(&house.home.path().join("other"));
    fs::create_dir_all(paths.state.join("worker/fs")).unwrap();
    let roles = Roles::fixed(&[(Role::Tools, TOOLS), (Role::Guard, GUARD)]);
    let service = aios_tools::run::fs_service(&paths, house.guard.inner.secrets.public(), roles).unwrap();
    let cases: [(u32, &[&str]); 3] = [
        (STRANGER, &[]),
        (GUARD, &["PushTrust", "Describe"]),
        (TOOLS, &["Prepare", "Execute", "GetStatus", "Cancel", "Describe"]),
    ];
    for (uid, may) in cases {
        for (rpc, refusal) in every_rpc(&service, &house, uid).await {
            let wanted = match rpc {
                _ if !may.contains(&rpc) => Some("AIOS-AUTH-0602"),
                // The caller passed; what is missing is the receipt.
                "Execute" => Some("AIOS-AUTH-0410"),
                _ => None,
            };
            assert_eq!(refusal.as_deref(), wanted, "{rpc} by uid {uid}");
        }
    }
}
