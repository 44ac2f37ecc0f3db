//! Every rpc of the worker with input that is wrong in one way; and calls that take too long or are
//! cancelled: a coded error with a next step, and nothing half done.

use crate::common::{Answer, House, code, photograph};
use aios_core::rpc::report_of;
use aios_proto::guard::v1::ExecutionKey;
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1 as worker;
use serde_json::json;
use std::fs;
use tonic::Status;

fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>, wanted: &str) {
    let status = answer.err().unwrap_or_else(|| panic!("{what}: it was accepted"));
    let report = report_of(&status);
    assert_eq!(report.code, wanted, "{what}: {status:?}");
    assert!(!report.next_step.is_empty(), "{what}: {report:?}");
}

fn prepare(house: &House) -> worker::PrepareRequest {
    worker::PrepareRequest {
        token: house.token(),
        key: Some(house.key().into()),
        tool: "fs.delete".into(),
        args_json: json!({"path": house.path("a")}).to_string(),
        timeout_ms: 1000,
        undo_of: None,
    }
}

fn no_task(step: u64) -> Option<ExecutionKey> {
    Some(ExecutionKey {
        task_id: "not-an-id".into(),
        step,
    })
}

type Spoil<T> = fn(&mut T);

#[tokio::test]
async fn prepare_refuses_each_field_by_name() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let rows: [(&str, Spoil<worker::PrepareRequest>, &str); 12] = [
        ("no key", |it| it.key = None, "AIOS-CORE-0002"),
        ("a task that is no id", |it| it.key = no_task(1), "AIOS-CORE-0002"),
        ("no token", |it| it.token.clear(), "AIOS-AUTH-0201"),
        (
            "an unknown tool",
            |it| it.tool = "fs.format".into(),
            "AIOS-TOOLS-0001",
        ),
        (
            "a tool of others",
            |it| it.tool = "net.ping".into(),
            "AIOS-TOOLS-0001",
        ),
        ("no JSON", |it| it.args_json = "{".into(), "AIOS-TOOLS-0002"),
        ("an array", |it| it.args_json = "[]".into(), "AIOS-TOOLS-0002"),
        (
            "an unknown argument",
            |it| it.args_json = json!({"path": "/x", "force": true}).to_string(),
            "AIOS-TOOLS-0002",
        ),
        (
            "a relative path",
            |it| it.args_json = json!({"path": "x"}).to_string(),
            "AIOS-TOOLS-0004",
        ),
        (
            "a path that climbs",
            |it| it.args_json = json!({"path": "/srv/../etc"}).to_string(),
            "AIOS-TOOLS-0004",
        ),
        (
            "undo_of for what is no undo",
            |it| it.undo_of = it.key.clone(),
            "AIOS-TOOLS-0002",
        ),
        ("an hour", |it| it.timeout_ms = 3_600_000, "AIOS-TOOLS-0023"),
    ];
    for (what, spoil, wanted) in rows {
        let mut request = prepare(&house);
        spoil(&mut request);
        refused(what, house.worker.clone().prepare(request).await, wanted);
    }
    let undo = worker::PrepareRequest {
        tool: "fs.undo".into(),
        args_json: "{}".into(),
        ..prepare(&house)
    };
    refused(
        "an undo of nothing",
        house.worker.clone().prepare(undo.clone()).await,
        "AIOS-TOOLS-0002",
    );
    let undo = worker::PrepareRequest {
        undo_of: Some(house.key().into()),
        ..undo
    };
    refused(
        "an undo of what never ran",
        house.worker.clone().prepare(undo).await,
        "AIOS-TOOLS-0017",
    );
    assert!(fs::exists(house.path("a")).unwrap());
}

#[tokio::test]
async fn status_cancel_and_trust_refuse_what_is_wrong() {
    let house = House::new().await;
    for key in [None, no_task(1)] {
        let request = worker::GetStatusRequest { key: key.clone() };
        let answer = house.worker.clone().get_status(request).await;
        refused("status", answer, "AIOS-CORE-0002");
        let request = worker::CancelRequest { key };
        let answer = house.worker.clone().cancel(request).await;
        refused("cancel", answer, "AIOS-CORE-0002");
    }
    let request = worker::CancelRequest {
        key: Some(house.key().into()),
    };
    let answer = house.worker.clone().cancel(request).await.unwrap();
    assert!(!answer.into_inner().was_running, "what never ran is not running");

    let empty = worker::PushTrustRequest::default();
    refused(
        "trust without a signature",
        house.worker.clone().push_trust(empty).await,
        "AIOS-AUTH-0410",
    );
    let forged = worker::PushTrustRequest {
        body: b"{}".to_vec(),
        signature: vec![7; 64],
        ..Default::default()
    };
    refused(
        "forged trust",
        house.worker.clone().push_trust(forged).await,
        "AIOS-AUTH-0411",
    );
}

/// A directory, and the files in it: so many that neither looking at them nor removing them is over within
/// a millisecond.
fn many_files(house: &House) -> (String, Vec<String>) {
    let dir = house.path("many");
    let mut paths = Vec::new();
    for part in 0..40 {
        let part = format!("{dir}/{part}");
        fs::create_dir_all(&part).unwrap();
        for file in 0..200 {
            let path = format!("{part}/{file}");
            fs::write(&path, "x").unwrap();
            paths.push(path);
        }
    }
    (dir, paths)
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_and_leaves_nothing_half_done() {
    let house = House::new().await;
    let (dir, paths) = many_files(&house);
    let before = photograph(&house.data);
    for (tool, args, allowed_ms) in [
        ("fs.disk_usage", json!({"path": dir}), 1),
        ("fs.search", json!({"root": dir, "name_glob": "*"}), 1),
        ("fs.delete", json!({"paths": paths}), 1),
        // Enough to look at it, not enough to keep a copy of eight thousand files.
        ("fs.delete", json!({"paths": paths}), 60),
    ] {
        let request = tools::CallRequest {
            token: house.token(),
            key: Some(house.key().into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: allowed_ms,
            dry_run: false,
        };
        let answer = house.pipeline.call(request).await.unwrap();
        assert_eq!(code(&answer), "AIOS-TOOLS-0013", "{tool} in {allowed_ms} ms");
        assert_eq!(photograph(&house.data), before, "{tool} in {allowed_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_ends_and_leaves_nothing_half_done() {
    let house = House::new().await;
    let (_, paths) = many_files(&house);
    let before = photograph(&house.data);
    let key = house.key();
    let call = house.call_as(house.token(), key, "fs.delete", json!({"paths": paths}));
    let cancel = async {
        loop {
            let request = tools::CancelRequest {
                key: Some(key.into()),
                namespace: "fs".into(),
            };
            if house.pipeline.cancel(request).await.unwrap().was_running {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert!(!matches!(answer, Answer::Done(_)), "{answer:?}");
    assert_eq!(code(&answer), "AIOS-TOOLS-0014");
    assert_eq!(photograph(&house.data), before);
}
