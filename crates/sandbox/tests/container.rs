//! Real rootless containers: what the kernel says about them, what an agent can reach from inside, and
//! what is left when things end, well or not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking, too"
)]

mod rig;

use aios_core::rpc::report_of;
use aios_harness::{Service, Who};
use aios_proto::sandbox::v1::{AgentRequest, ListAgentsRequest, LogsRequest, RunAgentRequest, StatusRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rig::{Rig, as_root, kind};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

const MAINTENANCE: &str = include_str!("../../../configs/agents/maintenance_agent.toml");

fn maintenance() -> (String, String) {
    ("maintenance_agent.toml".to_owned(), MAINTENANCE.to_owned())
}

/// Tries everything that an agent must not be able to do, and prints what came of it.
const PROBE: &str = r#"
import errno, json, os, socket, time
def attempt(action):
    try:
        return str(action())
    except OSError as error:
        return type(error).__name__ + " " + errno.errorcode[error.errno]
import asyncio, grpc
async def call(path):
    options = [("grpc.default_authority", "localhost")]
    async with grpc.aio.insecure_channel("unix:///run/aios/door.sock", options=options) as channel:
        for _ in range(200):
            try:
                await channel.unary_unary(path)(b"", timeout=10)
                return "OK"
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    return error.code().name
            await asyncio.sleep(0.05)
def privileges():
    lines = open("/proc/self/status").read().splitlines()
    return {line.split(":")[0]: line.split(":")[1].strip() for line in lines}
status = privileges()
print(json.dumps({
    "write_root": attempt(lambda: open("/usr/x", "w")),
    "write_etc": attempt(lambda: open("/etc/x", "w")),
    "write_tmp": attempt(lambda: open("/tmp/x", "w").name),
    "write_door": attempt(lambda: open("/run/aios/x", "w")),
    "list_door": attempt(lambda: os.listdir("/run/aios")),
    "inet": attempt(lambda: socket.socket(socket.AF_INET)),
    "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK)),
    "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]],
    "setuid": attempt(lambda: os.setuid(0)),
    "shell": os.path.exists("/bin/sh"),
    "environment": sorted(os.environ),
    "uid": os.getuid(),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "capabilities": status["CapBnd"] + status["CapEff"],
    "no_new_privs": status["NoNewPrivs"],
    "guard": asyncio.run(call("/aios.guard.v1.Guard/Mint")),
    "orchestrator": asyncio.run(call("/aios.orchestrator.v1.Orchestrator/SubmitGoal")),
    "health": asyncio.run(call("/grpc.health.v1.Health/Check")),
}), flush=True)
time.sleep(3600)
"#;

/// Writes lines in pieces, each of which reaches the log on its own.
const PIECES: &str = r#"
import sys, time
for piece in ["first\n", "a", "b", "cd\n", "last\n"]:
    sys.stdout.write(piece)
    sys.stdout.flush()
    time.sleep(0.1)
time.sleep(3600)
"#;

#[tokio::test]
async fn an_agent_says_hello_through_its_door_from_a_confined_container() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[maintenance()]).await;
    let session = rig.orchestrator.session().await;
    let agent = rig.agent("a running agent", |it| it.state == "running").await;
    assert_eq!(
        (session.agent_id, session.kind),
        (agent.agent_id.clone(), "maintenance_agent".to_owned())
    );
    assert_eq!(session.container_id, agent.container_id);
    assert_eq!(session.hello.skills, ["maintenance.free_space"]);
    for wall in [
        "network-none",
        "read-only",
        "no-new-privileges",
        "caps-dropped",
        "seccomp",
    ] {
        assert!(
            agent.isolation.iter().any(|it| it == wall),
            "{wall} is not in {:?}",
            agent.isolation
        );
    }
    assert!(agent.image_digest.starts_with("sha256:"));
    let listed = rig.podman_ps();
    assert!(
        listed.contains(&agent.name) && listed.contains(&agent.agent_id),
        "{listed}"
    );
    let started = rig.guard.recorded("agent.started");
    assert_eq!(started.len(), 1);
    let details: Value = serde_json::from_str(&started[0].details_json).unwrap();
    assert_eq!(details["agent_kind"], "maintenance_agent");
    let status = rig.client().status(StatusRequest {}).await.unwrap().into_inner();
    assert!(
        !status.podman_version.is_empty() && !status.doors_closed,
        "{status:?}"
    );
    assert_eq!(
        status.limits_enforced,
        status.degradations.iter().all(|it| !it.contains("cgroup"))
    );
}

#[tokio::test]
async fn from_inside_nothing_is_reached_but_the_session() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[kind("probe", PROBE)]).await;
    let agent = rig
        .client()
        .run_agent(RunAgentRequest {
            kind: "probe".to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    let seen = rig
        .wait_for("the probe's report", async |rig| {
            let text = rig.stdout(&agent.agent_id, 1000).await;
            let report = (!text.is_empty()).then(|| serde_json::from_str::<Value>(&text));
            report.map(|report| report.unwrap_or_else(|error| panic!("{error}: {text}")))
        })
        .await;
    assert_eq!(seen["write_tmp"], "/tmp/x");
    for (refused, how) in [
        ("write_root", "OSError EROFS"),
        ("write_etc", "OSError EROFS"),
        ("write_door", "OSError EROFS"),
        // It may be passed through, and not read.
        ("list_door", "PermissionError EACCES"),
        // The filter's answer.
        ("inet", "PermissionError EPERM"),
        ("netlink", "PermissionError EPERM"),
        ("setuid", "PermissionError EPERM"),
    ] {
        assert_eq!(seen[refused], how, "{refused}");
    }
    for path in ["guard", "orchestrator", "health"] {
        assert_eq!(seen[path], "UNIMPLEMENTED", "{path}");
    }
    assert_eq!(seen["interfaces"], serde_json::json!(["lo"]));
    assert_eq!(
        (&seen["shell"], &seen["no_new_privs"]),
        (&Value::Bool(false), &"1".into())
    );
    assert_eq!(seen["capabilities"], "0".repeat(32));
    assert!(seen["uid"].as_u64().unwrap() >= 10_000);
    // Its own processes only: PID 1, the probe, and nothing of the host.
    assert!(
        seen["processes"].as_array().unwrap().len() <= 3,
        "{}",
        seen["processes"]
    );
    let environment = seen["environment"].to_string();
    assert!(
        !environment.contains("AIOS_STATE") && !environment.contains("XDG"),
        "{environment}"
    );
    let denied = rig.guard.recorded("door.denied");
    assert_eq!(denied.len(), 3);
    assert!(denied.iter().all(|record| record.agent_id == agent.agent_id));
}

#[tokio::test]
async fn a_line_that_was_written_in_pieces_is_read_whole() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[kind("pieces", PIECES)]).await;
    let agent = rig
        .client()
        .run_agent(RunAgentRequest {
            kind: "pieces".to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    rig.wait_for("the last line", async |rig| {
        let text = rig.stdout(&agent.agent_id, 1000).await;
        text.ends_with("last\n").then_some(())
    })
    .await;
    for (last, wanted) in [
        (1, "last\n"),
        (2, "abcd\nlast\n"),
        (3, "first\nabcd\nlast\n"),
        (1000, "first\nabcd\nlast\n"),
    ] {
        assert_eq!(rig.stdout(&agent.agent_id, last).await, wanted, "last {last}");
    }
    let request = LogsRequest {
        agent_id: agent.agent_id.clone(),
        last: 2,
        follow: true,
    };
    let mut followed = rig.client().logs(request).await.unwrap().into_inner();
    for wanted in ["abcd\n", "last\n"] {
        assert_eq!(followed.message().await.unwrap().unwrap().text, wanted);
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_comes_back_under_the_same_id() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[maintenance()]).await;
    let first = rig.orchestrator.session().await;
    let agent = rig.agent("a running agent", |it| it.state == "running").await;
    kill(Pid::from_raw(agent.pid.cast_signed()), Signal::SIGKILL).unwrap();
    let second = rig.orchestrator.session().await;
    assert_eq!(second.agent_id, first.agent_id);
    let again = rig
        .agent("the agent again", |it| it.state == "running" && it.restarts == 1)
        .await;
    assert_ne!(again.pid, agent.pid);
    let exits = rig.guard.recorded("agent.exited");
    assert_eq!(exits.len(), 1);
    assert!(
        exits[0].details_json.contains("exit code 137"),
        "{}",
        exits[0].details_json
    );
}

#[tokio::test]
async fn an_emergency_stop_ends_sessions_and_holds_agents_until_it_is_lifted() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[maintenance()]).await;
    let mut session = rig.orchestrator.session().await;
    let agent = rig.agent("a running agent", |it| it.state == "running").await;
    rig.guard.stop_everything(true);
    let held = rig
        .agent("the agent held", |it| {
            it.state == "frozen" || it.state == "stopped"
        })
        .await;
    assert!(
        held.message.contains("emergency stop by ann: a drill"),
        "{}",
        held.message
    );
    (&mut session.ended).await.unwrap_err();
    assert!(
        !rig.root
            .path()
            .join(format!("run/sandbox/doors/{}/door.sock", agent.agent_id))
            .exists()
    );
    let request = AgentRequest {
        agent_id: agent.agent_id.clone(),
    };
    let refused = rig.client().thaw_agent(request).await.unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-SANDBOX-0008");
    let refused = rig
        .client()
        .run_agent(RunAgentRequest {
            kind: "maintenance_agent".to_owned(),
        })
        .await;
    assert_eq!(report_of(&refused.unwrap_err()).code, "AIOS-SANDBOX-0007");
    rig.guard.stop_everything(false);
    assert_eq!(rig.orchestrator.session().await.agent_id, agent.agent_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_leaves_no_process_and_being_killed_leaves_nothing_that_the_next_start_does_not_remove() {
    if !as_root() {
        return;
    }
    let mut rig = Rig::start(&[maintenance()]).await;
    let first = rig.orchestrator.session().await;
    rig.end(Signal::SIGKILL);
    assert!(
        !rig.processes().is_empty(),
        "a killed service leaves its container"
    );
    rig.launch().await;
    let second = rig.orchestrator.session().await;
    assert_ne!(second.agent_id, first.agent_id, "an orphan is not adopted");
    let listed = rig.podman_ps();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    rig.end(Signal::SIGTERM);
    assert_eq!(rig.processes(), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&*rig.root.path().to_string_lossy()));
    assert_eq!(rig.guard.recorded("agent.stopped").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_is_killed_at_once_the_next_start_makes_a_new_agent() {
    if !as_root() {
        return;
    }
    let mut rig = Rig::start(&[maintenance()]).await;
    let first = rig.orchestrator.session().await;
    rig.end(Signal::SIGKILL);
    rig.kill_all();
    rig.launch().await;
    let second = rig.orchestrator.session().await;
    assert_ne!(second.agent_id, first.agent_id);
    let listed = rig.podman_ps();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// Empties the files of all images, as a power cut does that comes before they are written out.
fn cut_off(store: &Path) -> usize {
    let mut emptied = 0;
    let mut left = vec![store.join("overlay")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && entry.path().components().any(|part| part.as_os_str() == "diff") {
                File::options()
                    .write(true)
                    .open(entry.path())
                    .unwrap()
                    .set_len(0)
                    .unwrap();
                emptied += 1;
            }
        }
    }
    emptied
}

#[tokio::test]
async fn images_that_a_power_cut_left_without_content_are_made_anew() {
    if !as_root() {
        return;
    }
    let mut rig = Rig::start(&[maintenance()]).await;
    rig.agent("a running agent", |it| it.state == "running").await;
    rig.end(Signal::SIGTERM);
    let state = rig.root.path().join("var/sandbox");
    let id = fs::read_to_string(state.join("image")).unwrap();
    assert!(cut_off(&state.join("storage")) > 100);
    fs::remove_file(state.join("image")).unwrap();
    rig.launch().await;
    rig.agent("a running agent of a new store", |it| it.state == "running")
        .await;
    assert_eq!(fs::read_to_string(state.join("image")).unwrap(), id);
    rig.end(Signal::SIGTERM);
    // What is known to be whole is not made anew.
    let made = |state: &Path| fs::metadata(state.join("storage")).unwrap().created().unwrap();
    let before = made(&state);
    rig.launch().await;
    rig.agent("a running agent of the same store", |it| it.state == "running")
        .await;
    assert_eq!(made(&state), before);
}

#[tokio::test]
async fn podmans_service_is_started_again_and_agents_live_on() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[maintenance()]).await;
    rig.orchestrator.session().await;
    let agent = rig.agent("a running agent", |it| it.state == "running").await;
    let pid = fs::read_to_string(rig.root.path().join("run/sandbox/podman.pid")).unwrap();
    kill(Pid::from_raw(-pid.parse::<i32>().unwrap()), Signal::SIGKILL).unwrap();
    rig.wait_for("Podman's answer", async |rig| {
        let status = rig.client().status(StatusRequest {}).await.unwrap().into_inner();
        let other = fs::read_to_string(rig.root.path().join("run/sandbox/podman.pid")).unwrap();
        (status.problem.is_empty() && other != pid).then_some(())
    })
    .await;
    let still = rig.agent("the agent", |it| it.agent_id == agent.agent_id).await;
    assert_eq!((still.pid, still.restarts), (agent.pid, 0));
    let stopped = rig
        .client()
        .stop_agent(AgentRequest {
            agent_id: agent.agent_id,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(stopped.state, "stopped");
    assert!(
        rig.client()
            .list_agents(ListAgentsRequest {})
            .await
            .unwrap()
            .into_inner()
            .agents
            .is_empty()
    );
}

#[tokio::test]
async fn agents_are_a_persons_and_no_confined_process_with_their_uid_manages_or_reads_them() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[maintenance()]).await;
    rig.orchestrator.session().await;
    let agent = rig.agent("a running agent", |it| it.state == "running").await;
    let named = || AgentRequest {
        agent_id: agent.agent_id.clone(),
    };
    let run = || RunAgentRequest {
        kind: "maintenance_agent".to_owned(),
    };
    let logs = || LogsRequest {
        agent_id: agent.agent_id.clone(),
        last: 1,
        follow: false,
    };
    for (who, confined, code) in [
        (Who::Person, true, "AIOS-AUTH-0603"),
        (Who::Stranger, false, "AIOS-SANDBOX-0005"),
        (Who::Of(Service::Tools), true, "AIOS-SANDBOX-0005"),
    ] {
        let before = rig.guard.recorded("sandbox.denied").len();
        let (mut client, _relay) = rig.client_of(who, confined);
        client.list_agents(ListAgentsRequest {}).await.unwrap();
        for (rpc, answer) in [
            ("RunAgent", client.run_agent(run()).await.map(drop)),
            ("FreezeAgent", client.freeze_agent(named()).await.map(drop)),
            ("ThawAgent", client.thaw_agent(named()).await.map(drop)),
            ("StopAgent", client.stop_agent(named()).await.map(drop)),
            ("Logs", client.logs(logs()).await.map(drop)),
        ] {
            let report = report_of(&answer.expect_err(rpc));
            assert_eq!(report.code, code, "{rpc} as {who:?}: {report}");
            assert!(!report.next_step.is_empty());
        }
        let recorded = rig
            .wait_for("the records", async |rig| {
                let records = rig.guard.recorded("sandbox.denied");
                (records.len() == before + 5).then_some(records)
            })
            .await;
        assert!(
            recorded[before..]
                .iter()
                .all(|record| record.details_json.contains(code)
                    && record
                        .details_json
                        .contains(&format!("\"uid\":{}", who.uid().unwrap()))),
            "{recorded:?}"
        );
    }
    let still = rig.agent("the agent", |it| it.agent_id == agent.agent_id).await;
    assert_eq!((still.state.as_str(), still.pid), ("running", agent.pid));
    let (mut person, _relay) = rig.client_of(Who::Person, false);
    let status = rig.client().status(StatusRequest {}).await.unwrap().into_inner();
    // What cannot stand still is stopped, and then begins anew.
    let (frozen, thawed) = if status.limits_enforced {
        ("frozen", "running")
    } else {
        ("stopped", "starting")
    };
    let answer = person.freeze_agent(named()).await.unwrap().into_inner();
    assert_eq!(answer.state, frozen, "{answer:?}");
    let answer = person.thaw_agent(named()).await.unwrap().into_inner();
    assert_eq!(answer.state, thawed, "{answer:?}");
    person.logs(logs()).await.unwrap();
    let answer = person.stop_agent(named()).await.unwrap().into_inner();
    assert_eq!(answer.state, "stopped", "{answer:?}");
}

#[tokio::test]
async fn bad_requests_are_answered_with_a_code_and_a_next_step() {
    if !as_root() {
        return;
    }
    let rig = Rig::start(&[]).await;
    let mut client = rig.client();
    let nobody = "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".to_owned();
    let mut answers = Vec::new();
    for kind in ["", "nope", "../../etc/passwd", &"x".repeat(100_000)] {
        answers.push((
            client
                .run_agent(RunAgentRequest {
                    kind: kind.to_owned(),
                })
                .await
                .err(),
            "AIOS-SANDBOX-0002",
        ));
    }
    for (id, code) in [
        ("", "AIOS-CORE-0001"),
        ("x", "AIOS-CORE-0001"),
        (nobody.as_str(), "AIOS-SANDBOX-0003"),
    ] {
        let request = AgentRequest {
            agent_id: id.to_owned(),
        };
        answers.push((client.freeze_agent(request.clone()).await.err(), code));
        answers.push((client.thaw_agent(request.clone()).await.err(), code));
        answers.push((client.stop_agent(request).await.err(), code));
        let request = LogsRequest {
            agent_id: id.to_owned(),
            last: 0,
            follow: false,
        };
        answers.push((client.logs(request).await.err(), code));
    }
    for (answer, code) in answers {
        let report = report_of(&answer.expect(code));
        assert_eq!(report.code, code, "{report}");
        assert!(
            !report.next_step.is_empty() && report.message.len() < 1000,
            "{report}"
        );
    }
    assert!(
        client
            .list_agents(ListAgentsRequest {})
            .await
            .unwrap()
            .into_inner()
            .agents
            .is_empty()
    );
}
