//! A state as services leave it, small.

use aios_audit::{Durability, Log, Record};
use aios_backup::create::{self, Made};
use aios_backup::progress::Progress;
use aios_backup::restore::{self, Restored};
use aios_backup::{BackupError, Result};
use aios_core::clock::SystemClock;
use aios_core::paths::Paths;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Whether this process may keep owners, as a backup must; if not, the test has run again as root and passed.
pub(crate) fn is_root() -> bool {
    aios_harness::as_root().unwrap()
}

pub(crate) const STAMP: &str = "20261123T120000Z";

pub(crate) struct Scene {
    pub(crate) root: tempfile::TempDir,
    pub(crate) paths: Paths,
}

const GUARD: &str = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE remembered (
        approval TEXT PRIMARY KEY, approve INTEGER NOT NULL, agent_kind TEXT NOT NULL, scope TEXT NOT NULL,
        tainted INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE person (key BLOB PRIMARY KEY, uid INTEGER NOT NULL, name TEXT NOT NULL, enrolled INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE code (hash BLOB PRIMARY KEY, kind INTEGER NOT NULL, uid INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE nonce (nonce BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('policy_epoch', '1'), ('epoch', '5'), ('boot_id', 'this');
    INSERT INTO remembered VALUES ('yes', 1, 'k', 's', 0, 9), ('no', 0, 'k', 's', 0, 9);
    INSERT INTO person VALUES (x'01', 0, 'root', 1);
    INSERT INTO code VALUES (x'02', 1, 0, 9);";
const STEPS: &str = "CREATE TABLE step (n INTEGER PRIMARY KEY, state TEXT NOT NULL)";

impl Scene {
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        let scene = Self { root, paths };
        fs::create_dir_all(&scene.paths.vendor).unwrap();
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/policy.toml");
        fs::copy(policy, scene.paths.vendor.join("policy.toml")).unwrap();
        scene.database("memory/working.db", 1, STEPS);
        scene.database("orchestrator/journal.db", 2, STEPS);
        scene.sql(
            "orchestrator/journal.db",
            "CREATE TABLE goals (state TEXT); INSERT INTO goals VALUES ('completed'), ('in_progress')",
        );
        scene.database("worker/fs/journal.db", 1, STEPS);
        scene.database("guard/guard.db", 1, GUARD);
        for (path, content) in [
            ("worker/fs/store/ab/abcd", "content before a change"),
            ("worker/fs/store/replaced", "1 2 3\n"),
            ("worker/fs/store/partial/1", "half"),
            ("guard/keys/mint", "a key"),
            ("persons/0/key", "a person's key"),
            ("init/services/aios-sshd.toml", "enabled = true\n"),
            ("init/clock", ""),
            ("os/history.json", "{\"schema\":1}"),
            ("log/aios-guard.log", "printed\n"),
            ("sandbox/storage/layer", "big"),
        ] {
            scene.write(path, content);
        }
        fs::create_dir_all(scene.paths.etc.join("services")).unwrap();
        fs::write(scene.paths.etc.join("config.toml"), "[guard]\n").unwrap();
        std::os::unix::fs::symlink("config.toml", scene.paths.etc.join("also.toml")).unwrap();
        let secret = scene.paths.state.join("guard/keys/mint");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&scene.paths.state, fs::Permissions::from_mode(0o711)).unwrap();
        let log = scene.log();
        for kind in ["goal.submitted", "intent", "outcome"] {
            log.append(Record::new(kind), Durability::Durable).await.unwrap();
        }
        log.close().await.unwrap();
        scene
    }

    pub(crate) fn log(&self) -> Log {
        Log::open(self.paths.state.join("guard/audit"), SystemClock).unwrap()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let place = self.paths.state.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    fn database(&self, path: &str, schema: i64, text: &str) {
        self.write(path, "");
        let connection = self.open(path);
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(text).unwrap();
        connection.pragma_update(None, "user_version", schema).unwrap();
    }

    pub(crate) fn open(&self, path: &str) -> Connection {
        Connection::open(self.paths.state.join(path)).unwrap()
    }

    pub(crate) fn sql(&self, path: &str, text: &str) {
        self.open(path).execute_batch(text).unwrap();
    }

    /// A column of a query, in one line.
    pub(crate) fn ask(&self, path: &str, query: &str) -> String {
        let connection = self.open(path);
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(rusqlite::Result::unwrap).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.root.path().join("x.aios")
    }

    pub(crate) fn create(&self, keys: &[PathBuf]) -> Result<Made> {
        let wanted = create::Wanted {
            file: self.file(),
            keys: keys.to_vec(),
            now: "2026-11-23T12:00:00Z".to_owned(),
        };
        create::create(&self.paths, &wanted, &mut Progress::new(&mut |_| ()))
    }

    pub(crate) fn wanted(&self) -> restore::Wanted {
        restore::Wanted {
            file: self.file(),
            key: None,
            dry_run: false,
            other_machine: false,
            stamp: STAMP.to_owned(),
        }
    }

    pub(crate) fn restore(&self) -> Result<Restored> {
        self.restore_as(&self.wanted())
    }

    pub(crate) fn restore_as(&self, wanted: &restore::Wanted) -> Result<Restored> {
        restore::restore(&self.paths, wanted, &mut Progress::new(&mut |_| ()))
    }

    /// Every file of state and configuration with its content, but for what SQLite makes anew.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut queue = vec![self.paths.state.clone(), self.paths.etc.clone()];
        while let Some(directory) = queue.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.to_string_lossy().into_owned();
                if path.is_dir() {
                    queue.push(path);
                } else if !name.ends_with("-shm") && !name.ends_with("-wal") {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        found
    }

    /// Names in the directory of the instance.
    pub(crate) fn names(&self) -> Vec<String> {
        let list = fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<String> = list
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// The error of a restore that changed nothing.
pub(crate) fn refused(scene: &Scene, wanted: &restore::Wanted) -> BackupError {
    let (before, names) = (scene.everything(), scene.names());
    let error = scene.restore_as(wanted).unwrap_err();
    assert_eq!(scene.everything(), before, "{error}");
    assert_eq!(scene.names(), names, "{error}");
    error
}
