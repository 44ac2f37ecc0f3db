//! Who is calling, told apart with real processes and sockets.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aios_auth::peer::{PeerError, Role, Roles, Users, check_unconfined, uid_of};
use aios_core::error::Coded;
use aios_core::rpc::Peer;

/// Connects to the socket, says so, and waits to be killed; under `wrap`.
fn connect(socket: &Path, wrap: &[&str]) -> Child {
    let program = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\nprint('in',flush=True)\nsys.stdin.read()";
    let mut words: Vec<&str> = wrap.to_vec();
    words.extend(["python3", "-c", program, socket.to_str().unwrap()]);
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "in\n");
    child
}

fn peer_of(listener: &UnixListener) -> Peer {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    Peer::of(&tokio::net::UnixStream::from_std(stream).unwrap()).unwrap()
}

fn check(wrap: &[&str], end_first: bool) -> Result<(), PeerError> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut child = connect(&socket, wrap);
    let peer = peer_of(&listener);
    if end_first {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let result = check_unconfined(&peer);
    drop(child.stdin.take().map(|mut stdin| stdin.flush()));
    let _ = child.kill();
    child.wait().unwrap();
    result
}

fn sign(result: Result<(), PeerError>) -> String {
    match result {
        Err(PeerError::Confined { sign, .. }) => sign,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_ordinary_process_is_not_confined() {
    check(&["env"], false).unwrap();
}

#[test]
fn no_new_privs_is_seen_also_in_a_detached_grandchild() {
    assert!(sign(check(&["setpriv", "--no-new-privs"], false)).contains("no_new_privs"));
    let detached = [
        "setpriv",
        "--no-new-privs",
        "sh",
        "-c",
        "setsid \"$@\" & wait",
        "sh",
    ];
    assert!(sign(check(&detached, false)).contains("no_new_privs"));
}

#[test]
fn namespaces_of_its_own_are_seen() {
    if Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .status()
        .is_ok_and(|it| it.success())
    {
        assert!(sign(check(&["unshare", "--user", "--map-root-user"], false)).contains("namespace"));
    }
    if rustix::process::geteuid().is_root() {
        assert!(sign(check(&["unshare", "--pid", "--fork"], false)).contains("namespace"));
    }
}

#[test]
fn a_process_that_is_gone_is_refused() {
    let error = check(&["env"], true).unwrap_err();
    assert_eq!(error.code(), "AIOS-AUTH-0604", "{error}");
    let hidden = Peer {
        uid: 0,
        gid: 0,
        pid: 0,
        pidfd: None,
    };
    assert_eq!(check_unconfined(&hidden).unwrap_err().code(), "AIOS-AUTH-0604");
}

#[test]
fn roles_are_told_apart_by_uid() {
    let roles = Roles::fixed(&[(Role::Guard, 901), (Role::Tools, 902)]);
    let request = |uid| {
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(Peer {
            uid,
            gid: 0,
            pid: 1,
            pidfd: None,
        });
        request
    };
    assert_eq!(roles.require(&request(902), &[Role::Tools]).unwrap().uid, 902);
    assert_eq!(
        roles
            .require(&request(0), &[Role::Tools, Role::Root])
            .unwrap()
            .uid,
        0
    );
    let error = roles
        .require(&request(1000), &[Role::Tools, Role::Guard])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "uid 1000 may not call this; tools or guard may"
    );
    assert_eq!(error.code(), "AIOS-AUTH-0602");
    assert_eq!(
        roles
            .require(&tonic::Request::new(()), &[Role::Tools])
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0601"
    );
    assert_eq!(
        aios_core::rpc::status(&error).code(),
        tonic::Code::PermissionDenied
    );
    assert!(roles.is_service(901) && !roles.is_service(0) && !roles.is_service(1000));
}

#[test]
fn users_are_resolved_by_name_or_number() {
    assert_eq!(uid_of("root").unwrap(), 0);
    assert_eq!(uid_of("77").unwrap(), 77);
    assert_eq!(uid_of("no-such-user").unwrap_err().code(), "AIOS-AUTH-0605");
    let users = Users {
        guard: "no-such-user".into(),
        ..Users::default()
    };
    assert!(
        Roles::resolve(&users)
            .unwrap_err()
            .to_string()
            .contains("no-such-user")
    );
}
