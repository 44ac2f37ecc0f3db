//! Policy, approvals and the emergency stop say no.

use aios_harness::client;
use aios_harness::{Options, Service, Who};
use aios_proto::guard::v1::{ApprovalState, EmergencyStopRequest, GetApprovalRequest, ResumeRequest};
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_tests_deny::{HEARD, call_until, path_args, refused, refused_rpc, start};
use anyhow::Result;
use std::time::{Duration, Instant};

/// A person decides.
const DECIDED: (Who, &str) = (Who::Person, "DecideApproval");

#[tokio::test]
async fn denied_by_policy() -> Result<()> {
    let policy = "[[rule]]\nid = \"never-here\"\nnamespace = \"fs\"\naction = \"delete\"\neffect = \"deny\"\nreason = \"nothing is deleted here\"\n";
    let Some(aios) = start(Options {
        policy: Some(policy.into()),
        ..Options::with_full_autonomy()
    })?
    else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let answer = client::call(&aios, &task, 1, "fs.delete", &path_args(&file)).await;
    assert!(
        matches!(&answer, Ok(Answer::Denied(denied)) if denied.rule_id == "never-here"),
        "{answer:?}"
    );
    refused(&aios, &task, 2, "fs.delete", &path_args(&file), "AIOS-GUARD-0015").await?;
    assert!(std::fs::exists(&file)?);
    assert!(client::audited(&aios, "denied", "never-here").await?);
    Ok(())
}

#[tokio::test]
async fn an_approval_is_for_one_digest() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let (first, second) = (aios.file("a.log", b"1")?, aios.file("b.log", b"2")?);
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let one = client::ask(&aios, &task, 1, "fs.delete", &path_args(&first)).await?;
    let two = client::ask(&aios, &task, 2, "fs.delete", &path_args(&second)).await?;
    // The person was shown another call than the one that the approval is about.
    let mut wrong = client::decision(&aios, &one, true).await?;
    wrong.call_digest = client::decision(&aios, &two, true).await?.call_digest;
    let wrong = client::prove(&aios, wrong)?;
    let mut guard = client::guard(&aios, Who::Person)?;
    let decided = guard.decide_approval(wrong);
    refused_rpc(&aios, DECIDED, decided, "AIOS-GUARD-0012").await?;
    // An approved key does not run another call.
    client::approve(&aios, &one).await?;
    let other = path_args(&second);
    refused(&aios, &task, 1, "fs.delete", &other, "AIOS-GUARD-0014").await?;
    assert!(std::fs::exists(&second)?);
    Ok(())
}

#[tokio::test]
async fn denied_when_nobody_answers_in_time_or_a_person_declines() -> Result<()> {
    let config = "[guard]\napproval_timeout_ms = 3000\n".to_owned();
    let Some(aios) = start(Options {
        config,
        ..Options::default()
    })?
    else {
        return Ok(());
    };
    let file = path_args(&aios.file("a.log", b"text")?);
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let approval = client::ask(&aios, &task, 1, "fs.delete", &file).await?;
    let mut person = client::guard(&aios, Who::Person)?;
    let request = GetApprovalRequest {
        approval_id: approval.clone(),
    };
    let until = Instant::now() + HEARD;
    while person.get_approval(request.clone()).await?.into_inner().state() == ApprovalState::Pending {
        assert!(Instant::now() < until, "it is still waited for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let late = client::decision(&aios, &approval, true).await?;
    refused_rpc(&aios, DECIDED, person.decide_approval(late), "AIOS-GUARD-0028").await?;
    refused(&aios, &task, 1, "fs.delete", &file, "AIOS-GUARD-0018").await?;

    let approval = client::ask(&aios, &task, 2, "fs.delete", &file).await?;
    let no = client::decision(&aios, &approval, false).await?;
    person.decide_approval(no).await?;
    refused(&aios, &task, 2, "fs.delete", &file, "AIOS-GUARD-0017").await
}

#[tokio::test]
async fn an_emergency_stop_refuses_what_changes_and_only_a_person_lifts_it() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let file = aios.file("a.log", b"text")?;
    let writer = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let mut person = client::guard(&aios, Who::Person)?;
    let stop = EmergencyStopRequest {
        reason: "a test".into(),
        proof: None,
    };
    for (who, code) in [
        (Who::Of(Service::Orchestrator), "AIOS-AUTH-0602"),
        (Who::Of(Service::Console), "AIOS-AUTH-0602"),
        (Who::Stranger, "AIOS-AUTH-0501"),
        (Who::Root, "AIOS-AUTH-0501"),
    ] {
        let mut guard = client::guard(&aios, who)?;
        let stopped = guard.emergency_stop(stop.clone());
        refused_rpc(&aios, (who, "EmergencyStop"), stopped, code).await?;
    }
    person.emergency_stop(client::prove(&aios, stop)?).await?;
    // The guard refuses at once. When the worker has heard of it with the next push it is the first to refuse: the
    // stop revokes all tokens of before.
    let args = path_args(&file);
    let codes = (Some("AIOS-GUARD-0016"), Some("AIOS-AUTH-0206"));
    let step = call_until(&aios, &writer, 1, ("fs.delete", &args), codes).await?;
    refused(&aios, &writer, step, "fs.delete", &args, "AIOS-AUTH-0206").await?;
    assert!(std::fs::exists(&file)?);
    for (who, code) in [
        (Who::Of(Service::Orchestrator), "AIOS-AUTH-0602"),
        (Who::Of(Service::Console), "AIOS-AUTH-0602"),
        (Who::Stranger, "AIOS-AUTH-0503"),
        (Who::Root, "AIOS-AUTH-0503"),
    ] {
        let signed = client::prove(&aios, ResumeRequest::default())?;
        let mut guard = client::guard(&aios, who)?;
        refused_rpc(&aios, (who, "Resume"), guard.resume(signed), code).await?;
    }
    assert!(
        person
            .status(aios_proto::guard::v1::StatusRequest {})
            .await?
            .into_inner()
            .emergency
            .is_some_and(|it| it.stopped)
    );
    person
        .resume(client::prove(&aios, ResumeRequest::default())?)
        .await?;
    let again = client::mint_full(&aios, &["fs:*:/**"]).await?;
    // The worker hears of it with the next push, and lets nothing change before.
    let codes = (Some("AIOS-AUTH-0426"), None);
    call_until(&aios, &again, 1, ("fs.delete", &args), codes).await?;
    assert!(!std::fs::exists(&file)?);
    Ok(())
}

#[tokio::test]
async fn a_decision_needs_a_fresh_proof_of_the_enrolled_person() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = path_args(&aios.file("a.log", b"text")?);
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let approval = client::ask(&aios, &task, 1, "fs.delete", &file).await?;
    let good = client::decision(&aios, &approval, true).await?;

    let bare = aios_proto::guard::v1::DecideApprovalRequest {
        proof: None,
        ..good.clone()
    };
    let mut person = client::guard(&aios, Who::Person)?;
    let decided = person.decide_approval(bare.clone());
    refused_rpc(&aios, DECIDED, decided, "AIOS-AUTH-0501").await?;
    let mut old = bare.clone();
    aios.person().prove(&mut old, client::now_ms() - 60_000)?;
    refused_rpc(&aios, DECIDED, person.decide_approval(old), "AIOS-AUTH-0504").await?;
    let stranger =
        aios_auth::person::PersonKey::new(Who::Stranger.uid()?, aios_auth::key::SecretKey::generate()?);
    let mut unknown = bare.clone();
    stranger.prove(&mut unknown, client::now_ms())?;
    let mut other = client::guard(&aios, Who::Stranger)?;
    let by_other = (Who::Stranger, "DecideApproval");
    refused_rpc(&aios, by_other, other.decide_approval(unknown), "AIOS-AUTH-0502").await?;
    let decided = other.decide_approval(good.clone());
    refused_rpc(&aios, by_other, decided, "AIOS-AUTH-0503").await?;
    person.decide_approval(good.clone()).await?;
    refused_rpc(&aios, DECIDED, person.decide_approval(good), "AIOS-AUTH-0505").await
}
