//! A tool service that was taken over holds no power either: what the guard signed for one call, a
//! worker does for that call only, while it is what was looked at, and while the guard is heard.

use std::time::{Duration, Instant};

use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, Service, Who};
use aios_proto::common::v1::Risk;
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::worker::v1::{ExecuteRequest, ExecuteResponse, PrepareRequest, PrepareResponse};
use aios_tests_deny::{HEARD, Refusal, logged, logged_by_worker, path_args, start};
use anyhow::{Context, Result, bail, ensure};
use tonic::Status;

const SELF: Who = Who::Of(Service::Tools);

fn prepare(task: &Task, step: u64, path: &str) -> PrepareRequest {
    PrepareRequest {
        token: task.token.clone(),
        key: Some(task.key(step)),
        tool: "fs.delete".into(),
        args_json: path_args(path),
        timeout_ms: 5_000,
        undo_of: None,
    }
}

/// What an honest tool service would send the guard about a prepared call.
fn authorize_request(task: &Task, step: u64, prepared: &PrepareResponse) -> guard::AuthorizeRequest {
    let prepared = prepared.clone();
    guard::AuthorizeRequest {
        token: task.token.clone(),
        key: Some(task.key(step)),
        tool: "fs.delete".into(),
        args_json: prepared.canonical_args_json,
        identities: prepared.identities,
        required: prepared.required,
        risk: prepared.risk,
        mutating: prepared.mutating,
        reversible: prepared.reversible,
        files: prepared.files,
        bytes: prepared.bytes,
        dry_run: false,
        call_digest: prepared.call_digest,
        summary: prepared.summary,
    }
}

async fn decision(aios: &Instance, request: guard::AuthorizeRequest) -> Result<Decision> {
    let answer = client::guard(aios, SELF)?.authorize(request).await?;
    answer.into_inner().decision.context("a decision")
}

async fn receipt(aios: &Instance, request: guard::AuthorizeRequest) -> Result<guard::Receipt> {
    match decision(aios, request).await? {
        Decision::Receipt(receipt) => Ok(receipt),
        other => bail!("a receipt was wanted: {other:?}"),
    }
}

fn execute_request(
    task: &Task,
    step: u64,
    prepared: &PrepareResponse,
    receipt: guard::Receipt,
) -> ExecuteRequest {
    ExecuteRequest {
        token: task.token.clone(),
        key: Some(task.key(step)),
        tool: "fs.delete".into(),
        args_json: prepared.canonical_args_json.clone(),
        identities: prepared.identities.clone(),
        receipt: Some(receipt),
        timeout_ms: 5_000,
        undo_of: None,
    }
}

/// Prepares and has the guard allow the deletion of a file: all that is missing is the execution.
async fn allowed(aios: &Instance, task: &Task, step: u64, path: &str) -> Result<ExecuteRequest> {
    let prepared = client::worker(aios, SELF)?
        .prepare(prepare(task, step, path))
        .await?
        .into_inner();
    let receipt = receipt(aios, authorize_request(task, step, &prepared)).await?;
    Ok(execute_request(task, step, &prepared, receipt))
}

async fn execute(aios: &Instance, request: ExecuteRequest) -> Result<ExecuteResponse, Status> {
    let mut worker = client::worker(aios, SELF).map_err(|error| Status::internal(error.to_string()))?;
    worker.execute(request).await.map(tonic::Response::into_inner)
}

/// Prepares a deletion, which changes nothing, until the worker refuses it, and checks with which code: that is its first
/// refusal.
async fn until_refused(aios: &Instance, task: &Task, step: u64, path: &str, wanted: &str) -> Result<()> {
    let until = Instant::now() + HEARD;
    loop {
        let answer = client::worker(aios, SELF)?
            .prepare(prepare(task, step, path))
            .await;
        if let Err(status) = answer {
            ensure!(client::code(&status) == wanted, "{wanted} was wanted: {status:?}");
            return Ok(());
        }
        ensure!(Instant::now() < until, "it is not refused with {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The code with which a worker refused, as a status or as an answer.
fn code(answer: &Result<ExecuteResponse, Status>) -> String {
    match answer {
        Err(status) => client::code(status),
        Ok(done) => done
            .error
            .as_ref()
            .map_or_else(|| "done".to_owned(), |error| error.code.clone()),
    }
}

#[tokio::test]
async fn a_receipt_is_for_its_own_call_only() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let (own, other) = (aios.file("own", b"1")?, aios.file("other", b"2")?);
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let good = allowed(&aios, &task, 1, &own).await?;
    let another = client::worker(&aios, SELF)?
        .prepare(prepare(&task, 2, &other))
        .await?
        .into_inner();
    let stranger = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let cases = [
        (
            ExecuteRequest {
                args_json: another.canonical_args_json.clone(),
                identities: another.identities.clone(),
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            ExecuteRequest {
                key: Some(task.key(2)),
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            ExecuteRequest {
                identities: another.identities,
                ..good.clone()
            },
            "AIOS-TOOLS-0012",
        ),
        (
            ExecuteRequest {
                token: stranger.token,
                ..good.clone()
            },
            "AIOS-TOOLS-0024",
        ),
        (
            ExecuteRequest {
                token: Vec::new(),
                ..good.clone()
            },
            "AIOS-AUTH-0201",
        ),
        (
            ExecuteRequest {
                receipt: None,
                ..good.clone()
            },
            "AIOS-AUTH-0410",
        ),
    ];
    for (case, wanted) in cases {
        let answer = execute(&aios, case).await;
        assert_eq!(code(&answer), wanted, "{answer:?}");
        assert!(std::fs::exists(&own)? && std::fs::exists(&other)?);
    }
    // The tool service keeps silent about it; the worker does not. What merely changed is no refusal.
    for (code, times) in [
        ("AIOS-AUTH-0414", 2),
        ("AIOS-TOOLS-0024", 1),
        ("AIOS-AUTH-0201", 1),
        ("AIOS-AUTH-0410", 1),
        ("AIOS-TOOLS-0012", 0),
    ] {
        logged_by_worker(&aios, code, times).await?;
    }
    let done = execute(&aios, good.clone()).await?;
    assert!(done.error.is_none() && !done.replayed, "{done:?}");
    let again = execute(&aios, good).await?;
    assert!(again.replayed, "{again:?}");
    assert!(!std::fs::exists(&own)? && std::fs::exists(&other)?);
    Ok(())
}

#[tokio::test]
async fn a_receipt_without_the_approval_that_it_names_is_refused() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let approval = client::ask(&aios, &task, 1, "fs.delete", &path_args(&file)).await?;
    client::approve(&aios, &approval).await?;
    let good = allowed(&aios, &task, 1, &file).await?;
    let mut bare = good.clone();
    if let Some(receipt) = bare.receipt.as_mut() {
        receipt.approval = None;
    }
    let answer = execute(&aios, bare).await;
    assert_eq!(code(&answer), "AIOS-AUTH-0410", "{answer:?}");
    let mut bent = good.clone();
    if let Some(approval) = bent
        .receipt
        .as_mut()
        .and_then(|receipt| receipt.approval.as_mut())
    {
        approval.body.push(b' ');
    }
    let answer = execute(&aios, bent).await;
    assert_eq!(code(&answer), "AIOS-AUTH-0411", "{answer:?}");
    assert!(std::fs::exists(&file)?);
    logged_by_worker(&aios, "AIOS-AUTH-0410", 1).await?;
    logged_by_worker(&aios, "AIOS-AUTH-0411", 1).await?;
    let answer = execute(&aios, good).await;
    assert_eq!(code(&answer), "done", "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_target_swapped_after_the_receipt_is_left_alone() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let (file, precious) = (
        aios.file("in/a.log", b"doomed")?,
        aios.file("in/precious", b"precious")?,
    );
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let request = allowed(&aios, &task, 1, &file).await?;
    std::fs::rename(&precious, &file)?;
    let answer = execute(&aios, request).await;
    assert_eq!(code(&answer), "AIOS-TOOLS-0012", "{answer:?}");
    assert_eq!(std::fs::read(&file)?, b"precious");

    let (file, precious) = (
        aios.file("dir/a.log", b"doomed")?,
        aios.file("keep/a.log", b"precious")?,
    );
    let request = allowed(&aios, &task, 2, &file).await?;
    std::fs::rename(aios.tree().join("dir"), aios.tree().join("moved"))?;
    std::os::unix::fs::symlink("keep", aios.tree().join("dir"))?;
    let answer = execute(&aios, request).await;
    assert_eq!(code(&answer), "AIOS-TOOLS-0012", "{answer:?}");
    assert_eq!(std::fs::read(&precious)?, b"precious");
    Ok(())
}

#[tokio::test]
async fn refusals_reach_the_log_once_although_the_guard_was_away() -> Result<()> {
    let Some(mut aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let short = guard::MintRequest {
        ttl_ms: 1_000,
        ..client::mint_request(&["fs:*:/**"])
    };
    let expired = client::mint_with(&aios, short).await?;
    aios.kill(Service::Guard)?;
    until_refused(&aios, &expired, 1, &file, "AIOS-AUTH-0205").await?;
    for step in 2..=70 {
        let answer = client::worker(&aios, SELF)?
            .prepare(prepare(&expired, step, &file))
            .await;
        let status = answer.err().context("an expired token was accepted")?;
        assert_eq!(client::code(&status), "AIOS-AUTH-0205");
    }
    aios.restart(Service::Guard)?;
    // The newest 64 one by one, the others as a number.
    logged_by_worker(&aios, "AIOS-AUTH-0205", 64).await?;
    // The next ones are new to the same guard.
    let answer = client::worker(&aios, SELF)?
        .prepare(prepare(&expired, 71, &file))
        .await;
    assert!(answer.is_err(), "{answer:?}");
    logged_by_worker(&aios, "AIOS-AUTH-0205", 65).await?;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    logged_by_worker(&aios, "AIOS-AUTH-0205", 65).await?;
    let dropped: Vec<_> = client::audit(&aios)
        .await?
        .into_iter()
        .filter_map(|record| record.pointer("/record/details/dropped").cloned())
        .collect();
    assert_eq!(dropped, [6]);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_hears_nothing_for_five_seconds_changes_nothing() -> Result<()> {
    let Some(mut aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let request = allowed(&aios, &task, 1, &file).await?;
    aios.kill(Service::Guard)?;
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let answer = execute(&aios, request).await;
    assert_eq!(code(&answer), "AIOS-AUTH-0425", "{answer:?}");
    assert!(std::fs::exists(&file)?);
    Ok(())
}

#[tokio::test]
async fn an_emergency_stop_reaches_calls_that_were_allowed_before() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let request = allowed(&aios, &task, 1, &file).await?;
    let stop = guard::EmergencyStopRequest {
        reason: "a test".into(),
        proof: None,
    };
    client::guard(&aios, Who::Person)?
        .emergency_stop(client::prove(&aios, stop)?)
        .await?;
    // The stop revokes agents' tokens too, and that is what the worker looks at first.
    until_refused(&aios, &task, 1, &file, "AIOS-AUTH-0206").await?;
    let answer = execute(&aios, request).await;
    assert_eq!(code(&answer), "AIOS-AUTH-0206", "{answer:?}");
    assert!(std::fs::exists(&file)?);
    logged_by_worker(&aios, "AIOS-AUTH-0206", 2).await
}

#[tokio::test]
async fn a_call_that_is_not_what_was_digested_is_denied() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let (file, other) = (aios.file("a.log", b"1")?, aios.file("b.log", b"2")?);
    let task = client::mint(&aios, &[&format!("fs:delete:{file}")]).await?;
    let mut worker = client::worker(&aios, SELF)?;
    let prepared = worker.prepare(prepare(&task, 1, &file)).await?.into_inner();
    let request = |required: Vec<String>, digest: Vec<u8>| guard::AuthorizeRequest {
        token: task.token.clone(),
        key: Some(task.key(1)),
        tool: "fs.delete".into(),
        args_json: prepared.canonical_args_json.clone(),
        identities: prepared.identities.clone(),
        required,
        risk: prepared.risk,
        mutating: true,
        call_digest: digest,
        ..Default::default()
    };
    let since = client::audit_size(&aios).await?;
    let mut own = client::guard(&aios, SELF)?;
    let denied = |answer: guard::AuthorizeResponse| match answer.decision {
        Some(Decision::Denied(denied)) => denied.error.unwrap_or_default().code,
        other => format!("{other:?}"),
    };
    let answer = own
        .authorize(request(prepared.required.clone(), vec![0; 32]))
        .await?
        .into_inner();
    assert_eq!(denied(answer), "AIOS-GUARD-0012");
    let wrong = Refusal::of_step(&task, 1, "fs.delete", "AIOS-GUARD-0012");
    logged(&aios, since, &wrong).await?;
    let wider = vec![format!("fs:delete:{other}")];
    let answer = own
        .authorize(request(wider, prepared.call_digest.clone()))
        .await?
        .into_inner();
    assert_eq!(denied(answer), "AIOS-GUARD-0011");
    let narrow = Refusal::of_step(&task, 1, "fs.delete", "AIOS-GUARD-0011");
    logged(&aios, since, &narrow).await
}

/// A deletion that cannot be undone exactly, of three files.
async fn risky(aios: &Instance, task: &Task, step: u64) -> Result<PrepareResponse> {
    let paths = [
        aios.file(&format!("{step}/a.log"), b"1")?,
        aios.file(&format!("{step}/b.log"), b"22")?,
        aios.file(&format!("{step}/c.log"), b"333")?,
    ];
    std::fs::hard_link(&paths[0], aios.tree().join(format!("{step}/kept")))?;
    let request = PrepareRequest {
        args_json: serde_json::json!({ "paths": paths }).to_string(),
        ..prepare(task, step, "")
    };
    let prepared = client::worker(aios, SELF)?.prepare(request).await?.into_inner();
    assert_eq!(
        (
            prepared.risk(),
            prepared.reversible,
            prepared.files,
            prepared.bytes
        ),
        (Risk::High, false, 3, 6)
    );
    Ok(prepared)
}

fn all_there(prepared: &PrepareResponse) -> bool {
    prepared
        .identities
        .iter()
        .all(|identity| std::fs::exists(&identity.path).is_ok_and(|there| there))
}

#[tokio::test]
async fn a_call_that_was_made_to_look_smaller_is_not_done() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    // A person would have been asked about the truth.
    let honest = risky(&aios, &task, 1).await?;
    let answer = decision(&aios, authorize_request(&task, 1, &honest)).await?;
    assert!(matches!(answer, Decision::ApprovalRequired(_)), "{answer:?}");
    let mut refusals = Vec::new();
    for (step, lie, wanted) in [
        (2, "risk", "AIOS-AUTH-0414"),
        (3, "risk and reversible", "AIOS-AUTH-0414"),
    ] {
        let prepared = risky(&aios, &task, step).await?;
        let truth = authorize_request(&task, step, &prepared);
        let told = guard::AuthorizeRequest {
            risk: Risk::Low.into(),
            reversible: lie != "risk",
            ..truth.clone()
        };
        let lied = receipt(&aios, told).await?;
        let answer = execute(&aios, execute_request(&task, step, &prepared, lied)).await;
        assert_eq!(code(&answer), wanted, "{lie}: {answer:?}");
        // Telling the truth once the intent is there changes nothing about what was decided.
        let late = receipt(&aios, truth).await?;
        let answer = execute(&aios, execute_request(&task, step, &prepared, late)).await;
        assert_eq!(code(&answer), wanted, "{lie}: {answer:?}");
        assert!(all_there(&prepared), "{lie}");
        refusals.extend([wanted; 2]);
    }
    logged_by_worker(&aios, "AIOS-AUTH-0414", refusals.len()).await
}

#[tokio::test]
async fn a_call_of_more_files_or_bytes_than_were_counted_is_not_done() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    for (step, files, bytes) in [(1, 1, 6), (2, 0, 6), (3, 0, 5)] {
        let prepared = client::worker(&aios, SELF)?
            .prepare(prepare(
                &task,
                step,
                &aios.file(&format!("{step}.log"), b"sixsix")?,
            ))
            .await?
            .into_inner();
        let told = guard::AuthorizeRequest {
            files,
            bytes,
            ..authorize_request(&task, step, &prepared)
        };
        let receipt = receipt(&aios, told).await?;
        let answer = execute(&aios, execute_request(&task, step, &prepared, receipt)).await;
        let honest = (files, bytes) == (1, 6);
        let wanted = if honest { "done" } else { "AIOS-AUTH-0415" };
        assert_eq!(code(&answer), wanted, "{answer:?}");
        assert_eq!(all_there(&prepared), !honest);
    }
    logged_by_worker(&aios, "AIOS-AUTH-0415", 2).await
}

#[tokio::test]
async fn what_a_person_approved_is_not_more_than_they_were_shown() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let prepared = risky(&aios, &task, 1).await?;
    let truth = authorize_request(&task, 1, &prepared);
    let shown = guard::AuthorizeRequest {
        risk: Risk::Low.into(),
        reversible: true,
        files: 1,
        ..truth.clone()
    };
    let Decision::ApprovalRequired(asked) = decision(&aios, shown).await? else {
        bail!("a person was to be asked");
    };
    client::approve(&aios, &asked.approval_id).await?;
    let since = client::audit_size(&aios).await?;
    let answer = decision(&aios, truth).await?;
    let Decision::Denied(denied) = answer else {
        bail!("what was approved is not what is asked: {answer:?}");
    };
    assert_eq!(denied.error.unwrap_or_default().code, "AIOS-GUARD-0014");
    assert!(all_there(&prepared));
    let changed = Refusal::of_step(&task, 1, "fs.delete", "AIOS-GUARD-0014");
    logged(&aios, since, &changed).await
}
