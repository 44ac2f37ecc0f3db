//! What the changing tools of the fs namespace refuse, and what a dry run says of them.

use crate::common::{Answer, House, code, photograph};
use crate::fs_changes::furnish;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// One call of each changing tool, on things that are there.
fn every_change(house: &House) -> Vec<(&'static str, Value)> {
    let at = |name: &str| house.path(name);
    vec![
        ("fs.append", json!({"path": at("t/file"), "content": "x"})),
        ("fs.mkdir", json!({"path": at("new")})),
        (
            "fs.copy",
            json!({"source": at("t"), "target": at("new"), "recursive": true}),
        ),
        ("fs.move", json!({"source": at("t"), "target": at("new")})),
        ("fs.symlink", json!({"path": at("new"), "target": "t"})),
        (
            "fs.chmod",
            json!({"path": at("t"), "mode": "0700", "recursive": true}),
        ),
        (
            "fs.chown",
            json!({"path": at("t"), "owner": "1234", "recursive": true}),
        ),
        (
            "fs.archive",
            json!({"paths": [at("t")], "target": at("new.tar.gz")}),
        ),
        ("fs.delete", json!({"path": at("t"), "recursive": true})),
    ]
}

#[tokio::test]
async fn nothing_changes_without_the_capability_for_every_place() {
    let house = House::new().await;
    furnish(&house);
    let before = photograph(&house.data);
    let data = house.data.display().to_string();
    let grants = [
        vec!["fs:*:/var/empty/**".to_owned()],
        vec![format!("fs:read:{data}/**"), format!("fs:grep:{data}/**")],
        // One level only: what lies deeper in `t` is not granted.
        vec![
            format!("fs:read:{data}/*"),
            format!("fs:delete:{data}/*"),
            format!("fs:chown:{data}/*"),
            format!("fs:chmod:{data}/*"),
        ],
    ];
    for capabilities in grants {
        let capabilities: Vec<&str> = capabilities.iter().map(String::as_str).collect();
        for (tool, args) in every_change(&house) {
            let token = house.grant(&capabilities, 60_000);
            let refused = house.call_as(token, house.key(), tool, args).await;
            assert!(matches!(refused, Answer::Denied(_)), "{tool}: {refused:?}");
            assert_eq!(code(&refused), "AIOS-TOOLS-0005", "{tool} {capabilities:?}");
        }
    }
    assert_eq!(photograph(&house.data), before);
}

#[tokio::test]
async fn links_out_mounts_and_names_outside_stop_every_change() {
    let house = House::new().await;
    let outside = house.home.path().canonicalize().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "1").unwrap();
    symlink(&outside, house.path("out")).unwrap();
    let before = photograph(&outside);
    for (tool, args) in [
        (
            "fs.append",
            json!({"path": house.path("out/secret"), "content": "x"}),
        ),
        ("fs.grep", json!({"path": house.path("out"), "pattern": "1"})),
        ("fs.mkdir", json!({"path": house.path("out/new")})),
        (
            "fs.mkdir",
            json!({"path": house.path("out/new/deep"), "parents": true}),
        ),
        (
            "fs.copy",
            json!({"source": house.path("out/secret"), "target": house.path("x")}),
        ),
        (
            "fs.move",
            json!({"source": house.path("out/secret"), "target": house.path("x")}),
        ),
        (
            "fs.symlink",
            json!({"path": house.path("out/new"), "target": "x"}),
        ),
        ("fs.chmod", json!({"path": house.path("out"), "mode": "0777"})),
        (
            "fs.chown",
            json!({"path": house.path("out/secret"), "owner": "1"}),
        ),
        (
            "fs.archive",
            json!({"paths": [house.path("out/secret")], "target": house.path("x.tgz")}),
        ),
        (
            "fs.delete",
            json!({"path": house.path("out/secret"), "recursive": true}),
        ),
    ] {
        assert_eq!(code(&house.call(tool, args).await), "AIOS-TOOLS-0006", "{tool}");
    }
    fs::create_dir(house.path("dir")).unwrap();
    fs::hard_link(outside.join("secret"), house.path("dir/inside")).unwrap();
    let linked = photograph(&house.data);
    for (tool, args) in [
        (
            "fs.append",
            json!({"path": house.path("dir/inside"), "content": "x"}),
        ),
        (
            "fs.chmod",
            json!({"path": house.path("dir"), "mode": "0700", "recursive": true}),
        ),
        (
            "fs.chown",
            json!({"path": house.path("dir/inside"), "owner": "1"}),
        ),
    ] {
        assert_eq!(code(&house.call(tool, args).await), "AIOS-TOOLS-0008", "{tool}");
    }
    assert_eq!(photograph(&house.data), linked);
    fs::remove_file(house.path("dir/inside")).unwrap();
    assert_eq!(photograph(&outside), before);
    // A recursive deletion removes a link and not what it leads to.
    symlink(&outside, house.path("dir/out")).unwrap();
    house
        .done("fs.delete", json!({"path": house.path("dir"), "recursive": true}))
        .await;
    assert_eq!(photograph(&outside), before);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    fs::create_dir_all(house.path("tree/mnt")).unwrap();
    rustix::mount::mount_bind(&outside, house.path("tree/mnt")).unwrap();
    let tree = house.path("tree");
    let mut codes = Vec::new();
    for (tool, args) in [
        ("fs.delete", json!({"path": tree, "recursive": true})),
        (
            "fs.copy",
            json!({"source": tree, "target": house.path("x"), "recursive": true}),
        ),
        ("fs.move", json!({"source": tree, "target": house.path("x")})),
        (
            "fs.chmod",
            json!({"path": tree, "mode": "0700", "recursive": true}),
        ),
        (
            "fs.archive",
            json!({"paths": [tree], "target": house.path("x.tgz")}),
        ),
    ] {
        codes.push((tool, code(&house.call(tool, args).await)));
    }
    rustix::mount::unmount(house.path("tree/mnt"), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(
        codes.iter().all(|(_, code)| code == "AIOS-TOOLS-0006"),
        "{codes:?}"
    );
    assert_eq!(photograph(&outside), before);
}

#[tokio::test]
async fn what_cannot_be_given_back_is_refused_before_anything_changes() {
    let house = House::new().await;
    fs::create_dir(house.path("dir")).unwrap();
    fs::write(house.path("dir/a"), "1").unwrap();
    let pipe = std::os::unix::net::UnixListener::bind(house.path("dir/socket")).unwrap();
    let before = photograph_files(&house);
    for (tool, args) in [
        ("fs.delete", json!({"path": house.path("dir"), "recursive": true})),
        (
            "fs.copy",
            json!({"source": house.path("dir"), "target": house.path("x"), "recursive": true}),
        ),
        (
            "fs.chmod",
            json!({"path": house.path("dir"), "mode": "0700", "recursive": true}),
        ),
    ] {
        assert_eq!(code(&house.call(tool, args).await), "AIOS-TOOLS-0010", "{tool}");
        assert_eq!(photograph_files(&house), before, "{tool}");
    }
    drop(pipe);
    let not_recursive = json!({"path": house.path("dir")});
    assert_eq!(
        code(&house.call("fs.delete", not_recursive).await),
        "AIOS-TOOLS-0010"
    );
}

fn photograph_files(house: &House) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> = fs::read_dir(house.path("dir"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_dry_run_of_every_change_says_how_much_and_changes_nothing() {
    let house = House::new().await;
    furnish(&house);
    let before = photograph(&house.data);
    for (tool, args) in every_change(&house) {
        let request = aios_proto::tools::v1::CallRequest {
            token: house.token(),
            key: Some(house.key().into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: 0,
            dry_run: true,
        };
        let Answer::DryRun(dry) = house.pipeline.call(request).await.unwrap() else {
            panic!("{tool}")
        };
        assert!(dry.files > 0 && !dry.summary.is_empty(), "{tool}: {dry:?}");
        assert_eq!(photograph(&house.data), before, "{tool}");
    }
}
