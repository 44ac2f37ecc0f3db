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

fn swallowed() -> Value {
    json!({"host": "x", "address": "198.51.100.9", "sent": 4, "received": 0, "packet_bytes": 1500,
        "too_large": false, "path_mtu_bytes": 1500})
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
                swallowed(),
                port("open"),
            ],
            Some("mtu"),
        ),
        (
            "narrow and honest",
            vec![
                interface(true, true),
                routes(true),
                dns(true, 1),
                ping(4),
                large(0),
                port("open"),
            ],
            Some("narrow_path"),
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

fn told(parts: &[(&str, Value)], settings: Value) -> Vec<(String, String)> {
    let analysis = tell("network_fault", parts, settings);
    causes(&analysis)
        .into_iter()
        .map(|(cause, subject)| (cause.to_owned(), subject.to_owned()))
        .collect()
}

fn pair(cause: &str, subject: &str) -> Vec<(String, String)> {
    vec![(cause.to_owned(), subject.to_owned())]
}

#[test]
fn a_link_that_led_out_is_named_although_a_bridge_of_containers_works() {
    let all = |up: bool, carrier: bool| {
        json!({"interfaces": [
            {"name": "tap0", "up": false, "carrier": null, "addresses": []},
            {"name": "podman0", "up": true, "carrier": true, "addresses": [{"address": "10.88.0.1/16"}]},
            {"name": "docker0", "up": true, "carrier": false, "addresses": [{"address": "172.17.0.1/16"}]},
            {"name": "eth0", "up": up, "carrier": carrier, "addresses": [{"address": "192.0.2.7/24"}]},
        ]})
    };
    let dead = json!({"routes": [{"destination": "default", "kind": "unicast", "dead": true, "interfaces": ["eth0"]}]});
    let far = json!({"name": "shop.example", "answered": false, "records": [], "servers": ["9.9.9.9"],
        "attempts": [{"server": "9.9.9.9", "error": "Network is unreachable (os error 101)"}]});
    let failed = json!({"failed": {"code": "x", "message": "looking up `shop.example` failed"}});
    for (interfaces, routes, wanted) in [
        (all(false, false), routes(false), pair("link_down", "eth0")),
        (all(true, false), dead, pair("link_down", "eth0")),
        (all(true, true), routes(false), pair("no_route", "routes")),
        (all(true, true), routes(true), pair("dns_server", "9.9.9.9")),
    ] {
        let parts = [
            ("interfaces", interfaces),
            ("routes", routes),
            ("dns", far.clone()),
            ("ping", failed.clone()),
            ("port", failed.clone()),
        ];
        assert_eq!(told(&parts, json!({})), wanted);
    }
}

#[test]
fn what_nobody_looked_at_is_not_said_to_be_well() {
    let closed =
        json!({"failed": {"code": "AIOS-TOOLS-0041", "message": "`nas` is 192.168.1.9, a private address"}});
    let refused = json!({"failed": {"code": "AIOS-GUARD-0020", "message": "above the ceiling"}});
    for (failure, settings, cause) in [
        (closed.clone(), json!({}), "host_private"),
        (closed, json!({"asked": "yes"}), "not_looked_at"),
        (refused, json!({}), "not_looked_at"),
    ] {
        let parts = [
            ("interfaces", interface(true, true)),
            ("routes", routes(true)),
            ("dns", dns(true, 1)),
            ("ping", failure.clone()),
            ("large", failure.clone()),
            ("port", failure),
        ];
        assert_eq!(told(&parts, settings), pair(cause, "host"));
    }
}

#[test]
fn what_this_machine_forbids_itself_is_its_firewall() {
    let forbidden = json!({"host": "x", "address": "198.51.100.9", "sent": 3, "received": 0, "packet_bytes": 84,
        "too_large": false, "error": "Operation not permitted (os error 1)"});
    let parts = [
        ("interfaces", interface(true, true)),
        ("routes", routes(true)),
        ("dns", dns(true, 1)),
        ("ping", forbidden.clone()),
        ("large", forbidden),
        ("port", port("timeout")),
    ];
    assert_eq!(told(&parts, json!({})), pair("firewall", "198.51.100.9"));
}

#[test]
fn a_way_that_takes_less_and_says_so_is_well_when_that_gets_through() {
    for (received, found) in [(3, 0), (0, 1)] {
        let fitting = json!({"host": "x", "address": "198.51.100.9", "sent": 3, "received": received,
            "packet_bytes": 1280, "too_large": false, "path_mtu_bytes": 1280});
        let analysis = tell("narrow_path", &[("fitting", fitting)], json!({}));
        assert_eq!(analysis.findings.len(), found, "{analysis:?}");
    }
}
