//! A restore that was cut off between its two exchanges is gone through with before any file is read.
#![cfg(test)]

mod common;

use aios_core::exchange::{self, Exchange};
use common::{Instance, is_root};
use std::fs;

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";

#[tokio::test]
async fn a_restore_that_was_cut_off_is_complete_before_any_file_is_read() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[]);
    let at = |path: &str| tree.path().join(path);
    let aside = |name: &str, which: &str| exchange::aside(&at(name)).join(which);
    // The state took its place already: what lies aside is the old one. The administrator's files did not.
    for directory in [
        at("var/backup"),
        aside("var", "restore-1"),
        aside("etc", "restore-1/services"),
    ] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(aside("var", "restore-1/old"), "").unwrap();
    fs::write(aside("etc", "restore-1/services/restored.toml"), SLEEP).unwrap();
    fs::copy(at("etc/config.toml"), aside("etc", "restore-1/config.toml")).unwrap();
    let exchange = Exchange::new(
        aside("var", "restore-1"),
        aside("var", "before-restore-1"),
        aside("etc", "restore-1"),
        aside("etc", "before-restore-1"),
    )
    .unwrap();
    fs::write(
        at("var/backup/exchange.json"),
        serde_json::to_vec(&exchange).unwrap(),
    )
    .unwrap();

    let [state, etc] = [
        aside("var", "before-restore-1/old"),
        aside("etc", "before-restore-1"),
    ];
    let mut instance = Instance::start_on(tree);
    instance.until_state("restored", "ready").await;
    assert!(state.exists() && etc.join("config.toml").exists() && !etc.join("services").exists());
    assert!(!instance.path("var/backup/exchange.json").exists());
    assert!(
        instance
            .log()
            .contains("a restore that was cut off is complete now")
    );
    assert!(instance.stop());
}
