//! What the deny tests share. Each test starts an instance of its own (see [`aios_harness`]), tries
//! something through the public API, and asserts three things: it was refused, with which code, and
//! that the audit log says so.
#![forbid(unsafe_code)]

pub mod garbage;

use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, Who};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::future::Future;
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

/// Makes a call as the orchestrator, and checks that it is refused with this code and that the audit log
/// then says so of this very step.
///
/// # Errors
/// It is not, or the log does not.
pub async fn refused(
    aios: &Instance,
    task: &Task,
    step: u64,
    tool: &str,
    args: &str,
    code: &str,
) -> Result<()> {
    let since = client::audit_size(aios).await?;
    let answer = client::call(aios, task, step, tool, args).await;
    let found = client::refusal(&answer);
    ensure!(
        found.as_deref() == Some(code),
        "{code} was wanted, not {found:?}: {answer:?}"
    );
    logged(aios, since, &Refusal::of_step(task, step, tool, code)).await
}

/// How long a worker may take to hear of what the guard decided (a push a second), and a token to expire.
pub const HEARD: Duration = Duration::from_secs(20);

/// Makes a call as the orchestrator, a step after the other from `first` on, until one is answered with the code
/// `wanted`; each one before it must be answered with `before`. `None` is an answer that refuses nothing. Answers the
/// step after the last.
///
/// # Errors
/// Something else was answered, or `before` for too long.
pub async fn call_until(
    aios: &Instance,
    task: &Task,
    first: u64,
    (tool, args): (&str, &str),
    (before, wanted): (Option<&str>, Option<&str>),
) -> Result<u64> {
    let until = Instant::now() + HEARD;
    let mut step = first;
    loop {
        let answer = client::call(aios, task, step, tool, args).await;
        let found = client::refusal(&answer);
        step += 1;
        if found.as_deref() == wanted {
            return Ok(step);
        }
        ensure!(
            found.as_deref() == before && Instant::now() < until,
            "{before:?} and then {wanted:?} was wanted: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes an rpc of the guard as `who`, and checks that it is refused with this code and that the audit log
/// then says so of this rpc and this caller.
///
/// # Errors
/// It is not, or the log does not.
pub async fn refused_rpc<T: std::fmt::Debug>(
    aios: &Instance,
    (who, rpc): (Who, &str),
    asked: impl Future<Output = Result<T, Status>>,
    code: &str,
) -> Result<()> {
    let since = client::audit_size(aios).await?;
    match asked.await {
        Err(status) if client::code(&status) == code => {}
        other => anyhow::bail!("{code} was wanted, not {other:?}"),
    }
    logged(aios, since, &Refusal::of_rpc(who, rpc, code)?).await
}

/// What a record says of a refusal: its kinds, and fields by their place in the record.
#[derive(Debug, Clone)]
pub struct Refusal {
    kinds: &'static [&'static str],
    fields: Vec<(&'static str, Value)>,
}

impl Refusal {
    /// Of a step, by the guard or by the tool service (not by the worker: see [`logged_by_worker`]).
    #[must_use]
    pub fn of_step(task: &Task, step: u64, tool: &str, code: &str) -> Self {
        Self {
            kinds: &["denied", "tool.denied"],
            fields: vec![
                ("/task_id", task.task.to_string().into()),
                ("/step", step.into()),
                ("/tool", tool.into()),
                ("/details/code", code.into()),
            ],
        }
    }

    /// Of an rpc of the guard.
    ///
    /// # Errors
    /// The user does not exist.
    pub fn of_rpc(who: Who, rpc: &str, code: &str) -> Result<Self> {
        Ok(Self {
            kinds: &["denied"],
            fields: vec![
                ("/details/rpc", rpc.into()),
                ("/details/uid", who.uid()?.into()),
                ("/details/code", code.into()),
            ],
        })
    }

    /// Of a caller, by the orchestrator; who it was stands in the record's payload.
    #[must_use]
    pub fn by_orchestrator(code: &str) -> Self {
        Self {
            kinds: &["orchestrator.denied"],
            fields: vec![("/details/code", code.into())],
        }
    }

    fn is(&self, record: &Value) -> bool {
        let kind = record.get("kind").and_then(Value::as_str).unwrap_or_default();
        let field = |at: &str| record.pointer(&format!("/record{at}"));
        self.kinds.contains(&kind)
            && field("/rule").is_none_or(|rule| rule != "check:worker")
            && self.fields.iter().all(|(at, wanted)| field(at) == Some(wanted))
    }
}

/// Checks that the audit log holds exactly one record about a refusal, among those from number `since` on.
///
/// # Errors
/// It does not.
pub async fn logged(aios: &Instance, since: u64, refusal: &Refusal) -> Result<()> {
    let records = client::audit_from(aios, since).await?;
    let found = records.iter().filter(|record| refusal.is(record)).count();
    ensure!(
        found == 1,
        "{found} audit records about {refusal:?} among {}",
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

/// One call of every fs tool that takes a path, which is each but `fs.undo`, with the arguments that its schema wants.
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
        ("fs.delete", plain.clone()),
        (
            "fs.grep",
            serde_json::json!({"path": path, "pattern": "x"}).to_string(),
        ),
        (
            "fs.append",
            serde_json::json!({"path": path, "content": "x"}).to_string(),
        ),
        ("fs.mkdir", plain),
        (
            "fs.copy",
            serde_json::json!({"source": path, "target": format!("{path}.copy")}).to_string(),
        ),
        (
            "fs.move",
            serde_json::json!({"source": path, "target": format!("{path}.moved")}).to_string(),
        ),
        (
            "fs.symlink",
            serde_json::json!({"path": path, "target": "x"}).to_string(),
        ),
        (
            "fs.chmod",
            serde_json::json!({"path": path, "mode": "0600"}).to_string(),
        ),
        (
            "fs.chown",
            serde_json::json!({"path": path, "owner": "0"}).to_string(),
        ),
        (
            "fs.archive",
            serde_json::json!({"paths": [path], "target": format!("{path}.tar.gz")}).to_string(),
        ),
    ]
}
