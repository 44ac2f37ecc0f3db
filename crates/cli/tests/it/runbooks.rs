//! Runbooks from the command line, against doubles on real sockets.

use crate::support::Bench;
use aiosctl::Exit;
use std::fs;

#[tokio::test]
async fn runbooks_are_listed_with_the_words_that_start_them() {
    let bench = Bench::new().await;
    let ran = bench.run(&["runbook", "list"]).await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    assert!(
        ran.out.contains("free-space") && ran.out.contains("free space under /var/log"),
        "{ran:?}"
    );
    let json = bench.run(&["--json", "runbook", "list"]).await.json();
    assert_eq!(json[0]["causes"][0], "old_files");
    assert_eq!(json[0]["inputs"][0]["kind"], "dir");
}

#[tokio::test]
async fn a_broken_runbook_is_told_with_its_file_and_line_and_fails() {
    let bench = Bench::new().await;
    let (good, bad) = (bench.path("good.toml"), bench.path("bad.toml"));
    fs::write(&good, "name = \"x\"\n").unwrap();
    fs::write(&bad, "name = \"x\"\nbroken\n").unwrap();
    let (good, bad) = (good.display().to_string(), bad.display().to_string());
    let ran = bench.run(&["runbook", "check", &good]).await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    let ran = bench.run(&["runbook", "check", &good, &bad]).await;
    assert_eq!(ran.exit, Exit::Failed, "{ran:?}");
    assert!(ran.out.contains("bad.toml:2: something is broken"), "{ran:?}");
    let json = bench.run(&["--json", "runbook", "check", &bad]).await.json();
    assert!(json[0]["problems"][0].as_str().unwrap().contains("bad.toml:2"));
    let ran = bench.run(&["runbook", "check", "/nowhere.toml"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("AIOS-CLI-0019"), "{ran:?}");
}

#[tokio::test]
async fn without_a_file_the_runbooks_of_both_layers_are_checked() {
    let bench = Bench::new().await;
    let ran = bench.run(&["runbook", "check"]).await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    let admin = bench.path("etc/runbooks");
    fs::create_dir_all(&admin).unwrap();
    fs::write(admin.join("own.toml"), "broken\n").unwrap();
    let ran = bench.run(&["runbook", "check"]).await;
    assert_eq!(ran.exit, Exit::Failed, "{ran:?}");
    assert!(ran.out.contains("own.toml:1"), "{ran:?}");
}

#[tokio::test]
async fn a_case_that_fails_says_why() {
    let bench = Bench::new().await;
    let file = bench.path("x.toml");
    fs::write(&file, "name = \"x\"\n").unwrap();
    let name = file.display().to_string();
    let ran = bench.run(&["runbook", "test", &name]).await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    assert!(ran.out.contains("passed  free space\n  1 case tried"), "{ran:?}");
    fs::write(&file, "failing\n").unwrap();
    let ran = bench.run(&["runbook", "test", &name]).await;
    assert_eq!(ran.exit, Exit::Failed, "{ran:?}");
    assert!(ran.out.contains("should be [\"disk_full\"]"), "{ran:?}");
}
