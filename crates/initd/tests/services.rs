//! Services as real processes: order, readiness, restart, sockets, logs, the end.
#![cfg(test)]

mod common;

use aios_core::rpc;
use aios_proto::init::v1::{
    GetBootRequest, GetServiceRequest, ListServicesRequest, LogsRequest, ServiceRequest, ShutdownRequest,
};
use common::{Instance, eventually, is_root, processes_with, python, signal};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio_stream::StreamExt;
use tonic::Code;

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";

#[tokio::test]
async fn services_start_in_order_and_stop_in_reverse_order() {
    if !is_root() {
        return;
    }
    let body = |name: &str| {
        format!(
            "def end(*_):\n    say('order','-{name}'); sys.exit(0)\n\
             signal.signal(signal.SIGTERM,end)\ntime.sleep(0.1)\nsay('order','+{name}')\nnotify(b'STATUS=up\\nREADY=1')\n\
             while True: signal.pause()\n"
        )
    };
    let by_fd = "def end(*_):\n    say('order','-c'); sys.exit(0)\n\
        signal.signal(signal.SIGTERM,end)\ntime.sleep(0.1)\nsay('order','+c')\nos.write(int(os.environ['READY_FD']),b'\\n')\n\
        while True: signal.pause()\n";
    let mut instance = Instance::start(&[
        ("a", &python(&body("a"), "needs = [\"b\"]\n")),
        ("b", &python(&body("b"), "after = [\"c\"]\n")),
        ("c", &python(by_fd, "ready = \"fd\"\n")),
    ]);
    let info = instance.until_state("a", "ready").await;
    assert_eq!(info.user, "daemon");
    assert_eq!(info.needs, ["b"]);
    assert!(info.ready_ms >= 100, "{info:?}");
    let list = instance
        .client()
        .list_services(ListServicesRequest {})
        .await
        .unwrap()
        .into_inner()
        .services;
    assert_eq!(
        list.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
        ["c", "b", "a"]
    );
    let boot = instance
        .client()
        .get_boot(GetBootRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!boot.booted);
    let names: Vec<&str> = boot.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"mount-essentials"));
    assert_eq!(names.last(), Some(&"ready"));
    assert!(instance.stop());
    assert_eq!(
        instance.out("order").split_whitespace().collect::<Vec<_>>(),
        ["+c", "+b", "+a", "-a", "-b", "-c"]
    );
}

#[tokio::test]
async fn a_service_that_is_ready_by_its_exit_holds_back_what_needs_it_until_it_is_done() {
    if !is_root() {
        return;
    }
    let setup = "say('order','setup '+str(len(open('${OUT}/order').readlines()) if os.path.exists('${OUT}/order') else 0))\n\
        while not os.path.exists('${OUT}/go'): time.sleep(0.02)\nsay('order','done')\n";
    let user = "say('order','user')\nnotify(b'READY=1')\ntime.sleep(1000)\n";
    let mut instance = Instance::start(&[
        ("setup", &python(setup, "ready = \"exit\"\n")),
        ("user", &python(user, "needs = [\"setup\"]\n")),
        (
            "broken",
            "command = [\"/bin/false\"]\nuser = \"daemon\"\nready = \"exit\"\n",
        ),
        ("waits", &format!("{SLEEP}needs = [\"broken\"]\n")),
        ("after", &format!("{SLEEP}after = [\"broken\", \"setup\"]\n")),
        (
            "slow",
            "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"exit\"\nstart_timeout_ms = 100\n",
        ),
    ]);
    instance.until_state("setup", "starting").await;
    assert_eq!(instance.info("user").await.unwrap().state, "waiting");
    assert_eq!(instance.info("after").await.unwrap().state, "waiting");
    std::fs::write(instance.path("out/go"), "").unwrap();
    instance.until_state("user", "ready").await;
    instance.until_state("after", "ready").await;
    let done = instance.info("setup").await.unwrap();
    assert_eq!((done.state.as_str(), done.pid, done.wanted), ("ready", 0, true));
    assert_eq!((done.last_exit.as_str(), done.restarts), ("exit 0", 0));
    let failed = instance.until_state("broken", "failed").await;
    assert_eq!((failed.last_exit.as_str(), failed.restarts), ("exit 1", 0));
    assert_eq!(instance.info("waits").await.unwrap().state, "waiting");
    assert_eq!(instance.until_state("slow", "failed").await.last_exit, "signal 9");
    // A successor knows that it is done; a start leaves it so, a restart does it again.
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("the supervisor is replaced", || {
        instance.supervisor() != supervisor
    })
    .await;
    let named = |name: &str| ServiceRequest { name: name.into() };
    let start = instance.client().start_service(named("setup")).await.unwrap();
    assert_eq!(start.into_inner().run, 1);
    let again = instance.client().restart_service(named("setup")).await.unwrap();
    assert_eq!(
        (again.get_ref().state.as_str(), again.get_ref().run),
        ("ready", 2)
    );
    assert_eq!(
        instance.out("order").lines().collect::<Vec<_>>(),
        ["setup 0", "done", "user", "setup 3", "done"]
    );
    let stopped = instance.client().stop_service(named("setup")).await.unwrap();
    assert_eq!(stopped.into_inner().state, "stopped");
    assert_eq!(instance.info("user").await.unwrap().state, "stopped");
    assert!(instance.stop());
}

#[tokio::test]
async fn no_connection_is_lost_while_a_service_is_killed() {
    if !is_root() {
        return;
    }
    let echo = "l=socket.socket(fileno=3)\nassert os.environ['LISTEN_FDNAMES']=='echo' and int(os.environ['LISTEN_PID'])==os.getpid()\n\
        notify(b'READY=1')\nwhile True:\n    c,_=l.accept(); c.sendall(c.recv(100)); c.close()\n";
    let instance = Instance::start(&[(
        "echo",
        &python(
            echo,
            "restart_min_ms = 50\n[[socket]]\npath = \"${RUN}/echo.sock\"\ngroup = \"daemon\"\nmode = \"0600\"\n",
        ),
    )]);
    let first = instance.until_state("echo", "ready").await;
    assert_eq!(
        first.sockets,
        [instance.path("run/echo.sock").display().to_string()]
    );
    let pid = i32::try_from(first.pid).unwrap();
    signal(pid, Signal::SIGSTOP);
    eventually("it is stopped", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap()
            .contains(") T ")
    })
    .await;
    let mut clients: Vec<UnixStream> = (0..50)
        .map(|number| {
            let mut client = UnixStream::connect(instance.path("run/echo.sock")).unwrap();
            write!(client, "{number}").unwrap();
            client
        })
        .collect();
    signal(pid, Signal::SIGKILL);
    for (number, client) in clients.iter_mut().enumerate() {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, number.to_string());
    }
    let second = instance.until_state("echo", "ready").await;
    assert_ne!(first.pid, second.pid);
    assert_eq!(second.last_exit, "signal 9");
}

#[tokio::test]
async fn the_first_connection_starts_a_service_on_demand() {
    if !is_root() {
        return;
    }
    let echo = "l=socket.socket(fileno=3)\nnotify(b'READY=1')\nwhile True:\n    c,_=l.accept(); c.sendall(b'here'); c.close()\n";
    let instance = Instance::start(&[(
        "lazy",
        &python(
            echo,
            "[[socket]]\npath = \"${RUN}/lazy.sock\"\ngroup = \"daemon\"\non_demand = true\n",
        ),
    )]);
    let before = instance.until_state("lazy", "listening").await;
    assert_eq!(before.pid, 0);
    let mut text = String::new();
    UnixStream::connect(instance.path("run/lazy.sock"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "here");
    instance.until_state("lazy", "ready").await;
}

#[tokio::test]
async fn only_the_main_process_can_say_that_a_service_is_ready() {
    if !is_root() {
        return;
    }
    let body = "if os.fork()==0:\n    notify(b'READY=1'); say('said','1'); os._exit(0)\nos.wait()\ntime.sleep(1000)\n";
    let instance = Instance::start(&[("liar", &python(body, ""))]);
    eventually("the child speaks", || instance.out("said") == "1\n").await;
    eventually("the supervisor hears it", || {
        instance.log().contains("no service's main process")
    })
    .await;
    assert_eq!(instance.info("liar").await.unwrap().state, "starting");
}

#[tokio::test]
async fn what_a_service_writes_is_kept_and_can_be_followed() {
    if !is_root() {
        return;
    }
    let body = "print('one'); sys.stderr.write('two \\xff\\n'); notify(b'READY=1')\n\
        while not os.path.exists('${OUT}/go'): time.sleep(0.02)\nprint('three')\ntime.sleep(1000)\n";
    let instance = Instance::start(&[("talker", &python(body, ""))]);
    instance.until_state("talker", "ready").await;
    let request = |follow| LogsRequest {
        name: "talker".into(),
        last: 0,
        follow,
    };
    let mut lines = instance.client().logs(request(true)).await.unwrap().into_inner();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "one");
    assert!(lines.next().await.unwrap().unwrap().text.starts_with("two "));
    std::fs::write(instance.path("out/go"), "").unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "three");
    let mut ended = instance.client().logs(request(false)).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(line) = ended.next().await {
        assert_eq!(line.unwrap().name, "talker");
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(
        std::fs::read_to_string(instance.path("var/log/talker.log"))
            .unwrap()
            .contains(" one\n")
    );
}

#[tokio::test]
async fn a_person_stops_starts_and_restarts_services() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[("base", SLEEP), ("user", &format!("{SLEEP}needs = [\"base\"]\n"))]);
    let before = instance.until_state("user", "ready").await;
    let named = |name: &str| ServiceRequest { name: name.into() };
    let restarted = instance
        .client()
        .restart_service(named("user"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((restarted.state.as_str(), restarted.restarts), ("ready", 0));
    assert_ne!(restarted.pid, before.pid);
    let stopped = instance
        .client()
        .stop_service(named("base"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((stopped.state.as_str(), stopped.pid), ("stopped", 0));
    assert_eq!(instance.info("user").await.unwrap().state, "stopped");
    let started = instance
        .client()
        .start_service(named("user"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(started.state, "ready");
    assert_eq!(instance.info("base").await.unwrap().state, "ready");
}

#[tokio::test]
async fn wrong_requests_get_a_code_and_a_next_step() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[
        ("fine", SLEEP),
        (
            "gone",
            "command = [\"/nonexistent/program\"]\nuser = \"daemon\"\nenabled = false\n",
        ),
    ]);
    instance.until_state("fine", "ready").await;
    let mut client = instance.client();
    let named = |name: &str| ServiceRequest { name: name.into() };
    let long = "x".repeat(5000);
    let cases = [
        (
            client
                .get_service(GetServiceRequest { name: "fin".into() })
                .await
                .unwrap_err(),
            Code::NotFound,
            "AIOS-INIT-0003",
        ),
        (
            client.start_service(named("")).await.unwrap_err(),
            Code::NotFound,
            "AIOS-INIT-0003",
        ),
        (
            client.stop_service(named(&long)).await.unwrap_err(),
            Code::NotFound,
            "AIOS-INIT-0003",
        ),
        (
            client.restart_service(named("../fine")).await.unwrap_err(),
            Code::NotFound,
            "AIOS-INIT-0003",
        ),
        (
            client.start_service(named("gone")).await.unwrap_err(),
            Code::FailedPrecondition,
            "AIOS-INIT-0013",
        ),
        (
            client
                .logs(LogsRequest {
                    name: "none".into(),
                    last: 1,
                    follow: true,
                })
                .await
                .unwrap_err(),
            Code::NotFound,
            "AIOS-INIT-0003",
        ),
        (
            client
                .shutdown(ShutdownRequest {
                    kind: "explode".into(),
                })
                .await
                .unwrap_err(),
            Code::InvalidArgument,
            "AIOS-INIT-0011",
        ),
    ];
    for (status, code, text) in cases {
        let report = rpc::report_of(&status);
        assert_eq!((status.code(), report.code.as_str()), (code, text));
        assert!(!report.next_step.is_empty());
    }
    assert_eq!(instance.info("fine").await.unwrap().state, "ready");
    client.stop_service(named("gone")).await.unwrap();
}

#[tokio::test]
async fn a_missing_user_is_named_and_what_needs_the_service_says_so() {
    if !is_root() {
        return;
    }
    let ghost = "command = [\"/bin/true\"]\nuser = \"no-such-user\"\n[[socket]]\npath = \"${RUN}/g.sock\"\n";
    let instance = Instance::start(&[
        ("ghost", ghost),
        ("user", &format!("{SLEEP}needs = [\"ghost\"]\n")),
    ]);
    let info = instance.until_state("ghost", "backoff").await;
    assert!(
        info.last_exit.contains("no user named \"no-such-user\""),
        "{info:?}"
    );
    let named = |name: &str| ServiceRequest { name: name.into() };
    let status = instance.client().start_service(named("user")).await.unwrap_err();
    assert_eq!(rpc::report_of(&status).code, "AIOS-INIT-0013");
    let boot = instance
        .client()
        .get_boot(GetBootRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(boot.phases.last().map(|phase| phase.name.as_str()), Some("ready"));
}

#[tokio::test]
async fn an_ordered_stop_leaves_nothing() {
    if !is_root() {
        return;
    }
    let marker = format!("left-over-{}", std::process::id());
    // A descendant in a session of its own, orphaned, that ignores SIGTERM; and the service ignores it too.
    let body = format!(
        "signal.signal(signal.SIGTERM,signal.SIG_IGN)\nif os.fork()==0:\n    os.setsid()\n    if os.fork()==0:\n        \
         os.execv('/bin/sleep',['{marker}','1000000'])\n    os._exit(0)\nos.wait()\nnotify(b'READY=1')\ntime.sleep(1000)\n"
    );
    let keys = "stop_timeout_ms = 300\n[[socket]]\npath = \"${RUN}/x.sock\"\ngroup = \"daemon\"\n";
    let mut instance = Instance::start(&[("stubborn", &python(&body, keys))]);
    let info = instance.until_state("stubborn", "ready").await;
    eventually("the descendant runs", || !processes_with(&marker).is_empty()).await;
    assert!(instance.stop());
    assert!(processes_with(&marker).is_empty());
    assert!(!Path::new(&format!("/proc/{}", info.pid)).exists());
    for name in ["run/x.sock", "run/init.sock", "run/notify/socket"] {
        assert!(!instance.path(name).exists(), "{name}");
    }
    let tree = instance.root.path().to_string_lossy().into_owned();
    assert!(
        !std::fs::read_to_string("/proc/self/mounts")
            .unwrap()
            .contains(&tree)
    );
}

#[tokio::test]
async fn shutdown_over_the_api_ends_a_development_instance() {
    if !is_root() {
        return;
    }
    let mut instance = Instance::start(&[("fine", SLEEP)]);
    instance.until_state("fine", "ready").await;
    instance
        .client()
        .shutdown(ShutdownRequest { kind: "exit".into() })
        .await
        .unwrap();
    assert!(instance.child.wait().unwrap().success());
}

#[test]
fn a_wrong_file_is_named_with_line_and_key() {
    if !is_root() {
        return;
    }
    let cases = [
        (
            format!("{SLEEP}nedds = [\"x\"]\n"),
            vec!["bad.toml:4", "`nedds`", "did you mean `needs`?"],
        ),
        (
            "user = \"daemon\"\ncommand = 7\n".into(),
            vec!["bad.toml:2", "expected a sequence"],
        ),
        (
            "user = \"daemon\"\n".into(),
            vec!["bad.toml", "`command` is missing"],
        ),
        (
            format!("{SLEEP}[[socket]]\npath = \"/x\"\nmode = \"9\"\n"),
            vec!["bad.toml", "not an octal mode"],
        ),
        (
            format!("{SLEEP}[confine]\ncapabilities = [\"CAP_ROOT\"]\n"),
            vec!["CAP_ROOT"],
        ),
        (format!("{SLEEP}needs = [\"ghost\"]\n"), vec!["bad", "ghost"]),
        (
            format!("{SLEEP}needs = [\"bad\"]\n"),
            vec!["circle", "bad -> bad"],
        ),
        (
            "user = \"daemon\"\ncommand = [\"x\"]\nready = \"maybe\"\n".into(),
            vec!["bad.toml:3", "`maybe`", "`notify`"],
        ),
        (
            "user = \"daemon\"\ncommand = [\"x\"]\nready = \"exit\"\nrestart = \"always\"\n".into(),
            vec!["bad.toml", "on-failure"],
        ),
        (
            format!("{SLEEP}ready = \"fd\"\n"),
            vec!["bad.toml:4", "duplicate key"],
        ),
    ];
    for (text, wanted) in cases {
        let tree = Instance::tree(&[("bad", &text)]);
        let output = Instance::command(tree.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        for part in wanted {
            assert!(said.contains(part), "{text}\n{part}\n{said}");
        }
        assert!(!tree.path().join("run/init.sock").exists());
    }
}
