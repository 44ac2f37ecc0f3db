//! Calls of every fs tool through pipeline and worker, on real files.

use crate::common::{Answer, House, Mood, code, photograph, result};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

fn age(path: &str, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

#[tokio::test]
async fn logs_are_found_deleted_and_come_back_exactly() {
    let house = House::new().await;
    for (index, days) in [30, 20, 10, 9, 8, 1].into_iter().enumerate() {
        let path = house.path(&format!("{index}.log"));
        fs::write(&path, format!("log {index}").repeat(100)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        xattr::set(&path, "user.origin", format!("x{index}").as_bytes()).unwrap();
        age(&path, days);
    }
    let before = photograph(&house.data);
    let dir_before = fs::metadata(&house.data).unwrap().mtime_nsec();
    let found = house
        .done(
            "fs.search",
            json!({"root": house.path(""), "name_glob": "*.log", "older_than_ms": 7 * 86_400_000_u64, "keep_newest": 3}),
        )
        .await;
    let paths: Vec<_> = found["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["path"].clone())
        .collect();
    assert_eq!(paths.len(), 3, "{found}");
    let key = house.key();
    let deleted = result(
        house
            .call_as(house.token(), key, "fs.delete", json!({"paths": paths}))
            .await,
    );
    assert_eq!(deleted["files"], 3);
    assert_eq!(fs::read_dir(&house.data).unwrap().count(), 3);
    let restored = result(house.undo(key).await);
    assert_eq!(restored["files"], 3);
    assert_eq!(photograph(&house.data), before);
    assert_eq!(fs::metadata(&house.data).unwrap().mtime_nsec(), dir_before);
    assert_eq!(
        house.guard.log(),
        [
            "read fs.search",
            "intent fs.delete",
            "outcome done",
            "intent fs.undo",
            "outcome done"
        ]
    );
}

#[tokio::test]
async fn a_read_is_one_record_and_content_is_tainted() {
    let house = House::new().await;
    fs::write(house.path("a"), "hello").unwrap();
    fs::write(house.path("b"), [0xff, 0xfe, 0x00]).unwrap();
    let text = house
        .done(
            "fs.read",
            json!({"path": house.path("a"), "offset": 1, "max_bytes": 3}),
        )
        .await;
    assert_eq!(
        (&text["content"], &text["eof"], &text["tainted"]),
        (&json!("ell"), &json!(false), &json!(true))
    );
    let bytes = house.done("fs.read", json!({"path": house.path("b")})).await;
    assert_eq!(
        (&bytes["content"], &bytes["encoding"], &bytes["eof"]),
        (&json!("//4A"), &json!("base64"), &json!(true))
    );
    assert_eq!(house.guard.log(), ["read fs.read", "read fs.read"]);
}

#[tokio::test]
async fn list_stat_and_disk_usage_tell_what_is_there() {
    let house = House::new().await;
    fs::create_dir(house.path("sub")).unwrap();
    fs::write(house.path("sub/f"), vec![1; 10_000]).unwrap();
    fs::hard_link(house.path("sub/f"), house.path("g")).unwrap();
    symlink("sub/f", house.path("l")).unwrap();
    let list = house.done("fs.list", json!({"path": house.path("")})).await;
    let names: Vec<_> = list["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["g", "l", "sub"]);
    let link = house.done("fs.stat", json!({"path": house.path("l")})).await;
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("symlink"), &json!("sub/f"))
    );
    let nothing = house.done("fs.stat", json!({"path": house.path("none")})).await;
    assert_eq!(nothing["exists"], false);
    let usage = house.done("fs.disk_usage", json!({"path": house.path("")})).await;
    assert_eq!((&usage["files"], &usage["dirs"]), (&json!(3), &json!(2)));
    let once = usage["apparent_bytes"].as_u64().unwrap();
    assert!(
        (10_000..20_000).contains(&once),
        "a file with two names counts once: {usage}"
    );
    assert!(usage["fs_free_bytes"].as_u64().unwrap() > 0);
    let (all, free) = (&usage["fs_total_inodes"], &usage["fs_free_inodes"]);
    assert!(free.as_u64().unwrap() <= all.as_u64().unwrap(), "{usage}");
}

#[tokio::test]
async fn writing_creates_overwrites_appends_and_each_is_undone_exactly() {
    let house = House::new().await;
    let path = house.path("note");
    let photos = [photograph(&house.data)];
    let steps = [
        json!({"path": path, "content": "one", "mode": "0600"}),
        json!({"path": path, "content": "two two", "how": "overwrite"}),
        json!({"path": path, "content_base64": "IHRocmVl", "how": "append"}),
    ];
    let mut photos = photos.to_vec();
    let mut keys = Vec::new();
    for args in steps {
        let key = house.key();
        result(house.call_as(house.token(), key, "fs.write", args).await);
        keys.push(key);
        photos.push(photograph(&house.data));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "two two three");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    for (key, photo) in keys.into_iter().rev().zip(photos.into_iter().rev().skip(1)) {
        result(house.undo(key).await);
        assert_eq!(photograph(&house.data), photo);
    }
}

#[tokio::test]
async fn names_of_one_inode_that_were_deleted_together_come_back_as_one() {
    let house = House::new().await;
    fs::write(house.path("a"), "shared").unwrap();
    fs::hard_link(house.path("a"), house.path("b")).unwrap();
    symlink("a", house.path("c")).unwrap();
    let before = photograph(&house.data);
    let key = house.key();
    let paths = ["a", "b", "c"].map(|name| house.path(name));
    result(
        house
            .call_as(house.token(), key, "fs.delete", json!({"paths": paths}))
            .await,
    );
    assert_eq!(fs::read_dir(&house.data).unwrap().count(), 0);
    result(house.undo(key).await);
    assert_eq!(photograph(&house.data), before);
}

#[tokio::test]
async fn one_of_several_names_comes_back_as_another_name_of_the_same_file() {
    let house = House::new().await;
    fs::create_dir(house.path("sub")).unwrap();
    fs::write(house.path("a"), "shared").unwrap();
    fs::hard_link(house.path("a"), house.path("sub/b")).unwrap();
    let before = photograph(&house.data);
    let key = house.key();
    result(
        house
            .call_as(house.token(), key, "fs.delete", json!({"path": house.path("a")}))
            .await,
    );
    result(house.undo(key).await);
    assert_eq!(photograph(&house.data), before);
}

#[tokio::test]
async fn the_same_key_again_gives_the_recorded_result_and_has_no_second_effect() {
    let house = House::new().await;
    let (key, path) = (house.key(), house.path("counter"));
    let args = json!({"path": path, "content": "x", "how": "append"});
    let first = result(house.call_as(house.token(), key, "fs.write", args.clone()).await);
    let Answer::Done(second) = house.call_as(house.token(), key, "fs.write", args).await else {
        panic!()
    };
    assert!(second.replayed);
    assert_eq!(
        first,
        serde_json::from_str::<serde_json::Value>(&second.result_json).unwrap()
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    let other = json!({"path": path, "content": "y", "how": "append"});
    let refused = house.call_as(house.token(), key, "fs.write", other).await;
    assert_eq!(code(&refused), "AIOS-TOOLS-0016");
    assert_eq!(fs::read_to_string(&path).unwrap(), "x");
}

#[tokio::test]
async fn all_of_a_list_is_deleted_or_none() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    fs::create_dir(house.path("dir")).unwrap();
    let before = photograph(&house.data);
    for paths in [
        [house.path("a"), house.path("dir")],
        [house.path("a"), house.path("gone")],
    ] {
        let answer = house.call("fs.delete", json!({"paths": paths})).await;
        assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
        assert_eq!(photograph(&house.data), before);
    }
}

#[tokio::test]
async fn undo_is_refused_with_the_difference_when_the_place_was_changed() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let key = house.key();
    result(
        house
            .call_as(house.token(), key, "fs.delete", json!({"path": house.path("a")}))
            .await,
    );
    fs::write(house.path("a"), "somebody else's").unwrap();
    let Answer::Failed(failed) = house.undo(key).await else {
        panic!()
    };
    let error = failed.error.unwrap();
    assert_eq!(error.code, "AIOS-TOOLS-0019");
    assert!(
        error.message.contains("something is there now"),
        "{}",
        error.message
    );
    assert_eq!(fs::read_to_string(house.path("a")).unwrap(), "somebody else's");
    fs::remove_file(house.path("a")).unwrap();
    result(house.undo(key).await);
    assert_eq!(code(&house.undo(key).await), "AIOS-TOOLS-0018");
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_undo_needs() {
    let house = House::new().await;
    fs::write(house.path("a"), "precious").unwrap();
    let key = house.key();
    result(
        house
            .call_as(house.token(), key, "fs.delete", json!({"path": house.path("a")}))
            .await,
    );
    let task = house.task;
    let house = house.restart().await;
    let undo = aios_core::id::ExecutionKey { task, step: 77 };
    result(house.undo_as(house.token(), undo, key).await);
    assert_eq!(fs::read_to_string(house.path("a")).unwrap(), "precious");
}

#[tokio::test]
async fn a_call_waits_for_a_person_and_runs_with_the_approval() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    house.guard.mood(Mood::Ask);
    let (key, args) = (house.key(), json!({"path": house.path("a")}));
    let Answer::ApprovalRequired(asked) = house.call_as(house.token(), key, "fs.delete", args.clone()).await
    else {
        panic!()
    };
    assert!(fs::exists(house.path("a")).unwrap());
    house.guard.approve(&asked.approval_id);
    let Answer::Done(done) = house.call_as(house.token(), key, "fs.delete", args).await else {
        panic!()
    };
    assert_eq!(done.approval_id, asked.approval_id);
    assert!(!fs::exists(house.path("a")).unwrap());
}

#[tokio::test]
async fn a_target_swapped_after_the_approval_is_not_touched() {
    let house = House::new().await;
    fs::write(house.path("a"), "approved").unwrap();
    house.guard.mood(Mood::Ask);
    let (key, args) = (house.key(), json!({"path": house.path("a")}));
    let Answer::ApprovalRequired(asked) = house.call_as(house.token(), key, "fs.delete", args.clone()).await
    else {
        panic!()
    };
    house.guard.approve(&asked.approval_id);
    fs::write(house.path("b"), "swapped in").unwrap();
    fs::rename(house.path("b"), house.path("a")).unwrap();
    let again = house.call_as(house.token(), key, "fs.delete", args).await;
    assert!(matches!(again, Answer::ApprovalRequired(ref other) if other.approval_id != asked.approval_id));
    assert_eq!(fs::read_to_string(house.path("a")).unwrap(), "swapped in");
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let house = House::new().await;
    fs::write(house.path("a"), "12345").unwrap();
    let request = aios_proto::tools::v1::CallRequest {
        token: house.token(),
        key: Some(house.key().into()),
        tool: "fs.delete".into(),
        args_json: json!({"path": house.path("a")}).to_string(),
        timeout_ms: 0,
        dry_run: true,
    };
    let Answer::DryRun(dry) = house.pipeline.call(request).await.unwrap() else {
        panic!()
    };
    assert_eq!((dry.files, dry.bytes), (1, 5));
    assert!(fs::exists(house.path("a")).unwrap());
}
