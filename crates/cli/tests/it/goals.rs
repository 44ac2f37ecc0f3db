//! Goals and approvals from the command line, against doubles on real sockets.

use crate::support::{Bench, id_after, stable};
use aiosctl::Exit;

const FREE: &str = "free space under /var/tmp/logs: delete *.log older than 7 days";

#[tokio::test]
async fn a_goal_that_needs_approval_ends_with_4_and_says_how_to_approve() {
    let bench = Bench::enrolled().await;
    let ran = bench.run(&["goal", "run", FREE]).await;
    assert_eq!(ran.exit, Exit::NeedsApproval);
    insta::assert_snapshot!(ran.stable());
}

#[tokio::test]
async fn approved_by_command_the_goal_completes_and_is_undone() {
    let bench = Bench::enrolled().await;
    let first = bench.run(&["goal", "run", FREE]).await;
    let approval = id_after(&first.out, "approval approve");
    let approved = bench.run(&["approval", "approve", &approval]).await;
    insta::assert_snapshot!("approved", approved.stable());
    let goal = id_after(&first.out, "goal ");
    insta::assert_snapshot!("shown", bench.run(&["goal", "show", &goal]).await.stable());
    insta::assert_snapshot!("undone", bench.run(&["goal", "undo", &goal]).await.stable());
    insta::assert_snapshot!("listed", bench.run(&["goal", "list"]).await.stable());
    let again = bench.run(&["goal", "undo", &goal]).await;
    assert_eq!(again.exit, Exit::Failed);
    assert!(again.err.starts_with("error[AIOS-DOUBLE-0013]: "), "{again:?}");
}

#[tokio::test]
async fn a_person_at_the_terminal_is_asked_and_yes_completes_it() {
    let bench = Bench::enrolled().await;
    let ran = bench.answered(&["goal", "run", FREE], "y\n").await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    insta::assert_snapshot!(ran.stable());
}

#[tokio::test]
async fn anything_but_yes_declines_and_the_goal_is_denied() {
    for answer in ["n\n", "\n", "", "yess\n"] {
        let bench = Bench::enrolled().await;
        let ran = bench.answered(&["goal", "run", FREE], answer).await;
        assert_eq!(ran.exit, Exit::Denied, "{answer:?}: {ran:?}");
        assert!(ran.out.contains("a person declined the call"), "{ran:?}");
    }
}

#[tokio::test]
async fn without_a_key_nothing_can_be_approved() {
    let bench = Bench::new().await;
    let first = bench.run(&["goal", "run", FREE]).await;
    let approval = id_after(&first.out, "approval approve");
    let ran = bench.run(&["approval", "approve", &approval]).await;
    assert_eq!(ran.exit, Exit::Denied);
    assert!(
        ran.err.contains("AIOS-CLI-0007") && ran.err.contains("next: enrol first"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn with_follow_it_keeps_waiting_until_somebody_approves_elsewhere() {
    let bench = Bench::enrolled().await;
    let elsewhere = async {
        loop {
            let listed = bench.run(&["approval", "list", "--json"]).await.json();
            if let Some(approval) = listed
                .get(0)
                .and_then(|approval| approval["approval_id"].as_str().map(str::to_owned))
            {
                return bench.run(&["approval", "approve", &approval]).await;
            }
            tokio::task::yield_now().await;
        }
    };
    let (followed, approved) = tokio::join!(bench.run(&["goal", "run", FREE, "--follow"]), elsewhere);
    assert_eq!(approved.exit, Exit::Done, "{approved:?}");
    assert_eq!(followed.exit, Exit::Done, "{followed:?}");
    assert!(followed.out.contains("completed: Freed 6.0 KiB"), "{followed:?}");
}

#[tokio::test]
async fn a_goal_that_policy_denies_ends_with_3_and_shows_the_code() {
    let bench = Bench::enrolled().await;
    let ran = bench.run(&["goal", "run", "do something forbidden"]).await;
    assert_eq!(ran.exit, Exit::Denied);
    insta::assert_snapshot!(ran.stable());
}

#[tokio::test]
async fn a_goal_that_nothing_fits_asks_and_takes_a_reply() {
    let bench = Bench::enrolled().await;
    let ran = bench.run(&["goal", "run", "make coffee"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    insta::assert_snapshot!(ran.stable());
    let goal = id_after(&ran.out, "goal reply");
    let replied = bench.run(&["goal", "reply", &goal, "never mind"]).await;
    assert_eq!(replied.exit, Exit::Done, "{replied:?}");
}

#[tokio::test]
async fn a_dry_run_and_a_detached_goal_ask_nothing() {
    let bench = Bench::new().await;
    let dry = bench.run(&["goal", "run", FREE, "--dry-run"]).await;
    assert_eq!(dry.exit, Exit::Done, "{dry:?}");
    assert!(dry.out.contains("would be deleted"), "{dry:?}");
    let detached = bench
        .run(&[
            "goal",
            "run",
            FREE,
            "--detach",
            "--priority",
            "9",
            "--level",
            "manual",
        ])
        .await;
    assert_eq!(detached.exit, Exit::Done, "{detached:?}");
    let goal = id_after(&detached.out, "goal ");
    let shown = bench.run(&["--json", "goal", "show", &goal]).await.json();
    assert_eq!(shown["goal"]["priority"], 9);
    assert_eq!(shown["goal"]["autonomy"], "manual");
    let cancelled = bench.run(&["goal", "cancel", &goal[24..]]).await;
    assert_eq!(stable(&cancelled.out), "cancelled: Cancelled by a person.\n");
    assert_eq!(bench.run(&["goal", "watch", &goal]).await.exit, Exit::Failed);
}

#[tokio::test]
async fn json_is_one_event_a_line_and_the_goal_at_the_end() {
    let bench = Bench::enrolled().await;
    let ran = bench
        .run(&["--json", "goal", "run", "do something forbidden"])
        .await;
    assert_eq!(ran.exit, Exit::Denied);
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 2 && lines[0]["seq"] == 1, "{ran:?}");
    let last = lines.last().expect("a line");
    assert_eq!(last["goal"]["state"], "failed");
    assert_eq!(last["goal"]["error"]["code"], "AIOS-GUARD-0101");
}

#[tokio::test]
async fn a_call_by_hand_prints_its_result_and_a_change_is_asked_about() {
    let bench = Bench::enrolled().await;
    let read = bench
        .run(&["tool", "call", "fs.stat", "{\"path\":\"/etc/hostname\"}"])
        .await;
    insta::assert_snapshot!(read.stable());
    let change = bench
        .run(&["tool", "call", "fs.delete", "{\"path\":\"/etc/hostname\"}"])
        .await;
    assert_eq!(change.exit, Exit::NeedsApproval, "{change:?}");
}

#[tokio::test]
async fn approvals_are_listed_shown_and_denied_with_a_remembered_scope() {
    let bench = Bench::enrolled().await;
    let none = bench.run(&["approval", "list"]).await;
    assert_eq!(none.out, "nothing waits for a person\n");
    bench.run(&["goal", "run", FREE]).await;
    let list = bench.run(&["approval", "list"]).await;
    insta::assert_snapshot!("approvals_listed", list.stable());
    let approval = bench.run(&["approval", "list", "--json"]).await.json()[0]["approval_id"]
        .as_str()
        .unwrap()
        .to_owned();
    insta::assert_snapshot!(
        "approval_shown",
        bench.run(&["approval", "show", &approval]).await.stable()
    );
    let denied = bench
        .run(&[
            "approval",
            "deny",
            &approval,
            "--remember",
            "fs:delete:/var/tmp/logs/**",
        ])
        .await;
    insta::assert_snapshot!("approval_denied", denied.stable());
    assert_eq!(
        bench.run(&["approval", "approve", &approval]).await.exit,
        Exit::Failed
    );
    assert!(
        bench
            .run(&["approval", "list", "--all"])
            .await
            .out
            .contains("declined")
    );
}
