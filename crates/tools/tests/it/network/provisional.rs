//! Changes of the firewall and of addresses take themselves back, whoever dies meanwhile, and are undone exactly.

use super::{NetHouse, World};
use crate::common::{Answer, code, result};
use aios_core::id::ExecutionKey;
use aios_proto::worker::v1::ExecutionState;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PORT: u16 = 7777;
const SOON_MS: u64 = 1500;

/// A connection from there to here, such as a person has who administers this machine.
struct Connection {
    stream: TcpStream,
    next: u8,
}

impl Connection {
    fn open(world: &World) -> Self {
        let listener = world
            .here
            .within(|| TcpListener::bind(("10.77.0.1", PORT)).unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        });
        let stream = world
            .there
            .within(|| TcpStream::connect(("10.77.0.1", PORT)).unwrap());
        stream.set_nodelay(true).unwrap();
        Self { stream, next: 0 }
    }

    /// Whether what is said comes back in time.
    fn works_within(&mut self, time: Duration) -> bool {
        self.next += 1;
        self.stream.write_all(&[self.next]).unwrap();
        let until = Instant::now() + time;
        let mut byte = [0];
        loop {
            let Some(left) = until
                .checked_duration_since(Instant::now())
                .filter(|it| !it.is_zero())
            else {
                return false;
            };
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read_exact(&mut byte) {
                Ok(()) if byte[0] == self.next => return true,
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Death {
    Nobody,
    BackBeforeTheDeadline,
    BackAfterTheDeadline,
}

const DEATHS: [Death; 3] = [
    Death::Nobody,
    Death::BackBeforeTheDeadline,
    Death::BackAfterTheDeadline,
];

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A change that cuts off its own connection: it takes itself back, and everybody can see that it did.
async fn cuts_itself_off(tool: &str, args: Value) {
    let namespace = tool.split('.').next().unwrap();
    for death in DEATHS {
        let mut house = NetHouse::new().await;
        let mut connection = Connection::open(&house.world);
        assert!(connection.works_within(Duration::from_secs(5)));
        let before = house.world.photograph();
        let key = house.key();
        let mut asked = args.clone();
        asked["confirm_within_ms"] = SOON_MS.into();
        let changed = result(house.call(key, tool, asked).await);
        assert!(changed["confirm_by_ms"].as_i64() > Some(0), "{changed}");
        assert!(
            !connection.works_within(Duration::from_millis(400)),
            "{death:?}: it was not cut off"
        );
        match death {
            Death::Nobody => {}
            Death::BackBeforeTheDeadline => {
                house.kill();
                house.start().await;
            }
            Death::BackAfterTheDeadline => {
                house.kill();
                pause(Duration::from_millis(SOON_MS + 500)).await;
                assert!(
                    !connection.works_within(Duration::from_millis(200)),
                    "nobody could take it back"
                );
                house.start().await;
            }
        }
        // The sender of a lost packet waits longer and longer before it tries again.
        assert!(
            connection.works_within(Duration::from_secs(20)),
            "{death:?}: it stayed cut off"
        );
        house.world.is_again(&before, &format!("{death:?}"));
        assert_eq!(
            house.state(namespace, key).await,
            ExecutionState::Undone,
            "{death:?}"
        );
        let told = house.done(&format!("{namespace}.pending"), json!({})).await;
        assert_eq!(told["provisional"], json!([]));
        assert_eq!(told["reverted"][0]["execution"], key.to_string());
        assert_eq!(
            told["reverted"][0]["why"],
            format!("nobody confirmed it within {SOON_MS} ms")
        );
        let late = house.about(&format!("{namespace}.confirm"), key).await;
        assert_eq!(code(&late), "AIOS-TOOLS-0044");
    }
}

#[tokio::test]
async fn a_firewall_rule_that_cuts_off_its_own_connection_takes_itself_back_whoever_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    cuts_itself_off("firewall.deny", json!({"protocol": "tcp", "port": PORT})).await;
}

#[tokio::test]
async fn an_address_whose_loss_cuts_off_its_own_connection_comes_back_whoever_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    cuts_itself_off(
        "net.configure",
        json!({"interface": "va", "remove_addresses": ["10.77.0.1/24"]}),
    )
    .await;
}

/// Changes of every kind, on an interface that has everything.
fn changes() -> Vec<(&'static str, Value)> {
    let configure = |mut args: Value| {
        args["interface"] = "va".into();
        ("net.configure", args)
    };
    vec![
        configure(json!({"add_addresses": ["10.88.0.1/24", "fd00:88::1/64"], "mtu_bytes": 1400})),
        configure(json!({"remove_addresses": ["10.77.0.1/24"]})),
        configure(json!({"replace_addresses": ["10.77.0.9/24"]})),
        configure(json!({"link": "down"})),
        // With less IPv6 does not run at all, and the kernel takes its addresses and routes away.
        configure(json!({"mtu_bytes": 1000})),
        configure(json!({"add_routes": [
            {"destination": "10.99.0.0/16", "via": "10.77.0.2", "metric": 7},
            {"destination": "10.98.0.0/16"},
            {"destination": "fd00:99::/64", "via": "fd00:77::2", "table": 1000},
        ]})),
        configure(json!({"remove_routes": [{"destination": "default", "metric": 100}]})),
        configure(json!({"replace_routes": [{"destination": "default", "via": "10.77.0.3", "metric": 100}]})),
        (
            "firewall.allow",
            json!({"protocol": "tcp", "port": 443, "source": "10.0.0.0/8", "comment": "the web"}),
        ),
        (
            "firewall.deny",
            json!({"protocol": "udp", "port": "8000-8080", "interface": "va", "how": "reject"}),
        ),
        (
            "firewall.deny",
            json!({"protocol": "icmp", "port": "any", "source": "2001:db8::/32", "place": "first"}),
        ),
    ]
}

fn furnish(world: &World) {
    for words in [
        "addr add 10.77.0.5/24 dev va",
        "addr add 10.77.1.1/24 dev va",
        "-6 addr add fd00:77::1/64 dev va",
        "-6 route add default via fd00:77::2 metric 50",
        "route add 10.50.0.0/16 via 10.77.0.2 metric 9",
        "route add 10.51.0.0/16 via 10.50.0.1 onlink dev va mtu 1300",
    ] {
        world.here.ip(words);
    }
}

fn namespace(tool: &str) -> &str {
    tool.split('.').next().unwrap()
}

#[tokio::test]
async fn every_change_is_undone_exactly_before_and_after_it_is_confirmed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    furnish(&house.world);
    for (tool, args) in changes() {
        for confirmed in [false, true] {
            let before = house.world.photograph();
            let key = house.key();
            result(house.call(key, tool, args.clone()).await);
            let between = house.world.photograph();
            assert_ne!(between, before, "{tool} {args}");
            if confirmed {
                result(house.about(&format!("{}.confirm", namespace(tool)), key).await);
                house.world.is_again(&between, "confirming changes nothing");
            }
            let undo = format!("{}.undo", namespace(tool));
            result(house.about(&undo, key).await);
            house
                .world
                .is_again(&before, &format!("{tool} {args} confirmed: {confirmed}"));
            assert_eq!(house.state(namespace(tool), key).await, ExecutionState::Undone);
            assert_eq!(code(&house.about(&undo, key).await), "AIOS-TOOLS-0018");
        }
    }
}

#[tokio::test]
async fn a_rule_is_removed_by_its_name_and_comes_back_in_its_place() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    let mut ids = Vec::new();
    for port in [1, 2, 3] {
        let key = house.key();
        let args = json!({"protocol": "tcp", "port": port, "place": "last"});
        let made = result(house.call(key, "firewall.deny", args).await);
        ids.push(made["rule"]["id"].as_str().unwrap().to_owned());
        result(house.about("firewall.confirm", key).await);
    }
    let listed = house.done("firewall.rules", json!({})).await;
    let ports: Vec<&Value> = listed["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["port"])
        .collect();
    assert_eq!(ports, ["1", "2", "3"]);
    let before = house.world.photograph();
    let key = house.key();
    result(house.call(key, "firewall.remove", json!({"id": ids[1]})).await);
    let listed = house.done("firewall.rules", json!({})).await;
    assert_eq!(listed["rules"].as_array().unwrap().len(), 2);
    assert!(listed["ruleset"].as_str().unwrap().contains("table inet aios"));
    result(house.about("firewall.undo", key).await);
    house.world.is_again(&before, "");
    let gone = house
        .call(house.key(), "firewall.remove", json!({"id": "aios-000000000000"}))
        .await;
    assert_eq!(code(&gone), "AIOS-TOOLS-0009");
}

/// A change, what somebody does by hand meanwhile, and how that is taken away again.
type Meddled<'a> = (&'a str, Value, &'a dyn Fn(), &'a dyn Fn());

#[tokio::test]
async fn what_a_person_changed_since_is_neither_undone_nor_lost_when_a_change_takes_itself_back() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    let world = &house.world;
    let rule = [
        "add", "rule", "inet", "aios", "input", "tcp", "dport", "22", "accept",
    ];
    let cases: [Meddled<'_>; 2] = [
        (
            "firewall.deny",
            json!({"protocol": "tcp", "port": 9}),
            &|| drop(world.here.run("nft", &rule)),
            &|| drop(world.here.run("nft", &["delete", "table", "inet", "aios"])),
        ),
        (
            "net.configure",
            json!({"interface": "va", "add_addresses": ["10.88.0.1/24"]}),
            &|| drop(world.here.ip("addr add 10.66.0.1/24 dev va")),
            &|| drop(world.here.ip("addr del 10.66.0.1/24 dev va")),
        ),
    ];
    for (tool, mut args, meddle, tidy) in cases {
        let before = world.photograph();
        args["confirm_within_ms"] = SOON_MS.into();
        let key = house.key();
        result(house.call(key, tool, args).await);
        meddle();
        let refused = house.about(&format!("{}.undo", namespace(tool)), key).await;
        assert_eq!(code(&refused), "AIOS-TOOLS-0019");
        let until = Instant::now() + Duration::from_secs(20);
        while house.state(namespace(tool), key).await != ExecutionState::Undone {
            assert!(Instant::now() < until);
            pause(Duration::from_millis(50)).await;
        }
        let now = world.photograph().to_string();
        let kept = if tool == "net.configure" {
            "10.66.0.1"
        } else {
            "\"right\":22"
        };
        assert!(
            now.contains(kept) && !now.contains("10.88.0.1") && !now.contains("\"right\":9,"),
            "{now}"
        );
        tidy();
        world.is_again(&before, tool);
    }
}

#[tokio::test]
async fn only_one_change_waits_and_a_confirmation_can_be_taken_back() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    let deny = |port: u16| json!({"protocol": "tcp", "port": port, "confirm_within_ms": 600_000});
    let first = house.key();
    result(house.call(first, "firewall.deny", deny(1)).await);
    let refused = house.call(house.key(), "firewall.deny", deny(2)).await;
    assert_eq!(code(&refused), "AIOS-TOOLS-0040");
    let confirmed = house.key();
    let args = json!({"task_id": first.task.to_string(), "step": first.step});
    result(house.call(confirmed, "firewall.confirm", args).await);
    let pending = house.done("firewall.pending", json!({})).await;
    assert_eq!(pending["provisional"], json!([]));
    result(house.about("firewall.undo", confirmed).await);
    let pending = house.done("firewall.pending", json!({})).await;
    assert_eq!(pending["provisional"][0]["execution"], first.to_string());
    assert!(pending["provisional"][0]["left_ms"].as_u64() > Some(500_000));
    let nobody = ExecutionKey { step: 999, ..first };
    assert_eq!(
        code(&house.about("firewall.confirm", nobody).await),
        "AIOS-TOOLS-0017"
    );
}

#[tokio::test]
async fn a_change_happens_once_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut house = NetHouse::new().await;
    furnish(&house.world);
    let before = house.world.photograph();
    for point in [
        "worker.fs.after_snapshot",
        "worker.net.armed",
        "worker.net.reached",
        "worker.fs.before_commit",
        "worker.fs.after_commit",
    ] {
        for (tool, args) in [changes().remove(3), changes().remove(8)] {
            let key = house.key();
            house.arm(point);
            let all = ["net:*:**", "firewall:*:**"];
            let lost = house.try_call(&all, key, tool, args.clone()).await;
            assert!(lost.is_err(), "{tool} at {point} was not interrupted: {lost:?}");
            house.after_crash().await;
            let done = house.state(namespace(tool), key).await == ExecutionState::Done;
            if !done {
                house.world.is_again(&before, &format!("{tool} at {point}"));
            }
            let Answer::Done(again) = house.call(key, tool, args).await else {
                panic!("{tool} at {point}");
            };
            assert_eq!(again.replayed, done, "{tool} at {point}");
            assert_ne!(house.world.photograph(), before);
            result(house.about(&format!("{}.undo", namespace(tool)), key).await);
            house.world.is_again(&before, &format!("{tool} at {point}"));
        }
    }
}

#[tokio::test]
async fn what_is_not_granted_changes_nothing() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    let before = house.world.photograph();
    for (capabilities, tool, args) in [
        (
            ["net:configure:vb"],
            "net.configure",
            json!({"interface": "va", "mtu_bytes": 1400}),
        ),
        (
            ["firewall:deny:tcp:80"],
            "firewall.deny",
            json!({"protocol": "tcp", "port": 81}),
        ),
        (
            ["firewall:allow:**"],
            "firewall.deny",
            json!({"protocol": "tcp", "port": 80}),
        ),
        (["net:routes:host"], "net.interfaces", json!({})),
        (
            ["net:check_port:10.77.0.2:80"],
            "net.check_port",
            json!({"host": "10.77.0.2", "port": 80, "private": true}),
        ),
    ] {
        let answer = house
            .try_call(&capabilities, house.key(), tool, args)
            .await
            .unwrap();
        assert_eq!(code(&answer), "AIOS-TOOLS-0005", "{tool}");
    }
    house.world.is_again(&before, "");
}
