//! The rules that a machine boots with, and what the tools do to them.

use super::NetHouse;
use aios_core::id::ExecutionKey;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

const PORT: u16 = 8443;

/// Whether a connection from there to here is made.
fn reached(house: &NetHouse) -> bool {
    let address = SocketAddr::from(([10, 77, 0, 1], PORT));
    house
        .world
        .there
        .within(|| TcpStream::connect_timeout(&address, Duration::from_millis(700)).is_ok())
}

#[tokio::test]
async fn what_the_machine_boots_with_drops_and_the_tools_open_and_close_ports_in_it() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let house = NetHouse::new().await;
    let here = &house.world.here;
    let _listener = here.within(|| TcpListener::bind(("10.77.0.1", PORT)).unwrap());
    assert!(reached(&house), "without rules");

    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/network/firewall.nft");
    here.run("nft", &["-f", shipped.to_str().unwrap()]);
    let before = here.run("nft", &["list", "ruleset"]);
    assert!(!reached(&house), "nobody opened the port");
    // Connections from here to elsewhere get their answers.
    let outside = house
        .world
        .there
        .within(|| TcpListener::bind(("10.77.0.2", PORT)).unwrap());
    here.within(|| {
        TcpStream::connect_timeout(&outside.local_addr().unwrap(), Duration::from_secs(5)).unwrap()
    });

    let key: ExecutionKey = house.key();
    let args = json!({"protocol": "tcp", "port": PORT, "confirm_within_ms": 60_000});
    crate::common::result(house.call(key, "firewall.allow", args).await);
    assert!(reached(&house), "the tool opened it");
    let undone: Value = crate::common::result(house.about("firewall.undo", key).await);
    assert!(undone.is_object(), "{undone}");
    assert!(!reached(&house), "and closed it again");
    assert_eq!(here.run("nft", &["list", "ruleset"]), before);
}
