//! Nothing that lives in an agent's container approves: not with what it has, and not when it is given the guard's
//! socket and the person's key.

use aios_tests_e2e::containers::{Containers, as_root, done};
use aios_tests_e2e::ctl::{Instance, string};
use aios_tests_e2e::{instance, tree};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a program inside an agent's container finds, and what its front door says to an approval. Prints JSON; with an
/// argument it first leaves its session and its parents, and writes there instead.
const INSIDE: &str = r#"
import asyncio, json, os, stat, sys, time
import grpc

def walk():
    sockets, keys = [], []
    for top in ("/run", "/var", "/etc", "/tmp", "/home", "/root", "/work", "/opt", "/srv", "/mnt"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    mode = os.lstat(path).st_mode
                except OSError:
                    continue
                if stat.S_ISSOCK(mode):
                    sockets.append(path)
                if name == "key" or "/persons/" in path or name.endswith(".key"):
                    keys.append(path)
    return sockets, keys

async def decide():
    options = [("grpc.default_authority", "localhost")]
    async with grpc.aio.insecure_channel("unix:///run/aios/door.sock", options=options) as channel:
        try:
            await channel.unary_unary("/aios.guard.v1.Guard/DecideApproval")(REQUEST, timeout=20)
            return "approved"
        except grpc.aio.AioRpcError as error:
            return error.code().name

def text(number, value):
    return bytes([number << 3 | 2, len(value)]) + value

approval, digest, state, answer = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3], sys.argv[4:]
# approval_id, approve, call_digest: a decision without a proof.
REQUEST = text(1, approval.encode()) + bytes([2 << 3, 1]) + text(3, digest)
if answer:
    # Its parents are gone before it speaks, and with them the session.
    for _ in range(2):
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.01)
        os.setsid()
    os.close(0)
sockets, keys = walk()
report = {
    "sockets": sockets,
    "keys": keys,
    "host": [path for path in ("/run/aios/guard.sock", state, state + "/run/guard.sock", state + "/var/persons") if os.path.exists(path)],
    "door": asyncio.run(decide()),
    "uid": os.getuid(),
    "parent": os.getppid(),
}
if answer:
    with open(answer[0] + ".new", "w") as file:
        json.dump(report, file)
    os.rename(answer[0] + ".new", answer[0])
else:
    print(json.dumps(report))
"#;

/// Waits for the answer of a detached process.
const WAIT: &str = r#"
import sys, time
for _ in range(600):
    try:
        print(open(sys.argv[1]).read())
        break
    except FileNotFoundError:
        time.sleep(0.1)
"#;

/// First of the users as which agents run in their containers.
const FIRST_USER: u64 = 10_000;

/// A goal whose deletion waits for approval.
struct Waiting {
    instance: Instance,
    containers: Containers,
    goal: String,
    approval: String,
    digest: String,
    tree: TempDir,
}

impl Waiting {
    fn new() -> Option<Self> {
        let instance = instance()?;
        let tree = tree::scratch();
        tree::logs(tree.path());
        let goal = instance.submit(&tree::goal(tree.path()));
        instance.wait_for(&goal, &["awaiting_approval"]);
        let waiting = instance.waiting_approval(&goal);
        Some(Self {
            containers: Containers::of(&instance),
            approval: string(&waiting, "/approval_id"),
            digest: string(&waiting, "/call_digest"),
            instance,
            goal,
            tree,
        })
    }

    fn still_pending(&self) {
        let approval = self.instance.json(&["approval", "show", &self.approval]);
        assert!(
            approval.to_string().contains(r#""state":"pending""#),
            "{approval:#}"
        );
        assert_eq!(
            self.instance.waiting_approval(&self.goal)["approval_id"],
            self.approval.as_str()
        );
    }

    /// Records since `from` that say `text`.
    fn logged(&self, from: u64, text: &str) -> bool {
        let new = self.instance.audit().into_iter();
        new.filter(|record| record["seq"].as_u64() >= Some(from))
            .any(|record| {
                let seq = record["seq"].to_string();
                self.instance
                    .json(&["audit", "show", &seq])
                    .to_string()
                    .contains(text)
            })
    }

    fn log_size(&self) -> u64 {
        let last = self.instance.audit();
        last.last()
            .and_then(|record| record["seq"].as_u64())
            .map_or(0, |seq| seq + 1)
    }

    /// The person can, from an ordinary process.
    fn then_the_person_approves(self) {
        self.still_pending();
        self.instance.approve(&self.goal);
        self.instance.wait_for(&self.goal, &["completed"]);
        assert_eq!(
            tree::pictures(self.tree.path()).len(),
            5,
            "and what was approved is done"
        );
    }

    /// Asks from inside the live agent's container.
    fn inside(&self, answer: Option<&str>) -> Value {
        let container = string(&self.instance.agent(), "/container_id");
        let state = self.instance.state.to_string_lossy();
        let mut args = vec![self.approval.as_str(), &self.digest, &state];
        args.extend(answer);
        let said = self.containers.python(&container, INSIDE, &args);
        let said = match answer {
            Some(path) => self.containers.python(&container, WAIT, &[path]),
            None => said,
        };
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// `parent` is its parent's process id as the container counts: 0 is somebody outside, 1 who takes orphans.
    fn refused_inside(&self, from: u64, seen: &Value, parent: u64) {
        assert_eq!(seen["parent"], parent, "{seen:#}");
        assert!(seen["uid"].as_u64() >= Some(FIRST_USER), "{seen:#}");
        assert_eq!(seen["door"], "UNIMPLEMENTED", "{seen:#}");
        assert_eq!(seen["host"], serde_json::json!([]), "{seen:#}");
        assert_eq!(seen["keys"], serde_json::json!([]), "{seen:#}");
        // Its door cannot be listed, so that not even that is found.
        assert_eq!(seen["sockets"], serde_json::json!([]), "{seen:#}");
        assert!(self.logged(from, "DecideApproval"), "the front door told the log");
        self.still_pending();
    }
}

#[test]
fn refused_from_inside_the_live_agents_container() {
    let Some(waiting) = Waiting::new() else { return };
    let from = waiting.log_size();
    let seen = waiting.inside(None);
    waiting.refused_inside(from, &seen, 0);
    waiting.then_the_person_approves();
}

#[test]
fn refused_from_a_detached_process_inside_the_live_agents_container() {
    let Some(waiting) = Waiting::new() else { return };
    let from = waiting.log_size();
    let seen = waiting.inside(Some("/tmp/detached-answer"));
    waiting.refused_inside(from, &seen, 1);
    waiting.then_the_person_approves();
}

/// What an agent's container is never given: the guard's socket, open to everyone, and the person's key.
struct Gifts {
    socket: PathBuf,
    mode: String,
    dir: TempDir,
}

impl Gifts {
    fn new(waiting: &Waiting) -> Self {
        let socket = waiting.instance.state.join("run/guard.sock");
        let mode = done(as_root("stat").args(["--format", "%a"]).arg(&socket))
            .trim()
            .to_owned();
        let dir = tree::scratch();
        done(as_root("cp").arg(probe()).arg(dir.path().join("deny-probe")));
        done(as_root("chmod").arg("0755").arg(dir.path().join("deny-probe")));
        done(as_root("chmod").arg("0666").arg(&socket));
        Self { socket, mode, dir }
    }

    /// A copy of the person's key that `user` of a container can read, and nobody else.
    fn key(&self, waiting: &Waiting, person: &str, user: u32) -> PathBuf {
        let key = waiting
            .instance
            .state
            .join("var/persons")
            .join(person)
            .join("key");
        let copy = self.dir.path().join(format!("key-{user}"));
        done(as_root("install").args(["-m", "0600"]).arg(&key).arg(&copy));
        // As root of the owner's user namespace, in which the container's users live.
        done(as_root("chown").arg(host_uid(user)).arg(&copy));
        copy
    }
}

impl Drop for Gifts {
    fn drop(&mut self) {
        let put_back = as_root("chmod").arg(&self.mode).arg(&self.socket).status();
        assert!(put_back.is_ok_and(|it| it.success()) || std::thread::panicking());
        // The copies belong to mapped users.
        let removed = as_root("find")
            .arg(self.dir.path())
            .args(["-name", "key-*", "-delete"])
            .status();
        assert!(removed.is_ok_and(|it| it.success()) || std::thread::panicking());
    }
}

/// The program that signs an approval with a key that it got; built with the workspace.
fn probe() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let probe = test.ancestors().nth(2).unwrap().join("deny-probe");
    assert!(probe.exists(), "{} is not built: `make build`", probe.display());
    probe
}

/// The host's uid of a container's user: the owner for root, a subordinate one else.
fn host_uid(user: u32) -> String {
    let owner = aios_tests_e2e::containers::OWNER;
    if user == 0 {
        return owner.to_owned();
    }
    let table = std::fs::read_to_string("/etc/subuid").unwrap();
    let first = table
        .lines()
        .filter_map(|line| line.strip_prefix(owner)?.strip_prefix(':')?.split(':').next())
        .find_map(|number| number.parse::<u32>().ok())
        .expect("subordinate ids");
    (first + user - 1).to_string()
}

/// Runs the probe in a container of its own, made from the agent's image by the containers' owner with none of the
/// agent's walls beside the namespaces.
fn given(waiting: &Waiting, gifts: &Gifts, user: u32, wrap: &[&str]) -> String {
    let person = rustix::process::getuid().as_raw().to_string();
    let key = gifts.key(waiting, &person, user);
    let container = string(&waiting.instance.agent(), "/container_id");
    let image = waiting
        .containers
        .run(["inspect", "--format", "{{.Image}}", &container]);
    let mount = |from: &Path, to: &str| format!("{}:{to}", from.display());
    let user = user.to_string();
    let mounts = [
        mount(&gifts.socket, "/given/guard.sock"),
        mount(&key, "/given-key"),
        mount(&gifts.dir.path().join("deny-probe"), "/deny-probe"),
    ];
    let mut words = vec!["--network", "none", "--user", &user, "--entrypoint", "[]"];
    for mount in &mounts {
        words.extend(["--volume", mount]);
    }
    words.push(&image);
    words.extend(wrap);
    words.extend([
        "/deny-probe",
        "/given",
        "/given-key",
        &person,
        &waiting.approval,
        &waiting.digest,
    ]);
    waiting.containers.answer_of(words)
}

/// Starts its arguments in a session of its own, twice removed, and waits for what they print.
const DETACH: &str = r#"
import os, subprocess, sys, time
out, into = os.pipe()
if not os.fork():
    os.setsid()
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.01)
    os.close(out)
    subprocess.run(sys.argv[1:], stdout=into)
    os._exit(0)
os.close(into)
os.wait()
sys.stdout.write(os.fdopen(out).read())
"#;

#[test]
fn refused_from_a_container_that_was_given_the_guards_socket_and_the_persons_key() {
    let Some(waiting) = Waiting::new() else { return };
    let gifts = Gifts::new(&waiting);
    let detached = ["/usr/bin/python3", "-c", DETACH];
    for (user, wrap, code) in [
        // The container's root is the containers' owner, a service and never a person.
        (0, &[][..], "AIOS-AUTH-0602"),
        (0, &detached[..], "AIOS-AUTH-0602"),
        // Any other user is a mapped one, known by its namespaces.
        (10_000, &[][..], "AIOS-AUTH-0603"),
        (10_000, &detached[..], "AIOS-AUTH-0603"),
    ] {
        let from = waiting.log_size();
        assert_eq!(given(&waiting, &gifts, user, wrap), code, "user {user}, {wrap:?}");
        assert!(waiting.logged(from, code), "{code} for user {user} in the log");
        waiting.still_pending();
    }
    drop(gifts);
    waiting.then_the_person_approves();
}
