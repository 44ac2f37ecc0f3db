//! What the deny tests share. Each test starts an instance of its own (see [`aios_harness`]), tries
//! something through the public API, and asserts three things: it was refused, with which code, and
//! that the audit log says so.
#![forbid(unsafe_code)]

pub mod garbage;

use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options};
use aios_proto::tools::v1::call_response::Result as Answer;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use tonic::Status;

/// Starts an instance, when root; otherwise runs the test under `sudo` and says `None`.
///
/// # Errors
/// It cannot be started.
pub fn start(options: Options) -> Result<Option<Instance>> {
    if aios_harness::as_root()? {
        Instance::start(options).map(Some)
    } else {
        Ok(None)
    }
}

/// Checks that an answer is a refusal with this code, and that the audit log names the code.
///
/// # Errors
/// It is not, or the log does not.
pub async fn refused(aios: &Instance, answer: Result<Answer, Status>, code: &str) -> Result<()> {
    let found = client::refusal(&answer);
    ensure!(
        found.as_deref() == Some(code),
        "{code} was wanted, not {found:?}: {answer:?}"
    );
    logged(aios, code).await
}

/// Checks that an rpc was refused with this code, and that the audit log names the code.
///
/// # Errors
/// It was not, or the log does not.
pub async fn refused_rpc<T: std::fmt::Debug>(
    aios: &Instance,
    answer: Result<T, Status>,
    code: &str,
) -> Result<()> {
    match answer {
        Err(status) if client::code(&status) == code => logged(aios, code).await,
        other => anyhow::bail!("{code} was wanted, not {other:?}"),
    }
}

/// Checks that some record of the audit log names a code.
///
/// # Errors
/// None does.
pub async fn logged(aios: &Instance, code: &str) -> Result<()> {
    let records = client::audit_with_payloads(aios).await?;
    let found = records.iter().any(|record| record.to_string().contains(code));
    ensure!(
        found,
        "no audit record names {code}: {}",
        serde_json::to_string_pretty(&records)?
    );
    Ok(())
}

/// How long a worker's own refusals may take to the audit log: the guard fetches them every second.
const FETCHED: Duration = Duration::from_secs(20);

/// Checks that the audit log comes to hold, as the fs worker's own word, exactly `times` refusals with
/// this code.
///
/// # Errors
/// It holds fewer after a while, or more.
pub async fn logged_by_worker(aios: &Instance, code: &str, times: usize) -> Result<()> {
    let until = Instant::now() + FETCHED;
    loop {
        let records = client::audit(aios).await?;
        let text = |record: &Value, at: &str| record.pointer(at).and_then(Value::as_str) == Some(code);
        let own = |record: &&Value| {
            record.get("kind").is_some_and(|kind| kind == "denied")
                && record
                    .pointer("/record/rule")
                    .is_some_and(|rule| rule == "check:worker")
                && record
                    .pointer("/record/details/worker")
                    .is_some_and(|worker| worker == "fs")
                && text(record, "/record/details/code")
        };
        let found = records.iter().filter(own).count();
        if found == times {
            return Ok(());
        }
        ensure!(
            found < times && Instant::now() < until,
            "{found} refusals of the worker with {code} instead of {times}: {}",
            serde_json::to_string_pretty(&records)?
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Arguments with one path.
#[must_use]
pub fn path_args(path: &str) -> String {
    serde_json::json!({ "path": path }).to_string()
}

/// One call of every fs tool on a path, with the arguments that its schema wants.
#[must_use]
pub fn every_fs_tool(path: &str) -> Vec<(&'static str, String)> {
    let plain = path_args(path);
    vec![
        ("fs.list", plain.clone()),
        ("fs.stat", plain.clone()),
        (
            "fs.search",
            serde_json::json!({"root": path, "name_glob": "*"}).to_string(),
        ),
        ("fs.read", plain.clone()),
        ("fs.disk_usage", plain.clone()),
        (
            "fs.write",
            serde_json::json!({"path": path, "content": "x"}).to_string(),
        ),
        ("fs.delete", plain),
    ]
}

/// A call by the orchestrator, with its refusal, if it was refused.
///
/// # Errors
/// Never; the answer is returned as it is.
pub async fn try_call(aios: &Instance, task: &Task, tool: &str, args: &str) -> Result<Answer, Status> {
    client::call(aios, task, 1, tool, args).await
}
