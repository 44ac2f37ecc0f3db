//! A call without a good token of its own task is refused.

use aios_auth::token::attenuate;
use aios_auth::trust::TrustKeys;
use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, Service, Who};
use aios_proto::guard::v1::{AttenuateRequest, MintRequest, RevokeRequest};
use aios_tests_deny::{call_until, path_args, refused, start};
use anyhow::Result;

async fn stat(aios: &Instance, task: &Task) -> Result<()> {
    let file = aios.file("a.log", b"text")?;
    let answer = client::call(aios, task, 1, "fs.stat", &path_args(&file)).await;
    anyhow::ensure!(client::refusal(&answer).is_none(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn denied_without_a_token_or_with_a_forged_one() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = path_args(&aios.file("a.log", b"text")?);
    let good = client::mint(&aios, &["fs:*:/**"]).await?;
    let none = Task {
        token: Vec::new(),
        ..good.clone()
    };
    refused(&aios, &none, 1, "fs.stat", &file, "AIOS-AUTH-0201").await?;
    let mut bent = good.clone();
    if let Some(byte) = bent.token.get_mut(40) {
        *byte ^= 1;
    }
    refused(&aios, &bent, 1, "fs.stat", &file, "AIOS-AUTH-0203").await?;
    let nonsense = Task {
        token: b"nonsense".to_vec(),
        ..good
    };
    refused(&aios, &nonsense, 1, "fs.stat", &file, "AIOS-AUTH-0203").await
}

#[tokio::test]
async fn denied_when_token_expired() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let task = client::mint_with(
        &aios,
        MintRequest {
            ttl_ms: 3000,
            ..client::mint_request(&["fs:*:/**"])
        },
    )
    .await?;
    stat(&aios, &task).await?;
    let args = path_args(&aios.tree().to_string_lossy());
    let codes = (None, Some("AIOS-AUTH-0205"));
    let step = call_until(&aios, &task, 2, ("fs.stat", &args), codes).await?;
    refused(&aios, &task, step, "fs.stat", &args, "AIOS-AUTH-0205").await
}

#[tokio::test]
async fn denied_when_token_revoked() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    stat(&aios, &task).await?;
    let revoke = RevokeRequest {
        task_id: task.task.to_string(),
        reason: "a test".into(),
        ..Default::default()
    };
    let revoked = client::guard(&aios, Who::Of(Service::Orchestrator))?
        .revoke(revoke)
        .await?
        .into_inner();
    assert_eq!(revoked.revoked, 1);
    let args = path_args(&aios.tree().to_string_lossy());
    refused(&aios, &task, 2, "fs.stat", &args, "AIOS-AUTH-0206").await
}

#[tokio::test]
async fn denied_when_attenuated_too_narrow() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let (inside, outside) = (aios.file("in/a.log", b"1")?, aios.file("out/a.log", b"2")?);
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let only = format!("fs:stat:{}/in/**", aios.tree().display());
    let keys = TrustKeys::read(&aios.paths().trust_file(), None)?;
    let offline = attenuate(&task.token, &keys.mint, &[only.parse()?], None)?;
    let request = AttenuateRequest {
        token: task.token.clone(),
        capabilities: vec![only],
        expires_at_ms: 0,
    };
    let online = client::guard(&aios, Who::Of(Service::Orchestrator))?
        .attenuate(request)
        .await?
        .into_inner()
        .token;
    for (step, token) in [(1, offline), (10, online)] {
        let narrow = Task {
            token,
            ..task.clone()
        };
        let good = client::call(&aios, &narrow, step, "fs.stat", &path_args(&inside)).await;
        assert_eq!(client::refusal(&good), None, "{good:?}");
        let code = "AIOS-TOOLS-0005";
        let (elsewhere, otherwise) = (path_args(&outside), path_args(&inside));
        refused(&aios, &narrow, step + 1, "fs.stat", &elsewhere, code).await?;
        refused(&aios, &narrow, step + 2, "fs.delete", &otherwise, code).await?;
    }
    assert!(std::fs::exists(inside)?);
    Ok(())
}

#[tokio::test]
async fn denied_with_another_agents_token() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let own = client::mint(&aios, &[&format!("fs:stat:{}/own/**", aios.tree().display())]).await?;
    let other = client::mint(&aios, &["fs:*:/**"]).await?;
    let file = path_args(&aios.file("a.log", b"text")?);
    let stolen = Task {
        token: other.token,
        ..own
    };
    let code = "AIOS-TOOLS-0024";
    refused(&aios, &stolen, 1, "fs.stat", &file, code).await
}
