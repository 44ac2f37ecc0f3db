//! Speaking with others: what is granted, what is closed, and what is told of the network.

use super::{NetHouse, World};
use aios_auth::capability::CapabilitySet;
use aios_core::id::{ExecutionKey, TaskId};
use aios_tools::budget::Budget;
use aios_tools::error::ToolError;
use aios_tools::net::Net;
use aios_tools::net::pending::{MachineClock, Pending};
use aios_tools::registry::Registry;
use aios_tools::worker::{Call, Namespace};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, RCODE, ResourceRecord};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;

/// The namespace on the calling thread, which is on `here`, with an `/etc` of its own.
struct Talker {
    net: Net,
    etc: tempfile::TempDir,
    world: World,
}

const EVERYTHING: [&str; 5] = [
    "net:ping:**",
    "net:check_port:**",
    "net:http_get:**",
    "net:dns:**",
    "net:private:**",
];
const PUBLIC: [&str; 4] = [
    "net:ping:**",
    "net:check_port:**",
    "net:http_get:**",
    "net:dns:**",
];

impl Talker {
    fn new() -> Self {
        let world = World::new();
        let etc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(etc.path().join("ssl/certs")).unwrap();
        std::fs::write(
            etc.path().join("hosts"),
            "9.9.9.9 www.example\n10.77.0.2 inner.example\n9.9.9.9 mixed.example\n127.0.0.1 mixed.example\n",
        )
        .unwrap();
        std::fs::write(
            etc.path().join("resolv.conf"),
            "nameserver 10.77.0.7\nnameserver 10.77.0.2\n",
        )
        .unwrap();
        world.here.enter();
        let pending = Pending::open(
            &etc.path().join("pending.db"),
            Box::new(MachineClock::new().unwrap()),
        )
        .unwrap();
        Self {
            net: Net::new(Arc::new(pending), etc.path()),
            etc,
            world,
        }
    }

    fn ask(&self, capabilities: &[&str], tool: &str, args: &Value) -> Result<Value, ToolError> {
        let args = self.net.canonical(tool, &args.to_string())?;
        let caps = CapabilitySet::new(capabilities.iter().map(|it| it.parse().unwrap()).collect());
        let call = Call {
            tool,
            args: &args,
            caps: &caps,
            key: ExecutionKey {
                task: TaskId::new(),
                step: 1,
            },
            budget: &Budget::of_ms(20_000),
        };
        let prepared = self.net.prepare(&call)?;
        let answer = self.net.read(&call, &prepared.identities)?;
        let registry = Registry::builtin();
        registry
            .get(tool)
            .unwrap()
            .check_output(&answer.to_string())
            .unwrap();
        Ok(answer)
    }

    fn refused(&self, capabilities: &[&str], tool: &str, args: Value) -> String {
        let answer = self.ask(capabilities, tool, &args);
        answer.map_or_else(|error| error.report().code, |answer| format!("{args}: {answer}"))
    }
}

/// Answers on `there` with what `answer` makes of the path.
fn serve(world: &World, address: &str, answer: impl Fn(&str) -> String + Send + 'static) {
    let listener = world.there.within(|| TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            respond(stream, &answer);
        }
    });
}

fn respond(mut stream: impl Read + Write, answer: &impl Fn(&str) -> String) {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut stream);
    while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    drop(stream.write_all(answer(&path).as_bytes()));
    drop(stream.flush());
}

fn page(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

#[test]
fn no_name_redirect_or_spelling_leads_to_an_address_that_is_not_public() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    serve(&talker.world, "10.77.0.2:80", |_| page("secret"));
    serve(&talker.world, "9.9.9.9:80", |path| match path {
        "/in" => redirect("http://10.77.0.2/secret"),
        "/name" => redirect("http://inner.example/secret"),
        "/loop" => redirect("/loop"),
        "/file" => redirect("file:///etc/passwd"),
        "/other" => redirect("http://www.example/fine"),
        _ => page("public"),
    });
    for url in [
        "http://10.77.0.2/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:10.77.0.2]/",
        "http://[64:ff9b::a4d:2]/",
        "http://0.0.0.0/",
        "http://inner.example/",
        "http://mixed.example/",
        "http://9.9.9.9/in",
        "http://9.9.9.9/name",
    ] {
        assert_eq!(
            talker.refused(&PUBLIC, "net.http_get", json!({"url": url})),
            "AIOS-TOOLS-0041",
            "{url}"
        );
    }
    for (tool, args) in [
        ("net.ping", json!({"host": "10.77.0.2"})),
        ("net.ping", json!({"host": "mixed.example"})),
        ("net.check_port", json!({"host": "inner.example", "port": 80})),
        ("net.dns", json!({"name": "a.example", "server": "10.77.0.2"})),
    ] {
        assert_eq!(talker.refused(&PUBLIC, tool, args), "AIOS-TOOLS-0041", "{tool}");
    }
    // Said but not granted; and a redirect to what is not granted.
    let private = json!({"url": "http://10.77.0.2/", "private": true});
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", private.clone()),
        "AIOS-TOOLS-0005"
    );
    let one = ["net:http_get:9.9.9.9:80"];
    let other = json!({"url": "http://9.9.9.9/other"});
    assert_eq!(
        talker.refused(&one, "net.http_get", other.clone()),
        "AIOS-TOOLS-0005"
    );
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", json!({"url": "http://9.9.9.9/file"})),
        "AIOS-TOOLS-0002"
    );
    let followed = talker.ask(&PUBLIC, "net.http_get", &other).unwrap();
    assert_eq!(
        (&followed["content"], &followed["url"]),
        (&json!("public"), &json!("http://www.example/fine"))
    );
    assert_eq!(followed["redirects"], json!(["http://9.9.9.9/other"]));
    let granted = talker.ask(&EVERYTHING, "net.http_get", &private).unwrap();
    assert_eq!(granted["content"], "secret");
    let endless = talker
        .ask(&PUBLIC, "net.http_get", &json!({"url": "http://9.9.9.9/loop"}))
        .unwrap();
    assert_eq!(
        (&endless["status"], endless["redirects"].as_array().unwrap().len()),
        (&json!(302), 5)
    );
}

#[test]
fn a_page_is_read_up_to_its_limit_and_what_is_no_text_is_told_so() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    serve(&talker.world, "9.9.9.9:80", |path| match path {
        "/big" => page(&"x".repeat(5000)),
        "/chunks" => {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned()
        }
        _ => "garbage\r\n\r\n".to_owned(),
    });
    let big = talker
        .ask(
            &PUBLIC,
            "net.http_get",
            &json!({"url": "http://9.9.9.9/big", "max_bytes": 1000}),
        )
        .unwrap();
    assert_eq!(
        (&big["size_bytes"], &big["truncated"]),
        (&json!(1000), &json!(true))
    );
    let chunks = talker
        .ask(&PUBLIC, "net.http_get", &json!({"url": "http://9.9.9.9/chunks"}))
        .unwrap();
    assert_eq!(
        (&chunks["content"], &chunks["truncated"]),
        (&json!("abcde"), &json!(false))
    );
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", json!({"url": "http://9.9.9.9/bad"})),
        "AIOS-TOOLS-0042"
    );
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", json!({"url": "http://9.9.9.9:81/"})),
        "AIOS-TOOLS-0042"
    );
}

fn certificate(trusted: &Path) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["www.example".to_owned()]).unwrap();
    std::fs::write(trusted, pem(made.cert.der())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn https_trusts_the_machine_s_authorities_and_the_name_only() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    let trusted = talker.etc.path().join("ssl/certs/ca-certificates.crt");
    let config = certificate(&trusted);
    let listener = talker
        .world
        .there
        .within(|| TcpListener::bind("9.9.9.9:443").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            respond(StreamOwned::new(connection, stream), &|_: &str| page("sealed"));
        }
    });
    let read = talker
        .ask(&PUBLIC, "net.http_get", &json!({"url": "https://www.example/"}))
        .unwrap();
    assert_eq!(
        (&read["content"], &read["address"]),
        (&json!("sealed"), &json!("9.9.9.9:443"))
    );
    // Another name than the certificate's.
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", json!({"url": "https://9.9.9.9/"})),
        "AIOS-TOOLS-0042"
    );
    // Another authority.
    certificate(&trusted);
    assert_eq!(
        talker.refused(&PUBLIC, "net.http_get", json!({"url": "https://www.example/"})),
        "AIOS-TOOLS-0042"
    );
}

#[test]
fn a_name_is_looked_up_and_it_is_told_who_answered() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    let udp = talker
        .world
        .there
        .within(|| UdpSocket::bind("10.77.0.2:53").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            let query = Packet::parse(&buffer[..length]).unwrap();
            let mut reply = query.clone().into_reply();
            let question = &query.questions[0];
            if question.qname.to_string() == "a.example" {
                let data = RData::A(A::from(Ipv4Addr::new(9, 9, 9, 9)));
                reply
                    .answers
                    .push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
            } else {
                *reply.rcode_mut() = RCODE::NameError;
            }
            udp.send_to(&reply.build_bytes_vec().unwrap(), from).unwrap();
        }
    });
    let asked = json!({"name": "A.example.", "record_types": ["A"], "answer_timeout_ms": 300});
    let found = talker.ask(&PUBLIC, "net.dns", &asked).unwrap();
    assert_eq!(
        (&found["answered_by"], &found["records"][0]["value"]),
        (&json!("10.77.0.2"), &json!("9.9.9.9"))
    );
    assert_eq!(found["records"][0]["record_type"], "A");
    assert_eq!(
        found["attempts"].as_array().unwrap().len(),
        2,
        "the first server is silent: {found}"
    );
    assert!(found["attempts"][0]["error"].is_string());
    assert_eq!(found["servers"], json!(["10.77.0.7", "10.77.0.2"]));
    let none = json!({"name": "none.example", "record_types": ["A"], "server": "10.77.0.2", "private": true});
    let none = talker.ask(&EVERYTHING, "net.dns", &none).unwrap();
    assert_eq!(
        (&none["answered"], &none["attempts"][0]["code"]),
        (&json!(true), &json!("NXDOMAIN"))
    );
    assert_eq!(
        talker.refused(&["net:dns:b.example"], "net.dns", asked),
        "AIOS-TOOLS-0005"
    );
    // A page by a name that only the DNS knows.
    serve(&talker.world, "9.9.9.9:80", |_| page("public"));
    std::fs::write(talker.etc.path().join("resolv.conf"), "nameserver 10.77.0.2\n").unwrap();
    let read = talker.ask(&PUBLIC, "net.http_get", &json!({"url": "http://a.example/"}));
    // The double answers an A record to the question for IPv6 as well.
    assert_eq!(read.unwrap()["content"], "public");
}

#[test]
fn pings_tell_loss_times_and_the_largest_packet() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    let ping = |mut args: Value| {
        args["interval_ms"] = 20.into();
        args["answer_timeout_ms"] = 500.into();
        talker.ask(&EVERYTHING, "net.ping", &args).unwrap()
    };
    let fine = ping(json!({"host": "9.9.9.9", "count": 3}));
    assert_eq!(
        (&fine["sent"], &fine["received"], &fine["loss_percent"]),
        (&json!(3), &json!(3), &json!(0.0))
    );
    assert!(fine["rtt_mean_us"].as_u64() > Some(0));
    let lost = ping(json!({"host": "10.77.0.66", "count": 1, "private": true}));
    assert_eq!(
        (&lost["received"], &lost["loss_percent"]),
        (&json!(0), &json!(100.0))
    );
    talker.world.there.ip("link set vb mtu 1300");
    talker.world.here.ip("link set va mtu 1300");
    let large = ping(json!({"host": "9.9.9.9", "count": 1, "packet_bytes": 1400, "dont_fragment": true}));
    assert_eq!(
        (&large["too_large"], &large["path_mtu_bytes"], &large["received"]),
        (&json!(true), &json!(1300), &json!(0))
    );
    let fits = ping(json!({"host": "9.9.9.9", "count": 1, "packet_bytes": 1300, "dont_fragment": true}));
    assert_eq!(
        (&fits["too_large"], &fits["received"]),
        (&json!(false), &json!(1)),
        "{fits}"
    );
    let pieces = ping(json!({"host": "9.9.9.9", "count": 1, "packet_bytes": 1400}));
    assert_eq!(pieces["received"], 1, "{pieces}");
}

#[test]
fn a_port_is_open_refused_silent_or_unreachable() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let talker = Talker::new();
    serve(&talker.world, "9.9.9.9:80", |_| page(""));
    for rule in [
        "add table ip t",
        "add chain ip t in { type filter hook input priority 0 ; }",
        "add rule ip t in tcp dport 82 drop",
    ] {
        talker
            .world
            .there
            .run("nft", &rule.split(' ').collect::<Vec<_>>());
    }
    talker.world.here.ip("route add unreachable 8.8.4.4/32");
    for (host, port, state) in [
        ("9.9.9.9", 80, "open"),
        ("9.9.9.9", 81, "refused"),
        ("9.9.9.9", 82, "timeout"),
        ("8.8.4.4", 80, "unreachable"),
    ] {
        let args = json!({"host": host, "port": port, "answer_timeout_ms": 400});
        let checked = talker.ask(&PUBLIC, "net.check_port", &args).unwrap();
        assert_eq!(checked["addresses"][0]["state"], state, "{checked}");
        assert_eq!(checked["open"], state == "open");
    }
}

#[tokio::test]
async fn the_machine_s_own_tables_are_told_truly() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    house.world.here.ip("-6 addr add fd00:77::1/64 dev va nodad");
    let told = house.done("net.interfaces", json!({})).await;
    let va = told["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "va")
        .unwrap();
    assert_eq!(
        (&va["up"], &va["mtu_bytes"], &va["carrier"]),
        (&json!(true), &json!(1500), &json!(true))
    );
    let addresses = va["addresses"].to_string();
    assert!(
        addresses.contains("\"10.77.0.1/24\"") && addresses.contains("\"fd00:77::1/64\""),
        "{addresses}"
    );
    let routes = house.done("net.routes", json!({})).await;
    let default = routes["routes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["destination"] == "default");
    let default = default.unwrap();
    assert_eq!(
        (&default["gateway"], &default["metric"]),
        (&json!("10.77.0.2"), &json!(100))
    );
    assert_eq!(
        (&default["interfaces"], &default["table"]),
        (&json!(["va"]), &json!(254))
    );
    let listener = house
        .world
        .here
        .within(|| TcpListener::bind("10.77.0.1:4242").unwrap());
    let listening = house.done("net.listening", json!({"port": 4242})).await;
    let socket = &listening["sockets"][0];
    assert_eq!(
        (&socket["local"], &socket["state"]),
        (&json!("10.77.0.1:4242"), &json!("listen"))
    );
    assert_eq!(socket["owner"]["pids"], json!([std::process::id()]));
    let _there = house
        .world
        .there
        .within(|| std::net::TcpStream::connect("10.77.0.1:4242").unwrap());
    let _accepted = listener.accept().unwrap();
    let connections = house.done("net.connections", json!({"port": 4242})).await;
    assert_eq!(connections["sockets"][0]["state"], "established");
    assert_eq!(connections["count"], 1);
}
