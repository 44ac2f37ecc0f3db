//! An orchestrator that was taken over, with its user and its socket rights, gains nothing beyond what
//! it was granted, approved and logged.

use aios_auth::approval::ApprovalBody;
use aios_auth::call;
use aios_auth::key::SecretKey;
use aios_auth::level::Risk;
use aios_auth::receipt::{Extent, ReceiptBody};
use aios_core::id::{ApprovalId, ExecutionKey};
use aios_core::rpc::report_of;
use aios_harness::client;
use aios_harness::{Instance, Options, PERSON_UID, Service, Who};
use aios_proto::common::v1::{Autonomy, PersonProof, SessionProof, person_proof::Credential};
use aios_proto::guard::v1 as guard;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use aios_proto::orchestrator::v1::{GetGoalRequest, GoalState, SubmitGoalRequest};
use aios_proto::worker::v1::{ExecuteRequest, PrepareRequest};
use aios_tests_deny::{Refusal, logged, logged_by_worker, path_args, refused_rpc, start};
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

const SELF: Who = Who::Of(Service::Orchestrator);
const MINT: (Who, &str) = (SELF, "Mint");
const TOO_MUCH_AUTONOMY: &str = "AIOS-GUARD-0032";

async fn mint(aios: &Instance, request: guard::MintRequest) -> Result<(), tonic::Status> {
    let mut client = client::guard(aios, SELF).map_err(|error| tonic::Status::internal(error.to_string()))?;
    client.mint(request).await.map(|_| ())
}

#[tokio::test]
async fn it_cannot_mint_above_the_ceiling_or_for_agents_that_are_not_there() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let own = client::mint_request(&["fs:read:/**"]);
    for wide in ["net:private:**", "process:spawn_as_root:/**"] {
        let above = guard::MintRequest {
            capabilities: vec![wide.into()],
            ..own.clone()
        };
        refused_rpc(&aios, MINT, mint(&aios, above), "AIOS-GUARD-0020").await?;
    }
    let unknown = guard::MintRequest {
        agent_kind: "no_such_agent".into(),
        ..own.clone()
    };
    refused_rpc(&aios, MINT, mint(&aios, unknown), "AIOS-GUARD-0021").await?;
    let absent = guard::MintRequest {
        agent_kind: "maintenance_agent".into(),
        ..own.clone()
    };
    refused_rpc(&aios, MINT, mint(&aios, absent), "AIOS-GUARD-0022").await?;
    let forever = guard::MintRequest {
        ttl_ms: 365 * 24 * 3_600_000,
        ..own
    };
    refused_rpc(&aios, MINT, mint(&aios, forever), "AIOS-GUARD-0023").await
}

#[tokio::test]
async fn it_cannot_mint_more_autonomy_than_the_machine_gives_to_goals() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let full = guard::MintRequest {
        autonomy: Autonomy::Full.into(),
        ..client::mint_request(&["fs:*:/**"])
    };
    let answer = mint(&aios, full.clone()).await;
    let said = report_of(
        answer
            .as_ref()
            .err()
            .context("a token of full autonomy was minted")?,
    );
    assert!(
        said.next_step.contains("`max_autonomy`") && said.next_step.contains("/etc/aios/config.toml"),
        "{said}"
    );
    refused_rpc(&aios, MINT, mint(&aios, full), TOO_MUCH_AUTONOMY).await?;
    // What it can have has a person asked.
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    client::ask(&aios, &task, 1, "fs.delete", &path_args(&file)).await?;
    assert!(std::fs::exists(&file)?);
    Ok(())
}

#[tokio::test]
async fn a_goal_of_too_much_autonomy_fails_and_says_what_to_change() -> Result<()> {
    let services = vec![
        Service::Guard,
        Service::WorkerFs,
        Service::Tools,
        Service::Memory,
        Service::Orchestrator,
    ];
    let Some(aios) = start(Options {
        services,
        ..Options::default()
    })?
    else {
        return Ok(());
    };
    aios.file("a.log", b"text")?;
    let mut own = OrchestratorClient::new(aios.channel(Who::Person, Service::Orchestrator)?);
    let request = SubmitGoalRequest {
        text: format!("delete *.log older than 7 days under {}", aios.tree().display()),
        autonomy: Autonomy::Full.into(),
        ..SubmitGoalRequest::default()
    };
    let since = client::audit_size(&aios).await?;
    let goal_id = own.submit_goal(request).await?.into_inner().goal_id;
    let until = Instant::now() + Duration::from_secs(60);
    let goal = loop {
        let request = GetGoalRequest {
            goal_id: goal_id.clone(),
        };
        let goal = own.get_goal(request).await?.into_inner().goal;
        let goal = goal.context("a detail without its goal")?;
        if goal.state() == GoalState::Failed {
            break goal;
        }
        anyhow::ensure!(Instant::now() < until, "it did not end: {goal:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let error = goal.error.context("a failed goal without its error")?;
    assert_eq!(error.code, TOO_MUCH_AUTONOMY, "{error:?}");
    assert!(error.next_step.contains("`max_autonomy`"), "{error:?}");
    logged(&aios, since, &Refusal::of_rpc(SELF, "Mint", TOO_MUCH_AUTONOMY)?).await
}

#[tokio::test]
async fn only_it_can_mint() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    for who in [
        Who::Person,
        Who::Stranger,
        Who::Of(Service::Tools),
        Who::Of(Service::WorkerFs),
        Who::Of(Service::Console),
    ] {
        let mut guard = client::guard(&aios, who)?;
        let minted = guard.mint(client::mint_request(&["fs:read:/**"]));
        refused_rpc(&aios, (who, "Mint"), minted, "AIOS-AUTH-0602").await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_cannot_decide_record_outcomes_or_enrol_itself() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let mut own = client::guard(&aios, SELF)?;
    let authorize = guard::AuthorizeRequest {
        token: task.token.clone(),
        key: Some(task.key(1)),
        ..Default::default()
    };
    let asked = own.authorize(authorize);
    refused_rpc(&aios, (SELF, "Authorize"), asked, "AIOS-AUTH-0602").await?;
    let outcome = guard::RecordOutcomeRequest {
        key: Some(task.key(1)),
        status: "done".into(),
        ..Default::default()
    };
    let recorded = own.record_outcome(outcome);
    refused_rpc(&aios, (SELF, "RecordOutcome"), recorded, "AIOS-AUTH-0602").await?;
    let key = SecretKey::generate()?;
    let enrol = guard::EnrolPersonRequest {
        uid: SELF.uid()?,
        name: "somebody".into(),
        public_key: key.public().to_bytes().to_vec(),
        proof: None,
    };
    let enrolled = own.enrol_person(enrol.clone());
    refused_rpc(&aios, (SELF, "EnrolPerson"), enrolled, "AIOS-GUARD-0025").await?;
    // Nor does root once a person is there, nor the person for a service's uid.
    let mut root = client::guard(&aios, Who::Root)?;
    let enrolled = root.enrol_person(guard::EnrolPersonRequest {
        uid: 1234,
        ..enrol.clone()
    });
    refused_rpc(&aios, (Who::Root, "EnrolPerson"), enrolled, "AIOS-AUTH-0501").await?;
    let mut person = client::guard(&aios, Who::Person)?;
    let enrolled = person.enrol_person(client::prove(&aios, enrol)?);
    refused_rpc(&aios, (Who::Person, "EnrolPerson"), enrolled, "AIOS-GUARD-0025").await
}

#[tokio::test]
async fn it_cannot_reach_a_worker_and_forged_receipts_are_refused_there() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let prepare = PrepareRequest {
        token: task.token.clone(),
        key: Some(task.key(1)),
        tool: "fs.delete".into(),
        args_json: path_args(&file),
        timeout_ms: 5_000,
        undo_of: None,
    };
    for who in [
        SELF,
        Who::Person,
        Who::Of(Service::Console),
        Who::Of(Service::Sandbox),
    ] {
        let answer = client::worker(&aios, who)?.prepare(prepare.clone()).await;
        // The kernel lets nobody else open the worker's socket.
        let status = answer
            .err()
            .with_context(|| format!("{who:?} reached the worker"))?;
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::Unavailable, "Permission denied (os error 13)"),
            "{who:?}: {status:?}"
        );
    }
    // Root and the guard get as far as the worker's own check of who calls.
    for who in [Who::Root, Who::Of(Service::Guard)] {
        let answer = client::worker(&aios, who)?.prepare(prepare.clone()).await;
        let status = answer.err().with_context(|| format!("{who:?} was served"))?;
        assert_eq!(client::code(&status), "AIOS-AUTH-0602", "{who:?}: {status:?}");
    }
    logged_by_worker(&aios, "AIOS-AUTH-0602", 2).await?;
    // A captured tool service is let in, and has nothing to show.
    let mut worker = client::worker(&aios, Who::Of(Service::Tools))?;
    let prepared = worker.prepare(prepare).await?.into_inner();
    let digest = call::digest_json("fs.delete", &prepared.canonical_args_json, &prepared.identities)?;
    assert_eq!(digest.to_vec(), prepared.call_digest);
    let key = ExecutionKey {
        task: task.task,
        step: 1,
    };
    let approval_id = ApprovalId::new();
    let forger = SecretKey::generate()?;
    let now = client::now_ms();
    let approval = ApprovalBody {
        approval_id,
        goal: task.goal,
        key,
        call_digest: digest,
        scope: None,
        approver_uid: PERSON_UID,
        approver: "tester".into(),
        decided_at_ms: now,
        expires_at_ms: now + 60_000,
    };
    let receipt = ReceiptBody {
        key,
        tool: "fs.delete".into(),
        call_digest: digest,
        token_id: task.token_id.clone(),
        rule_id: "forged".into(),
        approval_id: Some(approval_id),
        mutating: true,
        extent: Extent {
            risk: Risk::Medium,
            reversible: true,
            files: prepared.files,
            bytes: prepared.bytes,
        },
        audit_seq: 1,
        epoch: 1,
        issued_at_ms: now,
        expires_at_ms: now + 60_000,
    };
    let forged = receipt.sign(&forger, Some(approval.sign(&forger)?))?;
    let execute = ExecuteRequest {
        token: task.token.clone(),
        key: Some(task.key(1)),
        tool: "fs.delete".into(),
        args_json: prepared.canonical_args_json,
        identities: prepared.identities,
        receipt: Some(forged),
        timeout_ms: 5_000,
        undo_of: None,
    };
    for (receipt, code) in [
        (execute.receipt.clone(), "AIOS-AUTH-0411"),
        (None, "AIOS-AUTH-0410"),
    ] {
        let answer = worker
            .execute(ExecuteRequest {
                receipt,
                ..execute.clone()
            })
            .await;
        let status = answer.err().context("a forged receipt was accepted")?;
        assert_eq!(client::code(&status), code);
        logged_by_worker(&aios, code, 1).await?;
    }
    assert!(std::fs::exists(&file)?);
    Ok(())
}

#[tokio::test]
async fn it_cannot_use_the_session_of_a_signed_in_person() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let approval = client::ask(&aios, &task, 1, "fs.delete", &path_args(&file)).await?;
    let sign_in = client::prove(&aios, guard::CreateSignInRequest::default())?;
    let code = client::guard(&aios, Who::Person)?
        .create_sign_in(sign_in)
        .await?
        .into_inner()
        .code;

    let redeem = guard::RedeemSignInRequest { code };
    let mut own = client::guard(&aios, SELF)?;
    let redeemed = own.redeem_sign_in(redeem.clone());
    refused_rpc(&aios, (SELF, "RedeemSignIn"), redeemed, "AIOS-AUTH-0602").await?;
    let by_console = Who::Of(Service::Console);
    let mut console = client::guard(&aios, by_console)?;
    let session = console.redeem_sign_in(redeem.clone()).await?.into_inner();
    // A code works once.
    let redeemed = console.redeem_sign_in(redeem);
    refused_rpc(&aios, (by_console, "RedeemSignIn"), redeemed, "AIOS-GUARD-0026").await?;

    let mut decision = client::decision(&aios, &approval, true).await?;
    let proof = SessionProof {
        secret: session.secret.clone(),
    };
    decision.proof = Some(PersonProof {
        credential: Some(Credential::Session(proof)),
    });
    for who in [SELF, Who::Of(Service::Tools), Who::Person, Who::Root] {
        let mut guard = client::guard(&aios, who)?;
        let decided = guard.decide_approval(decision.clone());
        refused_rpc(&aios, (who, "DecideApproval"), decided, "AIOS-AUTH-0602").await?;
    }
    // It may ask whose session the console handed on with a goal, which lends it nothing; others may not.
    let check = guard::CheckSessionRequest {
        secret: session.secret,
    };
    let by_tools = Who::Of(Service::Tools);
    let mut tools = client::guard(&aios, by_tools)?;
    let checked = tools.check_session(check);
    refused_rpc(&aios, (by_tools, "CheckSession"), checked, "AIOS-AUTH-0602").await?;
    assert!(std::fs::exists(&file)?);
    console.decide_approval(decision).await?;
    let answer = client::call(&aios, &task, 1, "fs.delete", &path_args(&file)).await;
    assert_eq!(client::refusal(&answer), None, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn tools_serves_nobody_else() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let request = client::call_request(&task, 1, "fs.stat", &path_args(&file));
    for who in [
        Who::Person,
        Who::Stranger,
        Who::Root,
        Who::Of(Service::Console),
        Who::Of(Service::Sandbox),
    ] {
        let since = client::audit_size(&aios).await?;
        let answer = client::tools(&aios, who)?.call(request.clone()).await;
        let status = answer.err().with_context(|| format!("{who:?} was served"))?;
        assert_eq!(client::code(&status), "AIOS-AUTH-0602", "{who:?}: {status:?}");
        assert_eq!(recorded_callers(&aios, since, who, 1).await?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_of_refused_callers_is_counted_and_does_not_fill_the_log() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let request = client::call_request(&task, 1, "fs.stat", &path_args("/"));
    let since = client::audit_size(&aios).await?;
    let mut person = client::tools(&aios, Who::Person)?;
    let began = Instant::now();
    for _ in 0..500 {
        let status = person.call(request.clone()).await.err().context("served")?;
        assert_eq!(client::code(&status), "AIOS-AUTH-0602", "{status:?}");
    }
    let records = recorded_callers(&aios, since, Who::Person, 500).await?.len();
    let most = usize::try_from(began.elapsed().as_secs())? + 2;
    assert!(
        (2..=most).contains(&records),
        "{records} records, not at most {most}"
    );
    Ok(())
}

/// The records from `since` on of `who` refused by the tool service, once they count `times`.
async fn recorded_callers(aios: &Instance, since: u64, who: Who, times: u64) -> Result<Vec<Value>> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut found = Vec::new();
        let mut counted = 0;
        for record in client::audit_with_payloads(aios, since).await? {
            let text = |at: &str| record.pointer(at).and_then(Value::as_str);
            if text("/kind") != Some("peer.denied") || text("/record/details/code") != Some("AIOS-AUTH-0602")
            {
                continue;
            }
            let details: Value = serde_json::from_str(text("/input").context("details")?)?;
            assert_eq!(details["rpc"], "Call", "{details}");
            assert_eq!(details["uid"], who.uid()?, "{details}");
            assert_eq!(text("/record/rule"), Some("check:peer"));
            counted += details["times"].as_u64().context("how often")?;
            found.push(record);
        }
        if counted == times {
            return Ok(found);
        }
        anyhow::ensure!(
            counted < times && Instant::now() < until,
            "{who:?} was refused {times} times, not {counted}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
