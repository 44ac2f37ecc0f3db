//! Owners and modes, set-uid files, baselines: on trees of real files.

use super::{Bench, caps};
use aios_tools::budget::Budget;
use aios_tools::error::ToolError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
/// `cap_net_raw+ep` as the kernel keeps it.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// `path problem severity mode→suggested owner` of each finding, paths below the machine's root.
fn problems(bench: &Bench, answer: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |it: &Value| {
        let path = text(&it["path"]);
        format!(
            "{} {} {} {}>{} {}",
            path.strip_prefix(bench.root.to_str().unwrap()).unwrap(),
            text(&it["problem"]),
            text(&it["severity"]),
            text(&it["mode"]),
            text(&it["suggested_mode"]),
            text(&it["suggested_owner"]),
        )
    };
    answer["findings"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn every_wrong_owner_and_mode_is_found_and_nothing_else() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = Bench::new();
    bench.write("etc/good.conf", "x", 0o644);
    bench.write("etc/open.conf", "x", 0o666);
    bench.write("srv/open.txt", "x", 0o662);
    bench.dir("srv/drop", 0o777);
    bench.dir("srv/sticky", 0o1777);
    bench.dir("tmp", 0o777);
    bench.write("usr/bin/good", "x", 0o755);
    bench.write("usr/bin/ours", "x", 0o757);
    bench.write("usr/local/bin/staff", "x", 0o775);
    bench.own("usr/local/bin/staff", 0, 50);
    bench.write("usr/local/bin/adas", "x", 0o775);
    bench.own("usr/local/bin/adas", 0, 1000);
    bench.write("usr/lib/taken", "x", 0o644);
    bench.own("usr/lib/taken", 1000, 0);
    bench.write("srv/orphan", "x", 0o644);
    bench.own("srv/orphan", 4711, 0);
    bench.write("srv/groupless", "x", 0o644);
    bench.own("srv/groupless", 0, 4711);
    bench.write("srv/open.key", KEY, 0o644);
    bench.write("srv/closed.key", KEY, 0o640);
    bench.write("srv/public.key", "-----BEGIN PUBLIC KEY-----\n", 0o644);
    symlink("/etc/shadow", bench.path("srv/link")).unwrap();
    let answer = bench.read("sec.check_permissions", json!({"root": bench.path("")}));
    let expected = [
        "/etc/open.conf world_writable_file high 0666>0664 -",
        "/srv/open.txt world_writable_file medium 0662>0660 -",
        "/srv/drop world_writable_directory medium 0777>0775 -",
        "/tmp world_writable_directory medium 0777>1777 -",
        "/usr/bin/ours writable_on_path high 0757>0755 -",
        "/usr/local/bin/adas writable_on_path medium 0775>0755 -",
        "/usr/lib/taken wrong_owner high 0644>- root:root",
        "/srv/orphan no_owner low 0644>- -",
        "/srv/groupless no_group low 0644>- -",
        "/srv/open.key readable_private_key high 0644>0600 -",
    ];
    assert_eq!(problems(&bench, &answer), expected.map(str::to_owned).into());
    assert_eq!(answer["findings"][0]["severity"], "high", "the worst come first");
    let one = bench.read(
        "sec.check_permissions",
        json!({"root": bench.path(""), "limit": 1}),
    );
    assert_eq!((&one["total"], &one["truncated"]), (&json!(10), &json!(true)));
    assert_eq!(one["findings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_sound_tree_has_no_finding_and_is_not_touched() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = Bench::new();
    let path = bench.write("usr/bin/tool", "x", 0o755);
    bench.write("srv/a.key", KEY, 0o600);
    let before = fs::metadata(&path).unwrap();
    let answer = bench.read("sec.check_permissions", json!({"root": bench.path("")}));
    assert_eq!(answer["findings"], json!([]));
    assert_eq!(answer["looked_at"], 9, "{answer:#}");
    assert_eq!(answer["skipped"], 0);
    bench.change("sec.integrity_baseline", json!({"path": bench.path("")}));
    let after = fs::metadata(&path).unwrap();
    let times = |it: &fs::Metadata| (it.atime_nsec(), it.mtime_nsec(), it.ctime_nsec());
    assert_eq!(times(&before), times(&after));
}

#[test]
fn what_is_not_granted_or_protected_is_neither_listed_nor_entered() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut bench = Bench::new();
    bench.write("home/ada/.ssh/id_rsa", KEY, 0o666);
    bench.write("home/ada/.netrc", "secret", 0o666);
    bench.write("home/bob/open", "x", 0o666);
    bench.write("home/ada/open", "x", 0o666);
    let home = bench.path("home");
    let answer = bench.read("sec.check_permissions", json!({"root": home}));
    assert_eq!(answer["total"], 2, "{answer:#}");
    assert_eq!(answer["skipped"], 2);
    let baseline = bench.change("sec.integrity_baseline", json!({"path": home}));
    assert_eq!(baseline.result["skipped"], 2);
    let text = format!("{answer}{}", serde_json::to_string(&baseline.plan).unwrap());
    assert!(!text.contains("id_rsa") && !text.contains("netrc"), "{text}");

    bench.caps = caps(&[&format!("sec:*:{home}/ada/**")]);
    let denied = |tool: &str, args: Value| {
        let error = bench.try_read(tool, &args, &Budget::of_ms(5000)).unwrap_err();
        assert!(error.is_denial(), "{tool}: {error}");
    };
    denied("sec.check_permissions", json!({"root": home}));
    denied("sec.find_suid", json!({"root": home}));
    denied("sec.integrity_check", json!({"path": home}));
    denied("sec.cert_info", json!({"path": format!("{home}/bob/open")}));
    denied(
        "sec.check_permissions",
        json!({"root": format!("{home}/ada/.ssh")}),
    );
    denied("sec.scan", json!({}));
    denied("sec.open_ports", json!({}));
    let own = bench.read("sec.check_permissions", json!({"root": format!("{home}/ada")}));
    assert_eq!(own["total"], 1);
    // A link out of the grant leads nowhere.
    symlink(format!("{home}/bob"), bench.path("home/ada/bob")).unwrap();
    denied(
        "sec.check_permissions",
        json!({"root": format!("{home}/ada/bob")}),
    );
}

#[test]
fn set_uid_files_are_told_apart_by_package_and_baseline() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = Bench::new();
    for (name, mode) in [
        ("usr/bin/su", 0o4755),
        ("usr/bin/odd", 0o4755),
        ("usr/bin/wall", 0o2755),
        ("usr/bin/locks", 0o2644),
        ("usr/bin/ping", 0o755),
        ("usr/bin/plain", 0o755),
        ("tmp/.bash", 0o4755),
    ] {
        bench.write(name, name, mode);
    }
    xattr::set(bench.path("usr/bin/ping"), "security.capability", &NET_RAW).unwrap();
    bench.write(
        "var/lib/dpkg/info/login.list",
        "/.\n/bin/su\n/usr/bin/wall\n",
        0o644,
    );
    let root = bench.path("");
    let seen = |answer: &Value| -> BTreeSet<(String, bool)> {
        let files = answer["files"].as_array().unwrap();
        let name = |it: &Value| {
            it["path"]
                .as_str()
                .unwrap()
                .rsplit_once('/')
                .unwrap()
                .1
                .to_owned()
        };
        files
            .iter()
            .map(|it| (name(it), it["known"].as_bool().unwrap()))
            .collect()
    };
    let expect = |all: &[(&str, bool)]| {
        all.iter()
            .map(|(name, known)| ((*name).to_owned(), *known))
            .collect()
    };
    let answer = bench.read("sec.find_suid", json!({"root": root}));
    let expected: BTreeSet<_> = expect(&[
        ("su", true),
        ("wall", true),
        ("odd", false),
        ("ping", false),
        (".bash", false),
    ]);
    assert_eq!(seen(&answer), expected);
    assert_eq!(
        (&answer["compared_with"], &answer["surprises"]),
        (&json!("packages"), &json!(3))
    );
    let files = answer["files"].as_array().unwrap();
    let ping = files
        .iter()
        .find(|it| it["path"] == bench.path("usr/bin/ping"))
        .unwrap();
    assert_eq!(ping["capabilities"], json!(["cap_net_raw"]));
    let bash = files
        .iter()
        .find(|it| it["path"] == bench.path("tmp/.bash"))
        .unwrap();
    assert_eq!(bash["concerns"].as_array().unwrap().len(), 2, "{bash:#}");

    bench.change("sec.integrity_baseline", json!({"path": root, "name": "clean"}));
    let args = json!({"root": root, "baseline": "clean"});
    let all = bench.read("sec.find_suid", args.clone());
    assert_eq!(all["compared_with"], "baseline clean");
    assert!(seen(&all).iter().all(|(_, known)| *known), "{all:#}");
    // Another content, a bit more, and a new one: each is a surprise.
    fs::write(bench.path("usr/bin/odd"), "other").unwrap();
    fs::set_permissions(bench.path("usr/bin/odd"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(bench.path("usr/bin/plain"), fs::Permissions::from_mode(0o4755)).unwrap();
    bench.write("usr/bin/new", "x", 0o2755);
    let unknown: BTreeSet<_> = seen(&bench.read("sec.find_suid", args))
        .into_iter()
        .filter(|(_, known)| !known)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(unknown, ["odd", "plain", "new"].map(str::to_owned).into());
}

/// Makes one change to one thing of a tree.
type Fault = fn(&Bench);

#[test]
fn each_change_since_a_baseline_is_told_by_its_fields() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let faults: [(&str, Fault, &str); 9] = [
        (
            "content",
            |it| fs::write(it.path("d/file"), "other").unwrap(),
            "/d/file changed sha256,mtime",
        ),
        (
            "mode",
            |it| fs::set_permissions(it.path("d/file"), fs::Permissions::from_mode(0o755)).unwrap(),
            "/d/file changed mode",
        ),
        (
            "owner",
            |it| it.own("d/file", 1000, 1000),
            "/d/file changed uid,gid",
        ),
        (
            "attribute",
            |it| xattr::set(it.path("d/file"), "user.x", b"1").unwrap(),
            "/d/file changed xattrs",
        ),
        (
            "hard link",
            |it| fs::hard_link(it.path("d/file"), it.path("d/twin")).unwrap(),
            "/d/file changed links; /d/twin added ",
        ),
        (
            "target",
            |it| {
                fs::remove_file(it.path("d/link")).unwrap();
                symlink("elsewhere", it.path("d/link")).unwrap();
            },
            "/d/link changed target,mtime",
        ),
        (
            "removed",
            |it| fs::remove_file(it.path("d/file")).unwrap(),
            "/d/file removed ",
        ),
        (
            "kind",
            |it| {
                fs::remove_file(it.path("d/link")).unwrap();
                it.dir("d/link", 0o755);
            },
            "/d/link changed kind,mode,target",
        ),
        (
            "directory",
            |it| fs::set_permissions(it.path("d"), fs::Permissions::from_mode(0o700)).unwrap(),
            "/d changed mode",
        ),
    ];
    for (name, fault, expected) in faults {
        let bench = Bench::new();
        bench.dir("d", 0o755);
        bench.write("d/file", "same!", 0o644);
        symlink("file", bench.path("d/link")).unwrap();
        let path = bench.path("d");
        let made = bench.change("sec.integrity_baseline", json!({"path": path}));
        assert_eq!(
            (&made.result["entries"], &made.result["bytes"]),
            (&json!(3), &json!(5))
        );
        let quiet = bench.read("sec.integrity_check", json!({"path": path}));
        assert_eq!(
            (&quiet["changes"], &quiet["unchanged"]),
            (&json!([]), &json!(3)),
            "{name}"
        );
        fault(&bench);
        let answer = bench.read("sec.integrity_check", json!({"path": path}));
        let lines: Vec<String> = answer["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let fields = it["fields"].as_array().unwrap().iter();
                let fields: Vec<_> = fields.map(|it| it["field"].as_str().unwrap()).collect();
                let path = it["path"].as_str().unwrap();
                let path = path.strip_prefix(bench.root.to_str().unwrap()).unwrap();
                format!("{path} {} {}", it["change"].as_str().unwrap(), fields.join(","))
            })
            .collect();
        // Which fields of time and size go with another content or kind is the file system's to say.
        let told = lines.join("; ");
        let wanted: Vec<&str> = expected
            .split([' ', ';', ','])
            .filter(|it| !it.is_empty())
            .collect();
        assert!(wanted.iter().all(|it| told.contains(it)), "{name}: {told}");
        let paths = |text: &str| {
            text.split("; ")
                .map(|it| it.split(' ').next().unwrap().to_owned())
                .collect()
        };
        let (told, wanted): (Vec<String>, Vec<String>) = (paths(&told), paths(expected));
        assert_eq!(told, wanted, "{name}");
    }
}

#[test]
fn a_baseline_is_undone_exactly_and_only_while_it_is_the_newest() {
    let mut bench = Bench::new();
    bench.dir("d", 0o755);
    bench.write("d/a", "1", 0o644);
    let path = bench.path("d");
    let args = json!({"path": path, "name": "x"});
    let first = bench.change("sec.integrity_baseline", args.clone());
    assert_eq!(first.result["replaced"], false);
    bench.write("d/b", "2", 0o644);
    let second = bench.change("sec.integrity_baseline", args.clone());
    assert_eq!(second.result["replaced"], true);
    assert!(matches!(bench.undo(&first), Err(ToolError::UndoConflict { .. })));
    bench.restart();
    assert_eq!(bench.read("sec.integrity_check", args.clone())["added"], 0);
    let undone = bench.undo(&second).unwrap();
    assert_eq!(undone.result["restored"], json!([path]));
    assert_eq!(bench.read("sec.integrity_check", args.clone())["added"], 1);
    // The undo is undone, then everything back to nothing.
    let redone = bench.undo(&undone).unwrap();
    assert_eq!(bench.read("sec.integrity_check", args.clone())["added"], 0);
    bench.undo(&redone).unwrap();
    bench.undo(&first).unwrap();
    let gone = bench.try_read("sec.integrity_check", &args, &Budget::of_ms(5000));
    assert!(matches!(gone, Err(ToolError::NotFound { .. })), "{gone:?}");
}

#[test]
fn a_baseline_that_a_crash_interrupted_is_settled_either_way() {
    let mut bench = Bench::new();
    bench.dir("d", 0o755);
    let args = json!({"path": bench.path("d")});
    let (mut plan, _) = bench.plan("sec.integrity_baseline", &args).unwrap();
    bench.restart();
    assert!(!aios_tools::worker::Namespace::finish(&bench.sec, &mut plan).unwrap());
    aios_tools::worker::Namespace::roll_back(&bench.sec, &plan).unwrap();
    assert!(
        bench
            .try_read("sec.integrity_check", &args, &Budget::of_ms(5000))
            .is_err()
    );
    let (mut plan, _) = bench.plan("sec.integrity_baseline", &args).unwrap();
    aios_tools::worker::Namespace::apply(&bench.sec, &mut plan.clone(), &Budget::of_ms(5000)).unwrap();
    bench.restart();
    assert!(aios_tools::worker::Namespace::finish(&bench.sec, &mut plan).unwrap());
    assert_eq!(bench.read("sec.integrity_check", args)["changed"], 0);
}

#[test]
fn a_damaged_baseline_is_named_and_never_compared_with() {
    let bench = Bench::new();
    bench.dir("d", 0o755);
    let args = json!({"path": bench.path("d")});
    let made = bench.change("sec.integrity_baseline", args.clone());
    let sha256 = made.result["sha256"].as_str().unwrap();
    let object = bench
        .home
        .path()
        .join("state/store")
        .join(sha256.get(..2).unwrap())
        .join(sha256);
    fs::write(&object, b"damaged").unwrap();
    assert!(
        bench
            .try_read("sec.integrity_check", &args, &Budget::of_ms(5000))
            .is_err()
    );
}

#[test]
fn special_files_are_never_opened_and_time_ends_a_walk() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bench = Bench::new();
    let pipe = bench.path("d/pipe.key");
    bench.dir("d", 0o755);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    // Opening a pipe that nobody writes to would hang.
    bench.change("sec.integrity_baseline", json!({"path": bench.path("d")}));
    let args = json!({"root": bench.path("d")});
    assert_eq!(bench.read("sec.check_permissions", args.clone())["total"], 0);
    for tool in ["sec.check_permissions", "sec.find_suid"] {
        let late = bench.try_read(tool, &args, &Budget::of_ms(0));
        assert!(
            matches!(late, Err(ToolError::TimedOut { .. })),
            "{tool}: {late:?}"
        );
        let cancelled = Budget::of_ms(60_000);
        cancelled.cancel();
        let late = bench.try_read(tool, &args, &cancelled);
        assert!(matches!(late, Err(ToolError::Cancelled)), "{tool}: {late:?}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name() {
    let bench = Bench::new();
    for (tool, args, field) in [
        (
            "sec.check_permissions",
            json!({"root": "/x", "limit": 0}),
            "limit",
        ),
        (
            "sec.check_permissions",
            json!({"root": "/x", "bogus": 1}),
            "bogus",
        ),
        (
            "sec.find_suid",
            json!({"root": "/x", "baseline": "-x"}),
            "baseline",
        ),
        (
            "sec.integrity_baseline",
            json!({"path": "/x", "name": "a\nb"}),
            "name",
        ),
        ("sec.integrity_check", json!({"path": "/x", "name": ""}), "name"),
        ("sec.scan", json!({"checks": ["nothing"]}), "checks"),
        ("sec.audit_query", json!({"goal_id": "x"}), "goal_id"),
        ("sec.audit_query", json!({"scan_last": 0}), "scan_last"),
        (
            "sec.cert_generate",
            json!({"directory": "/x", "name": "a/b", "what": "request", "common_name": "x"}),
            "name",
        ),
        ("sec.undo", json!({"task_id": "x", "step": 1}), "task_id"),
    ] {
        let error =
            aios_tools::worker::Namespace::canonical(&bench.sec, tool, &args.to_string()).unwrap_err();
        assert!(error.to_string().contains(field), "{tool}: {error}");
    }
}
