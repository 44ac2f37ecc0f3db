//! The shim as a process. Its duties as PID 1 are the same under any number; what only PID 1 has, and
//! the confinement itself, is looked at in a live container by `aios-sandbox`'s tests.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking, too")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

const SHIM: &str = env!("CARGO_BIN_EXE_aios-shim");

fn shim(arguments: &[&str]) -> Command {
    let mut command = Command::new(SHIM);
    command.args(arguments).env("AIOS_SHIM_DEGRADED", "yes");
    command
}

fn output(arguments: &[&str]) -> Output {
    shim(arguments).output().unwrap()
}

#[test]
fn the_commands_exit_code_is_ours() {
    for code in [0, 1, 42, 255] {
        let script = format!("exit {code}");
        assert_eq!(
            output(&["--confined", "--", "/bin/sh", "-c", &script])
                .status
                .code(),
            Some(code)
        );
    }
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    assert_eq!(
        output(&["--confined", "--", "/bin/sh", "-c", "kill -9 $$"])
            .status
            .code(),
        Some(137)
    );
}

#[test]
fn what_cannot_be_started_says_so_with_a_code() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--confined", "--", "/nonexistent"], 127, "AIOS-SHIM-0005"),
        (&["--confined", "--", "/etc/passwd"], 126, "AIOS-SHIM-0005"),
        (&[], 64, "AIOS-SHIM-0001"),
        (&["--confined", "--"], 64, "AIOS-SHIM-0001"),
    ];
    for (arguments, code, wanted) in cases {
        let output = output(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn signals_reach_the_command_which_can_handle_them() {
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = shim(&["--confined", "--", "/bin/sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn the_command_starts_with_no_signal_blocked() {
    let output = output(&["--confined", "--", "/bin/grep", "^SigBlk:", "/proc/self/status"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "SigBlk:\t0000000000000000"
    );
}

#[test]
fn confinement_cannot_be_shed_and_forbids_network_sockets() {
    let script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; cat < /dev/tcp/127.0.0.1/1";
    let output = shim(&["--", "/bin/bash", "-c", script]).output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        seen.contains("NoNewPrivs:\t1") && seen.contains("Seccomp:\t2"),
        "{seen}"
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not permitted"), "{said}");
}

#[test]
fn what_is_missing_is_an_error_unless_it_may_be() {
    // No machine has this profile: without AppArmor it is missing, with it it cannot be entered.
    let output = Command::new(SHIM)
        .args(["--", "/bin/true"])
        .env("AIOS_SHIM_APPARMOR", "no-such-profile")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("AIOS-SHIM-000"), "{said}");
}
