//! Who is let in: persons and the console's signed-in ones; no service, no confined process, and no
//! one but the sandbox with an agent.

use crate::bench::Bench;
use aios_auth::peer::{Role, Roles};
use aios_core::paths::Paths;
use aios_core::rpc::{Peer, report_of};
use aios_orchestrator::callers::Callers;
use aios_orchestrator::clients::Clients;
use aios_proto::common::v1::{KeyProof, PersonProof, SessionProof, person_proof::Credential};
use std::process::Command;
use tonic::Request;

const CONSOLE: u32 = 7001;
const SANDBOX: u32 = 7002;
const TOOLS: u32 = 7003;
const PERSON: u32 = 7004;

fn callers() -> Callers {
    Callers::new(Roles::fixed(&[
        (Role::Console, CONSOLE),
        (Role::Sandbox, SANDBOX),
        (Role::Tools, TOOLS),
    ]))
}

fn request_of(uid: u32, pid: u32) -> Request<()> {
    let mut request = Request::new(());
    let pid = i32::try_from(pid).unwrap();
    request.extensions_mut().insert(Peer {
        uid,
        gid: uid,
        pid,
        pidfd: None,
    });
    request
}

fn request(uid: u32) -> Request<()> {
    request_of(uid, std::process::id())
}

fn clients(paths: &Paths) -> Clients {
    Clients::new(paths)
}

#[tokio::test]
async fn services_and_confined_processes_are_no_persons() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let clients = clients(&bench.paths);
    for uid in [SANDBOX, TOOLS] {
        let error = callers().person(&request(uid), None, &clients).await.unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-AUTH-0602");
        assert_eq!(
            report_of(&callers().reader(&request(uid)).unwrap_err()).code,
            "AIOS-AUTH-0602"
        );
    }
    let mut confined = Command::new("setpriv")
        .args(["--no-new-privs", "sleep", "30"])
        .spawn()
        .unwrap();
    // The flag is set by setpriv itself, just before it becomes sleep.
    for _ in 0..500 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", confined.id())).unwrap();
        if status.contains("NoNewPrivs:\t1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for uid in [PERSON, 0] {
        let error = callers()
            .person(&request_of(uid, confined.id()), None, &clients)
            .await
            .unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-AUTH-0603");
    }
    confined.kill().unwrap();
    confined.wait().unwrap();
    assert!(callers().person(&request(PERSON), None, &clients).await.is_ok());
}

#[tokio::test]
async fn the_console_asks_only_for_who_is_signed_in() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let clients = clients(&bench.paths);
    let session = |secret: [u8; 32]| PersonProof {
        credential: Some(Credential::Session(SessionProof {
            secret: secret.to_vec(),
        })),
    };
    let key = PersonProof {
        credential: Some(Credential::Key(KeyProof::default())),
    };
    for proof in [None, Some(&key), Some(&PersonProof::default())] {
        let error = callers()
            .person(&request(CONSOLE), proof, &clients)
            .await
            .unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-ORCH-0009");
    }
    let error = callers()
        .person(&request(CONSOLE), Some(&session([8; 32])), &clients)
        .await
        .unwrap_err();
    assert_eq!(report_of(&error).code, "AIOS-GUARD-0403");
    let person = callers()
        .person(&request(CONSOLE), Some(&session([7; 32])), &clients)
        .await
        .unwrap();
    assert_eq!((person.name.as_str(), person.uid), ("anna", 4711));
    assert!(callers().reader(&request(CONSOLE)).is_ok());
}

#[test]
fn only_the_sandbox_speaks_for_an_agent() {
    for uid in [CONSOLE, TOOLS, PERSON, 0] {
        let mut request = request(uid);
        let agent = "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".parse().unwrap();
        request.metadata_mut().insert("aios-agent-id", agent);
        request
            .metadata_mut()
            .insert("aios-agent-kind", "maintenance_agent".parse().unwrap());
        assert_eq!(
            report_of(&callers().agent(&request).unwrap_err()).code,
            "AIOS-AUTH-0602",
            "uid {uid}"
        );
    }
}

#[test]
fn a_request_without_a_socket_has_no_caller() {
    assert_eq!(
        report_of(&callers().reader(&Request::new(())).unwrap_err()).code,
        "AIOS-AUTH-0601"
    );
}
