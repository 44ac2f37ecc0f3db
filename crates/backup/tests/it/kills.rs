//! A restore that is killed.

use crate::scene::{Scene, is_root};
use aios_core::exchange;
use aios_core::paths::Paths;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = "AIOS_TEST_BACKUP_ROOT";

#[test]
#[ignore = "the child of `killed_anywhere_the_machine_has_wholly_the_old_state_or_the_new_one`"]
fn child_that_restores() {
    let root = PathBuf::from(std::env::var_os(ROOT).expect("run by its parent test"));
    let wanted = aios_backup::restore::Wanted {
        file: root.join("x.aios"),
        key: None,
        dry_run: false,
        other_machine: false,
        stamp: "20261123T130000Z".to_owned(),
    };
    let mut tell = |_| ();
    let mut progress = aios_backup::progress::Progress::new(&mut tell);
    aios_backup::restore(&Paths::development(&root), &wanted, &mut progress).unwrap();
}

const CHILD: [&str; 4] = [
    "--exact",
    "kills::child_that_restores",
    "--ignored",
    "--nocapture",
];

fn killed_at(root: &Path, point: &str) -> bool {
    let points = root.join("points");
    fs::create_dir_all(&points).unwrap();
    fs::write(points.join(point), "").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(CHILD)
        .env(ROOT, root)
        .env("AIOS_FAILPOINT_DIR", &points)
        .output()
        .unwrap();
    output.status.signal() == Some(9)
}

#[tokio::test]
async fn refused_when_not_root_or_where_directories_cannot_change_places() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let program = std::env::current_exe().unwrap();
    let said = |command: &mut Command| {
        let output = command.args(CHILD).env(ROOT, scene.root.path()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    // A copy, because the build's directory may be closed to others.
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = open.path().join("it");
    fs::copy(&program, &copy).unwrap();
    let nobody = said(Command::new(&copy).uid(65534).gid(65534).current_dir("/"));
    assert!(nobody.contains("NotRoot"), "{nobody}");

    let state = scene.paths.state.display().to_string();
    let mounted = [
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" \"$0\" && exec \"$@\"",
        &state,
    ];
    let mounted = said(Command::new("unshare").args(mounted).arg(&program));
    assert!(mounted.contains("MountPoint"), "{mounted}");
    assert_eq!(
        fs::read_to_string(scene.paths.etc.join("config.toml")).unwrap(),
        "[guard]\n"
    );
}

#[tokio::test]
async fn killed_anywhere_the_machine_has_wholly_the_old_state_or_the_new_one() {
    if !is_root() {
        return;
    }
    for (point, new) in [
        ("restore.unpacked", false),
        ("restore.before_state", false),
        ("restore.after_state", true),
        ("restore.after_etc", true),
        ("restore.before_end", true),
    ] {
        let scene = Scene::new().await;
        scene.create(&[]).unwrap();
        scene.write("worker/fs/store/ab/abcd", "of the old state");
        fs::write(scene.paths.etc.join("config.toml"), "of the old state").unwrap();
        assert!(killed_at(scene.root.path(), point), "{point} was not passed");

        // What aios-init does before it reads any file.
        assert_eq!(exchange::finish(&scene.paths).unwrap().is_some(), new, "{point}");
        let state = fs::read_to_string(scene.paths.state.join("worker/fs/store/ab/abcd")).unwrap();
        let etc = fs::read_to_string(scene.paths.etc.join("config.toml")).unwrap();
        let expected = if new {
            ["content before a change", "[guard]\n"]
        } else {
            ["of the old state"; 2]
        };
        assert_eq!([state.as_str(), etc.as_str()], expected, "{point}");
        assert_eq!(exchange::finish(&scene.paths).unwrap(), None, "{point}");

        // And it can be done again, whatever was left beside.
        scene.restore().unwrap();
        let state = fs::read_to_string(scene.paths.state.join("worker/fs/store/ab/abcd")).unwrap();
        assert_eq!(state, "content before a change", "{point}");
        let aside = fs::read_dir(exchange::aside(&scene.paths.state)).unwrap();
        let left: Vec<String> = aside
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("before-restore-"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{point}");
    }
}
