use super::super::apart::apart;
use super::*;
use file::Network;

fn tree(text: Option<&str>) -> (tempfile::TempDir, Paths) {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::development(root.path());
    fs::create_dir_all(&paths.etc).unwrap();
    fs::create_dir_all(paths.run.join("network")).unwrap();
    if let Some(text) = text {
        fs::write(paths.etc.join("network.toml"), text).unwrap();
    }
    (root, paths)
}

const TWO: &str = r#"
[[interface]]
name = "eth0"
addresses = ["192.0.2.10/24", "2001:db8::10/64"]
gateway = ["192.0.2.1", "fe80::1"]
dns = ["192.0.2.53"]
search = ["lan.example"]
mtu = 1400

[[interface]]
mac = "52:54:00:AB:cd:56"
"#;

#[test]
fn a_file_becomes_the_configuration_of_the_client() {
    let (root, paths) = tree(Some(TWO));
    let network = read(&paths).unwrap();
    write_client(&paths, &network).unwrap();
    let read = |name: &str| fs::read_to_string(paths.run.join("network").join(name)).unwrap();
    let conf = read("dhcpcd.conf");
    assert!(
        conf.contains("interface eth0\nnoipv4\nnoipv6\ninterface enx525400abcd56\n"),
        "{conf}"
    );
    assert_eq!(
        read("eth0.ip"),
        "link set dev eth0 mtu 1400\nlink set dev eth0 up\n\
         address replace 192.0.2.10/24 dev eth0\naddress replace 2001:db8::10/64 dev eth0\n\
         route replace default via 192.0.2.1 dev eth0 proto static\n\
         route replace default via fe80::1 dev eth0 proto static\n"
    );
    assert_eq!(read("static.dns"), "nameserver 192.0.2.53\nsearch lan.example\n");
    assert_eq!(write_links(root.path(), &network).unwrap(), 1);
    let link = fs::read_to_string(root.path().join(LINKS).join("10-aios-525400abcd56.link")).unwrap();
    assert!(
        link.contains("MACAddress=52:54:00:ab:cd:56\n[Link]\nName=enx525400abcd56"),
        "{link}"
    );
    assert_eq!(summary(&network), "eth0 192.0.2.10/24, enx525400abcd56 by DHCP");
}

#[test]
fn without_a_file_every_interface_asks_a_server() {
    let (_root, paths) = tree(None);
    let network = read(&paths).unwrap();
    assert_eq!(network, Network::default());
    write_client(&paths, &network).unwrap();
    let conf = fs::read_to_string(paths.run.join("network/dhcpcd.conf")).unwrap();
    assert!(!conf.contains("\ninterface"), "{conf}");
}

#[test]
fn an_error_names_file_and_line() {
    for (text, wanted) in [
        (
            "[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1\"]\n",
            "network.toml:3",
        ),
        ("[[interface]]\nname = \"eth0 up\"\n", "network.toml:2"),
        ("[[interface]]\nname = \"eth0\"\nadresses = []\n", "addresses"),
        ("[[interface]]\nmac = \"52:54:00:12:34\"\n", "network.toml:2"),
        (
            "[[interface]]\nname = \"a\"\nsearch = [\"a b\"]\n",
            "network.toml:3",
        ),
        ("[[interface]]\ndhcp = true\n", "neither `name` nor `mac`"),
        (
            "[[interface]]\nname = \"a\"\n[[interface]]\nname = \"a\"\n",
            "a is there twice",
        ),
        ("[[interface]]\nname = \"a\"\nmtu = 100\n", "from 576"),
        (
            "[[interface]]\nname = \"a\"\ngateway = [\"192.0.2.1\"]\n",
            "needs `addresses`",
        ),
        (
            "[[interface]]\nname = \"a\"\naddresses = [\"192.0.2.9/24\"]\ngateway = [\"192.0.2.1\", \"192.0.2.2\"]\n",
            "more than one of a family",
        ),
    ] {
        let (_root, paths) = tree(Some(text));
        let error = read(&paths).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted:?} is not in {error:?}");
    }
}

#[test]
fn a_fixed_address_may_come_beside_a_servers() {
    let (_root, paths) = tree(Some(
        "[[interface]]\nname = \"a\"\ndhcp = true\naddresses = [\"192.0.2.9/24\"]\n",
    ));
    let network = read(&paths).unwrap();
    write_client(&paths, &network).unwrap();
    let conf = fs::read_to_string(paths.run.join("network/dhcpcd.conf")).unwrap();
    assert!(
        conf.contains("interface a\n") && !conf.contains("noipv4"),
        "{conf}"
    );
    assert!(paths.run.join("network/a.ip").exists());
}

/// Runs the hook as dhcpcd does.
fn hook(paths: &Paths, event: &[(&str, &str)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/network/dhcp-hook");
    let status = std::process::Command::new("sh")
        .arg(script)
        .env("AIOS_RUN", &paths.run)
        .envs(event.iter().copied())
        .status()
        .unwrap();
    assert!(status.success(), "{event:?}");
}

#[test]
fn the_hook_tells_what_servers_said_after_what_the_administrator_wrote() {
    let (_root, paths) = tree(None);
    let dns = paths.run.join("dns");
    fs::create_dir_all(&dns).unwrap();
    fs::write(paths.run.join("network/static.dns"), "nameserver 192.0.2.53\n").unwrap();
    let read = |name: &str| fs::read_to_string(dns.join(name)).unwrap();
    let lease = [
        ("reason", "BOUND"),
        ("interface", "eth0"),
        ("protocol", "dhcp"),
        ("if_up", "true"),
        ("if_down", "false"),
        ("new_domain_name_servers", "10.0.0.1 * 10.0.0.2 10.0.0.3"),
        ("new_domain_name", "lan.example"),
        ("new_ntp_servers", "10.0.0.4"),
        ("new_host_name", "given"),
    ];
    hook(&paths, &lease);
    let advertised = [
        ("reason", "ROUTERADVERT"),
        ("interface", "eth0"),
        ("protocol", "ra"),
        ("if_up", "true"),
        ("nd1_rdnss1_servers", "fd00::1"),
        ("nd1_dnssl1_search", "v6.example"),
    ];
    hook(&paths, &advertised);
    assert_eq!(
        read("resolv.conf"),
        "nameserver 192.0.2.53\nnameserver 10.0.0.1\nnameserver *\nsearch lan.example v6.example\n"
    );
    assert_eq!(read("ntp.sources"), "server 10.0.0.4 iburst\n");
    assert_eq!(read("hostname"), "given\n");
    let gone = [
        ("reason", "EXPIRE"),
        ("interface", "eth0"),
        ("protocol", "dhcp"),
        ("if_up", "false"),
        ("if_down", "true"),
    ];
    hook(&paths, &gone);
    assert_eq!(
        read("resolv.conf"),
        "nameserver 192.0.2.53\nnameserver fd00::1\nsearch v6.example\n"
    );
    assert_eq!(read("hostname"), "");
}

#[test]
fn the_hook_gives_an_interface_what_the_file_says_and_doing_it_again_changes_nothing() {
    let (_root, paths) = tree(Some(
        "[[interface]]\nname = \"dummy7\"\naddresses = [\"192.0.2.10/24\", \"2001:db8::10/64\"]\n\
         gateway = [\"192.0.2.1\", \"fe80::1\"]\nmtu = 1400\n",
    ));
    fs::create_dir_all(paths.run.join("dns")).unwrap();
    write_client(&paths, &read(&paths).unwrap()).unwrap();
    let ip = |words: &str| {
        let output = std::process::Command::new("ip")
            .args(words.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "ip {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    apart(|| {
        ip("link add dummy7 type veth peer name peer7");
        ip("link set peer7 up");
        for reason in ["PREINIT", "CARRIER"] {
            hook(&paths, &[("reason", reason), ("interface", "dummy7")]);
            let addresses = ip("addr show dev dummy7");
            assert!(addresses.contains("mtu 1400"), "{addresses}");
            assert_eq!(addresses.matches("192.0.2.10/24").count(), 1, "{addresses}");
            assert!(addresses.contains("2001:db8::10/64"), "{addresses}");
            let routes = ip("-4 route") + &ip("-6 route");
            assert!(routes.contains("default via 192.0.2.1 dev dummy7"), "{routes}");
            assert!(routes.contains("default via fe80::1 dev dummy7"), "{routes}");
        }
    });
}
