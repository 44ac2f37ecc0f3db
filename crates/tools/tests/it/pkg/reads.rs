//! What the looking tools tell.

use super::bed::{Bed, Deb};
use super::{web, web_version};
use serde_json::json;
use std::fs;

#[tokio::test]
async fn packages_are_listed_found_and_described_as_they_are() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    bed.publish("other", "1:3", &Deb::default());
    let list = bed.done("pkg.list", json!({})).await;
    assert_eq!(list["total"], 2, "{list:#}");
    assert_eq!(list["packages"][0]["name"], "libweb");
    assert_eq!(list["packages"][0]["automatic"], true);
    assert_eq!(list["packages"][1]["automatic"], false);
    assert_eq!(list["packages"][1]["state"], "installed");
    let list = bed
        .done("pkg.list", json!({"name_glob": "lib*", "limit": 1}))
        .await;
    assert_eq!((&list["total"], &list["truncated"]), (&json!(1), &json!(false)));
    let hits = bed.done("pkg.search", json!({"text": "of the TEST"})).await;
    assert_eq!(hits["total"], 3, "{hits:#}");
    assert_eq!(hits["packages"][2]["installed_version"], "1.0");
    assert_eq!(
        bed.done("pkg.search", json!({"text": "w.b", "names_only": true}))
            .await["total"],
        0
    );
    let files = bed.done("pkg.files", json!({"name": "web"})).await;
    let paths: Vec<_> = files["paths"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it.as_str())
        .collect();
    assert!(
        paths.contains(&"/etc/web/web.conf") && paths.contains(&"/usr/share/web/index"),
        "{paths:?}"
    );
    let info = bed.done("pkg.info", json!({"name": "web"})).await;
    assert_eq!(info["installed_version"], "1.0");
    assert_eq!(
        (&info["depends"], &info["homepage"]),
        (&json!("libweb"), &json!("http://example.org"))
    );
    assert_eq!(
        info["conffiles"],
        json!([{"path": "/etc/web/web.conf", "exists": true, "changed": false}])
    );
    assert!(info["download_bytes"].as_u64() > Some(100), "{info:#}");
    fs::write(bed.root.join("etc/web/web.conf"), "port 81\n").unwrap();
    let info = bed.done("pkg.info", json!({"name": "web"})).await;
    assert_eq!(info["conffiles"][0]["changed"], true);
    let other = bed.done("pkg.info", json!({"name": "other"})).await;
    assert_eq!(
        (
            &other["state"],
            &other["installed_version"],
            &other["candidate_version"]
        ),
        (&json!("not_installed"), &json!(null), &json!("1:3"))
    );
}

#[tokio::test]
async fn newer_versions_and_what_is_held_are_told() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    let none = bed.done("pkg.check_updates", json!({})).await;
    assert_eq!(none["updates"], json!([]));
    assert!(none["lists_fetched_ms"].as_i64() > Some(0));
    web_version(&bed, "2.0", "port 80\n", "Depends: libweb, libnew\n");
    bed.publish("libnew", "1", &Deb::default());
    let some = bed.done("pkg.check_updates", json!({})).await;
    assert_eq!(some["updates"][0]["candidate_version"], "2.0", "{some:#}");
    assert_eq!(
        (&some["security"], &some["new_packages"]),
        (&json!(0), &json!(["libnew"]))
    );
    let mut hold = bed
        .dpkg(&["--set-selections"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(hold.stdin.as_mut().unwrap(), b"web hold\n").unwrap();
    drop(hold.stdin.take());
    assert!(hold.wait().unwrap().success());
    let held = bed.done("pkg.list", json!({"which": "held"})).await;
    assert_eq!(held["packages"][0]["name"], "web");
    let kept = bed.done("pkg.check_updates", json!({})).await;
    assert_eq!(
        (&kept["updates"], &kept["kept_back"]),
        (&json!([]), &json!(["web"])),
        "{kept:#}"
    );
}

#[tokio::test]
async fn the_history_names_our_calls_and_what_others_did() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    let key = bed.change("pkg.install", json!({"names": ["web"]})).await;
    bed.publish("hand", "1", &Deb::default());
    assert!(bed.by_hand("hand_1_all.deb"));
    let history = bed.done("pkg.history", json!({})).await;
    let call = &history["calls"][0];
    assert_eq!(
        (&call["task_id"], &call["step"]),
        (&json!(key.task.to_string()), &json!(key.step))
    );
    assert_eq!(
        (&call["tool"], &call["state"]),
        (&json!("pkg.install"), &json!("done"))
    );
    assert_eq!(call["packages"].as_array().unwrap().len(), 2, "{call:#}");
    assert_eq!(history["apt"].as_array().unwrap().len(), 1);
    assert_eq!(history["dpkg"][0]["name"], "hand");
    let only = bed.done("pkg.history", json!({"name": "hand"})).await;
    assert_eq!((&only["calls"], &only["apt"]), (&json!([]), &json!([])));
    assert_eq!(
        only["dpkg"].as_array().unwrap().len(),
        2,
        "install and configure: {only:#}"
    );
}
