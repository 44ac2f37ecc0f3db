//! Runbooks that find causes: diagnosis, remedy, proof, and what a kill between them changes (nothing).

use crate::bench::Bench;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::GoalState;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Ages in the bench are 5 to 14 days, so 7 of 10 files are older.
const OLD: &str = "delete old files under /srv/logs older than 7 days";
const NONE: &str = "delete old files under /srv/logs older than 100 days";

const SHIPPED: &str = include_str!("../../../../configs/runbooks/old-files.toml");

async fn bench() -> Option<Bench> {
    let mut bench = Bench::prepare()?;
    bench.shipped("old-files.toml");
    bench.launch().await;
    Some(bench)
}

fn goal(detail: &api::GoalDetail) -> &api::Goal {
    detail.goal.as_ref().unwrap()
}

fn result(detail: &api::GoalDetail) -> Value {
    serde_json::from_str(&detail.result_json).unwrap()
}

fn names(detail: &api::GoalDetail) -> Vec<&str> {
    detail.tasks.iter().map(|task| task.name.as_str()).collect()
}

#[tokio::test]
async fn what_is_found_is_repaired_proved_and_can_be_undone() {
    let Some(bench) = bench().await else { return };
    let submitted = bench.submit(OLD).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
    assert_eq!(names(&detail), ["look", "delete", "verify"]);
    assert_eq!(bench.doubles.world().files.len(), 3);
    let outcome = result(&detail);
    let finding = &outcome["findings"][0];
    assert_eq!(finding["cause"], "old_files");
    assert_eq!(finding["repaired"], true);
    assert_eq!(finding["tasks"], serde_json::json!(["delete", "verify"]));
    assert_eq!(finding["evidence"][0]["at"], "/look/results/0/files");
    assert_eq!(
        (&outcome["repaired"], &outcome["verified"]),
        (&true.into(), &true.into())
    );
    assert!(
        goal(&detail).status_line.contains("repaired (verified: 7 files"),
        "{}",
        goal(&detail).status_line
    );
    let request = api::UndoGoalRequest {
        goal_id: submitted.goal_id,
        proof: None,
    };
    let undo = bench.client().undo_goal(request).await.unwrap().into_inner();
    bench.ended(&undo.goal_id).await;
    assert_eq!(bench.doubles.world().files.len(), 10);
}

#[tokio::test]
async fn what_evidence_shaped_is_tainted_and_granted_for_one_task_only() {
    let Some(bench) = bench().await else { return };
    let submitted = bench.submit(OLD).await;
    bench.ended(&submitted.goal_id).await;
    let world = bench.doubles.world();
    let seen: Vec<(Vec<&str>, bool)> = world
        .minted
        .iter()
        .map(|mint| {
            (
                mint.capabilities.iter().map(String::as_str).collect(),
                mint.tainted,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (vec!["fs:search:/srv/logs/**"], false),
            (vec!["fs:delete:/srv/logs/**"], true),
            (vec!["fs:search:/srv/logs/**"], true),
        ]
    );
}

#[tokio::test]
async fn without_a_fault_nothing_is_changed_and_nothing_is_claimed() {
    let Some(bench) = bench().await else { return };
    let submitted = bench.submit(NONE).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
    assert_eq!(names(&detail), ["look"]);
    assert_eq!(
        goal(&detail).status_line,
        "nothing wrong found: no file is that old; nothing was changed"
    );
    let outcome = result(&detail);
    assert_eq!(outcome["findings"], serde_json::json!([]));
    assert_eq!(outcome["repaired"], false);
    assert_eq!(bench.doubles.world().calls, ["fs.search"]);
    assert!(!goal(&detail).undoable);
}

#[tokio::test]
async fn a_dry_run_diagnoses_and_says_what_would_be_done() {
    let Some(bench) = bench().await else { return };
    let request = api::SubmitGoalRequest {
        text: OLD.to_owned(),
        dry_run: true,
        ..Default::default()
    };
    let submitted = bench.client().submit_goal(request).await.unwrap().into_inner();
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
    assert_eq!(bench.doubles.world().calls, ["fs.search"]);
    let outcome = result(&detail);
    assert_eq!(outcome["findings"][0]["action"], "would");
    let says = outcome["findings"][0]["says"].as_str().unwrap();
    assert!(says.starts_with("would delete 7 old files"), "{says}");
    assert!(says.contains("fs.delete {\"paths\":[\"/srv/logs/"), "{says}");
}

#[tokio::test]
async fn a_repair_that_does_not_hold_is_no_repair() {
    let Some(bench) = bench().await else { return };
    bench.doubles.world().lie = true;
    let submitted = bench.submit(OLD).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Failed);
    assert_eq!(goal(&detail).error.as_ref().unwrap().code, "AIOS-ORCH-0024");
    let outcome = result(&detail);
    assert_eq!(outcome["findings"][0]["cause"], "old_files");
    assert_eq!(outcome["findings"][0]["repaired"], false);
}

#[tokio::test]
async fn the_choice_of_a_remedy_is_a_decision_with_its_cause_and_why() {
    let Some(bench) = bench().await else { return };
    let submitted = bench.submit(OLD).await;
    bench.ended(&submitted.goal_id).await;
    let request = api::ListDecisionsRequest {
        goal_id: submitted.goal_id,
    };
    let decisions = bench.client().list_decisions(request).await.unwrap().into_inner();
    let remedy = decisions
        .decisions
        .iter()
        .find(|decision| decision.subject == "remedy")
        .unwrap();
    assert!(
        remedy
            .choice
            .contains("runbook old-files, cause old_files: delete 7 old files"),
        "{remedy:?}"
    );
    assert!(remedy.reason.contains("7 old files"), "{remedy:?}");
    assert_eq!(remedy.options, ["delete {files} old files of {size}"]);
}

/// The events `goal.extended` of a goal, with their bodies.
async fn extensions(bench: &Bench, goal: &str) -> Vec<Value> {
    let request = api::WatchGoalsRequest {
        goal_id: goal.to_owned(),
        from_seq: 1,
        follow: false,
    };
    let mut stream = bench.client().watch_goals(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        if event.kind == "goal.extended" {
            found.push(serde_json::from_str(&event.details_json).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn killed_around_the_extension_the_plan_is_extended_once_and_done_once() {
    for failpoint in [
        "orch.before_extend",
        "orch.after_extend",
        "orch.before_commit",
        "orch.after_commit",
    ] {
        let Some(mut bench) = bench().await else { return };
        // The repair waits for a person, so that the plan can be looked at between the kills.
        bench.doubles.world().ask = true;
        let submitted = bench.submit(OLD).await;
        bench.kill_at(failpoint);
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(20), "{failpoint}");
            bench.revive().await;
            let ask = api::GetGoalRequest {
                goal_id: submitted.goal_id.clone(),
            };
            let waits = match bench.client().get_goal(ask).await {
                Ok(detail) => goal(detail.get_ref()).state() == GoalState::AwaitingApproval,
                Err(_) => false,
            };
            if waits && !bench.is_armed(failpoint) {
                break;
            }
            // What comes only once may have passed before the kill was asked for.
            if waits && failpoint.ends_with("extend") {
                panic!("{failpoint}: never came by");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = bench.goal(&submitted.goal_id).await;
        bench.kill();
        bench.launch().await;
        bench
            .until(&submitted.goal_id, &[GoalState::AwaitingApproval])
            .await;
        let after = bench.goal(&submitted.goal_id).await;
        let ids = |detail: &api::GoalDetail| -> Vec<String> {
            detail.tasks.iter().map(|task| task.task_id.clone()).collect()
        };
        assert_eq!(ids(&before), ids(&after), "{failpoint}");
        let extended = extensions(&bench, &submitted.goal_id).await;
        assert_eq!(extended.len(), 1, "{failpoint}");
        assert_eq!(
            extended[0]["tasks"][0]["id"], after.tasks[1].task_id,
            "{failpoint}"
        );
        bench.doubles.decide(true);
        let detail = bench.ended(&submitted.goal_id).await;
        assert_eq!(
            goal(&detail).state(),
            GoalState::Completed,
            "{failpoint}: {detail:#?}"
        );
        let world = bench.doubles.world();
        assert_eq!(world.deletions.len(), 7, "{failpoint}");
        assert!(world.deletions.values().all(|times| *times == 1), "{failpoint}");
    }
}

#[tokio::test]
async fn a_runbook_that_is_gone_after_a_restart_still_answers_the_goal_it_planned() {
    let Some(mut bench) = Bench::prepare() else { return };
    bench.runbook("own.toml", SHIPPED);
    bench.launch().await;
    bench.kill_at("orch.before_extend");
    let submitted = bench.submit(OLD).await;
    let begun = Instant::now();
    while bench.is_armed("orch.before_extend") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.kill();
    std::fs::remove_file(bench.paths.etc.join("runbooks/own.toml")).unwrap();
    bench.launch().await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(names(&detail), ["look", "delete", "verify"]);
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
}

#[tokio::test]
async fn a_diagnosis_cannot_change_anything_whatever_its_runbook_says() {
    let Some(mut bench) = Bench::prepare() else { return };
    let evil = SHIPPED
        .replacen("capabilities = [\"fs:search", "capabilities = [\"fs:delete:{dir}/**\", \"fs:search", 1)
        .replacen(
            "[[tasks.operations]]\ndo = \"analyze\"",
            "[[tasks.operations]]\ndo = \"call\"\ntool = \"fs.delete\"\nargs = { paths = [\"/srv/logs/1.log\"] }\n\n[[tasks.operations]]\ndo = \"analyze\"",
            1,
        );
    assert!(evil.contains("/srv/logs/1.log"));
    bench.runbook("evil.toml", &evil);
    bench.launch().await;
    let submitted = bench.submit(OLD).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Failed);
    assert_eq!(goal(&detail).error.as_ref().unwrap().code, "AIOS-ORCH-0034");
    assert_eq!(bench.doubles.world().files.len(), 10);
}

#[tokio::test]
async fn a_failed_look_is_evidence_only_where_the_runbook_says_so() {
    for (optional, code) in [
        ("", Some("AIOS-TOOLS-0001")),
        ("optional = true", Some("AIOS-ORCH-0033")),
    ] {
        let Some(mut bench) = Bench::prepare() else { return };
        let text = SHIPPED
            .replacen("fs:search:{dir}/**", "fs:nothing:{dir}/**", 1)
            .replacen(
                "tool = \"fs.search\"",
                &format!("tool = \"fs.nothing\"\n{optional}"),
                1,
            );
        bench.runbook("own.toml", &text);
        bench.launch().await;
        let submitted = bench.submit(OLD).await;
        let detail = bench.ended(&submitted.goal_id).await;
        assert_eq!(goal(&detail).state(), GoalState::Failed);
        // With it the analyzer, which cannot do without, says what is missing.
        let error = goal(&detail).error.as_ref().unwrap();
        assert_eq!(Some(error.code.as_str()), code, "{error:?}");
    }
}

#[tokio::test]
async fn runbooks_are_listed_and_checked_and_a_broken_one_is_refused_with_its_place() {
    let Some(bench) = bench().await else { return };
    let listed = bench
        .client()
        .list_runbooks(api::ListRunbooksRequest {})
        .await
        .unwrap()
        .into_inner()
        .runbooks;
    let names: Vec<&str> = listed.iter().map(|runbook| runbook.name.as_str()).collect();
    assert_eq!(names, ["free-space-old-logs", "old-files"]);
    assert_eq!(listed[1].causes, ["old_files"]);
    assert_eq!(listed[1].layer, "vendor");

    let check = async |text: String| {
        let request = api::CheckRunbookRequest {
            file: "/x/old-files.toml".to_owned(),
            text,
            cases: true,
        };
        bench.client().check_runbook(request).await.unwrap().into_inner()
    };
    let right = check(SHIPPED.to_owned()).await;
    assert!(right.problems.is_empty(), "{right:?}");
    assert_eq!(right.cases.len(), 2);
    assert!(
        right.cases.iter().all(|case| case.problem.is_empty()),
        "{right:?}"
    );
    let failing = check(SHIPPED.replacen("causes = [\"old_files\"]", "causes = []", 1)).await;
    assert!(failing.cases[0].problem.contains("should be []"), "{failing:?}");
    for (from, to, line, part) in [
        (
            "analyzer = \"old_files\"",
            "analyzer = \"tea_leaves\"",
            36,
            "no analyzer `tea_leaves`",
        ),
        (
            "cause = \"old_files\"",
            "cause = \"old_news\"",
            35,
            "has no remedy or advice",
        ),
        ("{ found = \"/look", "{ found = \"/lok", 36, "points into no task"),
        ("{ found =", "{ fund =", 36, "no evidence `fund`"),
        (
            "{ paths = \"{paths}\" }",
            "{ paths = \"{path}\" }",
            50,
            "{path} is no input",
        ),
        (
            "capabilities = [\"fs:delete:{dir}/**\"]",
            "",
            49,
            "no capability `fs:delete:",
        ),
        ("verifies = true", "verifies = false", 40, "no [[proofs]]"),
        ("type = \"age\"", "type = \"agee\"", 20, "agee"),
    ] {
        let text = SHIPPED.replacen(from, to, 1);
        let problem = check(text).await.problems.join(" ");
        let place = format!("/x/old-files.toml:{line}: ");
        assert!(
            problem.contains(&place) && problem.contains(part),
            "{place}{part}: {problem}"
        );
    }
}

#[tokio::test]
async fn an_orchestrator_with_a_broken_runbook_does_not_start_and_says_where() {
    let Some(bench) = Bench::prepare() else { return };
    bench.runbook(
        "own.toml",
        &SHIPPED.replacen("analyzer = \"old_files\"", "analyzer = \"tea\"", 1),
    );
    let said = bench.refuses_to_start();
    assert!(
        said.contains("own.toml:36") && said.contains("no analyzer `tea`"),
        "{said}"
    );
}
