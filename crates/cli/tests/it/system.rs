//! Everything that is not a goal: status, services, agents, audit log, persons, configuration.

use std::fs;

use crate::support::{Bench, stable};
use aios_client::doubles::Double;
use aiosctl::Exit;

#[tokio::test]
async fn status_shows_the_whole_and_what_does_not_answer() {
    let bench = Bench::enrolled().await;
    insta::assert_snapshot!("status", bench.run(&["status"]).await.stable());
    let partly = Bench::with(&[Double::Guard, Double::Init]).await;
    let ran = partly.run(&["status"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    insta::assert_snapshot!("status_partly", ran.stable());
    let nothing = Bench::empty().run(&["status", "--json"]).await;
    assert_eq!(nothing.exit, Exit::Unreachable);
    assert_eq!(nothing.json()["guard"]["error"]["code"], "AIOS-CLIENT-0001");
}

#[tokio::test]
async fn services_and_boot_are_shown() {
    let bench = Bench::new().await;
    for (name, words) in [
        ("service_list", &["service", "list"][..]),
        ("service_status", &["service", "status", "aios-memory"]),
        ("service_restart", &["service", "restart", "aios-guard"]),
        ("service_logs", &["service", "logs", "aios-guard", "-n", "5"]),
        ("boot", &["boot"]),
    ] {
        insta::assert_snapshot!(name, bench.run(words).await.stable());
    }
    let unknown = bench.run(&["service", "status", "aios-nobody"]).await;
    assert_eq!(unknown.exit, Exit::Failed);
    insta::assert_snapshot!("service_unknown", unknown.stable());
}

#[tokio::test]
async fn agents_are_listed_shown_frozen_and_thawed() {
    let bench = Bench::new().await;
    let id = "01930000-0000-7000-8000-0000000000aa";
    for (name, words) in [
        ("agent_list", &["agent", "list"][..]),
        ("agent_show", &["agent", "show", id]),
        ("agent_logs", &["agent", "logs", id]),
    ] {
        insta::assert_snapshot!(name, bench.run(words).await.stable());
    }
    assert!(bench.run(&["agent", "freeze", id]).await.out.contains("frozen"));
    assert!(bench.run(&["agent", "thaw", id]).await.out.contains("running"));
    let unknown = bench
        .run(&["agent", "show", "01930000-0000-7000-8000-0000000000ff"])
        .await;
    assert!(unknown.err.contains("AIOS-CLI-0004"), "{unknown:?}");
}

#[tokio::test]
async fn tools_memory_and_policy_are_shown() {
    let bench = Bench::new().await;
    for (name, words) in [
        ("tool_list", &["tool", "list"][..]),
        ("tool_show", &["tool", "show", "fs.delete"]),
        ("memory_stats", &["memory", "stats"]),
        ("memory_decisions", &["memory", "decisions"]),
        ("memory_recent", &["memory", "recent"]),
        (
            "policy_explain",
            &["policy", "explain", "fs.delete", "{\"path\":\"/var/tmp/a\"}"],
        ),
    ] {
        insta::assert_snapshot!(name, bench.run(words).await.stable());
    }
}

#[tokio::test]
async fn schedules_are_added_listed_with_triggers_and_removed() {
    let bench = Bench::new().await;
    let words = ["schedule", "add", "0 2 * * *", "free space under /var/tmp"];
    insta::assert_snapshot!("schedule_add", bench.run(&words).await.stable());
    let zone = [
        "schedule",
        "add",
        "@daily",
        "clean up",
        "--time-zone",
        "Europe/Berlin",
        "--level",
        "manual",
        "--window",
        "1h30m",
    ];
    let added = bench.run(&[&zone[..], &["--json"]].concat()).await.json();
    assert_eq!(
        (&added["cron"], &added["time_zone"], &added["autonomy"]),
        (&"@daily".into(), &"Europe/Berlin".into(), &"manual".into())
    );
    assert_eq!(added["window_ms"], 5_400_000);
    insta::assert_snapshot!("schedule_list", bench.run(&["schedule", "list"]).await.stable());
    let id = added["schedule_id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(
        "schedule_remove",
        bench.run(&["schedule", "remove", &id]).await.stable()
    );
    let listed = bench.run(&["--json", "schedule", "list"]).await.json();
    assert_eq!(listed["schedules"].as_array().unwrap().len(), 1);
    assert_eq!(listed["triggers"][0]["subjects"][0]["suppressed"], 3);
    let gone = bench.run(&["schedule", "remove", &id]).await;
    assert!(
        gone.exit == Exit::Failed && gone.err.contains("there is no schedule"),
        "{gone:?}"
    );
    let wrong = bench.run(&["schedule", "add", "@daily", "free space", "--window", "soon"]);
    let wrong = wrong.await;
    assert!(
        wrong.exit == Exit::Usage && wrong.err.contains("a length such as `2h`"),
        "{wrong:?}"
    );
    let wrong = bench.run(&["schedule", "add", "99 * * * *", "free space"]).await;
    assert!(wrong.err.contains("the minute is not between"), "{wrong:?}");
}

#[tokio::test]
async fn the_log_is_tailed_verified_live_and_a_record_proved() {
    let bench = Bench::new().await;
    bench
        .run(&["goal", "run", "free space under /var/tmp/logs"])
        .await;
    insta::assert_snapshot!("audit_tail", bench.run(&["audit", "tail"]).await.stable());
    let proof = bench.run(&["audit", "prove", "1"]).await;
    assert!(
        proof.exit == Exit::Done && proof.out.ends_with("the proof holds\n"),
        "{proof:?}"
    );
    let shown = bench.run(&["audit", "show", "0", "--json"]).await.json();
    assert_eq!(shown["record"]["kind"], "goal.submitted");
    let missing = bench.run(&["audit", "show", "999"]).await;
    assert!(
        missing.exit == Exit::Failed && missing.err.contains("error[AIOS-AUDIT-"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn an_export_verifies_against_an_anchor_and_an_altered_one_does_not() {
    let bench = Bench::new().await;
    bench
        .run(&["goal", "run", "free space under /var/tmp/logs"])
        .await;
    let head = bench.run(&["audit", "head"]).await;
    fs::write(bench.path("head"), &head.out).unwrap();
    let (copy, anchor) = (bench.path("copy"), bench.path("head"));
    let (copy, anchor) = (copy.to_str().unwrap(), anchor.to_str().unwrap());
    let exported = bench.run(&["audit", "export", copy]).await;
    assert_eq!(exported.exit, Exit::Done, "{exported:?}");
    let again = bench.run(&["audit", "export", copy]).await;
    assert!(
        again.exit == Exit::Failed && again.err.contains("AIOS-CLI-0014"),
        "{again:?}"
    );
    let whole = bench.run(&["audit", "verify", copy, "--anchor", anchor]).await;
    assert!(
        whole.exit == Exit::Done && whole.out.starts_with("whole: "),
        "{whole:?}"
    );
    let segment = fs::read_dir(bench.path("copy/segments"))
        .unwrap()
        .next()
        .expect("a segment")
        .unwrap()
        .path();
    let text = fs::read_to_string(&segment)
        .unwrap()
        .replace("goal.submitted", "goal.submittex");
    fs::write(&segment, text).unwrap();
    let altered = bench.run(&["audit", "verify", copy, "--anchor", anchor]).await;
    assert_eq!(altered.exit, Exit::Failed);
    assert!(
        altered.out.starts_with("NOT as it was written") && altered.err.contains("error[AIOS-CLI-0012]"),
        "{altered:?}"
    );
    let json = bench.run(&["audit", "verify", copy, "--json"]).await;
    assert_eq!(json.json()["ok"], false);
    let no_anchor = bench
        .run(&["audit", "verify", copy, "--anchor", "/nonexistent"])
        .await;
    assert!(no_anchor.err.contains("AIOS-CLI-0013"), "{no_anchor:?}");
}

#[tokio::test]
async fn enrolling_makes_a_private_key_once() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new().await;
    let uid = rustix::process::geteuid().as_raw();
    let key = bench.path(&format!("var/persons/{uid}/key"));
    let first = bench.run(&["person", "enrol", "--json"]).await.json();
    assert_eq!(first["already"], false);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(key.parent().unwrap()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let kept = fs::read(&key).unwrap();
    let second = bench.run(&["person", "enrol", "--json"]).await.json();
    assert_eq!(second["already"], true);
    assert_eq!(second["public_key"], first["public_key"]);
    assert_eq!(fs::read(&key).unwrap(), kept);
    let nobody = bench.run(&["person", "enrol", "--user", "no-such-user"]).await;
    assert!(nobody.err.contains("AIOS-CLI-0009"), "{nobody:?}");
}

#[tokio::test]
async fn root_enrols_somebody_else_and_the_key_becomes_theirs() {
    use std::os::unix::fs::MetadataExt;
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = Bench::new().await;
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = passwd
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .expect("the user nobody");
    let uid: u32 = nobody.split(':').nth(2).unwrap().parse().unwrap();
    let first = bench
        .run(&["person", "enrol", "--user", "nobody", "--json"])
        .await
        .json();
    let key = bench.path(&format!("var/persons/{uid}/key"));
    assert_eq!(fs::metadata(&key).unwrap().uid(), uid);
    assert_eq!(fs::metadata(key.parent().unwrap()).unwrap().uid(), uid);
    let persons = fs::metadata(bench.path("var/persons")).unwrap();
    assert_eq!((persons.uid(), persons.mode() & 0o777), (0, 0o755));
    let kept = fs::read(&key).unwrap();
    bench.run(&["person", "enrol", "--user", "nobody"]).await;
    assert_eq!(fs::read(&key).unwrap(), kept, "{first}");
}

#[tokio::test]
async fn enrolling_makes_no_key_when_no_guard_answers() {
    let bench = Bench::empty();
    let ran = bench.run(&["person", "enrol"]).await;
    assert_eq!(ran.exit, Exit::Unreachable);
    assert!(!bench.path("var/persons").exists());
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::enrolled().await;
    let uid = rustix::process::geteuid().as_raw();
    let key = bench.path(&format!("var/persons/{uid}/key"));
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = bench.run(&["emergency", "stop"]).await;
    assert!(
        ran.exit != Exit::Done && ran.err.contains("AIOS-AUTH-0405"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn emergency_stop_and_resume_need_a_person_and_are_shown() {
    let bench = Bench::new().await;
    assert_eq!(bench.run(&["emergency", "stop"]).await.exit, Exit::Denied);
    bench.run(&["person", "enrol"]).await;
    let stopped = bench.run(&["emergency", "stop", "smoke"]).await;
    assert!(stopped.out.contains(": smoke\n"), "{stopped:?}");
    assert!(bench.run(&["status"]).await.out.contains("EMERGENCY STOP"));
    assert_eq!(
        bench.run(&["emergency", "resume"]).await.out,
        "resumed: agents may work again\n"
    );
}

#[tokio::test]
async fn an_emergency_stop_is_not_refused_for_its_reason() {
    let long = "x".repeat(100_000);
    for (reason, wanted) in [
        ("", "stopped by hand"),
        (" \t\n ", "stopped by hand"),
        (" fire ", "fire"),
        (long.as_str(), &format!("{}…", "x".repeat(1000))),
    ] {
        let bench = Bench::enrolled().await;
        let stopped = bench.run(&["--json", "emergency", "stop", reason]).await;
        assert_eq!(stopped.exit, Exit::Done, "{reason:.40?}");
        let state = stopped.json();
        assert_eq!(
            (&state["stopped"], state["reason"].as_str()),
            (&true.into(), Some(wanted)),
            "{reason:.40?}"
        );
    }
    let bench = Bench::enrolled().await;
    let noisy = bench.run(&["emergency", "stop", "a\u{1b}[2Jb\nc"]).await;
    assert_eq!(noisy.exit, Exit::Done, "{noisy:?}");
    assert!(!noisy.out.contains('\u{1b}'), "{noisy:?}");
}

#[tokio::test]
async fn console_open_prints_a_link_with_the_code_in_its_fragment() {
    let bench = Bench::enrolled().await;
    let ran = bench.run(&["console", "open"]).await;
    assert!(
        ran.out.starts_with("http://127.0.0.1:9090/signin#code-"),
        "{ran:?}"
    );
    fs::create_dir_all(bench.path("etc")).unwrap();
    fs::write(
        bench.path("etc/config.toml"),
        "[console]\nlisten = \"127.0.0.1:19090\"\n",
    )
    .unwrap();
    let ran = bench.run(&["console", "open", "--json"]).await;
    assert!(
        ran.json()["link"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:19090/signin#"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn configuration_is_shown_with_its_origin_and_mistakes_are_named() {
    let bench = Bench::empty();
    for dir in ["vendor", "etc", "run", "var"] {
        fs::create_dir_all(bench.path(dir)).unwrap();
    }
    fs::write(
        bench.path("vendor/config.toml"),
        "[console]\nlisten = \"127.0.0.1:9090\"\n\n[guard]\napproval_timeout_ms = 600000\n",
    )
    .unwrap();
    fs::write(
        bench.path("etc/config.toml"),
        "[guard]\napproval_timeout_ms = 1000\n",
    )
    .unwrap();
    insta::assert_snapshot!(
        "config_show",
        stable(&bench.run(&["config", "show", "--origin"]).await.stable())
    );
    assert_eq!(bench.run(&["config", "check"]).await.exit, Exit::Done);
    let cases = [
        (
            "[guard]\napproval_timeout = 5\n",
            "did you mean `approval_timeout_ms`?",
        ),
        ("[gaurd]\n", "did you mean `guard`?"),
        (
            "[guard]\napproval_timeout_ms = \"5\"\n",
            "must be a integer, not a string",
        ),
        ("[guard\n", "etc/config.toml:1: "),
        ("guard = 5\n", "`guard` must be a section"),
    ];
    for (text, wanted) in cases {
        fs::write(bench.path("etc/config.toml"), text).unwrap();
        let ran = bench.run(&["config", "check"]).await;
        assert!(
            ran.exit == Exit::Failed && ran.err.contains(wanted),
            "{text}: {ran:?}"
        );
    }
    let none = bench.run(&["config", "check", "/nonexistent.toml"]).await;
    assert!(none.err.contains("AIOS-CLI-0016"), "{none:?}");
}

#[tokio::test]
async fn under_systemds_names_it_answers_bootc_and_nobody_else() {
    let bench = Bench::new().await;
    let staged = ["start", "--quiet", "bootc-finalize-staged.service"];
    let ran = bench.called("/usr/bin/systemctl", &staged).await;
    assert_eq!(
        (ran.exit, ran.out.as_str(), ran.err.as_str()),
        (Exit::Done, "", "")
    );
    let reboot = [
        "--quiet",
        "--",
        "systemctl",
        "reboot",
        "--message=Initiated by bootc",
    ];
    let ran = bench.called("systemd-run", &reboot).await;
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, "Initiated by bootc\n"));
    // What the supervisor refuses is a failure of the call.
    let ran = bench.called("systemctl", &["poweroff"]).await;
    assert_eq!(ran.exit, Exit::Failed, "{ran:?}");
    let ran = bench.called("systemctl", &["restart", "nginx.service"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    insta::assert_snapshot!("systemctl_refused", ran.stable());
    let away = Bench::empty().called("systemctl", &staged).await;
    assert_eq!(away.exit, Exit::Failed);
    assert!(away.err.contains("AIOS-CLIENT-0001"), "{away:?}");
}

#[tokio::test]
async fn images_are_shown_as_a_person_likes_them_and_a_change_asks_first() {
    let bench = Bench::enrolled().await;
    for (name, words) in [
        ("os_status", &["os", "status"][..]),
        ("os_check", &["os", "check"]),
    ] {
        let ran = bench.run(words).await;
        assert_eq!(ran.exit, Exit::Done, "{ran:?}");
        insta::assert_snapshot!(name, ran.stable());
    }
    let document = bench.run(&["--json", "os", "status"]).await.json();
    assert_eq!(document["next_boot"], "staged");
    let ran = bench.run(&["os", "upgrade"]).await;
    assert_eq!(ran.exit, Exit::NeedsApproval, "{ran:?}");
}

#[tokio::test]
async fn while_an_image_is_fetched_its_worker_says_once_how_far_it_is() {
    let bench = Bench::enrolled().await;
    let (told, approved) = tokio::join!(bench.run(&["os", "upgrade", "--follow"]), async {
        // Longer than the pause between two looks, twice.
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        let waiting = bench.run(&["approval", "list", "--json"]).await.json();
        let approval = waiting[0]["approval_id"].as_str().unwrap().to_owned();
        bench.run(&["approval", "approve", &approval]).await
    });
    assert_eq!(approved.exit, Exit::Done, "{approved:?}");
    let line = "fetching: 3 layers are here, 40 % of the next (1000 bytes)";
    assert_eq!(told.err.matches(line).count(), 1, "{told:?}");
}

#[tokio::test]
async fn an_image_is_signed_by_a_new_key_and_an_altered_one_is_not() {
    let bench = Bench::empty();
    let home = bench.path("images");
    let layer = [7_u8; 4096];
    aios_tests_bootc::layout::write_layout(&home, "latest", "1.0", &[&layer]).unwrap();
    let (image, key) = (home.to_str().unwrap(), bench.path("key"));
    let key = key.to_str().unwrap();
    let made = bench.run(&["os", "key", key]).await;
    assert_eq!(made.exit, Exit::Done, "{made:?}");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(key).unwrap());
    assert_eq!(mode & 0o7777, 0o600);
    let again = bench.run(&["os", "key", key]).await;
    assert!(
        again.exit == Exit::Failed && again.err.contains("AIOS-CLI-0021"),
        "{again:?}"
    );
    let signed = bench
        .run(&["--json", "os", "sign", image, "--key", key])
        .await
        .json();
    let text = fs::read_to_string(home.join("aios.signature.json")).unwrap();
    let digest = signed["digest"].as_str().unwrap();
    assert!(
        text.contains(digest) && text.contains(signed["key"].as_str().unwrap()),
        "{text}"
    );
    let public = fs::read_to_string(bench.path("key.pub")).unwrap();
    assert!(public.contains(signed["key"].as_str().unwrap()), "{public}");
    let blobs = home.join("blobs/sha256");
    let blob = fs::read_dir(&blobs).unwrap().map(|blob| blob.unwrap().path());
    let largest = blob.max_by_key(|blob| fs::metadata(blob).unwrap().len()).unwrap();
    fs::write(&largest, [8_u8; 4096]).unwrap();
    let ran = bench.run(&["os", "sign", image, "--key", key]).await;
    assert!(
        ran.exit == Exit::Denied && ran.err.contains("AIOS-DEPLOYMENT-0007"),
        "{ran:?}"
    );
    let ran = bench.run(&["os", "sign", "/nowhere", "--key", key]).await;
    assert!(ran.err.contains("/nowhere/index.json"), "{ran:?}");
}
