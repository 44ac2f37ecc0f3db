//! Changes, and what brings back what was there.

use super::bed::{Bed, Deb};
use super::{ENABLE, web, web_version};
use crate::common::{Answer, code, result};
use serde_json::json;
use std::fs;

#[tokio::test]
async fn an_installation_with_what_it_needs_is_undone() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    fs::create_dir_all(bed.root.join("etc/rc2.d")).unwrap();
    std::os::unix::fs::symlink("../init.d/mine", bed.root.join("etc/rc2.d/S01mine")).unwrap();
    let before = bed.photo().await;
    let key = bed.key();
    let done = result(bed.call_as(key, "pkg.install", json!({"names": ["web"]})).await);
    assert_eq!(done["packages"][1]["version_now"], "1.0", "{done:#}");
    assert_eq!(done["conffiles"], json!(["/etc/web/web.conf"]));
    assert_eq!(done["enablement"].as_array().unwrap().len(), 2);
    assert!(bed.root.join("usr/share/web/index").exists());
    assert!(bed.root.join("etc/rc2.d/S01web").is_symlink());
    let undone = result(bed.undo(key).await);
    assert!(
        undone["undo"]
            .as_str()
            .unwrap()
            .contains("it does not bring back")
    );
    assert_eq!(bed.photo().await, before);
    assert!(!bed.root.join("usr/share/web/index").exists());
    assert_eq!(
        bed.guard
            .log()
            .iter()
            .filter(|line| line.starts_with("intent"))
            .count(),
        2,
        "each change is in the log"
    );
}

#[tokio::test]
async fn what_is_removed_or_purged_comes_back_with_edited_files_and_enablement() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    fs::write(bed.root.join("etc/web/web.conf"), "port 8080 # mine\n").unwrap();
    let before = bed.photo().await;
    for (args, left) in [
        (json!({"names": ["web"]}), true),
        (json!({"names": ["web"], "purge": true}), false),
        // What needs it goes too, and is named.
        (json!({"names": ["libweb"], "purge": true}), false),
    ] {
        let key = bed.change("pkg.remove", args.clone()).await;
        assert!(!bed.root.join("usr/share/web/index").exists());
        assert_eq!(bed.root.join("etc/web/web.conf").exists(), left, "{args}");
        assert!(!bed.root.join("etc/rc2.d/S01web").is_symlink());
        result(bed.undo(key).await);
        assert_eq!(bed.photo().await, before, "{args}");
        assert!(bed.root.join("usr/share/web/index").exists());
    }
}

#[tokio::test]
async fn an_upgrade_is_undone_and_the_earlier_set_comes_back() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    let first = bed.photo().await;
    let install = bed.change("pkg.install", json!({"names": ["web"]})).await;
    let old = bed.photo().await;
    web_version(&bed, "2.0", "port 80\nnew yes\n", "Depends: libweb, libnew\n");
    bed.publish("libnew", "1", &Deb::default());
    // The old version is in no source any more: what was fetched was kept.
    bed.withdraw("web_1.0_all.deb");
    let upgrade = bed.change("pkg.install", json!({"names": ["web"]})).await;
    let conf = bed.root.join("etc/web/web.conf");
    assert_eq!(fs::read_to_string(&conf).unwrap(), "port 80\nnew yes\n");
    let new = bed.photo().await;
    assert_ne!(new, old);
    result(bed.undo(upgrade).await);
    assert_eq!(bed.photo().await, old);
    let again = bed
        .change(
            "pkg.install",
            json!({"names": ["web"], "versions": {"web": "2.0"}}),
        )
        .await;
    let args = json!({"task_id": again.task.to_string(), "step": again.step});
    let back = bed.change("pkg.rollback", args).await;
    assert_eq!(bed.photo().await, old);
    result(bed.undo(back).await);
    assert_eq!(bed.photo().await.0, new.0);
    // All the way back, across everything that was done since.
    let args = json!({"task_id": install.task.to_string(), "step": install.step});
    bed.change("pkg.rollback", args).await;
    assert_eq!(bed.photo().await, first);
}

#[tokio::test]
async fn packages_that_exclude_each_other_are_exchanged_and_back() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    bed.publish("mail-a", "1", &Deb::default());
    bed.publish(
        "mail-b",
        "1",
        &Deb {
            control: "Conflicts: mail-a\n",
            ..Deb::default()
        },
    );
    bed.change("pkg.install", json!({"names": ["mail-a"]})).await;
    let before = bed.photo().await;
    let key = bed.change("pkg.install", json!({"names": ["mail-b"]})).await;
    let now = bed.done("pkg.list", json!({})).await;
    assert_eq!(now["packages"][0]["name"], "mail-b", "{now:#}");
    result(bed.undo(key).await);
    assert_eq!(bed.photo().await, before);
}

#[tokio::test]
async fn what_a_person_changed_since_is_not_undone() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    let key = bed.change("pkg.install", json!({"names": ["web"]})).await;
    fs::write(bed.root.join("etc/web/web.conf"), "mine\n").unwrap();
    let Answer::Failed(failed) = bed.undo(key).await else {
        panic!("it was undone")
    };
    let error = failed.error.unwrap();
    assert_eq!(error.code, "AIOS-TOOLS-0019");
    assert!(
        error
            .message
            .contains("/etc/web/web.conf: its content was changed"),
        "{}",
        error.message
    );
    fs::write(bed.root.join("etc/web/web.conf"), "port 80\n").unwrap();
    web_version(&bed, "2.0", "port 80\n", "Depends: libweb\n");
    assert!(bed.by_hand("web_2.0_all.deb"));
    let conflict = bed.undo(key).await;
    assert_eq!(code(&conflict), "AIOS-TOOLS-0019");
}

#[tokio::test]
async fn half_configured_packages_are_found_and_finished() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    let script = format!("test -e \"$DPKG_ROOT/etc/ready\" || exit 3\n{ENABLE}");
    let deb = Deb {
        scripts: &[("postinst", &script)],
        ..Deb::default()
    };
    bed.publish("half", "1", &deb);
    bed.publish("fine", "1", &Deb::default());
    assert!(!bed.by_hand("half_1_all.deb"));
    let half = bed.done("pkg.list", json!({"which": "unsettled"})).await;
    assert_eq!(half["packages"][0]["state"], "half_configured", "{half:#}");
    // Nothing is built on what is half done.
    assert_eq!(
        code(&bed.call("pkg.install", json!({"names": ["fine"]})).await),
        "AIOS-PKG-0006"
    );
    let failed = bed.call("pkg.configure", json!({})).await;
    assert_eq!(code(&failed), "AIOS-PKG-0001", "its script still fails");
    fs::write(bed.root.join("etc/ready"), "").unwrap();
    let key = bed.key();
    let done = result(bed.call_as(key, "pkg.configure", json!({})).await);
    assert_eq!(
        (&done["configured"], &done["left"]),
        (&json!(["half"]), &json!([]))
    );
    assert_eq!(code(&bed.undo(key).await), "AIOS-TOOLS-0018");
    let nothing = bed.done("pkg.configure", json!({})).await;
    assert_eq!(nothing["configured"], json!([]));
}

#[tokio::test]
async fn a_script_that_fails_leaves_nothing_behind() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    let before = bed.photo().await;
    let bad = Deb {
        files: &[("/etc/bad.conf", "x")],
        scripts: &[("postinst", "exit 7")],
        ..Deb::default()
    };
    bed.publish("bad", "1", &bad);
    bed.publish(
        "web",
        "3.0",
        &Deb {
            control: "Depends: bad\n",
            ..Deb::default()
        },
    );
    for name in ["bad", "web"] {
        let failed = bed.call("pkg.install", json!({"names": [name]})).await;
        assert_eq!(code(&failed), "AIOS-PKG-0001", "{name}: {failed:?}");
        assert_eq!(bed.photo().await, before, "{name}");
    }
}
