//! What the kernel refuses process 1 and the supervisor: they go on, services run meanwhile, and when it is over
//! all works.
#![cfg(test)]

mod common;

use aios_proto::init::v1::{LogsRequest, ReloadServicesRequest, ServiceInfo, ServiceRequest};
use common::faults::{FORK, Faults, Verdict, Who};
use common::{Instance, eventually, is_root, processes_with, python, signal};
use nix::libc;
use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_stream::StreamExt;

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\nrestart_min_ms = 20\nrestart_max_ms = 100\n";

/// A service that answers each connection to its socket with its number.
fn echo(keys: &str) -> String {
    let body = "l=socket.socket(fileno=3)\nnotify(b'READY=1')\n\
        while True:\n    c,_=l.accept(); print('asked'); c.sendall(str(os.getpid()).encode()); c.close()\n";
    python(
        body,
        &format!(
            "restart_min_ms = 20\nrestart_max_ms = 100\n{keys}[[socket]]\npath = \"${{RUN}}/echo.sock\"\ngroup = \"daemon\"\n"
        ),
    )
}

/// Who answers at the socket.
fn asked(instance: &Instance) -> u32 {
    let mut text = String::new();
    let mut stream = UnixStream::connect(instance.path("run/echo.sock")).unwrap();
    stream.read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

fn pid(info: &ServiceInfo) -> i32 {
    i32::try_from(info.pid).unwrap()
}

/// A running process, no zombie.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn replaced(instance: &Instance, supervisor: i32) {
    eventually("the supervisor is replaced", || {
        let children = format!("/proc/{0}/task/{0}/children", instance.child.id());
        let other = |pid: &str| {
            pid != supervisor.to_string()
                && fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.starts_with(b"aios-supervisor"))
        };
        fs::read_to_string(children)
            .unwrap()
            .split_whitespace()
            .any(other)
    })
    .await;
}

/// While `fails` says so, calls fail; a service that dies stays down, the supervisor too, everything else runs.
async fn outlived(
    calls: &'static [libc::c_long],
    service_cannot_start: bool,
    fails: fn(Who, libc::c_long) -> Option<i32>,
) {
    let tree = Instance::tree(&[("echo", &echo("")), ("dies", SLEEP)]);
    let (faults, instance) = Faults::start(Instance::command(tree.path()), calls, |command| {
        Instance::start_by(tree, command)
    });
    let before = instance.until_state("echo", "ready").await;
    let dies = instance.until_state("dies", "ready").await;
    let supervisor = instance.supervisor();
    let failed = Arc::new(AtomicU32::new(0));
    let count = failed.clone();
    faults.set(move |call| match fails(call.who, call.number) {
        Some(errno) => {
            count.fetch_add(1, Ordering::SeqCst);
            Verdict::Fail(errno)
        }
        None => Verdict::Go,
    });
    if service_cannot_start {
        signal(pid(&dies), Signal::SIGKILL);
        let down = instance.until("dies", |info| info.restarts >= 4).await;
        assert_eq!(down.pid, 0, "{down:?}");
        assert!(!down.last_exit.is_empty());
    }
    let so_far = failed.load(Ordering::SeqCst);
    signal(supervisor, Signal::SIGKILL);
    eventually("it is tried again and again", || {
        failed.load(Ordering::SeqCst) >= so_far + 4
    })
    .await;
    assert!(runs(instance.child.id()) && runs(before.pid));
    assert_eq!(asked(&instance), before.pid);
    faults.end();
    replaced(&instance, supervisor).await;
    let after = instance.until_state("echo", "ready").await;
    assert_eq!((after.pid, after.restarts), (before.pid, 0));
    instance.until_state("dies", "ready").await;
    assert_eq!(asked(&instance), before.pid);
    let mut instance = instance;
    assert!(instance.stop(), "{}", instance.log());
}

#[tokio::test]
async fn without_processes_services_run_on() {
    if !is_root() {
        return;
    }
    outlived(FORK, true, |who, _| (who != Who::Other).then_some(libc::EAGAIN)).await;
}

#[tokio::test]
async fn without_memory_process_1_goes_on() {
    if !is_root() {
        return;
    }
    const CALLS: &[libc::c_long] = &[
        libc::SYS_ppoll,
        libc::SYS_socketpair,
        libc::SYS_clone,
        libc::SYS_brk,
        libc::SYS_mmap,
    ];
    outlived(CALLS, false, |who, _| (who == Who::Pid1).then_some(libc::ENOMEM)).await;
}

#[tokio::test]
async fn without_memory_for_a_supervisor_the_next_one_is_tried_until_there_is() {
    if !is_root() {
        return;
    }
    const CALLS: &[libc::c_long] = &[libc::SYS_brk, libc::SYS_mmap];
    outlived(CALLS, false, |who, _| {
        (who == Who::Supervisor).then_some(libc::ENOMEM)
    })
    .await;
}

/// Leaves a process no room for another descriptor; yields the limit that it had.
fn no_more_files(pid: i32) -> Rlimit {
    let used: Vec<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    let lowest_free = (0..).find(|number| !used.contains(number));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    let had = Rlimit {
        current: numbers.next(),
        maximum: numbers.next(),
    };
    let none = Rlimit {
        current: lowest_free,
        maximum: had.maximum,
    };
    prlimit(Pid::from_raw(pid), Resource::Nofile, none).unwrap();
    had
}

#[tokio::test]
async fn without_descriptors_the_supervisor_goes_on() {
    if !is_root() {
        return;
    }
    let mut instance = Instance::start(&[("echo", &echo("")), ("dies", SLEEP)]);
    let before = instance.until_state("echo", "ready").await;
    let dies = instance.until_state("dies", "ready").await;
    let supervisor = instance.supervisor();
    let had = no_more_files(supervisor);
    signal(pid(&dies), Signal::SIGKILL);
    // Whoever asks now waits in the queue: it is neither answered nor does it cost the supervisor its time.
    let clients: Vec<_> = (0..50)
        .map(|_| UnixStream::connect(instance.path("run/init.sock")).unwrap())
        .collect();
    eventually("it cannot accept", || {
        instance.log().contains("cannot accept a connection")
    })
    .await;
    for _ in 0..3 {
        assert_eq!(asked(&instance), before.pid);
    }
    eventually("its log goes on", || {
        fs::read_to_string(instance.path("var/log/echo.log"))
            .is_ok_and(|log| log.matches("asked").count() >= 3)
    })
    .await;
    prlimit(Pid::from_raw(supervisor), Resource::Nofile, had).unwrap();
    drop(clients);
    let again = instance
        .until("dies", |info| info.state == "ready" && info.pid != dies.pid)
        .await;
    assert!(again.restarts >= 1);
    assert_eq!(instance.supervisor(), supervisor, "it never died");
    assert_eq!(instance.info("echo").await.unwrap().pid, before.pid);
    assert!(instance.log().len() < 1_000_000, "it did not write without end");
    // What it could not write down meanwhile it has by now.
    signal(supervisor, Signal::SIGKILL);
    replaced(&instance, supervisor).await;
    assert_eq!(instance.until_state("dies", "ready").await.pid, again.pid);
    assert!(instance.stop());
}

/// Adds the service with a socket while process 1 can take no descriptor.
async fn added_unkept(instance: &Instance) -> (ServiceInfo, Rlimit) {
    instance.until_state("first", "ready").await;
    let first = i32::try_from(instance.child.id()).unwrap();
    let had = no_more_files(first);
    Instance::write_etc(instance.root.path(), "services/echo.toml", &echo(""));
    let mut client = instance.client();
    client.reload_services(ReloadServicesRequest {}).await.unwrap();
    let name = "echo".to_owned();
    let info = client
        .start_service(ServiceRequest { name })
        .await
        .unwrap()
        .into_inner();
    eventually("process 1 says so", || {
        instance.log().contains("cannot keep a descriptor")
    })
    .await;
    (info, had)
}

#[tokio::test]
async fn what_process_1_has_no_room_for_is_sent_again_until_it_has() {
    if !is_root() {
        return;
    }
    let mut instance = Instance::start(&[("first", SLEEP)]);
    let (echo, had) = added_unkept(&instance).await;
    let first = instance.child.id();
    let held = || fs::read_dir(format!("/proc/{first}/fd")).unwrap().count();
    let before = held();
    prlimit(
        Pid::from_raw(i32::try_from(first).unwrap()),
        Resource::Nofile,
        had,
    )
    .unwrap();
    // Both ends of the log, the socket and the process; some may have found a hole before.
    eventually("all are kept", || held() > before).await;
    let mut settled = held();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        if held() == settled {
            break;
        }
        settled = held();
    }
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    replaced(&instance, supervisor).await;
    let after = instance.until_state("echo", "ready").await;
    assert_eq!((after.pid, after.restarts), (echo.pid, 0), "{}", instance.log());
    assert_eq!(asked(&instance), echo.pid);
    let request = LogsRequest {
        name: "echo".into(),
        last: 1,
        follow: true,
    };
    let mut lines = instance.client().logs(request).await.unwrap().into_inner();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "asked");
    assert!(instance.stop());
}

#[tokio::test]
async fn a_service_whose_descriptors_were_lost_is_started_again_by_the_successor() {
    if !is_root() {
        return;
    }
    let mut instance = Instance::start(&[("first", SLEEP)]);
    let first = instance.until_state("first", "ready").await;
    let (echo, had) = added_unkept(&instance).await;
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("process 1 cannot start another", || {
        instance.log().contains("cannot start the supervisor")
    })
    .await;
    let pid1 = i32::try_from(instance.child.id()).unwrap();
    prlimit(Pid::from_raw(pid1), Resource::Nofile, had).unwrap();
    let after = instance
        .until("echo", |info| info.state == "ready" && info.pid != echo.pid)
        .await;
    assert_eq!(asked(&instance), after.pid);
    eventually("the first one has ended", || !runs(echo.pid)).await;
    assert_eq!(instance.info("first").await.unwrap().pid, first.pid);
    assert!(instance.stop());
}

/// Calls of the supervisor at which it is killed: making processes and files, telling others.
const MOMENTS: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_epoll_ctl,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    libc::SYS_unlinkat,
];

/// An instance whose supervisor dies at the `moment`th of its calls after `act`; false when it made fewer.
async fn killed_at(moment: u32, act: impl AsyncFnOnce(&Instance)) -> (Faults, Instance, bool) {
    let end = "def end(*_):\n    say('order','-NAME'); sys.exit(0)\nsignal.signal(signal.SIGTERM,end)\n";
    let user = format!(
        "{}notify(b'READY=1')\nwhile True: signal.pause()\n",
        end.replace("NAME", "user")
    );
    let base = format!(
        "{}l=socket.socket(fileno=3)\nnotify(b'READY=1')\n\
        while True:\n    c,_=l.accept(); c.sendall(str(os.getpid()).encode()); c.close()\n",
        end.replace("NAME", "base")
    );
    let keys = "restart_min_ms = 20\n[[socket]]\npath = \"${RUN}/echo.sock\"\ngroup = \"daemon\"\n";
    let tree = Instance::tree(&[
        ("base", &python(&base, keys)),
        (
            "user",
            &python(&user, "needs = [\"base\"]\nrestart_min_ms = 20\n"),
        ),
        ("idle", SLEEP),
    ]);
    let (faults, instance) = Faults::start(Instance::command(tree.path()), MOMENTS, |command| {
        Instance::start_by(tree, command)
    });
    for name in ["user", "idle"] {
        instance.until_state(name, "ready").await;
    }
    let left = Arc::new(AtomicU32::new(moment));
    let counted = left.clone();
    faults.set(move |call| {
        let here = call.who == Who::Supervisor && counted.load(Ordering::SeqCst) > 0;
        if here && counted.fetch_sub(1, Ordering::SeqCst) == 1 {
            Verdict::Kill
        } else {
            Verdict::Go
        }
    });
    act(&instance).await;
    let died = left.load(Ordering::SeqCst) == 0;
    (faults, instance, died)
}

#[tokio::test]
async fn a_supervisor_killed_at_any_moment_of_a_restart_leaves_one_of_each_service() {
    if !is_root() {
        return;
    }
    for moment in 1.. {
        let (_faults, mut instance, died) = killed_at(moment, async |instance| {
            let request = ServiceRequest { name: "base".into() };
            // It is not answered when the supervisor dies.
            let _answer = instance.client().restart_service(request).await;
        })
        .await;
        for name in ["base", "user", "idle"] {
            instance
                .until(name, |info| info.state == "ready" || info.state == "stopped")
                .await;
        }
        let base = instance.until_state("base", "ready").await;
        assert_eq!(asked(&instance), base.pid, "moment {moment}");
        let tree = instance.root.path().display().to_string();
        let python = processes_with(&format!("{tree}/out"));
        // `user` was stopped by nobody.
        let user = instance.until_state("user", "ready").await;
        let mut wanted = [pid(&base), pid(&user)];
        wanted.sort_unstable();
        assert_eq!(python, wanted, "moment {moment}: {}", instance.log());
        assert!(instance.stop());
        assert!(processes_with(&tree).is_empty(), "moment {moment}");
        if !died {
            assert!(moment > 10, "it was killed at {moment} moments");
            return;
        }
    }
}

#[tokio::test]
async fn a_supervisor_killed_at_any_moment_of_the_end_has_a_successor_that_stops_the_rest_in_order() {
    if !is_root() {
        return;
    }
    for moment in 1.. {
        let (_faults, mut instance, died) = killed_at(moment, async |instance| {
            signal(i32::try_from(instance.child.id()).unwrap(), Signal::SIGTERM);
            eventually("it ends", || !runs(instance.child.id())).await;
        })
        .await;
        assert!(instance.child.wait().unwrap().success(), "moment {moment}");
        assert_eq!(
            instance.out("order").lines().collect::<Vec<_>>(),
            ["-user", "-base"],
            "moment {moment}: {}",
            instance.log()
        );
        let tree = instance.root.path().display().to_string();
        assert!(processes_with(&tree).is_empty(), "moment {moment}");
        if !died {
            assert!(moment > 5, "it was killed at {moment} moments");
            return;
        }
    }
}
