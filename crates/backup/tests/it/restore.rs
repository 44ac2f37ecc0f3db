//! What comes back, and what does not.

use crate::scene::{Scene, is_root, refused};
use aios_audit::verify::verify_dir;
use aios_audit::{Durability, Record};
use aios_backup::BackupError;
use aios_core::exchange;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

#[tokio::test]
async fn what_was_backed_up_comes_back_and_the_old_state_stays_beside() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.sql("orchestrator/journal.db", "INSERT INTO step VALUES (1, 'done')");
    let made = scene.create(&[]).unwrap();
    assert!(made.manifest.at_once && !made.encrypted);
    assert_eq!(made.manifest.unlisted, Vec::<String>::new());

    scene.sql("orchestrator/journal.db", "INSERT INTO step VALUES (2, 'done')");
    scene.write("worker/fs/store/ab/abcd", "damaged");
    fs::write(scene.paths.etc.join("config.toml"), "changed").unwrap();
    let inode = fs::metadata(scene.paths.state.join("log/aios-guard.log"))
        .unwrap()
        .ino();
    let restored = scene.restore().unwrap();

    assert_eq!(
        scene.ask("orchestrator/journal.db", "SELECT state || n FROM step"),
        "done1"
    );
    let text = |path: &str| fs::read_to_string(scene.paths.state.join(path)).unwrap();
    assert_eq!(text("worker/fs/store/ab/abcd"), "content before a change");
    assert_eq!(
        fs::read_to_string(scene.paths.etc.join("also.toml")).unwrap(),
        "[guard]\n"
    );
    let mode = |path: &str| fs::metadata(scene.paths.state.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("guard/keys/mint"), mode("")), (0o600, 0o711));
    assert!(
        !scene.paths.state.join("sandbox/storage").exists(),
        "containers are made anew"
    );
    assert!(!scene.paths.state.join("worker/fs/store/partial/1").exists());
    assert!(
        scene.paths.state.join("init/clock").exists(),
        "the machine's clock stays"
    );
    let now = fs::metadata(scene.paths.state.join("log/aios-guard.log"))
        .unwrap()
        .ino();
    assert_eq!(now, inode, "who writes a log goes on in the same file");

    assert_eq!(restored.note.goals_that_go_on, 1);
    let [state, etc] = restored.before.unwrap();
    assert_eq!(
        fs::read_to_string(state.join("worker/fs/store/ab/abcd")).unwrap(),
        "damaged"
    );
    assert_eq!(fs::read_to_string(etc.join("config.toml")).unwrap(), "changed");
    assert!(
        verify_dir(scene.paths.state.join("guard/audit"), None)
            .unwrap()
            .ok()
    );
    assert_eq!(exchange::finish(&scene.paths).unwrap(), None);
    let log = scene.log();
    log.append(Record::new("more"), Durability::Durable)
        .await
        .unwrap();
    assert!(log.checkpoint().await.unwrap().verify());
}

#[tokio::test]
async fn what_was_taken_away_since_does_not_return() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    scene.sql(
        "guard/guard.db",
        "INSERT OR REPLACE INTO meta VALUES ('policy_epoch', '1'), ('epoch', '9'), ('stopped_since', '77'),
             ('stopped_by', 'ann'), ('stopped_reason', 'smoke');
         INSERT INTO nonce VALUES (x'aa', 5);
         DELETE FROM person; INSERT INTO person VALUES (x'07', 7, 'bob', 2);
         INSERT INTO remembered VALUES ('never', 0, 'k', 's', 0, 9);",
    );
    scene.write("persons/0/key", "another key");
    let log = scene.log();
    log.append(Record::new("later"), Durability::Durable)
        .await
        .unwrap();
    log.close().await.unwrap();
    let restored = scene.restore().unwrap();

    let ask = |query| scene.ask("guard/guard.db", query);
    let meta = ask("SELECT name || '=' || value FROM meta ORDER BY name");
    assert_eq!(
        meta,
        "epoch=9 min_token_epoch=0 policy_epoch=1 push_counter=0 stopped_by=ann stopped_reason=smoke stopped_since=77",
        "epochs are the higher ones, the stop holds, and the next start counts as a boot"
    );
    assert_eq!(ask("SELECT approval FROM remembered ORDER BY 1"), "never no");
    assert_eq!(ask("SELECT hex(hash) FROM code"), "", "no session lives on");
    assert_eq!(ask("SELECT hex(nonce) FROM nonce"), "AA");
    assert_eq!(ask("SELECT name FROM person"), "bob");
    let key = fs::read_to_string(scene.paths.state.join("persons/0/key")).unwrap();
    assert_eq!(key, "another key");

    let replaced = restored.note.replaced.unwrap();
    assert!(
        replaced.size > restored.note.log.unwrap().size,
        "the log that was replaced is named"
    );
    let note = fs::read_to_string(scene.paths.state.join("guard/restored.json")).unwrap();
    assert!(
        note.contains("\"replaced\"") && note.contains("emergency stop"),
        "{note}"
    );
}

#[tokio::test]
async fn a_policy_older_than_one_that_was_in_force_is_not_put_back() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    fs::write(scene.paths.etc.join("policy.toml"), "epoch = 2\n").unwrap();
    scene.create(&[]).unwrap();
    scene.sql(
        "guard/guard.db",
        "UPDATE meta SET value = '4' WHERE name = 'policy_epoch'",
    );
    let error = refused(&scene, &scene.wanted());
    assert!(
        matches!(
            error,
            BackupError::OldPolicy {
                epoch: 2,
                seen: 4,
                own: 2
            }
        ),
        "{error}"
    );

    fs::write(scene.paths.etc.join("policy.toml"), "epoch = 4\n").unwrap();
    let restored = scene.restore().unwrap();
    let policy = fs::read_to_string(scene.paths.etc.join("policy.toml")).unwrap();
    assert_eq!(policy, "epoch = 4\n");
    assert!(
        restored
            .note
            .kept
            .iter()
            .any(|kept| kept.contains("policy.toml, of epoch 4"))
    );
    assert_eq!(
        scene.ask(
            "guard/guard.db",
            "SELECT value FROM meta WHERE name = 'policy_epoch'"
        ),
        "4"
    );
}

#[tokio::test]
async fn a_damaged_state_is_no_obstacle() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    scene.write(
        "guard/guard.db",
        "no database at all, and long enough to be read as a header of one",
    );
    scene.write("guard/audit/keys/current", "nothing");
    let restored = scene.restore().unwrap();
    assert!(
        restored
            .note
            .kept
            .iter()
            .any(|kept| kept.contains("could not be read")),
        "{:?}",
        restored.note
    );
    assert_eq!(scene.ask("guard/guard.db", "SELECT name FROM person"), "root");
}

#[tokio::test]
async fn an_empty_machine_takes_all_of_it() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    fs::remove_dir_all(&scene.paths.state).unwrap();
    fs::remove_dir_all(&scene.paths.etc).unwrap();
    scene.restore().unwrap();
    assert_eq!(scene.ask("guard/guard.db", "SELECT name FROM person"), "root");
    let text = fs::read_to_string(scene.paths.state.join("os/history.json")).unwrap();
    assert_eq!(
        text, "{\"schema\":1}",
        "where the machine has no history, the backup's is taken"
    );
}

#[tokio::test]
async fn refused_while_anything_of_it_runs() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let database = fs::File::open(scene.paths.state.join("orchestrator/journal.db")).unwrap();
    let mut service = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::from(database))
        .spawn()
        .unwrap();
    let error = refused(&scene, &scene.wanted());
    assert!(matches!(error, BackupError::Running { .. }), "{error}");
    let mut dry = scene.wanted();
    dry.dry_run = true;
    scene.restore_as(&dry).unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    scene.restore().unwrap();
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    scene.sql("orchestrator/journal.db", "INSERT INTO step VALUES (2, 'done')");
    let (before, names) = (scene.everything(), scene.names());
    let mut wanted = scene.wanted();
    wanted.dry_run = true;
    assert_eq!(scene.restore_as(&wanted).unwrap().before, None);
    assert_eq!((scene.everything(), scene.names()), (before, names));
}

#[tokio::test]
async fn what_the_list_does_not_know_is_copied_and_named() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.write("tools/grown.db", "grown");
    let made = scene.create(&[]).unwrap();
    assert_eq!(made.manifest.unlisted, ["state/tools/grown.db"]);
    fs::remove_file(scene.paths.state.join("tools/grown.db")).unwrap();
    scene.restore().unwrap();
    assert_eq!(
        fs::read_to_string(scene.paths.state.join("tools/grown.db")).unwrap(),
        "grown"
    );
}

#[tokio::test]
async fn one_backup_or_restore_at_a_time() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let lock = fs::File::open(scene.paths.state.join("backup/lock")).unwrap();
    lock.try_lock().unwrap();
    fs::rename(scene.file(), scene.root.path().join("moved")).unwrap();
    assert!(matches!(scene.create(&[]).unwrap_err(), BackupError::Busy));
    fs::rename(scene.root.path().join("moved"), scene.file()).unwrap();
    assert!(matches!(refused(&scene, &scene.wanted()), BackupError::Busy));
    drop(lock);
    scene.restore().unwrap();
}

#[tokio::test]
async fn persons_who_came_since_stay() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.write("persons/1000/key", "one who left");
    scene.create(&[]).unwrap();
    fs::remove_dir_all(scene.paths.state.join("persons/1000")).unwrap();
    scene.write("persons/1001/key", "one who came");
    scene.restore().unwrap();
    let persons = scene.paths.state.join("persons");
    assert!(persons.join("1001/key").exists() && !persons.join("1000").exists());
}
