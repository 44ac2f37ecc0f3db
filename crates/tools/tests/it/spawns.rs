//! Programs that the process worker runs, and what becomes of calls when it is killed.

use crate::common::any::Post;
use crate::common::{Answer, code, result};
use crate::processes::{GUARD, Sleeper, post};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

const NOBODY: u32 = 65_534;
const POINTS: [&str; 8] = [
    "worker.fs.before_snapshot",
    "worker.fs.after_snapshot",
    "worker.fs.before_effect",
    "worker.process.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.before_commit",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

/// A script that everybody may run.
fn script(post: &Post, name: &str, text: &str) -> String {
    let path = post.data.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Real path of a program of this machine.
fn real(name: &str) -> String {
    let found = ["/usr/bin", "/bin"]
        .iter()
        .find_map(|dir| fs::canonicalize(format!("{dir}/{name}")).ok());
    found.unwrap().to_str().unwrap().to_owned()
}

/// Processes with this command line.
fn running(command: &str) -> usize {
    let wanted = command.replace(' ', "\0") + "\0";
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path().join("cmdline");
            fs::read(path).is_ok_and(|line| line == wanted.as_bytes())
        })
        .count()
}

#[tokio::test]
async fn a_program_runs_with_what_it_is_given_and_nothing_else() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let path = script(
        &post,
        "told",
        "echo \"$1|$2\"; pwd; id -u; env | sort; echo wrong >&2; exit 3",
    );
    let args = json!({
        "path": path, "arguments": ["a b", "$(id)"], "cwd": post.data, "env": {"COLOUR": "blue"},
    });
    let told = post.done("process.spawn", args).await;
    let lines: Vec<&str> = told["stdout"]["text"].as_str().unwrap().lines().collect();
    assert_eq!(
        lines[..3],
        ["a b|$(id)", post.data.to_str().unwrap(), "65534"],
        "{told:#}"
    );
    let mut names: Vec<&str> = lines[3..]
        .iter()
        .map(|it| it.split('=').next().unwrap())
        .collect();
    // The shell adds these itself.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    assert_eq!(names, ["COLOUR", "LC_ALL", "PATH"], "{told:#}");
    assert_eq!(told["stderr"]["text"], "wrong\n");
    assert_eq!(
        (&told["ending"], &told["exit_code"]),
        (&json!("exited"), &json!(3))
    );
    assert_eq!(
        (&told["left_behind"], &told["tainted"]),
        (&json!(0), &json!(true))
    );
}

#[tokio::test]
async fn a_program_is_confined_and_leads_its_own_session() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let args = json!({"path": real("cat"), "arguments": ["/proc/self/status", "/proc/self/stat"]});
    let status = post.done("process.spawn", args).await;
    let text = status["stdout"]["text"].as_str().unwrap();
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "Uid:\t65534\t65534\t65534\t65534",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let pid = status["pid"].as_u64().unwrap();
    assert!(
        text.contains(&format!(" {pid} {pid} 0 -1 ")),
        "group and session {pid}, no terminal: {text}"
    );
}

#[tokio::test]
async fn everything_that_was_started_is_killed_when_time_is_up() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let path = script(
        &post,
        "many",
        "sleep 30.125 & setsid sleep 30.126 & (setsid sleep 30.127 &) ; echo begun; sleep 30.128",
    );
    let begun = Instant::now();
    let killed = post
        .done("process.spawn", json!({"path": path, "run_ms": 700}))
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(
        (&killed["ending"], &killed["signal"]),
        (&json!("timed_out"), &json!(9)),
        "{killed:#}"
    );
    assert_eq!(killed["stdout"]["text"], "begun\n");
    assert_eq!(killed["not_killed"], 0);
    for number in 125..=128 {
        assert_eq!(
            running(&format!("sleep 30.{number}")),
            0,
            "sleep 30.{number} lives on"
        );
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_the_call_and_nothing_else_does() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let stranger = Sleeper::new();
    let path = script(&post, "leaves", "setsid sleep 30.130 & sleep 0.2; exit 0");
    let left = post.done("process.spawn", json!({"path": path})).await;
    assert_eq!(
        (&left["ending"], &left["exit_code"]),
        (&json!("exited"), &json!(0))
    );
    assert_eq!(
        (&left["left_behind"], &left["not_killed"]),
        (&json!(1), &json!(0)),
        "{left:#}"
    );
    assert_eq!(running("sleep 30.130"), 0);
    assert_eq!(stranger.state(), 'S');
}

#[tokio::test]
async fn output_is_capped_and_counted() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let path = script(
        &post,
        "talks",
        "head -c 300000 /dev/zero | tr '\\0' x; printf '\\377' >&2",
    );
    let talked = post
        .done("process.spawn", json!({"path": path, "max_output_bytes": 1000}))
        .await;
    let stdout = &talked["stdout"];
    assert_eq!(stdout["text"].as_str().unwrap(), "x".repeat(1000));
    assert_eq!(
        (&stdout["bytes"], &stdout["truncated"]),
        (&json!(300_000), &json!(true))
    );
    assert_eq!(
        (&talked["stderr"]["text"], &talked["stderr"]["bytes"]),
        (&json!("\u{fffd}"), &json!(1))
    );
}

#[tokio::test]
async fn a_cancelled_program_is_killed_and_told_so() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let key = post.key();
    let args = json!({"path": real("sleep"), "arguments": ["30.131"], "run_ms": 60_000});
    let call = post.call_as(post.token(), key, "process.spawn", &args);
    let cancel = async {
        let begun = Instant::now();
        while running(&format!("{} 30.131", real("sleep"))) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(post.cancel(key).await);
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert_eq!(result(answer)["ending"], "cancelled");
    assert_eq!(running(&format!("{} 30.131", real("sleep"))), 0);
}

#[tokio::test]
async fn what_may_not_be_run_is_refused() {
    let post = post().await;
    let link = post.data.join("link");
    symlink(real("true"), &link).unwrap();
    let plain = post.data.join("plain");
    fs::write(&plain, "text").unwrap();
    let data = post.data.to_str().unwrap().to_owned();
    let token = || {
        let below = format!("process:spawn:{data}/**");
        let program = format!("process:spawn:{}", real("true"));
        post.grant(&[&below, &program])
    };
    let only_data = || post.grant(&[&format!("process:spawn:{data}/**")]);
    let root = json!({"path": real("true"), "user": "root"});
    for (what, token, args, expected) in [
        (
            "a link out of the grant",
            only_data(),
            json!({"path": link}),
            "AIOS-TOOLS-0006",
        ),
        ("a directory", token(), json!({"path": data}), "AIOS-TOOLS-0010"),
        (
            "a file that is no program",
            token(),
            json!({"path": plain}),
            "AIOS-TOOLS-0010",
        ),
        (
            "nothing",
            token(),
            json!({"path": post.data.join("none")}),
            "AIOS-TOOLS-0009",
        ),
        ("root without a grant for it", token(), root, "AIOS-TOOLS-0005"),
        (
            "no such user",
            token(),
            json!({"path": real("true"), "user": "no-such-user"}),
            "AIOS-TOOLS-0009",
        ),
        (
            "no directory",
            token(),
            json!({"path": real("true"), "cwd": plain}),
            "AIOS-TOOLS-0002",
        ),
    ] {
        let answer = post.call_as(token, post.key(), "process.spawn", &args).await;
        assert_eq!(code(&answer), expected, "{what}: {answer:?}");
    }
    // The test's guard has a number without a name; a number is enough.
    let service = json!({"path": real("true"), "user": GUARD.to_string()});
    let answer = post.call_as(token(), post.key(), "process.spawn", &service).await;
    assert!(
        ["AIOS-TOOLS-0007", "AIOS-TOOLS-0009"].contains(&code(&answer).as_str()),
        "{answer:?}"
    );
}

#[tokio::test]
async fn root_is_possible_where_it_was_granted_and_has_no_privilege() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let cat = real("cat");
    let token = post.grant(&[
        &format!("process:spawn:{cat}"),
        &format!("process:spawn_as_root:{cat}"),
    ]);
    let args = json!({"path": cat, "arguments": ["/proc/self/status"], "user": "root"});
    let ran = result(post.call_as(token, post.key(), "process.spawn", &args).await);
    let text = ran["stdout"]["text"].as_str().unwrap();
    assert!(text.contains("Uid:\t0\t0\t0\t0"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
}

#[tokio::test]
async fn a_program_that_cannot_start_leaves_nothing() {
    let post = post().await;
    let path = post.data.join("broken");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let key = post.key();
    let args = json!({"path": path});
    let answer = post.call_as(post.token(), key, "process.spawn", &args).await;
    assert_eq!(code(&answer), "AIOS-TOOLS-0015", "{answer:?}");
    let again = post.call_as(post.token(), key, "process.spawn", &args).await;
    assert_eq!(code(&again), "AIOS-TOOLS-0015", "the record of it: {again:?}");
    let marks = fs::read_dir(post.paths.state.join("worker/process/marks")).unwrap();
    assert_eq!(marks.count(), 0);
}

async fn outside() -> Post {
    Post::outside("process", "process").await
}

/// The code of an answer, or of a call that was refused as a whole.
async fn code_of(post: &Post, key: aios_core::id::ExecutionKey, tool: &str, args: &Value) -> String {
    match post.try_call(post.token(), key, tool, args).await {
        Ok(answer) => code(&answer),
        Err(status) => status.message().to_owned(),
    }
}

#[tokio::test]
async fn a_program_never_runs_twice_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut post = outside().await;
    for point in POINTS {
        let count = post.data.join(point);
        let path = script(&post, "counts", "echo x >> \"$1\"; sleep 0.3; sleep 30.132");
        let args = json!({"path": path, "arguments": [count], "run_ms": 600});
        let key = post.key();
        post.arm(point);
        let lost = post.try_call(post.token(), key, "process.spawn", &args).await;
        assert!(lost.is_err(), "{point}: {lost:?}");
        post.after_crash().await;
        let times = || fs::read_to_string(&count).map_or(0, |text| text.lines().count());
        if point == "worker.process.mid_effect" {
            let known = post.status(key).await.state();
            assert_eq!(
                known,
                aios_proto::worker::v1::ExecutionState::Running,
                "nobody knows"
            );
            let told = code_of(&post, key, "process.spawn", &args).await;
            assert!(
                told.contains("AIOS-TOOLS-0027") || told.contains("half done"),
                "{told}"
            );
            assert!(times() <= 1);
        } else {
            let again = post.call_as(post.token(), key, "process.spawn", &args).await;
            assert_eq!(result(again)["ending"], "timed_out", "{point}");
            assert_eq!(times(), 1, "{point}");
        }
        assert_eq!(running("sleep 30.132"), 0, "{point}");
    }
}

#[tokio::test]
async fn stopping_happens_once_and_is_undone_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut post = outside().await;
    let sleeper = Sleeper::as_user(NOBODY);
    let args = json!({"pid": sleeper.pid(), "signal": "STOP"});
    for point in POINTS.into_iter().filter(|it| !it.contains("mid")) {
        let key = post.key();
        post.arm(point);
        let lost = post.try_call(post.token(), key, "process.signal", &args).await;
        assert!(lost.is_err(), "{point}: {lost:?}");
        post.after_crash().await;
        result(post.call_as(post.token(), key, "process.signal", &args).await);
        assert_eq!(sleeper.state(), 'T', "{point}");
        result(post.undo(key).await);
        assert_eq!(sleeper.state(), 'S', "{point}");
    }
}

#[tokio::test]
async fn a_signal_that_cannot_be_called_back_is_sent_once_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut post = outside().await;
    for point in POINTS.into_iter().filter(|it| !it.contains("mid")) {
        let count = post.data.join(point);
        let path = script(
            &post,
            "hears",
            "trap 'echo x >> \"$1\"' USR1; echo r > \"$1\"; while :; do sleep 0.05; done",
        );
        let mut command = std::process::Command::new(&path);
        let mut hearer = std::os::unix::process::CommandExt::uid(command.arg(&count), NOBODY)
            .spawn()
            .unwrap();
        let lines = || fs::read_to_string(&count).map_or(0, |text| text.lines().count());
        let begun = Instant::now();
        while lines() < 1 && begun.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let args = json!({"pid": hearer.id(), "signal": "USR1"});
        let key = post.key();
        post.arm(point);
        let lost = post.try_call(post.token(), key, "process.signal", &args).await;
        assert!(lost.is_err(), "{point}: {lost:?}");
        post.after_crash().await;
        result(post.call_as(post.token(), key, "process.signal", &args).await);
        while lines() < 2 && begun.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(lines(), 2, "{point}: ready, and once heard");
        hearer.kill().unwrap();
        hearer.wait().unwrap();
    }
}

#[tokio::test]
async fn a_call_that_needs_a_person_is_not_made_without_one() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    post.guard.mood(crate::common::Mood::Ask);
    let path = script(&post, "asks", "echo x > \"$1\"");
    let count = post.data.join("count");
    let args = json!({"path": path, "arguments": [count]});
    let key = post.key();
    let asked = post.call_as(post.token(), key, "process.spawn", &args).await;
    let Answer::ApprovalRequired(asked) = asked else {
        panic!("{asked:?}")
    };
    assert!(!count.exists());
    post.guard.approve(&asked.approval_id);
    result(post.call_as(post.token(), key, "process.spawn", &args).await);
    assert!(count.exists());
}
