//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use serde_json::{Value, json};

fn interface(up: bool, carrier: bool) -> Value {
    let addresses = if up {
        json!([{"address": "192.0.2.7", "prefix": 24}])
    } else {
        json!([])
    };
    json!({"interfaces": [
        {"name": "lo", "up": true, "carrier": true, "addresses": []},
        {"name": "eth0", "up": up, "carrier": carrier, "addresses": addresses},
    ]})
}

fn routes(default: bool) -> Value {
    let mut all = vec![json!({"destination": "192.0.2.0/24", "kind": "unicast", "dead": false})];
    if default {
        all.push(json!({"destination": "default", "kind": "unicast", "dead": false}));
    }
    json!({"routes": all})
}

fn dns(answered: bool, records: usize) -> Value {
    json!({"name": "shop.example", "answered": answered, "records": vec![json!({}); records], "hosts_file": [],
        "servers": ["192.0.2.53"], "attempts": [{"server": "192.0.2.53", "error": "no answer in 2000 ms"}]})
}

fn ping(received: u64) -> Value {
    json!({"host": "x", "address": "198.51.100.9", "sent": 4, "received": received, "packet_bytes": 84,
        "too_large": false, "error": null})
}

fn large(received: u64) -> Value {
    json!({"host": "x", "address": "198.51.100.9", "sent": 4, "received": received, "packet_bytes": 1500,
        "too_large": received == 0, "path_mtu_bytes": if received == 0 { 1280 } else { 1500 }})
}

fn port(state: &str) -> Value {
    json!({"host": "x", "port": 443, "open": state == "open",
        "addresses": [{"address": "198.51.100.9", "state": state, "error": null, "elapsed_us": 9}]})
}

#[test]
fn faults_are_told_apart_from_the_cable_upwards() {
    let failed = json!({"failed": {"code": "x", "message": "Network is unreachable"}});
    for (name, parts, cause) in [
        (
            "off",
            vec![
                interface(false, false),
                routes(false),
                dns(false, 0),
                failed.clone(),
                Value::Null,
                failed.clone(),
            ],
            Some("link_down"),
        ),
        (
            "no signal",
            vec![
                interface(true, false),
                routes(true),
                dns(false, 0),
                ping(0),
                Value::Null,
                port("timeout"),
            ],
            Some("link_down"),
        ),
        (
            "no route",
            vec![
                interface(true, true),
                routes(false),
                dns(true, 1),
                failed.clone(),
                Value::Null,
                failed.clone(),
            ],
            Some("no_route"),
        ),
        (
            "no names",
            vec![
                interface(true, true),
                routes(true),
                dns(false, 0),
                failed.clone(),
                Value::Null,
                failed,
            ],
            Some("dns_server"),
        ),
        (
            "no such name",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 0),
                Value::Null,
                Value::Null,
                Value::Null,
            ],
            Some("name_unknown"),
        ),
        (
            "mtu",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(4),
                large(0),
                port("open"),
            ],
            Some("mtu"),
        ),
        (
            "dropped",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(4),
                large(4),
                port("timeout"),
            ],
            Some("firewall"),
        ),
        (
            "closed",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(4),
                large(4),
                port("refused"),
            ],
            Some("port_closed"),
        ),
        (
            "down",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(0),
                Value::Null,
                port("timeout"),
            ],
            Some("host_down"),
        ),
        (
            "well",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(4),
                large(4),
                port("open"),
            ],
            None,
        ),
    ] {
        let names = ["interfaces", "routes", "dns", "ping", "large", "port"];
        let parts: Vec<(&str, Value)> = names.into_iter().zip(parts).collect();
        let analysis = tell("network_fault", &parts, json!({}));
        let told: Vec<&str> = causes(&analysis).iter().map(|(cause, _)| *cause).collect();
        assert_eq!(told, cause.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn who_listens_is_named_and_other_ports_are_not() {
    let socket = |local: &str| {
        json!({"protocol": "tcp", "local": local, "remote": "*", "state": "listen", "waiting_bytes": 0,
            "unsent_bytes": 0, "owner": {"uid": 33, "user": "web", "pids": [7], "program": "nginx", "known": true}})
    };
    let listening = json!({"sockets": [socket("0.0.0.0:80"), socket("[::]:8080")], "count": 2});
    let analysis = tell(
        "who_listens",
        &[("listening", listening.clone())],
        json!({"port": 80}),
    );
    assert_eq!(causes(&analysis), [("listens", "0.0.0.0:80")]);
    assert!(analysis.findings[0].title.contains("nginx of web, process 7"));
    let nobody = tell("who_listens", &[("listening", listening)], json!({"port": 81}));
    assert_eq!(nobody.seen, "nobody listens on port 81");
}
