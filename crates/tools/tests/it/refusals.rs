//! What is refused of a call's token, paths and arguments, with which code, and that nothing happened.

use crate::common::{Answer, House, Mood, code, photograph, result};
use aios_auth::token::attenuate;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

#[tokio::test]
async fn a_token_that_is_missing_forged_expired_revoked_narrow_or_of_another_task_opens_nothing() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let args = json!({"path": house.path("a")});
    let mint = &house.guard.inner.secrets.mint.public();
    let narrow = attenuate(
        &house.token(),
        mint,
        &[format!("fs:read:{}/**", house.data.display()).parse().unwrap()],
        None,
    );
    let stranger = House::new().await;
    let cases = [
        ("no token", Vec::new(), "AIOS-AUTH-0201"),
        ("garbage", b"garbage".to_vec(), "AIOS-AUTH-0203"),
        (
            "of another guard",
            stranger.grant(&["fs:*:/**"], 60_000),
            "AIOS-AUTH-0203",
        ),
        ("expired", house.grant(&["fs:*:/**"], -1), "AIOS-AUTH-0205"),
        ("attenuated", narrow.unwrap(), "AIOS-TOOLS-0005"),
        (
            "for elsewhere",
            house.grant(&["fs:*:/var/empty/**"], 60_000),
            "AIOS-TOOLS-0005",
        ),
        (
            "for another action",
            house.grant(&[&format!("fs:read:{}/**", house.data.display())], 60_000),
            "AIOS-TOOLS-0005",
        ),
    ];
    for (what, token, wanted) in cases {
        let answer = house.call_as(token, house.key(), "fs.delete", args.clone()).await;
        assert!(matches!(answer, Answer::Denied(_)), "{what}: {answer:?}");
        assert_eq!(code(&answer), wanted, "{what}");
    }
    let mut other = house.key();
    other.task = aios_core::id::TaskId::new();
    assert_eq!(
        code(
            &house
                .call_as(house.token(), other, "fs.delete", args.clone())
                .await
        ),
        "AIOS-TOOLS-0024"
    );
    let token = house.token();
    let id = aios_auth::token::Verifier::new(mint)
        .unwrap()
        .verify(&token, 0, &aios_auth::token::NoRevocations)
        .unwrap()
        .token_id
        .clone();
    house.push_trust(false, &[&id]).await;
    assert_eq!(
        code(&house.call_as(token, house.key(), "fs.delete", args).await),
        "AIOS-AUTH-0206"
    );
    assert!(fs::exists(house.path("a")).unwrap());
    assert!(
        house
            .guard
            .log()
            .iter()
            .all(|line| line.starts_with("tool.denied")),
        "{:?}",
        house.guard.log()
    );
}

#[tokio::test]
async fn a_refusal_tells_nothing_about_what_exists() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let token = house.grant(&["fs:*:/var/empty/**"], 60_000);
    let mut texts = Vec::new();
    for name in ["a", "none"] {
        let answer = house
            .call_as(
                token.clone(),
                house.key(),
                "fs.stat",
                json!({"path": house.path(name)}),
            )
            .await;
        let Answer::Denied(denied) = answer else { panic!() };
        let error = denied.error.unwrap();
        texts.push((
            error.code,
            error.message.replace(&house.path(name), "PATH"),
            error.next_step,
        ));
    }
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn links_that_lead_out_are_refused() {
    let house = House::new().await;
    let outside = house.home.path().canonicalize().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "1").unwrap();
    symlink(&outside, house.path("dir")).unwrap();
    symlink(outside.join("secret"), house.path("file")).unwrap();
    symlink("../outside/secret", house.path("relative")).unwrap();
    let cases = [
        ("fs.read", json!({"path": house.path("file")})),
        ("fs.read", json!({"path": house.path("relative")})),
        ("fs.read", json!({"path": house.path("dir/secret")})),
        ("fs.list", json!({"path": house.path("dir")})),
        ("fs.search", json!({"root": house.path("dir")})),
        ("fs.stat", json!({"path": house.path("dir/secret")})),
        ("fs.disk_usage", json!({"path": house.path("dir")})),
        ("fs.delete", json!({"path": house.path("dir/secret")})),
        (
            "fs.write",
            json!({"path": house.path("file"), "content": "x", "how": "overwrite"}),
        ),
        ("fs.write", json!({"path": house.path("dir/new"), "content": "x"})),
    ];
    for (tool, args) in cases {
        let answer = house.call(tool, args.clone()).await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0006", "{tool} {args}");
        assert!(matches!(answer, Answer::Denied(_)));
    }
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "1");
    let search = house
        .done("fs.search", json!({"root": house.path(""), "kind": "any"}))
        .await;
    assert_eq!(
        search["files"].as_array().unwrap().len(),
        3,
        "links are found, not followed: {search}"
    );
    result(house.call("fs.delete", json!({"path": house.path("file")})).await);
    assert!(
        fs::exists(outside.join("secret")).unwrap(),
        "a link is deleted, not what it leads to"
    );
}

struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn a_bind_mount_that_leads_out_is_refused_and_a_granted_one_is_open() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = House::new().await;
    let outside = house.home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "1").unwrap();
    fs::create_dir(house.path("mnt")).unwrap();
    rustix::mount::mount_bind(&outside, house.path("mnt")).unwrap();
    let _mounted = Mounted(house.path("mnt"));
    for (tool, args) in [
        ("fs.read", json!({"path": house.path("mnt/secret")})),
        ("fs.list", json!({"path": house.path("mnt")})),
        ("fs.delete", json!({"path": house.path("mnt/secret")})),
        ("fs.write", json!({"path": house.path("mnt/new"), "content": "x"})),
    ] {
        assert_eq!(code(&house.call(tool, args).await), "AIOS-TOOLS-0006", "{tool}");
    }
    let search = house.done("fs.search", json!({"root": house.path("")})).await;
    assert_eq!((&search["matched"], &search["skipped"]), (&json!(0), &json!(1)));
    let granted = house.grant(&[&format!("fs:read:{}/**", house.path("mnt"))], 60_000);
    let read = house
        .call_as(
            granted,
            house.key(),
            "fs.read",
            json!({"path": house.path("mnt/secret")}),
        )
        .await;
    assert_eq!(result(read)["content"], "1");
}

#[tokio::test]
async fn a_link_within_the_grant_is_followed_to_its_resolved_name() {
    let house = House::new().await;
    fs::create_dir(house.path("real")).unwrap();
    fs::write(house.path("real/f"), "1").unwrap();
    symlink("real/f", house.path("l")).unwrap();
    let read = house.done("fs.read", json!({"path": house.path("l")})).await;
    assert_eq!(read["path"], house.path("real/f"));
    let only_link = house.grant(&[&format!("fs:read:{}", house.path("l"))], 60_000);
    let answer = house
        .call_as(
            only_link,
            house.key(),
            "fs.read",
            json!({"path": house.path("l")}),
        )
        .await;
    assert_eq!(
        code(&answer),
        "AIOS-TOOLS-0005",
        "the grant is matched on the resolved name"
    );
}

#[tokio::test]
async fn a_grant_of_everything_below_a_path_opens_the_path_itself_whatever_it_is() {
    let house = House::new().await;
    fs::create_dir(house.path("dir")).unwrap();
    fs::write(house.path("dir/file"), "12345").unwrap();
    symlink(house.path("other"), house.path("link")).unwrap();
    fs::write(house.path("other"), "not granted").unwrap();
    for (name, wanted) in [
        ("dir/file", Ok(json!("file"))),
        ("dir", Ok(json!("dir"))),
        ("dir/nothing", Ok(json!(null))),
        ("link", Err("AIOS-TOOLS-0006")),
    ] {
        let path = house.path(name);
        let token = house.grant(&[&format!("fs:*:{path}/**")], 60_000);
        let answer = house
            .call_as(token, house.key(), "fs.stat", json!({"path": path}))
            .await;
        match wanted {
            Ok(kind) => assert_eq!(result(answer)["kind"], kind, "{name}"),
            Err(refusal) => assert_eq!(code(&answer), refusal, "{name}"),
        }
    }
}

#[tokio::test]
async fn a_file_with_names_outside_of_the_grant_is_not_written() {
    let house = House::new().await;
    let outside = house.home.path().join("outside");
    fs::write(&outside, "1").unwrap();
    fs::hard_link(&outside, house.path("inside")).unwrap();
    for how in ["overwrite", "append"] {
        let args = json!({"path": house.path("inside"), "content": "x", "how": how});
        assert_eq!(code(&house.call("fs.write", args).await), "AIOS-TOOLS-0008");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "1");
    fs::rename(&outside, house.path("now inside")).unwrap();
    let args = json!({"path": house.path("inside"), "content": "x", "how": "append"});
    result(house.call("fs.write", args).await);
    assert_eq!(fs::read_to_string(house.path("now inside")).unwrap(), "1x");
}

#[tokio::test]
async fn no_grant_opens_what_belongs_to_aios_or_the_kernel() {
    let house = House::new().await;
    let own = house.paths.state.join("worker/fs/journal.db");
    let protected = [
        own.to_str().unwrap().to_owned(),
        house.paths.run.to_str().unwrap().to_owned(),
        "/etc/shadow".to_owned(),
        "/proc/self/environ".to_owned(),
        "/sys/kernel".to_owned(),
        house.path(".ssh/id_ed25519"),
    ];
    for path in protected {
        for tool in ["fs.list", "fs.stat", "fs.read", "fs.disk_usage", "fs.delete"] {
            let token = house.grant(&["fs:*:/**"], 60_000);
            let answer = house
                .call_as(token, house.key(), tool, json!({"path": path}))
                .await;
            assert_eq!(code(&answer), "AIOS-TOOLS-0007", "{tool} {path}");
        }
        let token = house.grant(&["fs:*:/**"], 60_000);
        let search = house
            .call_as(token.clone(), house.key(), "fs.search", json!({"root": path}))
            .await;
        assert_eq!(code(&search), "AIOS-TOOLS-0007");
        let write = json!({"path": path, "content": "x", "how": "append"});
        assert_eq!(
            code(&house.call_as(token, house.key(), "fs.write", write).await),
            "AIOS-TOOLS-0007"
        );
    }
}

#[tokio::test]
async fn nothing_changes_under_an_emergency_stop_but_reading_goes_on() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    house.push_trust(true, &[]).await;
    let answer = house.call("fs.delete", json!({"path": house.path("a")})).await;
    assert_eq!(code(&answer), "AIOS-AUTH-0426");
    house.done("fs.read", json!({"path": house.path("a")})).await;
    house.push_trust(false, &[]).await;
    house.done("fs.delete", json!({"path": house.path("a")})).await;
}

#[tokio::test]
async fn the_guards_no_is_final() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    house.guard.mood(Mood::Deny);
    let answer = house.call("fs.delete", json!({"path": house.path("a")})).await;
    assert!(matches!(answer, Answer::Denied(_)));
    assert!(fs::exists(house.path("a")).unwrap());
}

#[tokio::test]
async fn bad_input_is_refused_with_the_field_and_a_next_step() {
    let house = House::new().await;
    fs::write(house.path("a"), "1").unwrap();
    let before = photograph(&house.data);
    let p = house.path("a");
    let long = "x".repeat(300);
    let cases = [
        ("fs.nothing", json!({}), "AIOS-TOOLS-0001"),
        ("fs.list", json!({}), "AIOS-TOOLS-0002"),
        ("fs.list", json!({"path": p, "limit": 0}), "AIOS-TOOLS-0002"),
        ("fs.list", json!({"path": p, "color": 1}), "AIOS-TOOLS-0002"),
        ("fs.list", json!({"path": 7}), "AIOS-TOOLS-0002"),
        ("fs.list", json!({"path": p}), "AIOS-TOOLS-0010"),
        ("fs.list", json!(["no object"]), "AIOS-TOOLS-0002"),
        ("fs.list", json!({"path": house.path("none")}), "AIOS-TOOLS-0009"),
        ("fs.stat", json!({"path": "relative"}), "AIOS-TOOLS-0004"),
        ("fs.stat", json!({"path": ""}), "AIOS-TOOLS-0004"),
        (
            "fs.stat",
            json!({"path": format!("{p}/../../etc")}),
            "AIOS-TOOLS-0004",
        ),
        ("fs.stat", json!({"path": format!("{p}\u{0}")}), "AIOS-TOOLS-0004"),
        ("fs.stat", json!({"path": house.path(&long)}), "AIOS-TOOLS-0004"),
        ("fs.read", json!({"path": p, "max_bytes": 0}), "AIOS-TOOLS-0002"),
        ("fs.read", json!({"path": p, "offset": -1}), "AIOS-TOOLS-0002"),
        ("fs.read", json!({"path": house.path("")}), "AIOS-TOOLS-0010"),
        (
            "fs.search",
            json!({"root": house.path(""), "name_glob": "[z"}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.search",
            json!({"root": house.path(""), "name_glob": "a/b"}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.search",
            json!({"root": house.path(""), "kind": "cat"}),
            "AIOS-TOOLS-0002",
        ),
        ("fs.write", json!({"path": p, "content": "x"}), "AIOS-TOOLS-0011"),
        ("fs.write", json!({"path": p}), "AIOS-TOOLS-0002"),
        (
            "fs.write",
            json!({"path": p, "content": "a", "content_base64": "YQ=="}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.write",
            json!({"path": p, "content_base64": "%%"}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.write",
            json!({"path": p, "content": "a", "mode": "4755"}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.write",
            json!({"path": p, "content": "a", "mode": "rw"}),
            "AIOS-TOOLS-0002",
        ),
        (
            "fs.write",
            json!({"path": house.path("no/dir"), "content": "a"}),
            "AIOS-TOOLS-0009",
        ),
        (
            "fs.write",
            json!({"path": house.path(""), "content": "a", "how": "append"}),
            "AIOS-TOOLS-0010",
        ),
        (
            "fs.write",
            json!({"path": p, "content": "x".repeat(600_000), "how": "append"}),
            "AIOS-TOOLS-0023",
        ),
        ("fs.delete", json!({"paths": []}), "AIOS-TOOLS-0002"),
        ("fs.delete", json!({"path": house.path("")}), "AIOS-TOOLS-0010"),
        ("fs.undo", json!({"task_id": "x", "step": 1}), "AIOS-CORE-0002"),
        (
            "fs.undo",
            json!({"task_id": house.task.to_string(), "step": 999}),
            "AIOS-TOOLS-0017",
        ),
    ];
    for (tool, args, wanted) in cases {
        let (found, next) = match house
            .try_call(house.token(), house.key(), tool, args.clone())
            .await
        {
            Err(status) => {
                let report = aios_core::rpc::report_of(&status);
                (report.code, report.next_step)
            }
            Ok(answer) => (code(&answer), "answered".to_owned()),
        };
        assert_eq!(found, wanted, "{tool} {args}");
        assert!(!next.is_empty(), "{tool} {args}");
    }
    assert_eq!(photograph(&house.data), before);
}
