use super::*;
use std::cell::RefCell;

struct Until<'a> {
    deadline: Instant,
    heard: RefCell<Vec<Progress>>,
    stop: &'a dyn Fn() -> bool,
}

impl Watch for Until<'_> {
    fn go_on(&self) -> bool {
        Instant::now() < self.deadline && !(self.stop)()
    }
    fn progress(&self, progress: &Progress) {
        self.heard.borrow_mut().push(progress.clone());
    }
}

fn patiently(stop: &dyn Fn() -> bool) -> Until<'_> {
    Until {
        deadline: Instant::now() + Duration::from_secs(60),
        heard: RefCell::default(),
        stop,
    }
}

fn shell(home: &Path, script: &str) -> Bootc {
    Bootc {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        lock: home.join("lock"),
        as_root: false,
        dir: None,
    }
}

#[test]
fn the_status_of_a_machine_is_read_and_that_of_another_has_nothing() {
    let id = "ab".repeat(64);
    let entry = format!(
        r#"{{"cachedUpdate":null,"composefs":{{"bootDigest":"9f","bootType":"Bls","bootloader":"systemd","missingVerityAllowed":false,"verity":"{id}"}},
        "downloadOnly":false,"image":{{"architecture":"amd64","image":{{"image":"/img:v1","transport":"oci"}},"imageDigest":"sha256:77","timestamp":"2026-11-23T09:00:00Z","version":null}},
        "incompatible":false,"ostree":null,"pinned":false,"softRebootCapable":false,"store":null}}"#
    );
    let host = |status: &str| {
        format!(
            r#"{{"apiVersion":"org.containers.bootc/v1","kind":"BootcHost","metadata":{{"name":"host"}},"spec":{{}},"status":{status}}}"#
        )
    };
    let json = host(&format!(
        r#"{{"booted":{entry},"readOnly":false,"rollback":null,"rollbackQueued":true,"staged":{entry},"type":null,"usrOverlay":null}}"#
    ));
    let status = Status::parse(&json).unwrap();
    let booted = status.booted.clone().unwrap();
    assert_eq!(
        (booted.id().unwrap().as_str(), booted.digest()),
        (id.as_str(), "sha256:77")
    );
    assert_eq!(booted.image.unwrap().image.to_string(), "oci:/img:v1");
    assert!(status.rollback_queued && status.staged.is_some() && status.rollback.is_none());
    let other = host(
        r#"{"booted":null,"readOnly":false,"rollback":null,"rollbackQueued":false,"staged":null,"type":null,"usrOverlay":null}"#,
    );
    assert_eq!(Status::parse(&other).unwrap(), Status::default());
    for text in ["", "null", "{\"status\": 1}"] {
        assert!(Status::parse(text).is_err(), "{text}");
    }
}

#[test]
fn progress_is_told_while_it_runs_and_other_lines_are_skipped() {
    let home = tempfile::tempdir().unwrap();
    // The last of its arguments is the descriptor.
    let script = r#"eval "exec 9>&$2"
        echo '{"type":"Start","version":"0.1.0"}' >&9
        echo 'garbage' >&9
        echo '{"bytes":5,"bytesCached":0,"bytesTotal":9,"steps":1,"stepsCached":2,"stepsTotal":0,"subtasks":[],"task":"pulling","type":"ProgressBytes"}' >&9
        sleep 1; echo done"#;
    let bootc = shell(home.path(), script);
    let bootc = Bootc {
        command: [bootc.command, vec!["sh".to_owned()]].concat(),
        ..bootc
    };
    let watch = patiently(&|| false);
    assert_eq!(bootc.change(&[], true, &watch).unwrap(), "done\n");
    let wanted = Progress {
        bytes: 5,
        bytes_total: 9,
        steps: 1,
        steps_cached: 2,
    };
    assert_eq!(*watch.heard.borrow(), [wanted]);
}

#[test]
fn a_failure_says_what_the_program_said_last() {
    let home = tempfile::tempdir().unwrap();
    let bootc = shell(
        home.path(),
        "echo 'error: Upgrading: no room' >&2; echo trailing >&2; exit 3",
    );
    let error = bootc
        .change(&["upgrade"], false, &patiently(&|| false))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh upgrade failed (exit 3): Upgrading: no room"
    );
    let script =
        "echo 'setting a limit: not permitted' >&2; echo 'Error: building: exit status 1' >&2; exit 125";
    let error = shell(home.path(), script)
        .change(&["build"], false, &patiently(&|| false))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh build failed (exit 125): setting a limit: not permitted: Error: building: exit status 1"
    );
    let missing = Bootc {
        command: vec!["/nowhere/bootc".to_owned()],
        ..bootc
    };
    let error = missing.status(&patiently(&|| false)).unwrap_err();
    assert!(matches!(error, DeploymentError::NotRun { .. }), "{error}");
}

#[test]
fn who_does_not_want_to_go_on_ends_the_whole_group() {
    let home = tempfile::tempdir().unwrap();
    let begun = home.path().join("begun");
    let script = format!("sleep 600 & touch {}; wait", begun.display());
    let bootc = shell(home.path(), &script);
    let stop = || begun.exists();
    let error = bootc.change(&[], false, &patiently(&stop)).unwrap_err();
    assert!(matches!(error, DeploymentError::Stopped), "{error}");
    // Whatever it started held the lock too.
    bootc.settle().unwrap();
}

#[test]
fn a_run_that_nobody_waits_for_is_ended_before_anything_else_begins() {
    let home = tempfile::tempdir().unwrap();
    let bootc = shell(home.path(), "echo done");
    let lock = bootc.lock.display().to_string();
    let script = format!("echo $PPID > {lock}; sleep 600");
    let mut orphan = Command::new("flock")
        .args([&lock, "-c", &script])
        .process_group(0)
        .spawn()
        .unwrap();
    while fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        pause(GLANCE);
    }
    let tired = Until {
        deadline: Instant::now(),
        ..patiently(&|| false)
    };
    assert!(matches!(
        bootc.change(&[], false, &tired),
        Err(DeploymentError::Stopped)
    ));
    bootc.settle().unwrap();
    assert_eq!(orphan.wait().unwrap().signal(), Some(9));
    assert_eq!(bootc.change(&[], false, &patiently(&|| false)).unwrap(), "done\n");
}
