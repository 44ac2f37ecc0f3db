//! Resident memory of every service of the instance, the sandbox too, which no benchmark starts by itself.

use aios_tests_e2e::ctl::string;
use aios_tests_e2e::{SERVICES, instance};

/// Most that a service may hold, bytes.
const MOST: u64 = 30 << 20;

#[test]
fn no_service_holds_more_than_promised() {
    let Some(instance) = instance() else { return };
    let services = instance.json(&["service", "list"]);
    let mut names = Vec::new();
    let services = services.as_array().expect("a list");
    // Others wait for the boot of a machine.
    for service in services.iter().filter(|service| service["enabled"] == true) {
        let (name, held) = (string(service, "/name"), service["rss_bytes"].as_u64().unwrap());
        println!("{name}: {} KiB", held >> 10);
        assert!(held > 0 && held <= MOST, "{name} holds {held} bytes: {service:#}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, SERVICES);
}
