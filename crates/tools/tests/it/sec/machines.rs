//! Scans of machines that are laid out here, and open ports of a made-up and of the real one.

use super::Bench;
use aios_tools::budget::Budget;
use aios_tools::sec::machine::Machine;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};

const TABLE: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

/// A line of `/proc/net/tcp`.
fn socket(address: &str, state: &str, uid: u32, inode: u64) -> String {
    format!(
        "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1 0 100 0 0 10 0\n"
    )
}

fn proc_file(bench: &Bench, name: &str, text: &str) {
    let path = bench.home.path().join("proc").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn process(bench: &Bench, pid: u32, name: &str, uid: u32) {
    let text = format!("Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
    proc_file(bench, &format!("{pid}/status"), &text);
}

/// A machine as it should be.
fn sound() -> Bench {
    let bench = Bench::new();
    bench.write(
        "etc/shadow",
        "root:*:19000::::::\nada:$y$j9T$SALT$HASH:19000::::::\n",
        0o640,
    );
    bench.write(
        "etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nPasswordAuthentication no\nCiphers -arcfour\n",
        0o644,
    );
    bench.write("etc/ssh/ssh_host_ed25519_key", "key", 0o600);
    bench.write("etc/login.defs", "# UMASK 000\nUMASK\t\t022\n", 0o644);
    bench.write("usr/bin/su", "x", 0o4755);
    // What images and packages bring is theirs.
    bench.write(
        "var/lib/containers/storage/overlay/1/diff/usr/bin/su",
        "x",
        0o4755,
    );
    bench.write(
        "home/ada/.local/share/containers/storage/overlay/1/diff/su",
        "x",
        0o4755,
    );
    bench.write(
        "usr/share/doc/x/example.key",
        "-----BEGIN PRIVATE KEY-----\n",
        0o644,
    );
    bench.write("var/lib/dpkg/info/login.list", "/usr/bin/su\n", 0o644);
    for (name, value) in [
        ("kernel/randomize_va_space", "2"),
        ("kernel/kptr_restrict", "1"),
        ("fs/suid_dumpable", "2"),
    ] {
        proc_file(&bench, &format!("sys/{name}"), value);
    }
    let local = socket("0100007F:1F90", "0A", 0, 5);
    proc_file(&bench, "net/tcp", &format!("{TABLE}{local}"));
    bench
}

fn ids(answer: &Value) -> BTreeSet<String> {
    let findings = answer["findings"].as_array().unwrap().iter();
    findings
        .map(|it| {
            format!(
                "{} {}",
                it["id"].as_str().unwrap(),
                it["severity"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn a_sound_machine_has_no_finding_and_every_check_was_done() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let answer = sound().read("sec.scan", json!({}));
    assert_eq!(answer["findings"], json!([]));
    assert_eq!(answer["not_checked"], json!([]));
    assert_eq!(answer["checked"].as_array().unwrap().len(), 8);
}

/// Makes one weakness.
type Fault = fn(&Bench);

#[test]
fn each_weakness_is_found_with_its_severity_and_nothing_else() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let faults: [(Fault, &[&str]); 19] = [
        (
            |it| {
                drop(it.write(
                    "etc/ssh/sshd_config",
                    "PermitRootLogin yes\nPasswordAuthentication no\n",
                    0o644,
                ))
            },
            &["sshd.permitrootlogin high"],
        ),
        (
            |it| {
                drop(it.write(
                    "etc/ssh/sshd_config.d/a.conf",
                    "PermitEmptyPasswords yes\n",
                    0o644,
                ))
            },
            &["sshd.permitemptypasswords high"],
        ),
        // The first value counts, and the included file stands before the other.
        (
            |it| {
                drop(it.write(
                    "etc/ssh/sshd_config.d/a.conf",
                    "PasswordAuthentication yes\n",
                    0o644,
                ))
            },
            &["sshd.password_authentication low"],
        ),
        (
            |it| drop(it.write("etc/ssh/sshd_config", "Port 22\n", 0o644)),
            &["sshd.password_authentication low"],
        ),
        (
            |it| {
                let text = "PasswordAuthentication no\nCiphers aes256-ctr,aes128-cbc\nMatch User ada\n  X11Forwarding yes\n";
                it.write("etc/ssh/sshd_config", text, 0o644);
            },
            &["sshd.ciphers medium", "sshd.x11forwarding low"],
        ),
        (
            |it| {
                drop(it.write(
                    "etc/passwd",
                    "root:x:0:0::/:/\ntoor:x:0:0::/:/\nada:x:1000:1000::/:/\n",
                    0o644,
                ))
            },
            &["accounts.second_root high"],
        ),
        (
            |it| {
                drop(it.write(
                    "etc/passwd",
                    "root:x:0:0::/:/\nada::1000:1000::/:/\nbob:x:1000:1::/:/\n",
                    0o644,
                ))
            },
            &["accounts.no_password high", "accounts.same_number medium"],
        ),
        (
            |it| drop(it.write("etc/shadow", "ada::1::::::\nbob:$1$SALT$HASH:1::::::\n", 0o640)),
            &["accounts.no_password high", "accounts.quick_hash medium"],
        ),
        (
            |it| drop(it.write("etc/shadow", "", 0o644)),
            &["secrets.open high"],
        ),
        (
            |it| drop(it.write("etc/ssh/ssh_host_rsa_key", "", 0o660)),
            &["secrets.open medium"],
        ),
        (
            |it| it.own("etc/passwd", 1000, 0),
            &["permissions.wrong_owner high", "secrets.ground_writable high"],
        ),
        (
            |it| drop(it.write("etc/hosts.equiv", "+\n", 0o644)),
            &["secrets.trusting_file high"],
        ),
        (
            |it| drop(it.write("etc/login.defs", "UMASK 000\n", 0o644)),
            &["umask.open medium"],
        ),
        (
            |it| proc_file(it, "sys/kernel/randomize_va_space", "0"),
            &["kernel.kernel.randomize_va_space high"],
        ),
        (
            |it| proc_file(it, "sys/kernel/kptr_restrict", "0"),
            &["kernel.kernel.kptr_restrict medium"],
        ),
        (
            |it| drop(it.write("usr/lib/open", "x", 0o646)),
            &["permissions.world_writable_file high"],
        ),
        (
            |it| drop(it.write("usr/bin/odd", "x", 0o4755)),
            &["suid.surprise medium"],
        ),
        (
            |it| drop(it.write("home/ada/sh", "x", 0o4755)),
            &["suid.surprise high"],
        ),
        (
            |it| {
                let (ssh, telnet) = (
                    socket("00000000:0016", "0A", 0, 5),
                    socket("00000000:0017", "0A", 0, 6),
                );
                proc_file(it, "net/tcp", &format!("{TABLE}{ssh}{telnet}"));
            },
            &["ports.reachable low", "ports.reachable medium"],
        ),
    ];
    for (fault, expected) in faults {
        let bench = sound();
        fault(&bench);
        let answer = bench.read("sec.scan", json!({}));
        let expected: BTreeSet<String> = expected.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(ids(&answer), expected, "{answer:#}");
        let text = answer.to_string();
        assert!(!text.contains("HASH") && !text.contains("SALT"), "{text}");
        for it in answer["findings"].as_array().unwrap() {
            for field in ["subject", "evidence", "remedy"] {
                assert_ne!(it[field], "", "{it:#}");
            }
        }
    }
}

#[test]
fn only_the_checks_that_were_asked_for_are_done_and_one_that_cannot_be_is_named() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = sound();
    bench.write("etc/shadow", "ada::1::::::\n", 0o644);
    let answer = bench.read("sec.scan", json!({"checks": ["secrets", "secrets"]}));
    assert_eq!(ids(&answer), ["secrets.open high".to_owned()].into());
    assert_eq!(answer["checked"], json!(["secrets"]));
    // A shadow file that is a directory cannot be read.
    fs::remove_file(bench.path("etc/shadow")).unwrap();
    bench.dir("etc/shadow", 0o755);
    let answer = bench.read("sec.scan", json!({"checks": ["accounts", "umask"]}));
    assert_eq!(answer["checked"], json!(["umask"]));
    assert_eq!(answer["not_checked"][0]["check"], "accounts");
}

#[test]
fn open_ports_name_user_process_and_reach() {
    let bench = Bench::new();
    let lines = [
        socket("00000000:0016", "0A", 0, 11),
        socket("0100007F:1F90", "0A", 1000, 12),
        socket("00000000:0050", "01", 0, 13),
    ];
    proc_file(&bench, "net/tcp", &format!("{TABLE}{}", lines.concat()));
    let any = format!("{:032}:0035", 0);
    proc_file(
        &bench,
        "net/udp6",
        &format!("{TABLE}{}", socket(&any, "07", 4711, 14)),
    );
    process(&bench, 100, "sshd", 0);
    process(&bench, 200, "server", 1000);
    fs::create_dir_all(bench.home.path().join("proc/100/fd")).unwrap();
    std::os::unix::fs::symlink("socket:[11]", bench.home.path().join("proc/100/fd/3")).unwrap();
    let answer = bench.read("sec.open_ports", json!({}));
    let port =
        |protocol: &str, address: &str, port: u16, uid: u32, user: Value, process: Value, reachable: bool| {
            json!({
                "protocol": protocol, "address": address, "port": port, "uid": uid, "user": user,
                "process": process, "reachable": reachable,
            })
        };
    let (sshd, server) = (
        json!({"pid": 100, "name": "sshd", "known_by": "descriptor"}),
        json!({"pid": 200, "name": "server", "known_by": "only_of_user"}),
    );
    let expected = json!([
        port("tcp", "0.0.0.0", 22, 0, json!("root"), sshd, true),
        port("tcp", "127.0.0.1", 8080, 1000, json!("ada"), server, false),
        port("udp", "::", 53, 4711, Value::Null, Value::Null, true),
    ]);
    assert_eq!(answer["ports"], expected);
    assert_eq!(answer["without_process"], 1);
    // With a second process of the user nobody can say which of them it is.
    process(&bench, 201, "client", 1000);
    let reachable = bench.read("sec.open_ports", json!({"reachable_only": true}));
    assert_eq!(reachable["ports"].as_array().unwrap().len(), 2);
    assert_eq!(
        bench.read("sec.open_ports", json!({}))["ports"][1]["process"],
        Value::Null
    );
}

#[test]
fn a_port_that_is_opened_on_this_machine_is_seen() {
    let mut bench = Bench::new();
    std::os::unix::fs::symlink("/proc", bench.home.path().join("proc")).unwrap();
    bench.restart();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let answer = bench.read("sec.open_ports", json!({}));
    for (protocol, port) in [
        ("tcp", tcp.local_addr().unwrap().port()),
        ("udp", udp.local_addr().unwrap().port()),
    ] {
        let ports = answer["ports"].as_array().unwrap();
        let found = ports
            .iter()
            .find(|it| it["protocol"] == protocol && it["port"] == port)
            .unwrap_or_else(|| panic!("{protocol} {port} in {answer:#}"));
        assert_eq!(found["reachable"], false);
        assert_eq!(found["process"]["pid"], std::process::id(), "{found:#}");
    }
}

#[test]
fn a_scan_of_this_machine_ends_and_says_what_it_did() {
    let home = tempfile::tempdir().unwrap();
    let resolver = aios_tools::fs::resolve::Resolver::of(
        "sec",
        aios_auth::protected::Protected::of(&aios_core::paths::Paths::development(home.path())),
    );
    let clock = std::sync::Arc::new(aios_core::clock::SystemClock);
    let bench = Bench::new();
    let sec = aios_tools::sec::Sec::open(Machine::this(), resolver, home.path(), clock).unwrap();
    let bench = Bench { sec, ..bench };
    let quick = json!({"checks": ["sshd", "accounts", "secrets", "kernel", "umask", "ports"]});
    let answer = bench
        .try_read("sec.scan", &quick, &Budget::of_ms(60_000))
        .unwrap();
    let done = answer["checked"].as_array().unwrap().len() + answer["not_checked"].as_array().unwrap().len();
    assert_eq!(done, 6, "{answer:#}");
    assert!(!answer.to_string().contains("$y$"));
}
