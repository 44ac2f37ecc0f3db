//! Who is let in: enrolled persons and the console's signed-in ones; no service, no confined process, and
//! no one but the sandbox with an agent. And whose goal it is.

use crate::bench::Bench;
use aios_auth::peer::{Role, Roles};
use aios_core::paths::Paths;
use aios_core::rpc::{Peer, report_of};
use aios_core::tasks::Tasks;
use aios_harness::{Relay, Who};
use aios_orchestrator::callers::{Callers, refusals};
use aios_orchestrator::clients::Clients;
use aios_proto::common::v1::{KeyProof, PersonProof, SessionProof, person_proof::Credential};
use aios_proto::guard::v1 as guard;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tonic::Request;
use tonic::transport::Channel;

const CONSOLE: u32 = 7001;
const SANDBOX: u32 = 7002;
const TOOLS: u32 = 7003;
const PERSON: u32 = 7004;

fn callers(clients: Clients) -> Callers {
    let roles = Roles::fixed(&[
        (Role::Console, CONSOLE),
        (Role::Sandbox, SANDBOX),
        (Role::Tools, TOOLS),
    ]);
    let refusals = refusals(&clients, Tasks::new());
    Callers::new(roles, clients, refusals)
}

fn request_of(uid: u32, pid: u32) -> Request<()> {
    let mut request = Request::new(());
    let pid = i32::try_from(pid).unwrap();
    request.extensions_mut().insert(Peer {
        uid,
        gid: uid,
        pid,
        pidfd: None,
    });
    request
}

fn request(uid: u32) -> Request<()> {
    request_of(uid, std::process::id())
}

/// Callers without a guard.
fn nowhere() -> Callers {
    callers(clients(&Paths::development(Path::new("/nowhere"))))
}

fn clients(paths: &Paths) -> Clients {
    Clients::new(paths)
}

#[tokio::test]
async fn services_and_confined_processes_are_no_persons() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let callers = callers(clients(&bench.paths));
    for uid in [SANDBOX, TOOLS] {
        let error = callers
            .person("CancelGoal", &request(uid), None)
            .await
            .unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-AUTH-0602");
        assert_eq!(
            report_of(&callers.reader("ListGoals", &request(uid)).unwrap_err()).code,
            "AIOS-AUTH-0602"
        );
    }
    let mut confined = Command::new("setpriv")
        .args(["--no-new-privs", "sleep", "30"])
        .spawn()
        .unwrap();
    // The flag is set by setpriv itself, just before it becomes sleep.
    for _ in 0..500 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", confined.id())).unwrap();
        if status.contains("NoNewPrivs:\t1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for uid in [PERSON, 0] {
        let error = callers
            .person("CancelGoal", &request_of(uid, confined.id()), None)
            .await
            .unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-AUTH-0603");
    }
    confined.kill().unwrap();
    confined.wait().unwrap();
    bench.doubles.world().persons.insert(PERSON, "anna".to_owned());
    let person = callers
        .person("CancelGoal", &request(PERSON), None)
        .await
        .unwrap();
    assert_eq!((person.uid, person.name.as_str()), (PERSON, "anna"));
}

#[tokio::test]
async fn the_console_asks_only_for_who_is_signed_in() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let callers = callers(clients(&bench.paths));
    let session = |secret: [u8; 32]| PersonProof {
        credential: Some(Credential::Session(SessionProof {
            secret: secret.to_vec(),
        })),
    };
    let key = PersonProof {
        credential: Some(Credential::Key(KeyProof::default())),
    };
    for proof in [None, Some(&key), Some(&PersonProof::default())] {
        let error = callers
            .person("CancelGoal", &request(CONSOLE), proof)
            .await
            .unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-ORCH-0009");
    }
    let error = callers
        .person("CancelGoal", &request(CONSOLE), Some(&session([8; 32])))
        .await
        .unwrap_err();
    assert_eq!(report_of(&error).code, "AIOS-GUARD-0403");
    let person = callers
        .person("CancelGoal", &request(CONSOLE), Some(&session([7; 32])))
        .await
        .unwrap();
    assert_eq!((person.name.as_str(), person.uid), ("anna", 4711));
    assert!(callers.reader("ListGoals", &request(CONSOLE)).is_ok());
}

#[tokio::test]
async fn only_the_sandbox_speaks_for_an_agent() {
    let callers = nowhere();
    for uid in [CONSOLE, TOOLS, PERSON, 0] {
        let mut request = request(uid);
        let agent = "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".parse().unwrap();
        request.metadata_mut().insert("aios-agent-id", agent);
        request
            .metadata_mut()
            .insert("aios-agent-kind", "maintenance_agent".parse().unwrap());
        assert_eq!(
            report_of(&callers.agent(&request).unwrap_err()).code,
            "AIOS-AUTH-0602",
            "uid {uid}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_socket_has_no_caller() {
    let callers = nowhere();
    assert_eq!(
        report_of(&callers.reader("ListGoals", &Request::new(())).unwrap_err()).code,
        "AIOS-AUTH-0601"
    );
}

#[tokio::test]
async fn only_whom_the_guard_has_enrolled_is_a_person_and_without_the_guard_nobody_but_root_is() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let here = clients(&bench.paths);
    let nowhere = tempfile::tempdir().unwrap();
    let away = clients(&Paths::development(nowhere.path()));
    let (callers, alone) = (callers(here), callers(away));
    let code = |error: tonic::Status| report_of(&error).code;

    let stranger = callers
        .person("CancelGoal", &request(PERSON), None)
        .await
        .unwrap_err();
    assert_eq!(stranger.code(), tonic::Code::PermissionDenied);
    assert!(report_of(&stranger).next_step.contains("aiosctl person enrol"));
    assert_eq!(code(stranger), "AIOS-ORCH-0030");
    let unknown = alone
        .person("CancelGoal", &request(PERSON), None)
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::Unavailable);
    assert!(!report_of(&unknown).next_step.is_empty());
    assert_eq!(code(unknown), "AIOS-ORCH-0012");

    // A no is not remembered, a yes is for a moment.
    bench.doubles.world().persons.insert(PERSON, "anna".to_owned());
    assert!(callers.person("CancelGoal", &request(PERSON), None).await.is_ok());
    bench.doubles.world().persons.clear();
    assert!(callers.person("CancelGoal", &request(PERSON), None).await.is_ok());
    assert!(alone.person("CancelGoal", &request(0), None).await.is_ok());
    assert!(alone.reader("ListGoals", &request(CONSOLE)).is_ok());
}

/// A client as another user's process.
fn as_user(bench: &Bench, who: Who) -> (OrchestratorClient<Channel>, Relay) {
    let relay = Relay::start(who, false, &bench.socket()).unwrap();
    (OrchestratorClient::new(relay.channel()), relay)
}

#[tokio::test]
async fn a_goal_is_cancelled_undone_and_answered_by_its_owner_and_by_root_alone() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    for path in [
        bench.paths.run.parent().unwrap(),
        &bench.paths.run,
        &bench.socket(),
    ] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let (mut anna, _anna) = as_user(&bench, Who::Person);
    let (mut bert, _bert) = as_user(&bench, Who::Stranger);
    let vague = || api::SubmitGoalRequest {
        text: "make it nice".to_owned(),
        ..api::SubmitGoalRequest::default()
    };
    let refused = anna.submit_goal(vague()).await.unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-ORCH-0030");
    let refused = anna
        .call_tool(api::CallToolRequest {
            tool: "fs.stat".to_owned(),
            args_json: "{\"path\":\"/srv\"}".to_owned(),
            ..api::CallToolRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-ORCH-0030");
    for (who, name) in [(Who::Person, "anna"), (Who::Stranger, "bert")] {
        let uid = who.uid().unwrap();
        bench.doubles.world().persons.insert(uid, name.to_owned());
    }

    let goal = anna.submit_goal(vague()).await.unwrap().into_inner();
    assert_eq!(goal.submitted_by, "anna");
    bench.until(&goal.goal_id, &[api::GoalState::AwaitingInput]).await;
    let id = goal.goal_id;
    let cancel = || api::CancelGoalRequest {
        goal_id: id.clone(),
        proof: None,
    };
    let undo = || api::UndoGoalRequest {
        goal_id: id.clone(),
        proof: None,
    };
    let reply = || api::ReplyGoalRequest {
        goal_id: id.clone(),
        text: "free space under /srv".to_owned(),
        proof: None,
    };
    for (what, answer) in [
        ("cancel", bert.cancel_goal(cancel()).await.map(drop)),
        ("undo", bert.undo_goal(undo()).await.map(drop)),
        ("reply", bert.reply_goal(reply()).await.map(drop)),
    ] {
        let status = answer.expect_err(what);
        let report = report_of(&status);
        assert_eq!(report.code, "AIOS-ORCH-0031", "{what}: {report}");
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert!(report.message.contains("anna") && report.next_step.contains("sudo aiosctl"));
    }
    let recorded = bench.doubles.world().recorded.clone();
    let told = |code: &str, goal: &str| {
        let fits = |record: &&guard::RecordRequest| {
            record.kind == "orchestrator.denied"
                && record.goal_id == goal
                && record.details_json.contains(code)
        };
        recorded.iter().filter(fits).count()
    };
    assert_eq!((told("AIOS-ORCH-0030", ""), told("AIOS-ORCH-0031", &id)), (2, 3));
    let get = api::GetGoalRequest { goal_id: id.clone() };
    let seen = bert.get_goal(get).await.unwrap().into_inner().goal.unwrap();
    assert_eq!(
        seen.state(),
        api::GoalState::AwaitingInput,
        "reading is free, and nothing changed"
    );

    let ended = anna.cancel_goal(cancel()).await.unwrap().into_inner();
    assert_eq!(ended.state(), api::GoalState::Cancelled);
    let other = bert.submit_goal(vague()).await.unwrap().into_inner();
    let by_root = bench
        .client()
        .cancel_goal(api::CancelGoalRequest {
            goal_id: other.goal_id,
            proof: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(by_root.state(), api::GoalState::Cancelled);
}

#[tokio::test]
async fn goals_of_the_system_are_stated_by_the_health_service_and_root_alone() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    for path in [
        bench.paths.run.parent().unwrap(),
        &bench.paths.run,
        &bench.socket(),
    ] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let uid = Who::Person.uid().unwrap();
    bench.doubles.world().persons.insert(uid, "anna".to_owned());
    let (mut anna, _anna) = as_user(&bench, Who::Person);
    let canary = || api::SubmitSystemGoalRequest {
        goal: Some(api::submit_system_goal_request::Goal::Canary(api::CanaryGoal {})),
        client_id: "0193a1de-0000-7000-8000-00000000000a".to_owned(),
    };
    let refused = anna.submit_system_goal(canary()).await.unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-AUTH-0602");
    let recorded = bench.doubles.world().recorded.clone();
    assert!(recorded.iter().any(
        |record| record.kind == "orchestrator.denied" && record.details_json.contains("SubmitSystemGoal")
    ));

    let mut root = bench.client();
    let goal = root.submit_system_goal(canary()).await.unwrap().into_inner();
    assert!(goal.cause.contains("health"), "{}", goal.cause);
    let again = root.submit_system_goal(canary()).await.unwrap().into_inner();
    assert_eq!(again.goal_id, goal.goal_id, "asking again answers how it stands");
    let missing = root
        .submit_system_goal(api::SubmitSystemGoalRequest::default())
        .await
        .unwrap_err();
    assert_eq!(missing.code(), tonic::Code::InvalidArgument);
}
