//! The net and firewall tools, in a network namespace of the test's own: a cable between `va` and `vb`, and 9.9.9.9,
//! a public address, at which this test itself answers.

use super::entry::{Entry, changes, looks};
use super::scene::{Scene, options};
use super::silence::Late;
use super::walk::{call, helper};
use aios_harness::client::{self, plain};
use aios_harness::{Instance, Service};
use aios_proto::tools::v1::call_response::Result as Answer;
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIGURE: (&str, &str) = (
    "net.configure",
    r#"{"interface": "va", "add_addresses": ["10.77.0.9/24"]}"#,
);
const ALLOW: (&str, &str) = ("firewall.allow", r#"{"protocol": "tcp", "port": 8080}"#);
const OF_LAST: &str = r#"{"task_id": "{task}", "step": {step}}"#;

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "net.ping",
    args: r#"{"host": "9.9.9.9", "count": 100}"#,
    timeout_ms: 300,
}];

pub(super) const NET: &[Entry] = &[
    looks("net.interfaces", "{}", &["net:interfaces:host"]),
    looks("net.routes", "{}", &["net:routes:host"]),
    looks("net.connections", "{}", &["net:connections:host"]),
    looks("net.listening", "{}", &["net:listening:host"]),
    looks("net.pending", "{}", &["net:pending:host"]),
    looks(
        "net.dns",
        r#"{"name": "www.example", "record_types": ["A"], "server": "9.9.9.9"}"#,
        &["net:dns:www.example", "net:dns:9.9.9.9:53"],
    ),
    looks(
        "net.ping",
        r#"{"host": "9.9.9.9", "count": 1}"#,
        &["net:ping:9.9.9.9"],
    ),
    // A private address needs a capability of its own.
    looks(
        "net.check_port",
        r#"{"host": "10.77.0.1", "port": 80, "private": true}"#,
        &["net:check_port:10.77.0.1:80", "net:private:10.77.0.1:80"],
    ),
    looks(
        "net.http_get",
        r#"{"url": "http://9.9.9.9/"}"#,
        &["net:http_get:9.9.9.9:80"],
    ),
    changes(CONFIGURE.0, CONFIGURE.1, &["net:configure:va"]),
    changes("net.confirm", OF_LAST, &["net:confirm:{task}"]).after(&[CONFIGURE]),
    changes("net.undo", OF_LAST, &["net:configure:va"]).after(&[CONFIGURE]),
];

pub(super) const FIREWALL: &[Entry] = &[
    looks("firewall.rules", "{}", &["firewall:rules:host"]),
    looks("firewall.pending", "{}", &["firewall:pending:host"]),
    changes(ALLOW.0, ALLOW.1, &["firewall:allow:tcp:8080"]),
    changes(
        "firewall.deny",
        r#"{"protocol": "udp", "port": "5000-5010"}"#,
        &["firewall:deny:udp:5000-5010"],
    ),
    // Only one change may wait to be confirmed.
    changes(
        "firewall.remove",
        r#"{"id": "{rule}"}"#,
        &["firewall:remove:{rule}"],
    )
    .after(&[ALLOW, ("firewall.confirm", OF_LAST)]),
    changes("firewall.confirm", OF_LAST, &["firewall:confirm:{task}"]).after(&[ALLOW]),
    changes("firewall.undo", OF_LAST, &["firewall:allow:tcp:8080"]).after(&[ALLOW]),
];

/// The network; its worker is in the namespace of the test's thread, as this is.
pub(super) struct Network(Instance);

impl Network {
    /// Takes the calling thread into a network namespace of its own for good, and everything that it starts.
    pub(super) fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        // As aios-init sets it: pings need no right.
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
        for words in [
            "link set lo up",
            "link add va type veth peer name vb",
            "addr add 10.77.0.1/24 dev va",
            "addr add 9.9.9.9/32 dev lo",
            "link set va up",
            "link set vb up",
        ] {
            run("ip", words)?;
        }
        for address in ["9.9.9.9:80", "10.77.0.1:80"] {
            pages(TcpListener::bind(address)?);
        }
        names(UdpSocket::bind("9.9.9.9:53")?);
        Ok(Self(Instance::start(options(Service::WorkerNet))?))
    }

    /// How many changes of a namespace wait to be confirmed.
    async fn waiting(&mut self, namespace: &str) -> Result<usize> {
        let task = helper(self, namespace).await?;
        let request = client::call_request(&task, 1, &format!("{namespace}.pending"), "{}");
        match call(self, request).await.map_err(plain)? {
            Answer::Done(done) => {
                let list: Value = serde_json::from_str(&done.result_json)?;
                let waiting = list.pointer("/provisional").and_then(Value::as_array);
                Ok(waiting.context("a list")?.len())
            }
            other => bail!("{other:?}"),
        }
    }
}

impl Scene for Network {
    fn aios(&mut self) -> &mut Instance {
        &mut self.0
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    async fn photo(&mut self) -> Result<Value> {
        let until = Instant::now() + Duration::from_secs(10);
        let mut links = run("ip", "-json addr show")?;
        // The kernel tests an address before it uses it.
        while links.contains("tentative") {
            ensure!(Instant::now() < until, "{links}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            links = run("ip", "-json addr show")?;
        }
        let mut photo = json!({
            "links": serde_json::from_str::<Value>(&links)?,
            "v4": routes("-4")?,
            "v6": routes("-6")?,
            "rules": serde_json::from_str::<Value>(&run("nft", "-j list ruleset")?)?,
            "net waits": self.waiting("net").await?,
            "firewall waits": self.waiting("firewall").await?,
        });
        forget_numbers(&mut photo);
        Ok(photo)
    }
}

fn routes(family: &str) -> Result<Value> {
    let text = run("ip", &format!("{family} -json route show table all"))?;
    let mut routes: Vec<Value> = serde_json::from_str(&text)?;
    routes.sort_by_key(ToString::to_string);
    Ok(routes.into())
}

/// Without what the kernel numbers and counts by itself.
fn forget_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in ["handle", "packets", "bytes", "metainfo", "ifindex", "link_index"] {
                map.remove(name);
            }
            map.values_mut().for_each(forget_numbers);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_numbers),
        _ => {}
    }
}

fn run(program: &str, words: &str) -> Result<String> {
    let done = Command::new(program)
        .args(words.split(' '))
        .output()
        .context(program.to_owned())?;
    ensure!(done.status.success(), "{program} {words}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Answers every request with a page. The thread ends with the test.
fn pages(listener: TcpListener) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let page = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            // Who hangs up only asked whether the port is open.
            drop(
                stream
                    .read(&mut head)
                    .and_then(|_| stream.write_all(page.as_bytes())),
            );
        }
    });
}

/// Answers every question of the DNS with one address. The thread ends with the test.
fn names(socket: UdpSocket) {
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut packet) {
            if let Some(answer) = packet.get(..size).and_then(answer_of) {
                drop(socket.send_to(&answer, from));
            }
        }
    });
}

/// The question with an answer behind it: 9.9.9.9, for a minute (RFC 1035, 4.1).
fn answer_of(question: &[u8]) -> Option<Vec<u8>> {
    let name = question.get(12..)?.iter().position(|byte| *byte == 0)?;
    let end = 12 + name + 5;
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(question.get(12..end)?);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 9, 9, 9, 9]);
    Some(answer)
}
