//! What only looks at the machine, on this machine and on one laid out by hand.

use aios_tools::budget::Budget;
use aios_tools::host::Host;
use aios_tools::host::hw::{self, Hw};
use aios_tools::host::monitor::{self, Monitor};
use aios_tools::registry::Registry;
use aios_tools::worker::read_only::Looks;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn ask(looks: &impl Looks, tool: &str, args: Value) -> Value {
    let spec = Registry::builtin().get(tool).unwrap().clone();
    let args = spec.check_input(&args.to_string()).unwrap();
    looks.look(tool, &args).unwrap();
    let answer = looks
        .read(tool, &args, &Budget::of_ms(60_000))
        .unwrap_or_else(|error| panic!("{tool}: {error}"));
    spec.check_output(&answer.to_string())
        .unwrap_or_else(|error| panic!("{tool}: {error}: {answer:#}"));
    answer
}

fn read(looks: &impl Looks, tool: &str) -> Value {
    ask(looks, tool, json!({}))
}

#[test]
fn every_tool_answers_on_this_machine_as_its_schema_says() {
    let (hw, monitor) = (Hw(Host::this()), Monitor(Host::this()));
    for spec in hw::specs() {
        read(&hw, spec.name);
    }
    for spec in monitor::specs() {
        let args = match spec.name {
            "monitor.logs" => json!({"path": "/var/log"}),
            "monitor.watch" => json!({"metric": "cpu", "samples": 1, "interval_ms": 50}),
            _ => json!({}),
        };
        ask(&monitor, spec.name, args);
    }
}

#[test]
fn work_is_seen_where_it_is_done() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let me = std::process::id();
    let monitor = Monitor(Host::this());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let args = json!({"interval_ms": 300, "limit": 1000});
        let top = ask(&monitor, "monitor.top", args);
        let own = top["processes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["pid"] == me)
            .cloned();
        let cpu = ask(&monitor, "monitor.cpu", json!({"interval_ms": 300}));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let own = own.unwrap_or_else(|| panic!("this process in {top:#}"));
        assert!(own["cpu_percent"].as_f64() > Some(0.0), "{own:#}");
        assert!(own["resident_bytes"].as_u64() > Some(0), "{own:#}");
        assert!(cpu["total"]["busy_percent"].as_f64() > Some(0.0), "{cpu:#}");
    });
}

#[test]
fn a_watch_that_is_too_long_or_cancelled_is_refused() {
    let monitor = Monitor(Host::this());
    for (tool, args) in [
        ("monitor.cpu", json!({"interval_ms": 60_000})),
        ("monitor.disk", json!({"interval_ms": 1})),
        ("monitor.top", json!({"interval_ms": 100, "limit": 0})),
    ] {
        let error = monitor.look(tool, &args).unwrap_err().to_string();
        assert!(error.contains("must be"), "{tool}: {error}");
    }
    let budget = Budget::of_ms(60_000);
    budget.cancel();
    let args = json!({"interval_ms": 10_000});
    assert!(monitor.read("monitor.cpu", &args, &budget).is_err());
}

#[test]
fn this_machine_is_described_truly() {
    let hw = Hw(Host::this());
    let info = read(&hw, "hw.info");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(info["kernel"], kernel.trim());
    let cpus = fs::read_to_string("/proc/cpuinfo")
        .unwrap()
        .matches("processor\t")
        .count();
    assert_eq!(info["cpus"], cpus);
    let memory = read(&hw, "hw.memory");
    assert_eq!(memory["total_bytes"], info["memory_bytes"]);
    let names: Vec<Value> = read(&hw, "hw.network")["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interface| interface["name"].clone())
        .collect();
    assert!(names.contains(&json!("lo")), "{names:?}");
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn disks_sensors_and_devices_are_read_as_the_kernel_tells_them() {
    let sys = tempfile::tempdir().unwrap();
    let root = sys.path();
    for (name, text) in [
        ("block/sda/size", "2048\n"),
        ("block/sda/queue/rotational", "1\n"),
        ("block/sda/ro", "0\n"),
        ("block/sda/device/model", "DISK 9000  \n"),
        ("block/sda/sda1/partition", "1\n"),
        ("block/sda/sda1/size", "1024\n"),
        ("block/loop0/size", "0\n"),
        ("class/hwmon/hwmon0/name", "coretemp\n"),
        ("class/hwmon/hwmon0/temp1_input", "45000\n"),
        ("class/hwmon/hwmon0/temp1_crit", "100000\n"),
        ("class/hwmon/hwmon0/temp1_label", "Core 0\n"),
        ("class/hwmon/hwmon0/fan2_input", "1200\n"),
        ("class/hwmon/hwmon0/intrusion0_alarm", "1\n"),
        ("class/power_supply/BAT0/type", "Battery\n"),
        ("class/power_supply/BAT0/capacity", "87\n"),
        ("class/net/bonding_masters", "\n"),
        ("class/net/eth0/ifindex", "2\n"),
        ("class/net/eth0/operstate", "down\n"),
        ("class/net/eth0/mtu", "1500\n"),
        // A link that is down has no speed: the kernel says -1, or an error.
        ("class/net/eth0/speed", "-1\n"),
        ("bus/pci/devices/0000:00:02.0/class", "0x030000\n"),
        ("bus/pci/devices/0000:00:02.0/vendor", "0x1234\n"),
        ("bus/pci/devices/0000:00:02.0/device", "0x1111\n"),
    ] {
        write(root, name, text);
    }
    let hw = Hw(Host::at("/proc", root));
    assert_eq!(
        read(&hw, "hw.storage"),
        json!({"devices": [{
            "name": "sda", "size_bytes": 1_048_576, "model": "DISK 9000", "serial": null,
            "rotational": true, "removable": false, "read_only": false,
            "partitions": [{"name": "sda1", "size_bytes": 524_288}],
        }]})
    );
    assert_eq!(
        read(&hw, "hw.sensors"),
        json!({
            "readings": [
                {"chip": "coretemp", "label": "fan2", "kind": "fan", "value": 1200, "unit": "rpm", "critical": null},
                {"chip": "coretemp", "label": "Core 0", "kind": "temperature", "value": 45_000, "unit": "millicelsius",
                 "critical": 100_000},
            ],
            "supplies": [{"name": "BAT0", "kind": "Battery", "state": null, "percent": 87}],
        })
    );
    assert_eq!(
        read(&hw, "hw.network"),
        json!({"interfaces": [{
            "name": "eth0", "address": null, "state": "down", "mtu_bytes": 1500, "speed_mbit": null, "driver": null,
        }]})
    );
    assert_eq!(
        read(&hw, "hw.pci"),
        json!({"devices": [{
            "address": "0000:00:02.0", "class_code": "0x030000", "vendor_code": "0x1234", "device_code": "0x1111", "driver": null,
        }]})
    );
}

#[test]
fn an_argument_that_no_tool_has_is_refused_by_name() {
    for spec in hw::specs().into_iter().chain(monitor::specs()) {
        let error = spec.check_input("{\"bogus\": 1}").unwrap_err();
        assert!(error.to_string().contains("bogus"), "{}: {error}", spec.name);
    }
}

#[test]
fn memory_is_told_as_the_kernel_counts_it() {
    let proc = tempfile::tempdir().unwrap();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    write(proc.path(), "meminfo", &meminfo);
    write(proc.path(), "vmstat", "nr_free_pages 1\noom_kill 3\n");
    let monitor = Monitor(Host::at(proc.path(), "/sys"));
    let memory = read(&monitor, "monitor.memory");
    let kib = |name: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    assert_eq!(memory["total_bytes"], kib("MemTotal:"));
    assert_eq!(memory["available_bytes"], kib("MemAvailable:"));
    assert_eq!(memory["dirty_bytes"], kib("Dirty:"));
    assert_eq!(memory["swap_total_bytes"], kib("SwapTotal:"));
    assert_eq!(memory["out_of_memory_kills"], 3);
    fs::remove_file(proc.path().join("vmstat")).unwrap();
    assert_eq!(
        read(&monitor, "monitor.memory")["out_of_memory_kills"],
        Value::Null
    );
}

#[test]
fn a_series_ends_at_a_threshold_at_its_length_or_with_its_time() {
    let proc = tempfile::tempdir().unwrap();
    write(proc.path(), "loadavg", "1.50 1.00 0.50 2/100 4242\n");
    let monitor = Monitor(Host::at(proc.path(), "/sys"));
    let watch = |more: Value| {
        let mut args = json!({"metric": "load", "interval_ms": 50, "samples": 3});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ask(&monitor, "monitor.watch", args)
    };
    let whole = watch(json!({"above": 1.5, "below": 1.5}));
    assert_eq!(
        (whole["samples"].as_array().unwrap().len(), &whole["ended"]),
        (3, &json!("complete"))
    );
    let figures = ["min", "max", "mean"].map(|name| whole[name].as_f64().unwrap());
    assert_eq!((figures, &whole["unit"]), ([1.5; 3], &json!("tasks")));
    let times: Vec<u64> = whole["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["after_ms"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted() && times[2] >= 100, "{times:?}");
    for (more, ended) in [(json!({"above": 1.4}), "above"), (json!({"below": 1.6}), "below")] {
        let early = watch(more);
        assert_eq!(
            (early["samples"].as_array().unwrap().len(), &early["ended"]),
            (1, &json!(ended))
        );
    }
    let args = json!({"metric": "load", "interval_ms": 200, "samples": 600});
    let short = monitor.read("monitor.watch", &args, &Budget::of_ms(700)).unwrap();
    assert_eq!(short["ended"], "time");
    assert!(
        (1..=3).contains(&short["samples"].as_array().unwrap().len()),
        "{short}"
    );
}

#[test]
fn every_measure_can_be_watched() {
    let monitor = Monitor(Host::this());
    for metric in ["cpu", "load", "memory", "disk", "network"] {
        let args = json!({"metric": metric, "samples": 2, "interval_ms": 60});
        let series = ask(&monitor, "monitor.watch", args);
        assert!(series["max"].as_f64() >= Some(0.0), "{metric}: {series}");
    }
    let gone = json!({"metric": "network", "name": "no-such-link", "samples": 1, "interval_ms": 50});
    let error = monitor
        .read("monitor.watch", &gone, &Budget::of_ms(9000))
        .unwrap_err();
    assert!(error.to_string().contains("no-such-link"), "{error}");
    for (args, field) in [
        (
            json!({"metric": "cpu", "samples": 0, "interval_ms": 50}),
            "samples",
        ),
        (
            json!({"metric": "cpu", "samples": 601, "interval_ms": 50}),
            "samples",
        ),
        (
            json!({"metric": "cpu", "samples": 2, "interval_ms": 10}),
            "interval_ms",
        ),
        (
            json!({"metric": "cpu", "samples": 2, "interval_ms": 50, "name": "sda"}),
            "name",
        ),
        (
            json!({"metric": "disk", "samples": 2, "interval_ms": 50, "name": "-x"}),
            "name",
        ),
    ] {
        let error = monitor.look("monitor.watch", &args).unwrap_err().to_string();
        assert!(error.contains(field), "{args}: {error}");
    }
}

#[test]
fn logs_are_read_from_their_end_and_links_open_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    write(&root, "secret", "key\n");
    let logs = root.join("log");
    write(
        &logs,
        "syslog",
        "boot\nsshd: bad\nnginx: bad gateway\nnginx: ok\n",
    );
    write(&logs, "nginx/error.log", "bad host\n");
    write(&logs, "nginx/old.gz", "\u{1f}\0bad\n");
    std::os::unix::fs::symlink("../secret", logs.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", logs.join("dir")).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let file = fs::File::options().write(true).open(logs.join("syslog")).unwrap();
    file.set_modified(old).unwrap();
    let monitor = Monitor(Host::this().with_logs(&logs));
    let tail = |more: Value| {
        let mut args = json!({"path": logs});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ask(&monitor, "monitor.logs", args)
    };
    let bad = tail(json!({"contains": "bad"}));
    let lines: Vec<Value> = bad["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["lines"].clone())
        .collect();
    assert_eq!(
        lines,
        [json!(["bad host"]), json!(["sshd: bad", "nginx: bad gateway"])]
    );
    assert_eq!(
        (&bad["skipped"], &bad["tainted"]),
        (&json!(3), &json!(true)),
        "{bad:#}"
    );
    let last = tail(json!({"limit": 1, "name_glob": "syslog"}));
    assert_eq!(last["files"][0]["lines"], json!(["nginx: ok"]));
    assert_eq!(last["files"][0]["truncated"], true);
    let recent = tail(json!({"changed_within_ms": 3_600_000}));
    assert_eq!(recent["files"].as_array().unwrap().len(), 1, "{recent:#}");
    let one = tail(json!({"path": logs.join("nginx/error.log")}));
    assert_eq!(one["files"][0]["lines"], json!(["bad host"]));
    let through = tail(json!({"path": logs.join("link")}));
    assert_eq!((&through["files"], &through["skipped"]), (&json!([]), &json!(1)));
    let missing = json!({"path": logs.join("none"), "name_glob": "*", "limit": 1});
    assert!(
        monitor
            .read("monitor.logs", &missing, &Budget::of_ms(9000))
            .is_err()
    );
    for path in ["/etc/passwd", "log", "/var/log"] {
        let args = json!({"path": path, "name_glob": "*", "limit": 1});
        assert!(monitor.look("monitor.logs", &args).is_err(), "{path}");
    }
}
