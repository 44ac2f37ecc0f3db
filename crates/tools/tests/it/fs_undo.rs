//! Undo of what somebody changed since: refused with the difference shown, or done for the untouched part
//! when asked; and of what the store no longer holds.

use crate::common::{Answer, House, code, photograph, result};
use aios_core::id::ExecutionKey;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

async fn done(house: &House, tool: &str, args: Value) -> ExecutionKey {
    let key = house.key();
    result(house.call_as(house.token(), key, tool, args).await);
    key
}

async fn undo(house: &House, key: ExecutionKey, untouched_only: bool) -> Answer {
    let args = json!({"task_id": key.task.to_string(), "step": key.step, "untouched_only": untouched_only});
    house.call("fs.undo", args).await
}

/// The differences that a refused undo shows.
async fn refused(house: &House, key: ExecutionKey) -> String {
    let before = photograph(&house.data);
    let Answer::Failed(failed) = undo(house, key, false).await else {
        panic!("it was not refused")
    };
    let error = failed.error.unwrap();
    assert_eq!(error.code, "AIOS-TOOLS-0019", "{error:?}");
    assert!(error.next_step.contains("untouched_only"));
    assert_eq!(photograph(&house.data), before);
    error.message
}

fn left(answer: Answer) -> Vec<(String, String)> {
    let result = result(answer);
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    result["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(&it["path"]), text(&it["why"])))
        .collect()
}

#[tokio::test]
async fn the_untouched_part_of_a_deletion_comes_back_and_the_rest_is_named() {
    let house = House::new().await;
    fs::create_dir_all(house.path("d/sub")).unwrap();
    for name in ["d/a", "d/b", "d/sub/c", "e"] {
        fs::write(house.path(name), name).unwrap();
    }
    let key = done(
        &house,
        "fs.delete",
        json!({"paths": [house.path("d"), house.path("e")], "recursive": true}),
    )
    .await;
    // Somebody makes the directory anew, with a file of an old name in it.
    fs::create_dir(house.path("d")).unwrap();
    fs::write(house.path("d/a"), "somebody else's").unwrap();
    let shown = refused(&house, key).await;
    assert!(
        shown.contains("something is there now") && shown.contains(&house.path("d/a")),
        "{shown}"
    );
    let left = left(undo(&house, key, true).await);
    assert_eq!(
        left,
        [
            (house.path("d"), "something is there now".to_owned()),
            (house.path("d/a"), "something is there now".to_owned())
        ]
    );
    assert_eq!(fs::read_to_string(house.path("d/a")).unwrap(), "somebody else's");
    for name in ["d/b", "d/sub/c", "e"] {
        assert_eq!(fs::read_to_string(house.path(name)).unwrap(), name);
    }
    assert_eq!(
        code(&undo(&house, key, true).await),
        "AIOS-TOOLS-0018",
        "it counts as undone"
    );
}

#[tokio::test]
async fn what_somebody_put_into_a_made_directory_keeps_it() {
    let house = House::new().await;
    fs::create_dir(house.path("s")).unwrap();
    fs::write(house.path("s/f"), "1").unwrap();
    let copy = json!({"source": house.path("s"), "target": house.path("t"), "recursive": true});
    let key = done(&house, "fs.copy", copy).await;
    fs::write(house.path("t/theirs"), "2").unwrap();
    let shown = refused(&house, key).await;
    assert!(shown.contains("`theirs` is in it now"), "{shown}");
    let left = left(undo(&house, key, true).await);
    assert_eq!(left, [(house.path("t"), "`theirs` is in it now".to_owned())]);
    assert!(!Path::new(&house.path("t/f")).exists());
    assert!(Path::new(&house.path("t/theirs")).exists());
}

#[tokio::test]
async fn what_moved_on_is_not_moved_back_and_a_new_thing_in_the_old_place_stays() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let key = done(
        &house,
        "fs.move",
        json!({"source": house.path("a"), "target": house.path("b")}),
    )
    .await;
    fs::write(house.path("a"), "new").unwrap();
    let shown = refused(&house, key).await;
    assert!(shown.contains("something is there now"), "{shown}");
    // Neither place can be undone alone, so nothing is untouched.
    assert_eq!(code(&undo(&house, key, true).await), "AIOS-TOOLS-0019");
    fs::remove_file(house.path("a")).unwrap();
    fs::rename(house.path("b"), house.path("c")).unwrap();
    fs::write(house.path("b"), "another").unwrap();
    let shown = refused(&house, key).await;
    assert!(shown.contains("another thing is there now"), "{shown}");
    fs::rename(house.path("c"), house.path("b")).unwrap();
    // What was written into it meanwhile goes back with it.
    fs::write(house.path("b"), "grown").unwrap();
    result(undo(&house, key, false).await);
    assert_eq!(fs::read_to_string(house.path("a")).unwrap(), "grown");
}

#[tokio::test]
async fn bits_that_somebody_changed_since_are_left_and_the_others_come_back() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new().await;
    fs::create_dir(house.path("d")).unwrap();
    for name in ["d/a", "d/b"] {
        fs::write(house.path(name), name).unwrap();
        fs::set_permissions(house.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let key = done(
        &house,
        "fs.chmod",
        json!({"path": house.path("d"), "mode": "0700", "recursive": true}),
    )
    .await;
    fs::set_permissions(house.path("d/a"), fs::Permissions::from_mode(0o604)).unwrap();
    fs::write(house.path("d/b"), "content may change").unwrap();
    let shown = refused(&house, key).await;
    assert!(shown.contains("mode 0700 then, 0604 now"), "{shown}");
    let left = left(undo(&house, key, true).await);
    assert_eq!(left.len(), 1, "{left:?}");
    let mode = |name: &str| fs::metadata(house.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("d/a"), mode("d/b")), (0o604, 0o644));
    assert_eq!(
        fs::read_to_string(house.path("d/b")).unwrap(),
        "content may change"
    );
}

#[tokio::test]
async fn an_undo_is_undone_as_well() {
    let house = House::new().await;
    fs::create_dir_all(house.path("d/sub")).unwrap();
    fs::write(house.path("d/sub/f"), "1").unwrap();
    fs::hard_link(house.path("d/sub/f"), house.path("d/g")).unwrap();
    fs::write(house.path("x"), "old").unwrap();
    fs::write(house.path("y"), "new").unwrap();
    for (tool, args) in [
        ("fs.delete", json!({"path": house.path("d"), "recursive": true})),
        (
            "fs.move",
            json!({"source": house.path("y"), "target": house.path("x"), "replace": true}),
        ),
        (
            "fs.chmod",
            json!({"path": house.path("d"), "mode": "0700", "recursive": true}),
        ),
        ("fs.mkdir", json!({"path": house.path("m/n"), "parents": true})),
    ] {
        let before = photograph(&house.data);
        let key = done(&house, tool, args).await;
        let after = photograph(&house.data);
        let undone = house.key();
        result(house.undo_as(house.token(), undone, key).await);
        assert_eq!(photograph(&house.data), before, "{tool}");
        let redone = house.key();
        result(house.undo_as(house.token(), redone, undone).await);
        let names = |photo: &[String]| -> Vec<String> {
            let name = |line: &String| line.split(" mtime").next().unwrap().to_owned();
            photo.iter().map(name).collect()
        };
        assert_eq!(names(&photograph(&house.data)), names(&after), "{tool}");
        result(house.undo_as(house.token(), house.key(), redone).await);
        assert_eq!(photograph(&house.data), before, "{tool}");
    }
}

#[tokio::test]
async fn an_undo_whose_snapshot_is_gone_says_so_and_changes_nothing() {
    let house = House::new().await;
    fs::write(house.path("a"), "precious").unwrap();
    let key = done(&house, "fs.delete", json!({"path": house.path("a")})).await;
    let store = house.paths.state.join("worker/fs/store");
    for part in fs::read_dir(&store).unwrap() {
        let part = part.unwrap();
        if part.file_name().len() == 2 {
            fs::remove_dir_all(part.path()).unwrap();
        }
    }
    assert_eq!(code(&undo(&house, key, false).await), "AIOS-TOOLS-0018");
    assert!(!Path::new(&house.path("a")).exists());
}

#[tokio::test]
async fn a_change_that_does_not_fit_into_the_store_is_refused() {
    let house = House::with_process_in(|paths| {
        let me = rustix::process::geteuid().as_raw().to_string();
        let users = aios_auth::peer::Users::section_of_one(&me);
        let config = format!("{users}\n[tools]\nsnapshot_bytes = 1000\n");
        fs::create_dir_all(&paths.etc).unwrap();
        fs::write(paths.etc.join("config.toml"), config).unwrap();
    })
    .await;
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(4000)
    .collect();
    fs::write(house.path("big"), noise).unwrap();
    fs::write(house.path("small"), "fits").unwrap();
    let before = photograph(&house.data);
    for (tool, args) in [
        ("fs.delete", json!({"path": house.path("big")})),
        (
            "fs.write",
            json!({"path": house.path("big"), "content": "x", "how": "overwrite"}),
        ),
        (
            "fs.move",
            json!({"source": house.path("small"), "target": house.path("big"), "replace": true}),
        ),
    ] {
        let answer = house.call(tool, args).await;
        let Answer::Failed(failed) = &answer else {
            panic!("{tool}: {answer:?}")
        };
        let error = failed.error.as_ref().unwrap();
        assert_eq!(error.code, "AIOS-TOOLS-0046", "{tool}: {error:?}");
        assert!(error.next_step.contains("snapshot_bytes"));
        assert_eq!(photograph(&house.data), before, "{tool}");
    }
    house
        .done("fs.delete", json!({"path": house.path("small")}))
        .await;
    // What needs no snapshot is not held up.
    house
        .done("fs.chmod", json!({"path": house.path("big"), "mode": "0600"}))
        .await;
}
