//! Service files on a booted machine: whatever lies there, that service is left out with the reason, and the
//! rest comes up.
#![cfg(test)]

mod common;

use aios_proto::init::v1::ListServicesRequest;
use common::container::Container;
use common::{Instance, is_root};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";

/// What the boot says of wrong files.
async fn refused(container: &Container) -> Vec<String> {
    let phases = container.phases().await;
    let wrong = phases.into_iter().filter(|phase| phase.name == "service-file");
    wrong.map(|phase| phase.message).collect()
}

/// Each of these must be among the messages, all parts in one.
fn assert_said(messages: &[String], wanted: &[&[&str]]) {
    for parts in wanted {
        let said = |message: &String| parts.iter().all(|part| message.contains(part));
        assert!(messages.iter().any(said), "{parts:?} in {messages:#?}");
    }
}

#[tokio::test]
async fn a_wrong_file_is_left_out_and_the_rest_is_up() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[
        ("good", SLEEP),
        ("key", &format!("{SLEEP}nedds = [\"x\"]\n")),
        ("type", "user = \"daemon\"\ncommand = 7\n"),
        ("syntax", "user = \"daemon\"\n= [\n"),
        ("value", &format!("{SLEEP}restart_min_ms = 0\n")),
        ("a", &format!("{SLEEP}needs = [\"b\"]\n")),
        ("b", &format!("{SLEEP}after = [\"c\"]\n")),
        ("c", &format!("{SLEEP}wants = [\"a\"]\n")),
        ("hanger-on", &format!("{SLEEP}needs = [\"c\"]\n")),
        ("lonely", &format!("{SLEEP}needs = [\"nobody\"]\n")),
        ("late", &format!("{SLEEP}after = [\"a\"]\nwants = [\"key\"]\n")),
        ("stranger", &SLEEP.replace("daemon", "no-such-user")),
        ("user", &format!("{SLEEP}needs = [\"good\"]\n")),
    ]);
    let mut container = Container::start(tree, ":");
    for name in ["good", "late", "user"] {
        container.until_state(name, "ready").await;
    }
    let stranger = container.until_state("stranger", "backoff").await;
    assert!(stranger.last_exit.contains("no user named \"no-such-user\""));
    assert_said(
        &refused(&container).await,
        &[
            &["key.toml:4", "`nedds`", "did you mean `needs`?"],
            &["type.toml:2", "expected a sequence"],
            &["syntax.toml:2"],
            &["value.toml:4", "`restart_min_ms` must be above 0"],
            &["circle: a -> b -> c -> a"],
            &["hanger-on.toml:4", "names c, which was left out"],
            &["lonely.toml:4", "names nobody, which does not exist"],
        ],
    );
    let mut client = container.client();
    let known = client.list_services(ListServicesRequest {}).await.unwrap();
    let known = known.into_inner().services;
    let mut names: Vec<&str> = known.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["good", "late", "stranger", "user"]);
    assert!(container.stop());
}

#[tokio::test]
async fn a_hostile_file_is_left_out_and_the_rest_is_up() {
    if !is_root() {
        return;
    }
    let deep = |open: &str, close: &str| format!("command = {}{}\n", open.repeat(8000), close.repeat(8000));
    let with = |line: &str| format!("{SLEEP}{line}\n");
    let tree = Instance::tree(&[
        ("good", SLEEP),
        ("large", &with(&format!("# {}", "x".repeat(10_000_000)))),
        ("deep", &deep("[", "]")),
        ("tables", &deep("{a=", "}")),
        ("escape", &with("description = \"\\u001b[2J\"")),
        (
            "nul",
            "command = [\"/bin/true\", \"a\\u0000b\"]\nuser = \"daemon\"\n",
        ),
        (
            "traverse",
            &with("[[directory]]\npath = \"${STATE}/../../../../etc/cron.d\""),
        ),
        ("relative", &with("[[socket]]\npath = \"x.sock\"")),
        ("equals", &with("[environment]\n\"A=B\" = \"x\"")),
        ("climbs", &with("needs = [\"../good\"]")),
        (
            "twins",
            &with("[[socket]]\npath = \"${RUN}/a/x.sock\"\n[[socket]]\npath = \"${RUN}/b/x.sock\""),
        ),
        ("unheard", &with("\"\\u001b]0;owned\\u0007\" = 1")),
        // It can be read, and then its directory cannot be made: it alone does not start.
        ("unmade", &with("[[directory]]\npath = \"/proc/nowhere/here\"")),
    ]);
    let services = tree.path().join("vendor/services");
    fs::write(services.join("bytes.toml"), b"user = \"daemon\"\n\xff\n").unwrap();
    fs::write(services.join("sp ace.toml"), SLEEP).unwrap();
    fs::write(services.join("..toml"), SLEEP).unwrap();
    fs::write(
        services.join(std::ffi::OsStr::from_bytes(b"\xff\x1b.toml")),
        SLEEP,
    )
    .unwrap();
    fs::write(services.join(format!("{}.toml", "n".repeat(200))), SLEEP).unwrap();
    fs::create_dir(services.join("folder.toml")).unwrap();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&services.join("fifo.toml"), mode).unwrap();
    for (name, target) in [("zero", "/dev/zero"), ("pipe", "fifo.toml"), ("lost", "nowhere")] {
        symlink(target, services.join(format!("{name}.toml"))).unwrap();
    }
    // The administrator's directory is none at all, and the configuration is broken too.
    fs::write(tree.path().join("etc/services"), "").unwrap();
    fs::write(
        tree.path().join("etc/config.toml"),
        "[init]\nallow_degradet = true\n",
    )
    .unwrap();
    let mut container = Container::start(tree, ":");
    container.until_state("good", "ready").await;
    let unmade = container.until_state("unmade", "backoff").await;
    assert!(unmade.last_exit.contains("/proc/nowhere"), "{unmade:?}");
    let messages = refused(&container).await;
    assert_said(
        &messages,
        &[
            &["large.toml", "more than 64 KiB"],
            &["deep.toml:1", "recurs"],
            &["tables.toml:1", "recurs"],
            &["escape.toml:4", "control character '\\u{1b}'"],
            &["nul.toml:1", "control character '\\0'"],
            &["traverse.toml:5", "no absolute path without `..`"],
            &["relative.toml:5", "no absolute path"],
            &["equals.toml", "\"A=B\" cannot be the name of a variable"],
            &["climbs.toml:4", "\"../good\" cannot be the name of a service"],
            &["twins.toml:5", "two sockets are named x"],
            &["unheard.toml:4", "unknown key"],
            &["bytes.toml", "line 2 is not UTF-8"],
            &["sp ace.toml", "a service's name is"],
            &["\\xFF\\u{1b}.toml", "a service's name is"],
            &["nnnn.toml", "a service's name is"],
            &["folder.toml", "no regular file"],
            &["fifo.toml", "no regular file"],
            &["zero.toml", "no regular file"],
            &["pipe.toml", "no regular file"],
            &["lost.toml", "No such file"],
            &["etc/services", "Not a directory"],
            &["etc/config.toml:2", "did you mean `allow_degraded`?"],
        ],
    );
    assert!(!messages.iter().any(|message| message.contains(char::is_control)));
    assert!(container.stop());
}

#[tokio::test]
async fn ten_thousand_files_leave_the_vendors_services_up() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[("zebra", SLEEP)]);
    let services = tree.path().join("etc/services");
    fs::create_dir_all(&services).unwrap();
    let asleep = format!("{SLEEP}enabled = false\n");
    for number in 0..10_000 {
        fs::write(services.join(format!("a{number:05}.toml")), &asleep).unwrap();
    }
    let mut container = Container::start(tree, ":");
    container.until_state("zebra", "ready").await;
    container.until_state("a00000", "stopped").await;
    assert_said(
        &refused(&container).await,
        &[&["etc/services", "9873 files are left out", "at most 128 services"]],
    );
    assert!(container.stop());
}

#[tokio::test]
async fn without_etc_everything_of_the_vendor_runs_and_what_lacks_its_user_says_so() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[
        ("numbered", &SLEEP.replace("daemon", "12345")),
        ("root", &SLEEP.replace("daemon", "root")),
        ("named", SLEEP),
    ]);
    fs::rename(
        tree.path().join("etc/config.toml"),
        tree.path().join("vendor/config.toml"),
    )
    .unwrap();
    fs::remove_dir(tree.path().join("etc")).unwrap();
    let mut container = Container::start(tree, "mount -t tmpfs none /etc");
    for (name, uid) in [("numbered", "12345"), ("root", "0")] {
        let pid = container.until_state(name, "ready").await.pid;
        assert!(pid > 0);
        let line = format!("\nUid:\t{uid}\t");
        let processes = common::processes_with("1000000");
        let runs = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .unwrap_or_default()
                .contains(&line)
        };
        assert!(processes.iter().any(runs), "{name}");
    }
    let named = container.until_state("named", "backoff").await;
    assert!(named.last_exit.contains("password file"), "{named:?}");
    let etc = format!("/proc/{}/root/etc/passwd", container.pid1());
    fs::write(etc, "daemon:x:1:1::/:/bin/false\n").unwrap();
    container.until_state("named", "ready").await;
    assert!(refused(&container).await.is_empty());
    assert!(container.stop());
}
