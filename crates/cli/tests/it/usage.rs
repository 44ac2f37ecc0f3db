//! The command line itself: help, completions, wrong words, nobody there.

use crate::support::Bench;
use aiosctl::Exit;

const ID: &str = "01930000-0000-7000-8000-000000000001";

#[tokio::test]
async fn help_of_every_noun() {
    let bench = Bench::empty();
    insta::assert_snapshot!("help", bench.run(&["--help"]).await.out);
    for noun in [
        "goal",
        "approval",
        "tool",
        "schedule",
        "agent",
        "memory",
        "audit",
        "os",
        "backup",
        "service",
        "policy",
        "runbook",
        "config",
        "emergency",
        "console",
        "person",
    ] {
        insta::assert_snapshot!(format!("help_{noun}"), bench.run(&[noun, "--help"]).await.out);
    }
    insta::assert_snapshot!("help_goal_run", bench.run(&["goal", "run", "--help"]).await.out);
}

#[tokio::test]
async fn wrong_words_are_answered_with_a_code_and_a_next_step() {
    let bench = Bench::empty();
    let long = "x".repeat(4097);
    let cases: &[&[&str]] = &[
        &[],
        &["gaol"],
        &["--colour"],
        &["--color", "pink", "status"],
        &["status", "extra"],
        &["goal"],
        &["goal", "run"],
        &["goal", "run", "   "],
        &["goal", "run", &long],
        &["goal", "run", "x", "--priority", "10"],
        &["goal", "run", "x", "--priority", "-1"],
        &["goal", "run", "x", "--level", "wild"],
        &["goal", "run", "x", "--follow", "--detach"],
        &["goal", "list", "--limit", "0"],
        &["goal", "list", "--state", "happy"],
        &["goal", "show"],
        &["goal", "show", "abc"],
        &["goal", "show", "../../etc"],
        &["goal", "cancel"],
        &["goal", "cancel", "zzzzzzzz"],
        &["goal", "cancel", ""],
        &["goal", "cancel", "12345"],
        &["goal", "cancel", "../../../etc"],
        &["goal", "cancel", &long],
        &["goal", "reply", ID],
        &["goal", "reply", ID, ""],
        &["goal", "undo", "12345"],
        &["goal", "undo", ""],
        &["goal", "undo", "' OR 1=1 --"],
        &["goal", "undo", &long],
        &["goal", "watch", "12345"],
        &["approval", "list", "--goal", "x"],
        &["approval", "show", "0193000000"],
        &["approval", "approve"],
        &["approval", "approve", "not-an-id"],
        &["approval", "approve", ""],
        &["approval", "approve", "0193000000"],
        &["approval", "approve", &long],
        &["approval", "deny"],
        &["approval", "deny", "not-an-id"],
        &["approval", "deny", "%%%%"],
        &["approval", "deny", &ID[1..]],
        &["approval", "deny", ID, "--remember", ""],
        &["approval", "notify"],
        &["approval", "notify", "--once"],
        &["approval", "notify", "--post", "https://example.org/"],
        &["approval", "notify", "--post", "ftp://example.org/"],
        &["approval", "notify", "--post", "/hook"],
        &["approval", "notify", "--every-ms", "1", "--", "/bin/true"],
        &["tool"],
        &["tool", "list", ""],
        &["tool", "list", "FS"],
        &["tool", "list", "fs.stat"],
        &["tool", "list", "fs; rm"],
        &["tool", "list", "../fs"],
        &["tool", "list", &long],
        &["tool", "show", "delete"],
        &["tool", "show", "fs."],
        &["tool", "call", "fs.stat"],
        &["tool", "call", "fs.stat", "{"],
        &["tool", "call", "fs.stat", "[]"],
        &["tool", "call", "FS.STAT", "{}"],
        &["schedule"],
        &["schedule", "add", "* * * * *"],
        &["schedule", "add", "* * *", "free space"],
        &["schedule", "add", "0 0 * * *", "  "],
        &["schedule", "add", "*", "*", "*", "*", "*", "free space"],
        &["schedule", "add", "@daily", "x", "--level", "wild"],
        &["schedule", "add", "@daily", "x", "--priority", "10"],
        &["schedule", "remove", "12345"],
        &["schedule", "remove", "../../etc"],
        &["schedule", "list", "all"],
        &["agent", "show", "x"],
        &["agent", "logs", ID, "-n", "0"],
        &["agent", "freeze"],
        &["agent", "thaw", "x"],
        &["memory", "decisions", "x"],
        &["memory", "recent", "-n", "x"],
        &["audit", "tail", "-n", "0"],
        &["audit", "tail", "--goal", "x"],
        &["audit", "show", "-1"],
        &["audit", "prove", "one"],
        &["audit", "verify", "a", "b"],
        &["audit", "export"],
        &["service", "status", ""],
        &["service", "restart", "a/b"],
        &["service", "logs"],
        &["boot", "now"],
        &["policy", "explain", "fs.delete", "nonsense"],
        &["policy", "explain", "fs", "{}"],
        &["runbook"],
        &["runbook", "list", "x"],
        &["runbook", "test"],
        &["runbook", "test", "a", "b"],
        &["config", "show", "--orign"],
        &["config", "check", "a", "b"],
        &["emergency", "pause"],
        &["emergency", "resume", "now"],
        &["console", "close"],
        &["person", "enroll"],
        &["completions", "tcsh"],
    ];
    for words in cases {
        let ran = bench.run(words).await;
        assert_eq!(ran.exit, Exit::Usage, "{words:?}: {ran:?}");
        assert!(ran.out.is_empty(), "{words:?}: {ran:?}");
        let coded = ran.err.starts_with("error[AIOS-CLI-0001]: ") && ran.err.contains("\nnext: ");
        assert!(coded, "{words:?}: {ran:?}");
    }
}

#[tokio::test]
async fn where_nobody_answers_every_command_says_which_socket() {
    let bench = Bench::empty();
    let cases: &[(&[&str], &str)] = &[
        (&["goal", "run", "free space"], "orchestrator"),
        (&["goal", "list"], "orchestrator"),
        (&["goal", "show", ID], "orchestrator"),
        (&["goal", "cancel", ID], "orchestrator"),
        (&["goal", "reply", ID, "yes"], "orchestrator"),
        (&["goal", "undo", ID], "orchestrator"),
        (&["goal", "watch", ID], "orchestrator"),
        (&["approval", "list"], "guard"),
        (&["approval", "show", ID], "guard"),
        (&["approval", "approve", ID], "guard"),
        (&["approval", "deny", ID], "guard"),
        (&["tool", "list"], "tools"),
        (&["tool", "show", "fs.stat"], "tools"),
        (&["tool", "call", "fs.stat", "{}"], "orchestrator"),
        (&["schedule", "list"], "orchestrator"),
        (&["schedule", "add", "@daily", "free space"], "orchestrator"),
        (&["schedule", "remove", ID], "orchestrator"),
        (&["agent", "list"], "sandbox"),
        (&["agent", "show", ID], "sandbox"),
        (&["agent", "logs", ID], "sandbox"),
        (&["agent", "freeze", ID], "sandbox"),
        (&["agent", "thaw", ID], "sandbox"),
        (&["memory", "stats"], "memory"),
        (&["memory", "decisions"], "memory"),
        (&["memory", "recent"], "memory"),
        (&["audit", "tail"], "guard"),
        (&["audit", "show", "1"], "guard"),
        (&["audit", "verify"], "guard"),
        (&["audit", "head"], "guard"),
        (&["audit", "prove", "1"], "guard"),
        (&["service", "list"], "init"),
        (&["service", "status", "x"], "init"),
        (&["service", "restart", "x"], "init"),
        (&["service", "logs", "x"], "init"),
        (&["boot"], "init"),
        (&["policy", "explain", "fs.stat", "{}"], "tools"),
        (&["runbook", "list"], "orchestrator"),
        (&["emergency", "stop"], "guard"),
        (&["emergency", "resume"], "guard"),
        (&["person", "enrol"], "guard"),
    ];
    for (words, service) in cases {
        let ran = bench.run(words).await;
        assert_eq!(ran.exit, Exit::Unreachable, "{words:?}: {ran:?}");
        assert!(
            ran.err.contains(&format!("ROOT/run/{service}.sock")),
            "{words:?}: {ran:?}"
        );
        assert!(ran.err.contains("\nnext: "), "{words:?}: {ran:?}");
    }
}

#[tokio::test]
async fn an_error_in_json_is_json_on_stderr() {
    let ran = Bench::empty().run(&["--json", "goal", "list"]).await;
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["code"], "AIOS-CLIENT-0001");
    assert!(ran.out.is_empty());
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    let bench = Bench::empty();
    for shell in ["bash", "zsh", "fish"] {
        let ran = bench.run(&["completions", shell]).await;
        assert!(ran.exit == Exit::Done && ran.out.contains("aiosctl"), "{shell}");
    }
}

#[tokio::test]
async fn colour_only_when_asked_for() {
    let bench = Bench::new().await;
    assert!(!bench.run(&["service", "list"]).await.out.contains('\u{1b}'));
    assert!(
        bench
            .run(&["--color", "always", "service", "list"])
            .await
            .out
            .contains("\u{1b}[2m")
    );
}
