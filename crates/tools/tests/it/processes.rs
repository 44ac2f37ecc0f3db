//! The process tools on processes that these tests start.

use crate::common::any::Post;
use crate::common::{Answer, code, result, roles};
use aios_auth::peer::{Role, Roles};
use aios_auth::trust::TrustKeys;
use aios_core::clock::SystemClock;
use aios_core::paths::Paths;
use aios_tools::process::Process;
use aios_tools::worker::executor::Executor;
use aios_tools::worker::gate::Gate;
use aios_tools::worker::journal::Journal;
use aios_tools::worker::service::WorkerService;
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The user of the guard, for these tests.
pub(crate) const GUARD: u32 = 64_782;
const NOBODY: u32 = 65_534;

/// A worker whose callers are this user, while aiOS's own users are others: what runs as this user may be
/// changed.
fn service(paths: &Paths, keys: TrustKeys) -> WorkerService<Process> {
    let own = Roles::fixed(&[(Role::Guard, GUARD), (Role::Sandbox, 64_788)]);
    let state = paths.state.join("worker/process");
    let process = Arc::new(Process::new(own, state.join("marks")).unwrap());
    let clock = Arc::new(SystemClock);
    let journal = state.join("journal.db");
    let executor = Executor::start(
        Arc::clone(&process),
        Journal::open(&journal).unwrap(),
        clock.clone(),
    )
    .unwrap();
    let reader = Journal::reader(&journal).unwrap();
    let gate = Gate::new(keys, clock).unwrap();
    WorkerService::new(process, gate, roles(), executor, reader, 4)
}

pub(crate) async fn post() -> Post {
    Post::inside("process", "process", service).await
}

/// A process of a test; it ends with it.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self(Command::new("sleep").arg("300").spawn().unwrap())
    }

    pub(crate) fn as_user(uid: u32) -> Self {
        Self(Command::new("sleep").arg("300").uid(uid).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The letter of its state, once it has come to rest.
    pub(crate) fn state(&self) -> char {
        let begun = Instant::now();
        loop {
            let state = state(self.pid());
            if state != 'R' || begun.elapsed() > Duration::from_secs(5) {
                return state;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

fn limits_of(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn processes_are_listed_by_name_user_and_state() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let sleeper = Sleeper::as_user(NOBODY);
    let fits = |list: &Value| {
        list["processes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["pid"] == sleeper.pid())
    };
    for (args, expected) in [
        (json!({"name": "sle*", "user": "nobody", "limit": 5000}), true),
        (
            json!({"user": NOBODY.to_string(), "state": "sleeping", "limit": 5000}),
            true,
        ),
        (json!({"sort_by": "newest", "limit": 5000}), true),
        (json!({"name": "slee", "limit": 5000}), false),
        (json!({"name": "sleep", "user": "root", "limit": 5000}), false),
        (json!({"name": "sleep", "state": "zombie", "limit": 5000}), false),
    ] {
        let list = post.done("process.list", args.clone()).await;
        assert_eq!(fits(&list), expected, "{args}");
        assert_eq!(list["tainted"], true);
    }
    let one = post.done("process.list", json!({"limit": 1})).await;
    assert_eq!(one["processes"].as_array().unwrap().len(), 1);
    assert!(
        one["truncated"] == true && one["matched"].as_u64() > Some(1),
        "{one}"
    );
    let list = post
        .done("process.list", json!({"name": "sleep", "user": "nobody"}))
        .await;
    let own = list["processes"].as_array().unwrap();
    let own = own.iter().find(|it| it["pid"] == sleeper.pid()).unwrap();
    assert_eq!(
        (&own["command"], &own["ppid"]),
        (&json!("sleep 300"), &json!(std::process::id()))
    );
    assert!(own["resident_bytes"].as_u64() > Some(0), "{own}");
}

#[tokio::test]
async fn one_process_tells_of_its_sockets_files_and_limits() {
    let post = post().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = post.data.join("gone");
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    let held = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let me = std::process::id();
    let info = post.done("process.info", json!({"pid": me})).await;
    let sockets = info["sockets"].as_array().unwrap();
    let local = json!(listener.local_addr().unwrap().to_string());
    let own = sockets.iter().find(|it| it["local"] == local);
    assert_eq!(own.map(|it| &it["listens"]), Some(&json!(true)), "{info:#}");
    let port = listener.local_addr().unwrap().port();
    let listed = post.done("process.list", json!({"listens_on": port})).await;
    let pids: Vec<&Value> = listed["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["pid"])
        .collect();
    assert_eq!(pids, [&json!(me)], "{listed:#}");
    let files = info["deleted_files"].as_array().unwrap();
    let gone = files.iter().find(|it| it["path"] == json!(path)).unwrap();
    assert_eq!(
        (&gone["size_bytes"], &gone["deleted"]),
        (&json!(100_000), &json!(true))
    );
    let exe = std::env::current_exe().unwrap();
    assert_eq!(info["executable"], json!(exe));
    assert_eq!(info["directory"], json!(std::env::current_dir().unwrap()));
    assert!(info["open_files"].as_u64() > Some(3));
    assert_eq!(info["limits"].as_array().unwrap().len(), 9);

    let all = post.done("process.open_files", json!({"under": post.data})).await;
    assert_eq!(
        (&all["matched"], &all["files"][0]["pid"]),
        (&json!(1), &json!(me)),
        "{all:#}"
    );
    assert!(all["allocated_bytes"].as_u64() >= Some(100_000), "{all:#}");
    drop(held);
    let none = post.done("process.open_files", json!({"under": post.data})).await;
    assert_eq!(
        (&none["matched"], &none["allocated_bytes"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_tree_has_each_process_below_its_parent() {
    let post = post().await;
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 301 & wait"])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    loop {
        let tree = post.done("process.tree", json!({"pid": shell.id()})).await;
        let nodes = tree["processes"].as_array().unwrap().clone();
        if nodes.len() == 2 {
            assert_eq!(
                (&nodes[0]["pid"], &nodes[0]["depth"]),
                (&json!(shell.id()), &json!(0))
            );
            assert_eq!(
                (&nodes[1]["ppid"], &nodes[1]["depth"]),
                (&json!(shell.id()), &json!(1))
            );
            assert_eq!(nodes[1]["command"], "sleep 301");
            let flat = post
                .done("process.tree", json!({"pid": shell.id(), "depth": 0}))
                .await;
            assert_eq!(
                (flat["processes"].as_array().unwrap().len(), &flat["truncated"]),
                (1, &json!(true))
            );
            let pid = i32::try_from(nodes[1]["pid"].as_i64().unwrap()).unwrap();
            let child = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{tree:#}");
    }
    shell.wait().unwrap();
}

#[tokio::test]
async fn nothing_is_told_or_done_without_its_capability() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let token = || {
        post.grant(&[
            "process:info:1",
            "process:signal:99999999",
            "process:spawn:/usr/bin/true",
        ])
    };
    for (tool, args) in [
        ("process.list", json!({})),
        ("process.tree", json!({})),
        ("process.open_files", json!({})),
        ("process.info", json!({"pid": pid})),
        ("process.wait", json!({"pid": pid, "wait_ms": 0})),
        ("process.limits", json!({"pid": pid})),
        ("process.signal", json!({"pid": pid, "signal": "KILL"})),
        (
            "process.set_limits",
            json!({"pid": pid, "limits": [{"resource": "open_files", "soft": 1}]}),
        ),
        ("process.spawn", json!({"path": "/usr/bin/id"})),
        // Nor whether it is there.
        ("process.info", json!({"pid": 2_000_000_000})),
        ("process.spawn", json!({"path": "/usr/bin/no-such-program"})),
    ] {
        let answer = post.call_as(token(), post.key(), tool, &args).await;
        assert!(matches!(answer, Answer::Denied(_)), "{tool} {args}: {answer:?}");
        assert_eq!(code(&answer), "AIOS-TOOLS-0005", "{tool} {args}");
    }
    assert_eq!(sleeper.state(), 'S');
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused_by_field() {
    let post = post().await;
    let limit = |it: Value| json!({"pid": 1, "limits": it});
    for (tool, args, field) in [
        ("process.list", json!({"limit": 0}), "limit"),
        ("process.list", json!({"limit": 5001}), "limit"),
        ("process.list", json!({"name": "[a"}), "name"),
        ("process.list", json!({"state": "happy"}), "state"),
        ("process.list", json!({"bogus": 1}), "bogus"),
        ("process.tree", json!({"depth": 101}), "depth"),
        ("process.info", json!({"pid": 0}), "pid"),
        ("process.info", json!({"pid": -1}), "pid"),
        ("process.info", json!({}), "pid"),
        ("process.info", json!({"pid": "1"}), "pid"),
        ("process.wait", json!({"pid": 1, "wait_ms": 60_001}), "wait_ms"),
        ("process.signal", json!({"pid": 1, "signal": "0"}), "signal"),
        ("process.signal", json!({"pid": 1, "signal": "64"}), "signal"),
        (
            "process.signal",
            json!({"pid": 1, "signal": "; reboot"}),
            "signal",
        ),
        ("process.set_limits", limit(json!([])), "limits"),
        (
            "process.set_limits",
            limit(json!([{"resource": "open_files"}])),
            "limits[0].soft",
        ),
        (
            "process.set_limits",
            limit(json!([{"resource": "open_files", "soft": -2}])),
            "limits[0].soft",
        ),
        (
            "process.set_limits",
            limit(json!([{"resource": "open_files", "soft": 1}, {"resource": "open_files", "hard": 1}])),
            "limits[1].resource",
        ),
        (
            "process.spawn",
            json!({"path": "/usr/bin/true", "run_ms": 0}),
            "run_ms",
        ),
        (
            "process.spawn",
            json!({"path": "/usr/bin/true", "env": {"LD_PRELOAD": "/x"}}),
            "env.LD_PRELOAD",
        ),
    ] {
        // What the tool service refuses itself is no answer of a call; what the worker refuses is one.
        let told = match post.try_call(post.token(), post.key(), tool, &args).await {
            Ok(answer) => match &answer {
                Answer::Failed(failed) => format!("{:?}", failed.error),
                other => panic!("{tool} {args}: {other:?}"),
            },
            Err(status) => format!("{status:?}"),
        };
        assert!(told.contains("AIOS-TOOLS-0002"), "{tool} {args}: {told}");
        assert!(told.contains(field), "{tool} {args}: {told}");
    }
}

#[tokio::test]
async fn what_aios_stands_on_is_never_changed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let post = post().await;
    let service = Sleeper::as_user(GUARD);
    let parent = std::os::unix::process::parent_id();
    let mut pids = vec![1, std::process::id(), parent, service.pid()];
    // A thread of the kernel, where one is in sight.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        pids.push(2);
    }
    for pid in pids {
        for (tool, args) in [
            ("process.signal", json!({"pid": pid, "signal": "CONT"})),
            (
                "process.set_limits",
                json!({"pid": pid, "limits": [{"resource": "core_bytes", "soft": 0}]}),
            ),
        ] {
            let answer = post.call(tool, args).await;
            assert_eq!(code(&answer), "AIOS-TOOLS-0007", "{tool} {pid}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_number_that_was_given_to_another_process_is_refused() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let info = post.done("process.info", json!({"pid": sleeper.pid()})).await;
    let start = info["process"]["start_ticks"].as_u64().unwrap();
    for (tool, more) in [
        ("process.info", json!({})),
        ("process.limits", json!({})),
        ("process.wait", json!({"wait_ms": 0})),
        ("process.signal", json!({"signal": "KILL"})),
        (
            "process.set_limits",
            json!({"limits": [{"resource": "open_files", "soft": 1}]}),
        ),
    ] {
        let mut args = more.clone();
        args["pid"] = json!(sleeper.pid());
        args["start_ticks"] = json!(start - 1);
        let answer = post.call(tool, args.clone()).await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0012", "{tool}: {answer:?}");
    }
    assert_eq!(sleeper.state(), 'S');
    let right = json!({"pid": sleeper.pid(), "start_ticks": start, "signal": "9"});
    let killed = post.done("process.signal", right).await;
    assert_eq!(
        (&killed["signal"], &killed["ended"]),
        (&json!("KILL"), &json!(true))
    );
}

#[tokio::test]
async fn stopping_and_continuing_are_undone_exactly() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let signal = async |name: &str| {
        let key = post.key();
        let args = json!({"pid": pid, "signal": name});
        let answer = post.call_as(post.token(), key, "process.signal", &args).await;
        let Answer::Done(done) = answer else {
            panic!("{name}: {answer:?}")
        };
        assert!(done.undoable, "{name}");
        key
    };
    let stopped = signal("SIGSTOP").await;
    assert_eq!(sleeper.state(), 'T');
    let again = signal("STOP").await;
    result(post.undo(again).await);
    assert_eq!(sleeper.state(), 'T', "it was stopped before");
    result(post.undo(stopped).await);
    assert_eq!(sleeper.state(), 'S');

    let stopped = signal("STOP").await;
    let continued = signal("CONT").await;
    assert_eq!(sleeper.state(), 'S');
    assert_eq!(
        code(&post.undo(stopped).await),
        "AIOS-TOOLS-0019",
        "somebody continued it"
    );
    result(post.undo(continued).await);
    assert_eq!(sleeper.state(), 'T');
    drop(sleeper);
    assert_eq!(code(&post.undo(stopped).await), "AIOS-TOOLS-0018", "it has ended");
}

#[tokio::test]
async fn other_signals_cannot_be_undone_and_say_so() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let key = post.key();
    let args = json!({"pid": sleeper.pid(), "signal": "TERM"});
    let answer = post.call_as(post.token(), key, "process.signal", &args).await;
    let Answer::Done(done) = answer else {
        panic!("{answer:?}")
    };
    assert!(!done.undoable);
    assert_eq!(code(&post.undo(key).await), "AIOS-TOOLS-0018");
    // The test has not asked how it ended, so it is a zombie, and nothing more can be sent to it.
    let wait = post.done("process.wait", json!({"pid": sleeper.pid()})).await;
    assert_eq!(wait["ended"], true);
    let late = post
        .call("process.signal", json!({"pid": sleeper.pid(), "signal": "KILL"}))
        .await;
    assert_eq!(code(&late), "AIOS-TOOLS-0010", "{late:?}");
}

#[tokio::test]
async fn a_wait_ends_with_the_process_or_with_its_time() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let still = post
        .done("process.wait", json!({"pid": sleeper.pid(), "wait_ms": 100}))
        .await;
    assert_eq!(still["ended"], false);
    assert!(
        (100..5000).contains(&still["waited_ms"].as_u64().unwrap()),
        "{still}"
    );
    let args = json!({"pid": sleeper.pid(), "wait_ms": 30_000});
    let waiting = post.done("process.wait", args);
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        post.done("process.signal", json!({"pid": sleeper.pid(), "signal": "KILL"}))
            .await
    };
    let (ended, _) = tokio::join!(waiting, kill);
    assert_eq!(ended["ended"], true);
    assert!(ended["waited_ms"].as_u64().unwrap() < 20_000, "{ended}");
    let gone = post.call("process.wait", json!({"pid": 2_000_000_000})).await;
    assert_eq!(code(&gone), "AIOS-TOOLS-0009");
}

#[tokio::test]
async fn limits_change_and_come_back_exactly() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let before = [
        limits_of(pid, "Max open files"),
        limits_of(pid, "Max core file size"),
    ];
    let key = post.key();
    let hard = limits_of(pid, "Max open files")
        .split(' ')
        .nth(4)
        .unwrap()
        .to_owned();
    let change = json!({"pid": pid, "limits": [
        {"resource": "open_files", "soft": 64},
        {"resource": "core_bytes", "soft": 0},
    ]});
    let set = result(
        post.call_as(post.token(), key, "process.set_limits", &change)
            .await,
    );
    assert_eq!(
        limits_of(pid, "Max open files"),
        format!("Max open files 64 {hard} files")
    );
    assert!(limits_of(pid, "Max core file size").starts_with("Max core file size 0 "));
    let now = post.done("process.limits", json!({"pid": pid})).await;
    for limit in set["limits"].as_array().unwrap() {
        assert!(
            now["limits"].as_array().unwrap().contains(limit),
            "{limit} in {now}"
        );
    }
    result(post.undo(key).await);
    let after = [
        limits_of(pid, "Max open files"),
        limits_of(pid, "Max core file size"),
    ];
    assert_eq!(after, before);

    let above = json!({"pid": pid, "limits": [{"resource": "open_files", "soft": 200, "hard": 100}]});
    assert_eq!(
        code(&post.call("process.set_limits", above).await),
        "AIOS-TOOLS-0002"
    );
}

/// CAP_SYS_RESOURCE, which raising a hard limit needs.
const SYS_RESOURCE: u64 = 1 << 24;

#[tokio::test]
async fn a_hard_limit_comes_back_too_or_the_machine_says_why_not() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let before = limits_of(sleeper.pid(), "Max open files");
    let key = post.key();
    let args = json!({"pid": sleeper.pid(), "limits": [{"resource": "open_files", "soft": 64, "hard": 128}]});
    result(post.call_as(post.token(), key, "process.set_limits", &args).await);
    assert_eq!(
        limits_of(sleeper.pid(), "Max open files"),
        "Max open files 64 128 files"
    );
    let undone = post.undo(key).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap();
    if u64::from_str_radix(mask.trim(), 16).unwrap() & SYS_RESOURCE != 0 {
        result(undone);
        assert_eq!(limits_of(sleeper.pid(), "Max open files"), before);
    } else {
        assert_eq!(code(&undone), "AIOS-TOOLS-0015", "{undone:?}");
        assert_eq!(
            limits_of(sleeper.pid(), "Max open files"),
            "Max open files 64 128 files"
        );
    }
}

#[tokio::test]
async fn an_undo_of_limits_that_somebody_changed_since_is_refused() {
    let post = post().await;
    let sleeper = Sleeper::new();
    let key = post.key();
    let change =
        |soft: u32| json!({"pid": sleeper.pid(), "limits": [{"resource": "open_files", "soft": soft}]});
    result(
        post.call_as(post.token(), key, "process.set_limits", &change(64))
            .await,
    );
    post.done("process.set_limits", change(65)).await;
    let refused = post.undo(key).await;
    assert_eq!(code(&refused), "AIOS-TOOLS-0019");
    let Answer::Failed(failed) = refused else { panic!() };
    let message = failed.error.unwrap().message;
    assert!(message.contains("open_files 65"), "{message}");
}
