//! The two halves: the supervisor dies and is replaced, orphans are reaped, process 1 sleeps.
#![cfg(test)]

mod common;

use aios_proto::init::v1::{LogsRequest, ServiceRequest};
use common::container::Container;
use common::{Instance, eventually, is_root, python, signal};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tokio_stream::StreamExt;
use tonic::Code;

#[tokio::test]
async fn services_survive_their_supervisor_and_are_adopted() {
    if !is_root() {
        return;
    }
    let body = "print('before')\nl=socket.socket(fileno=3)\nnotify(b'READY=1')\n\
        while not os.path.exists('${OUT}/go'): time.sleep(0.02)\nprint('after')\ntime.sleep(1000)\n";
    let keys = "restart_min_ms = 20\n[[socket]]\npath = \"${RUN}/kept.sock\"\ngroup = \"daemon\"\n";
    let late =
        "while not os.path.exists('${OUT}/go'): time.sleep(0.02)\nnotify(b'READY=1')\ntime.sleep(1000)\n";
    let mut instance = Instance::start(&[("kept", &python(body, keys)), ("late", &python(late, ""))]);
    let before = instance.until_state("kept", "ready").await;
    let starting = instance.until_state("late", "starting").await;
    for round in 0..3 {
        let supervisor = instance.supervisor();
        signal(supervisor, Signal::SIGKILL);
        eventually("the supervisor is replaced", || {
            instance.supervisor() != supervisor
        })
        .await;
        let after = instance.until_state("kept", "ready").await;
        assert_eq!(
            (after.pid, after.ready_since_ms, after.restarts),
            (before.pid, before.ready_since_ms, 0),
            "round {round}"
        );
    }
    // What it wrote meanwhile, and its readiness, still arrive.
    fs::write(instance.path("out/go"), "").unwrap();
    assert_eq!(instance.until_state("late", "ready").await.pid, starting.pid);
    let request = LogsRequest {
        name: "kept".into(),
        last: 1,
        follow: true,
    };
    let mut lines = instance.client().logs(request).await.unwrap().into_inner();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "after");
    // The adopted service is supervised: its end is seen and it is started again.
    signal(i32::try_from(before.pid).unwrap(), Signal::SIGKILL);
    let again = instance
        .until("kept", |info| info.state == "ready" && info.pid != before.pid)
        .await;
    assert_eq!(again.restarts, 1);
    assert!(instance.stop());
}

#[tokio::test]
async fn when_the_first_process_is_killed_everything_stops() {
    if !is_root() {
        return;
    }
    let mut instance = Instance::start(&[("x", &python("notify(b'READY=1')\ntime.sleep(1000)\n", ""))]);
    let pid = instance.until_state("x", "ready").await.pid;
    let supervisor = instance.supervisor();
    instance.child.kill().unwrap();
    instance.child.wait().unwrap();
    for pid in [pid.to_string(), supervisor.to_string()] {
        eventually("it ends too", || {
            fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        })
        .await;
    }
    assert!(!instance.path("run/init.sock").exists());
}

#[tokio::test]
async fn a_service_that_ends_while_there_is_no_supervisor_is_started_again() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[(
        "x",
        &python("notify(b'READY=1')\ntime.sleep(1000)\n", "restart_min_ms = 20\n"),
    )]);
    let before = instance.until_state("x", "ready").await;
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGSTOP);
    signal(i32::try_from(before.pid).unwrap(), Signal::SIGKILL);
    signal(supervisor, Signal::SIGKILL);
    let after = instance
        .until("x", |info| info.state == "ready" && info.pid != before.pid)
        .await;
    assert_eq!(after.restarts, 1);
}

#[tokio::test]
async fn orphans_are_reaped() {
    if !is_root() {
        return;
    }
    let body = "for _ in range(20):\n    if os.fork()==0:\n        if os.fork()==0:\n            time.sleep(0.05); os._exit(7)\n        os._exit(0)\n    os.wait()\n\
        notify(b'READY=1')\ntime.sleep(1000)\n";
    let instance = Instance::start(&[("parent", &python(body, ""))]);
    instance.until_state("parent", "ready").await;
    let pid1 = instance.child.id();
    let supervisor = instance.supervisor();
    eventually("no orphan and no zombie is left", || {
        let children = fs::read_to_string(format!("/proc/{pid1}/task/{pid1}/children")).unwrap();
        children
            .split_whitespace()
            .all(|pid| pid == supervisor.to_string())
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_orphans_are_reaped_while_services_go_on() {
    if !is_root() {
        return;
    }
    // Each child leaves a hundred of its own behind, some of which are still at work when it ends.
    let body = "for round in range(100):\n    if os.fork()==0:\n        for n in range(100):\n            if os.fork()==0:\n                \
        time.sleep(n%10/200); os._exit(n)\n        os._exit(0)\n    os.wait()\nnotify(b'READY=1')\ntime.sleep(1000)\n";
    let steady = "notify(b'READY=1')\nn=0\nwhile True:\n    n+=1; open('${OUT}/steady','w').write(str(n)); time.sleep(0.01)\n";
    let tree = Instance::tree(&[("parent", &python(body, "")), ("steady", &python(steady, ""))]);
    let mut container = Container::start(tree, ":");
    let steady = container.until_state("steady", "ready").await;
    let before = container.out("steady");
    container.until_state("parent", "ready").await;
    let pid1 = container.pid1();
    eventually("nothing but the supervisor and no zombie is left", || {
        let children = fs::read_to_string(format!("/proc/{pid1}/task/{pid1}/children")).unwrap();
        children.split_whitespace().count() == 1
    })
    .await;
    eventually("the other service went on", || container.out("steady") != before).await;
    let after = container.until_state("steady", "ready").await;
    assert_eq!((after.pid, after.restarts), (steady.pid, 0));
    assert!(container.stop());
}

#[tokio::test]
async fn the_watchdog_is_fed_while_supervisors_come_and_go_and_closed_at_the_end() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[(
        "x",
        "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n",
    )]);
    let dog = tree.path().join("dog");
    fs::write(&dog, "").unwrap();
    let mut command = Instance::command(tree.path());
    command.env("INIT_WATCHDOG", format!("{}:1", dog.display()));
    let mut instance = Instance::start_by(tree, command);
    instance.until_state("x", "ready").await;
    let fed = || fs::read_to_string(&dog).unwrap();
    for _ in 0..2 {
        let before = fed().len();
        eventually("it is fed", || fed().len() >= before + 2).await;
        let supervisor = instance.supervisor();
        signal(supervisor, Signal::SIGKILL);
    }
    instance.until_state("x", "ready").await;
    assert!(fed().bytes().all(|byte| byte == b'k'));
    assert!(instance.stop());
    let all = fed();
    assert!(
        all.strip_suffix('V')
            .is_some_and(|fed| fed.bytes().all(|byte| byte == b'k')),
        "{all}"
    );
}

#[tokio::test]
async fn the_first_process_is_small_and_sleeps() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[(
        "x",
        "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n",
    )]);
    instance.until_state("x", "ready").await;
    let status = || fs::read_to_string(format!("/proc/{}/status", instance.child.id())).unwrap();
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = status();
    assert!(field(&before, "VmRSS:") <= 3 * 1024, "{before}");
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let after = status();
    for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
        assert_eq!(field(&before, name), field(&after, name), "{name}");
    }
}

#[tokio::test]
async fn only_root_and_enrolled_persons_change_services() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[(
        "x",
        "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n",
    )]);
    instance.until_state("x", "ready").await;
    // Here the group `aios` may not exist; what is tested is the check behind the socket's mode.
    fs::set_permissions(instance.path("run/init.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    let uid = 4242;
    let ask = || async {
        let mut client = instance.client();
        // The kernel notes who we are at that moment on this thread.
        rustix_euid(Some(uid));
        let result = client.restart_service(ServiceRequest { name: "x".into() }).await;
        rustix_euid(None);
        result
    };
    assert_eq!(ask().await.unwrap_err().code(), Code::PermissionDenied);
    let person = instance.path("var/persons").join(uid.to_string());
    fs::create_dir(&person).unwrap();
    assert_eq!(ask().await.unwrap_err().code(), Code::PermissionDenied);
    nix::unistd::chown(&person, Some(uid.into()), None).unwrap();
    ask().await.unwrap();
}

/// Changes the effective user of this thread only; none changes it back.
fn rustix_euid(uid: Option<u32>) {
    let keep = rustix::process::Uid::from_raw(u32::MAX);
    let uid = rustix::process::Uid::from_raw(uid.unwrap_or(0));
    rustix::thread::set_thread_res_uid(keep, uid, keep).unwrap();
}

#[test]
fn as_process_1_of_a_namespace_it_reaps_everything_and_ends() {
    if !is_root() {
        return;
    }
    // The service orphans a process, then asks process 1 to end as a container's runtime does.
    let body = "if os.fork()==0:\n    if os.fork()==0:\n        os.execv('/bin/sleep',['sleep','1000000'])\n    os._exit(0)\nos.wait()\n\
        say('pid1',open('/proc/1/cmdline').read().split('\\0')[0])\nnotify(b'READY=1')\n\
        open('${OUT}/ready','w')\ntime.sleep(1000)\n";
    let tree = Instance::tree(&[("inside", &python(body, ""))]);
    let program = env!("CARGO_BIN_EXE_aios-init");
    let mut child = Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--mount",
            program,
            "--state",
        ])
        .arg(tree.path())
        .stderr(fs::File::create(tree.path().join("init.log")).unwrap())
        .spawn()
        .unwrap();
    let start = std::time::Instant::now();
    while !tree.path().join("out/ready").exists() {
        assert!(
            start.elapsed().as_secs() < 60,
            "{}",
            fs::read_to_string(tree.path().join("init.log")).unwrap()
        );
        assert!(
            child.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(tree.path().join("init.log")).unwrap()
        );
        std::thread::yield_now();
    }
    let said = fs::read_to_string(tree.path().join("out/pid1")).unwrap();
    assert!(said.trim().ends_with("aios-init"), "{said}");
    // The child of `unshare` is process 1 inside.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    signal(children.trim().parse().unwrap(), Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
}
