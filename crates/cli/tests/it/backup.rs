//! Backups from the command line: keys that cannot be forgotten, what is shown, and what is refused.

use std::fs;
use std::path::Path;

use crate::support::Bench;
use aios_client::doubles::Double;
use aiosctl::Exit;

/// An instance with the vendor's policy and a configuration.
async fn bench(services: &[Double]) -> Bench {
    let bench = Bench::with(services).await;
    for directory in ["vendor", "etc"] {
        fs::create_dir_all(bench.path(directory)).unwrap();
    }
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/policy.toml");
    fs::copy(policy, bench.path("vendor/policy.toml")).unwrap();
    fs::write(bench.path("etc/config.toml"), "[guard]\n").unwrap();
    bench
}

fn text(bench: &Bench, name: &str) -> String {
    bench.path(name).display().to_string()
}

#[tokio::test]
async fn with_a_key_in_place_every_backup_is_encrypted_and_recorded() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = bench(&[Double::Guard]).await;
    let (key, file) = (text(&bench, "key"), text(&bench, "x.aios"));
    let ran = bench.run(&["--json", "backup", "key", &key]).await;
    assert!(ran.json()["key"].as_str().unwrap().starts_with("age1"), "{ran:?}");
    fs::copy(bench.path("key.pub"), bench.path("etc/backup.pub")).unwrap();

    let made = bench.run(&["--json", "backup", "create", &file]).await;
    assert_eq!(made.exit, Exit::Done, "{made:?}");
    let made = made.json();
    assert_eq!(
        (&made["encrypted"], &made["at_once"]),
        (&true.into(), &true.into())
    );
    let record = bench
        .run(&["--json", "audit", "show", &made["audit_seq"].to_string()])
        .await
        .json();
    assert_eq!(record["kind"], "backup.created");
    assert!(
        record.to_string().contains(made["backup"].as_str().unwrap()),
        "{record}"
    );

    let locked = bench.run(&["backup", "verify", &file]).await;
    assert!(
        locked.exit == Exit::Denied && locked.err.contains("AIOS-BACKUP-0012"),
        "{locked:?}"
    );
    let verified = bench.run(&["backup", "verify", &file, "--key", &key]).await;
    assert!(
        verified.exit == Exit::Done && verified.out.contains("whole"),
        "{verified:?}"
    );
    let shown = bench
        .run(&["backup", "inspect", &file, "--key", &key, "--files"])
        .await;
    assert!(
        shown.out.contains("etc/config.toml") && shown.out.contains("encrypted"),
        "{shown:?}"
    );
    let again = bench.run(&["backup", "create", &file]).await;
    assert!(
        again.exit == Exit::Failed && again.err.contains("AIOS-BACKUP-0003"),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_backup_in_the_clear_and_one_that_is_not_recorded_are_told() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = bench(&[Double::Init]).await;
    let file = text(&bench, "x.aios");
    let made = bench.run(&["backup", "create", "--plain", &file]).await;
    assert_eq!(made.exit, Exit::Done, "{made:?}");
    for told in ["not encrypted", "not recorded in the audit log"] {
        assert!(made.err.contains(told), "{told}: {made:?}");
    }
    let restored = bench.run(&["backup", "restore", &file, "--dry-run"]).await;
    assert!(restored.out.contains("nothing was put in place"), "{restored:?}");

    fs::write(bench.path("etc/config.toml"), "changed").unwrap();
    let restored = bench.run(&["backup", "restore", &file]).await;
    assert!(
        restored.exit == Exit::Done && restored.out.contains("next: make up"),
        "{restored:?}"
    );
    assert_eq!(
        fs::read_to_string(bench.path("etc/config.toml")).unwrap(),
        "[guard]\n"
    );

    fs::write(&file, "something else").unwrap();
    let foreign = bench.run(&["--json", "backup", "inspect", &file]).await;
    assert!(
        foreign.exit == Exit::Failed && foreign.err.contains("AIOS-BACKUP-0014"),
        "{foreign:?}"
    );
}
