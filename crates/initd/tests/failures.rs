//! Services that fail: pauses that grow, those that stay down, those that hang, those that need longer.
#![cfg(test)]

mod common;

use aios_proto::init::v1::ServiceRequest;
use common::{Instance, eventually, is_root, python, signal};
use nix::sys::signal::Signal;
use std::io::Read;
use std::os::unix::net::UnixStream;

#[tokio::test]
async fn a_failing_service_is_restarted_after_growing_pauses() {
    if !is_root() {
        return;
    }
    let instance = Instance::start(&[(
        "flaky",
        &python(
            "say('runs',str(time.time()))\nsys.exit(3)\n",
            "restart_min_ms = 50\nrestart_max_ms = 400\n",
        ),
    )]);
    let info = instance
        .until("flaky", |info| info.restarts >= 5 && info.state == "backoff")
        .await;
    assert_eq!(info.last_exit, "exit 3");
    assert!(info.next_start_ms > 0);
    let times: Vec<f64> = instance
        .out("runs")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Lower bounds only: a busy machine makes pauses longer, never shorter.
    for (pause, least) in pauses.iter().zip([0.05, 0.1, 0.2, 0.4]) {
        assert!(*pause >= least, "{pauses:?}");
    }
}

#[tokio::test]
async fn a_service_that_would_fail_again_stays_down_with_its_reason_and_turns_callers_away() {
    if !is_root() {
        return;
    }
    let body = "say('runs','.')\nif not os.path.exists('${OUT}/mended'):\n    \
        notify(b'STATUS=its state is of a newer version')\n    time.sleep(0.1)\n    sys.exit(78)\n\
        l=socket.socket(fileno=3)\nnotify(b'READY=1')\nwhile True:\n    c,_=l.accept(); c.sendall(b'here'); c.close()\n";
    let keys = "restart_min_ms = 50\n[[socket]]\npath = \"${RUN}/old.sock\"\ngroup = \"daemon\"\n";
    let other = "user = \"daemon\"\ncommand = [\"/bin/sleep\", \"1000000\"]\nready = \"none\"\n";
    let instance = Instance::start(&[("old", &python(body, keys)), ("other", other)]);
    let info = instance.until_state("old", "failed").await;
    assert_eq!((info.restarts, info.last_exit.as_str()), (0, "exit 78"));
    let exit = info.exits.last().unwrap();
    assert_eq!(exit.why, "its state is of a newer version");
    let refused = UnixStream::connect(instance.path("run/old.sock"));
    assert!(refused.is_err(), "{refused:?}");
    instance.until_state("other", "ready").await;
    assert_eq!(instance.out("runs").lines().count(), 1);
    // Also after a successor opened everybody's sockets.
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("another supervisor", || instance.supervisor() != supervisor).await;
    instance.until_state("old", "failed").await;
    let refused = UnixStream::connect(instance.path("run/old.sock"));
    assert!(refused.is_err(), "{refused:?}");
    // A person mends it, and starts it again.
    std::fs::write(instance.path("out/mended"), "").unwrap();
    let old = ServiceRequest { name: "old".into() };
    instance.client().start_service(old).await.unwrap();
    instance.until_state("old", "ready").await;
    let mut text = String::new();
    UnixStream::connect(instance.path("run/old.sock"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "here");
}

#[tokio::test]
async fn a_service_that_hangs_is_ended_by_its_watchdog() {
    if !is_root() {
        return;
    }
    let keys = "watchdog_ms = 300\nrestart_min_ms = 60000\nrestart_max_ms = 60000\nstop_timeout_ms = 200\n";
    let head = "assert os.environ['WATCHDOG_USEC']=='300000' and int(os.environ['WATCHDOG_PID'])==os.getpid()\nnotify(b'READY=1')\n";
    let silent = "for _ in range(5):\n    time.sleep(0.1); notify(b'WATCHDOG=1')\nsay('silent','1')\ntime.sleep(1000)\n";
    let deaf = "signal.signal(signal.SIGABRT,signal.SIG_IGN)\ntime.sleep(1000)\n";
    let polite = "signal.signal(signal.SIGABRT,lambda *_: sys.exit(0))\ntime.sleep(1000)\n";
    let tells = "notify(b'WATCHDOG=trigger')\nwhile True: time.sleep(0.05); notify(b'WATCHDOG=1')\n";
    let dog = |body: &str, more: &str| python(&format!("{head}{body}"), &format!("{keys}{more}"));
    let instance = Instance::start(&[
        ("silent", &dog(silent, "")),
        ("deaf", &dog(deaf, "")),
        ("polite", &dog(polite, "restart = \"on-failure\"\n")),
        ("tells", &dog(tells, "")),
    ]);
    for (name, how) in [
        ("silent", "signal 6"),
        ("deaf", "signal 9"),
        ("polite", "exit 0"),
        ("tells", "signal 6"),
    ] {
        let info = instance.until_state(name, "backoff").await;
        let exit = info.exits.last().unwrap();
        assert_eq!(
            (exit.how.as_str(), exit.why.as_str()),
            (how, "watchdog"),
            "{name}"
        );
    }
    assert_eq!(instance.out("silent"), "1\n");
}

#[tokio::test]
async fn a_service_that_asks_for_more_time_gets_it() {
    if !is_root() {
        return;
    }
    let body = "notify(b'EXTEND_TIMEOUT_USEC=60000000\\nSTATUS=long work')\n\
        while not os.path.exists('${OUT}/go'): time.sleep(0.02)\nnotify(b'READY=1')\ntime.sleep(1000)\n";
    let in_vain = "notify(b'EXTEND_TIMEOUT_USEC=300000')\ntime.sleep(1000)\n";
    let keys = "start_timeout_ms = 4000\nrestart = \"never\"\n";
    let instance = Instance::start(&[("slow", &python(body, keys)), ("late", &python(in_vain, keys))]);
    let late = instance.until_state("late", "failed").await;
    let exit = late.exits.last().unwrap();
    assert_eq!(
        (exit.how.as_str(), exit.why.as_str()),
        ("signal 9", "not ready in time")
    );
    let slow = instance.info("slow").await.unwrap();
    assert_eq!(
        (slow.state.as_str(), slow.status.as_str()),
        ("starting", "long work")
    );
    std::fs::write(instance.path("out/go"), "").unwrap();
    instance.until_state("slow", "ready").await;
}
