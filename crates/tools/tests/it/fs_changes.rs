//! The changing tools of the fs namespace on real files: what each does, and that it is undone exactly.

use crate::common::{House, code, photograph, result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// A POSIX ACL: owner and group as the mode says, and the group 77 may read.
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 8, 0, 4, 0, 77, 0, 0, 0, 16,
    0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// A tree with everything that a tree can have.
pub(crate) fn furnish(house: &House) {
    fs::create_dir_all(house.path("t/sub/deep")).unwrap();
    fs::create_dir(house.path("t/empty")).unwrap();
    fs::write(house.path("t/file"), "some content").unwrap();
    fs::write(house.path("t/sub/twin"), "shared").unwrap();
    fs::hard_link(house.path("t/sub/twin"), house.path("t/sub/deep/twin")).unwrap();
    symlink("file", house.path("t/link")).unwrap();
    symlink("/nowhere", house.path("t/sub/dangling")).unwrap();
    for name in ["t", "t/file", "t/sub"] {
        xattr::set(house.path(name), "user.name", name.as_bytes()).unwrap();
    }
    xattr::set(house.path("t/file"), "system.posix_acl_access", ACL).unwrap();
    fs::set_permissions(house.path("t/sub"), fs::Permissions::from_mode(0o2750)).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    for name in ["t/file", "t/sub/deep", "t/empty"] {
        fs::File::open(house.path(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
}

/// Does a call, checks that it changed the tree, undoes it, and checks that nothing remains.
async fn there_and_back(house: &House, tool: &str, args: Value) -> (Value, Vec<String>) {
    let (before, top) = (photograph(&house.data), fs::metadata(&house.data).unwrap());
    let key = house.key();
    let done = result(house.call_as(house.token(), key, tool, args.clone()).await);
    let after = photograph(&house.data);
    assert_ne!(after, before, "{tool} {args}");
    result(house.undo(key).await);
    assert_eq!(photograph(&house.data), before, "{tool} {args}");
    let again = fs::metadata(&house.data).unwrap();
    assert_eq!(
        (top.mtime(), top.mtime_nsec()),
        (again.mtime(), again.mtime_nsec())
    );
    (done, after)
}

#[tokio::test]
async fn a_directory_is_deleted_with_everything_in_it_and_comes_back_exactly() {
    let house = House::new().await;
    furnish(&house);
    let args = json!({"path": house.path("t"), "recursive": true});
    let (done, after) = there_and_back(&house, "fs.delete", args).await;
    assert_eq!((&done["files"], &done["dirs"]), (&json!(5), &json!(4)), "{done}");
    assert_eq!(done["bytes_freed"], 18);
    assert!(after.is_empty(), "{after:?}");
}

#[tokio::test]
async fn everything_that_ever_happened_to_a_tree_is_undone_through_its_deletion() {
    let house = House::new().await;
    furnish(&house);
    let steps = [
        (
            "fs.write",
            json!({"path": house.path("t/sub/new"), "content": "x"}),
        ),
        (
            "fs.append",
            json!({"path": house.path("t/sub/twin"), "content": "more"}),
        ),
        (
            "fs.chmod",
            json!({"path": house.path("t"), "mode": "go-rx", "recursive": true}),
        ),
        (
            "fs.move",
            json!({"source": house.path("t/sub"), "target": house.path("t/moved")}),
        ),
        ("fs.delete", json!({"path": house.path("t/moved/twin")})),
        ("fs.delete", json!({"path": house.path("t"), "recursive": true})),
        (
            "fs.mkdir",
            json!({"path": house.path("t/other"), "parents": true}),
        ),
    ];
    let mut done = Vec::new();
    for (tool, args) in steps {
        let (key, before) = (house.key(), photograph(&house.data));
        result(house.call_as(house.token(), key, tool, args).await);
        done.push((key, before));
    }
    while let Some((key, before)) = done.pop() {
        result(house.undo(key).await);
        assert_eq!(photograph(&house.data), before, "{key}");
    }
}

#[tokio::test]
async fn directories_are_made_with_those_above_them_and_go_again() {
    let house = House::new().await;
    let (done, _) = there_and_back(
        &house,
        "fs.mkdir",
        json!({"path": house.path("x/y/z"), "parents": true, "mode": "0700"}),
    )
    .await;
    assert_eq!(
        done["created"],
        json!(["x", "x/y", "x/y/z"].map(|name| house.path(name)))
    );
    let made = house.done("fs.mkdir", json!({"path": house.path("plain")})).await;
    assert_eq!(made["created"], json!([house.path("plain")]));
    let mode = fs::metadata(house.path("plain")).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o755);
    let again = house.call("fs.mkdir", json!({"path": house.path("plain")})).await;
    assert_eq!(code(&again), "AIOS-TOOLS-0011");
    let again = house
        .done("fs.mkdir", json!({"path": house.path("plain"), "parents": true}))
        .await;
    assert_eq!(again["created"], json!([]));
    let alone = house
        .call("fs.mkdir", json!({"path": house.path("no/such")}))
        .await;
    assert_eq!(code(&alone), "AIOS-TOOLS-0009");
}

#[tokio::test]
async fn a_tree_is_copied_as_it_is_or_as_new() {
    let house = House::new().await;
    furnish(&house);
    let args = |preserve| json!({"source": house.path("t"), "target": house.path("u"), "recursive": true, "preserve": preserve});
    let (done, _) = there_and_back(&house, "fs.copy", args(false)).await;
    assert_eq!(
        (&done["files"], &done["dirs"], &done["links"], &done["bytes"]),
        (&json!(3), &json!(4), &json!(2), &json!(24))
    );
    result(house.call("fs.copy", args(true)).await);
    let (from, to) = (house.path("t/"), house.path("u/"));
    let lines = |of: &str| -> Vec<String> {
        photograph(&house.data)
            .into_iter()
            .filter_map(|line| line.strip_prefix(of).map(str::to_owned))
            .map(|line| {
                // Names of one file become files of their own, and inodes are others.
                let words = line
                    .split(' ')
                    .filter(|it| !it.starts_with("links=") && !it.starts_with("inode#"));
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    };
    assert_eq!(lines(&from), lines(&to));
    let copy = house
        .done("fs.stat", json!({"path": house.path("u/sub/twin")}))
        .await;
    assert_eq!(copy["links"], 1);
}

#[tokio::test]
async fn moving_keeps_the_thing_and_replaces_only_when_asked() {
    let house = House::new().await;
    furnish(&house);
    let inode = fs::metadata(house.path("t/sub")).unwrap().ino();
    let args = json!({"source": house.path("t/sub"), "target": house.path("sub")});
    let (done, _) = there_and_back(&house, "fs.move", args.clone()).await;
    assert_eq!((&done["places"], &done["replaced"]), (&json!(5), &json!(false)));
    assert_eq!(fs::metadata(house.path("t/sub")).unwrap().ino(), inode);
    fs::write(house.path("there"), "to be replaced").unwrap();
    let args = json!({"source": house.path("t/file"), "target": house.path("there")});
    assert_eq!(code(&house.call("fs.move", args).await), "AIOS-TOOLS-0011");
    let args = json!({"source": house.path("t/file"), "target": house.path("there"), "replace": true});
    let (done, _) = there_and_back(&house, "fs.move", args).await;
    assert_eq!(done["replaced"], true);
    for (source, target, wanted) in [
        ("t", "t/sub/inside", "AIOS-TOOLS-0002"),
        ("t/file", "t/empty", "AIOS-TOOLS-0010"),
        ("t/sub/twin", "t/sub/deep/twin", "AIOS-TOOLS-0002"),
        ("none", "x", "AIOS-TOOLS-0009"),
    ] {
        let args = json!({"source": house.path(source), "target": house.path(target), "replace": true});
        assert_eq!(
            code(&house.call("fs.move", args).await),
            wanted,
            "{source} {target}"
        );
    }
}

#[tokio::test]
async fn a_link_is_made_and_followed_by_nobody() {
    let house = House::new().await;
    let (done, _) = there_and_back(
        &house,
        "fs.symlink",
        json!({"path": house.path("l"), "target": "../elsewhere"}),
    )
    .await;
    assert_eq!(done["target"], "../elsewhere");
    for target in ["", "a\nb", &"x".repeat(5000)] {
        let args = json!({"path": house.path("l"), "target": target});
        assert_eq!(code(&house.call("fs.symlink", args).await), "AIOS-TOOLS-0002");
    }
}

#[tokio::test]
async fn modes_are_changed_and_come_back_with_their_acls() {
    let house = House::new().await;
    furnish(&house);
    let (done, _) = there_and_back(
        &house,
        "fs.chmod",
        json!({"path": house.path("t"), "mode": "u=rwX,go=", "recursive": true}),
    )
    .await;
    assert_eq!(done["links_left"], 2, "{done}");
    there_and_back(
        &house,
        "fs.chmod",
        json!({"path": house.path("t/file"), "mode": "4711"}),
    )
    .await;
    let same = house
        .done("fs.chmod", json!({"path": house.path("t/sub"), "mode": "2750"}))
        .await;
    assert_eq!((&same["changed"], &same["unchanged"]), (&json!(0), &json!(1)));
    // The granted directory itself.
    let mode = || fs::metadata(&house.data).unwrap().mode() & 0o7777;
    let (before, key) = (mode(), house.key());
    let args = json!({"path": house.path(""), "mode": "0711"});
    result(house.call_as(house.token(), key, "fs.chmod", args).await);
    assert_eq!(mode(), 0o711);
    result(house.undo(key).await);
    assert_eq!(mode(), before);
}

#[tokio::test]
async fn owners_are_changed_and_set_id_bits_come_back_with_the_old_one() {
    let house = House::new().await;
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    furnish(&house);
    fs::set_permissions(house.path("t/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    let args = json!({"path": house.path("t"), "owner": "1234", "group": "root", "recursive": true});
    let (done, after) = there_and_back(&house, "fs.chown", args).await;
    assert_eq!(done["links_left"], 0);
    assert!(
        after.iter().all(|line| line.contains("owner=1234:0")),
        "{after:?}"
    );
    for (args, wanted) in [
        (json!({"path": house.path("t")}), "AIOS-TOOLS-0002"),
        (
            json!({"path": house.path("t"), "owner": "nobody-has-this-name"}),
            "AIOS-TOOLS-0002",
        ),
        (
            json!({"path": house.path("t"), "owner": "4294967295"}),
            "AIOS-TOOLS-0002",
        ),
        (json!({"path": house.path("t"), "group": "-x"}), "AIOS-TOOLS-0002"),
    ] {
        assert_eq!(
            code(&house.call("fs.chown", args.clone()).await),
            wanted,
            "{args}"
        );
    }
}

#[tokio::test]
async fn appending_adds_and_needs_a_grant_of_its_own() {
    let house = House::new().await;
    fs::write(house.path("log"), "one").unwrap();
    there_and_back(
        &house,
        "fs.append",
        json!({"path": house.path("log"), "content": " two"}),
    )
    .await;
    there_and_back(
        &house,
        "fs.append",
        json!({"path": house.path("new"), "content_base64": "AP8="}),
    )
    .await;
    let write_only = house.grant(&[&format!("fs:write:{}/**", house.data.display())], 60_000);
    let args = json!({"path": house.path("log"), "content": "x"});
    let refused = house.call_as(write_only, house.key(), "fs.append", args).await;
    assert_eq!(code(&refused), "AIOS-TOOLS-0005");
}

#[tokio::test]
async fn an_archive_holds_what_was_packed() {
    let house = House::new().await;
    furnish(&house);
    for (name, compression) in [("x.tar.gz", None), ("x.tar.zst", None), ("x.bin", Some("zst"))] {
        let mut args = json!({"paths": [house.path("t")], "target": house.path(name)});
        if let Some(compression) = compression {
            args["compression"] = json!(compression);
        }
        let key = house.key();
        let before = photograph(&house.data);
        let done = result(house.call_as(house.token(), key, "fs.archive", args).await);
        assert_eq!(
            (&done["entries"], &done["content_bytes"]),
            (&json!(9), &json!(24))
        );
        let file = fs::File::open(house.path(name)).unwrap();
        let bytes: Box<dyn std::io::Read> = if name.ends_with("gz") {
            Box::new(flate2::read::GzDecoder::new(file))
        } else {
            Box::new(zstd::stream::read::Decoder::new(file).unwrap())
        };
        let out = tempfile::tempdir().unwrap();
        tar::Archive::new(bytes).unpack(out.path()).unwrap();
        let unpacked = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
        assert_eq!(unpacked("t/file"), "some content");
        assert_eq!(unpacked("t/sub/deep/twin"), "shared");
        assert_eq!(
            fs::read_link(out.path().join("t/link")).unwrap(),
            Path::new("file")
        );
        assert!(out.path().join("t/empty").is_dir());
        result(house.undo(key).await);
        assert_eq!(photograph(&house.data), before);
    }
    let args = json!({"paths": [house.path("t")], "target": house.path("x.zip")});
    assert_eq!(code(&house.call("fs.archive", args).await), "AIOS-TOOLS-0002");
    let args = json!({"paths": [house.path("t/file"), house.path("u/file")], "target": house.path("x.tgz")});
    assert_eq!(code(&house.call("fs.archive", args).await), "AIOS-TOOLS-0002");
}

#[tokio::test]
async fn lines_are_found_and_what_was_left_out_is_counted() {
    let house = House::new().await;
    fs::create_dir(house.path("sub")).unwrap();
    fs::write(house.path("a.conf"), "Port 80\nport 443\r\n# none\n").unwrap();
    fs::write(house.path("sub/b.conf"), "listen port 22").unwrap();
    fs::write(house.path("bin.conf"), b"port\0").unwrap();
    fs::write(house.path("big.conf"), "port ".repeat(1000)).unwrap();
    fs::write(house.path("other.txt"), "port").unwrap();
    symlink("a.conf", house.path("link.conf")).unwrap();
    let args =
        json!({"path": house.path(""), "pattern": "port", "name_glob": "*.conf", "max_file_bytes": 1000});
    let found = house.done("fs.grep", args).await;
    let lines: Vec<_> = found["matches"].as_array().unwrap().iter().collect();
    assert_eq!(
        lines,
        [
            &json!({"path": house.path("a.conf"), "line": 2, "text": "port 443", "cut": false}),
            &json!({"path": house.path("sub/b.conf"), "line": 1, "text": "listen port 22", "cut": false}),
        ]
    );
    assert_eq!(
        (
            &found["files"],
            &found["binary"],
            &found["too_large"],
            &found["tainted"]
        ),
        (&json!(2), &json!(1), &json!(1), &json!(true))
    );
    let args =
        json!({"path": house.path("a.conf"), "pattern": r"^port\s+\d+$", "regex": true, "ignore_case": true});
    assert_eq!(
        house.done("fs.grep", args).await["matches"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let args = json!({"path": house.path(""), "pattern": "port", "limit": 1});
    let cut = house.done("fs.grep", args).await;
    assert_eq!(
        (cut["matches"].as_array().unwrap().len(), &cut["truncated"]),
        (1, &json!(true))
    );
    let long = house
        .done(
            "fs.grep",
            json!({"path": house.path("big.conf"), "pattern": "port"}),
        )
        .await;
    assert_eq!(long["matches"][0]["cut"], true);
    for bad in [
        json!({"path": house.path(""), "pattern": ""}),
        json!({"path": house.path(""), "pattern": "(", "regex": true}),
        json!({"path": house.path(""), "pattern": "(a{1000}){1000}", "regex": true}),
        json!({"path": house.path(""), "pattern": "x", "limit": 0}),
        json!({"path": house.path(""), "pattern": "x", "max_file_bytes": 0}),
    ] {
        assert_eq!(
            code(&house.call("fs.grep", bad.clone()).await),
            "AIOS-TOOLS-0002",
            "{bad}"
        );
    }
}
