//! Goals are an enrolled person's: not a group member's whom nobody enrolled, not a confined process's with
//! the person's uid, and nobody's while the guard cannot say who is one.

use std::time::Duration;

use aios_harness::client::{audit_size, code};
use aios_harness::{Instance, Options, Relay, Service, Who};
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use aios_tests_deny::{Refusal, logged, start};
use anyhow::{Context, Result};
use tonic::transport::Channel;

fn instance() -> Result<Option<Instance>> {
    start(Options {
        services: vec![
            Service::Guard,
            Service::WorkerFs,
            Service::Tools,
            Service::Orchestrator,
        ],
        ..Options::default()
    })
}

fn client(aios: &Instance, who: Who) -> Result<OrchestratorClient<Channel>> {
    Ok(OrchestratorClient::new(aios.channel(who, Service::Orchestrator)?))
}

fn goal() -> api::SubmitGoalRequest {
    api::SubmitGoalRequest {
        text: "make it nice".to_owned(),
        ..api::SubmitGoalRequest::default()
    }
}

fn cancel(goal: &api::Goal) -> api::CancelGoalRequest {
    api::CancelGoalRequest {
        goal_id: goal.goal_id.clone(),
        proof: None,
    }
}

#[tokio::test]
async fn only_the_enrolled_person_states_and_ends_goals() -> Result<()> {
    let Some(aios) = instance()? else {
        return Ok(());
    };
    let stated = client(&aios, Who::Person)?
        .submit_goal(goal())
        .await?
        .into_inner();
    assert_eq!(stated.submitted_by, "tester");
    let relay = Relay::start(Who::Person, true, &Service::Orchestrator.socket(aios.paths()))?;
    let confined = OrchestratorClient::new(relay.channel());
    let tools = Who::Of(Service::Tools);
    for (mut client, wanted) in [
        (client(&aios, Who::Stranger)?, "AIOS-ORCH-0030"),
        (client(&aios, tools)?, "AIOS-AUTH-0602"),
        (confined, "AIOS-AUTH-0603"),
    ] {
        let refusal = Refusal::by_orchestrator(wanted);
        let since = audit_size(&aios).await?;
        let submitted = client.submit_goal(goal()).await.err().context("submitted")?;
        logged(&aios, since, &refusal).await?;
        let since = audit_size(&aios).await?;
        let cancelled = client
            .cancel_goal(cancel(&stated))
            .await
            .err()
            .context("cancelled")?;
        assert_eq!(
            (code(&submitted).as_str(), code(&cancelled).as_str()),
            (wanted, wanted)
        );
        logged(&aios, since, &refusal).await?;
    }
    let list = client(&aios, Who::Person)?
        .list_goals(api::ListGoalsRequest::default())
        .await?
        .into_inner();
    assert_eq!(list.goals.len(), 1, "{list:?}");
    client(&aios, Who::Root)?.cancel_goal(cancel(&stated)).await?;
    Ok(())
}

#[tokio::test]
async fn without_the_guard_changes_wait_for_it_and_root_can_still_cancel() -> Result<()> {
    let Some(mut aios) = instance()? else {
        return Ok(());
    };
    let mut person = client(&aios, Who::Person)?;
    let stated = person.submit_goal(goal()).await?.into_inner();
    aios.stop(Service::Guard)?;
    // What the guard said last holds for a few seconds; after that it must be asked again.
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Err(status) = person.submit_goal(goal()).await {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let refused = refused.await.context("it went on without the guard")?;
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (tonic::Code::Unavailable, "AIOS-ORCH-0012")
    );
    assert!(
        aios_core::rpc::report_of(&refused)
            .next_step
            .contains("aiosctl service status")
    );
    client(&aios, Who::Root)?.cancel_goal(cancel(&stated)).await?;
    aios.restart(Service::Guard)?;
    person.submit_goal(goal()).await?;
    Ok(())
}
