//! Archives that are encrypted, altered, cut off, foreign or newer.

use crate::scene::{Scene, is_root, refused};
use aios_backup::{Archive, BackupError, Manifest, keys};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn an_encrypted_archive_opens_with_its_key_alone() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    let at = |name: &str| scene.root.path().join(name);
    let pair = keys::make(&at("key"), "now").unwrap();
    keys::make(&at("other"), "now").unwrap();
    assert!(scene.create(&[pair.public_file]).unwrap().encrypted);
    let bytes = fs::read(scene.file()).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));

    let mut wanted = scene.wanted();
    assert!(matches!(refused(&scene, &wanted), BackupError::Locked { .. }));
    wanted.key = Some(at("other"));
    assert!(matches!(refused(&scene, &wanted), BackupError::WrongKey { .. }));
    wanted.key = Some(at("key"));
    scene.restore_as(&wanted).unwrap();
}

#[tokio::test]
async fn nothing_is_written_when_a_key_cannot_be_read_or_the_file_exists() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    let empty = scene.root.path().join("empty.pub");
    fs::write(&empty, "").unwrap();
    assert!(matches!(
        scene.create(&[empty]).unwrap_err(),
        BackupError::Key { .. }
    ));
    assert!(!scene.file().exists());
    // What a killed backup left, or somebody laid there to be written to.
    let elsewhere = scene.root.path().join("elsewhere");
    fs::write(&elsewhere, "theirs").unwrap();
    std::os::unix::fs::symlink(&elsewhere, scene.root.path().join("x.aios.part")).unwrap();
    scene.create(&[]).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
    assert_eq!(
        fs::metadata(scene.file()).unwrap().permissions().mode() & 0o777,
        0o600
    );

    fs::write(scene.file(), "mine").unwrap();
    assert!(matches!(
        scene.create(&[]).unwrap_err(),
        BackupError::Exists { .. }
    ));
    assert_eq!(fs::read_to_string(scene.file()).unwrap(), "mine");
}

#[tokio::test]
async fn cut_off_anywhere_it_is_refused_before_anything_is_touched() {
    if !is_root() {
        return;
    }
    for encrypted in [false, true] {
        let scene = Scene::new().await;
        let key = scene.root.path().join("key");
        let pair = keys::make(&key, "now").unwrap();
        let recipients = if encrypted {
            vec![pair.public_file]
        } else {
            Vec::new()
        };
        scene.create(&recipients).unwrap();
        let mut wanted = scene.wanted();
        wanted.key = Some(key);
        let whole = fs::read(scene.file()).unwrap();
        for part in 0..24 {
            fs::write(scene.file(), &whole[..whole.len() * part / 24]).unwrap();
            let error = refused(&scene, &wanted);
            let told = matches!(
                error,
                BackupError::Altered { .. } | BackupError::Foreign { .. } | BackupError::Io { .. }
            );
            assert!(told, "{part}: {error}");
        }
        fs::write(scene.file(), &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(refused(&scene, &wanted), BackupError::Altered { .. }));
        fs::write(scene.file(), &whole).unwrap();
        scene.restore_as(&wanted).unwrap();
    }
}

#[tokio::test]
async fn altered_anywhere_it_is_refused_before_anything_is_touched() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    let made = scene.create(&[]).unwrap();
    let whole = fs::read(scene.file()).unwrap();
    for part in 0..24 {
        let mut altered = whole.clone();
        let at = whole.len() * part / 24;
        altered[at] ^= 0x40;
        fs::write(scene.file(), altered).unwrap();
        // zstd has bits that mean nothing; what comes out of it then is what went in.
        let read = Archive::open(&scene.file(), None).and_then(|archive| archive.read(|_, _, _| Ok(())));
        match read {
            Ok(manifest) => assert_eq!(manifest, made.manifest),
            Err(_) => {
                refused(&scene, &scene.wanted());
            }
        }
    }
}

/// Writes an archive anew with another manifest, or with other content of one file.
fn rewrite(file: &Path, change: impl Fn(&mut Value), content: Option<(&str, &[u8])>) {
    let bytes = zstd::decode_all(fs::File::open(file).unwrap()).unwrap();
    let mut reader = tar::Archive::new(bytes.as_slice());
    let mut writer = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if path == "manifest.json" {
            let mut manifest = serde_json::from_slice(&bytes).unwrap();
            change(&mut manifest);
            bytes = serde_json::to_vec(&manifest).unwrap();
        }
        if let Some((_, other)) = content.filter(|(name, _)| *name == path) {
            bytes = other.to_vec();
        }
        let mut header = entry.header().clone();
        header.set_size(bytes.len() as u64);
        writer.append_data(&mut header, &path, bytes.as_slice()).unwrap();
    }
    fs::write(file, writer.into_inner().unwrap().finish().unwrap()).unwrap();
}

#[tokio::test]
async fn newer_foreign_and_other_machines_archives_are_refused() {
    if !is_root() {
        return;
    }
    type Case = (fn(&mut Value), fn(&BackupError) -> bool, &'static str);
    let cases: [Case; 6] = [
        (
            |manifest| manifest["format"] = json!(2),
            |error| matches!(error, BackupError::Newer { .. }),
            "the archive is of version 2",
        ),
        (
            |manifest| manifest["members"]["state/orchestrator/journal.db"]["schema"] = json!(99),
            |error| matches!(error, BackupError::Newer { .. }),
            "state/orchestrator/journal.db is of version 99",
        ),
        (
            |manifest| manifest["machine"] = json!("somebody else"),
            |error| matches!(error, BackupError::OtherMachine { .. }),
            "somebody else",
        ),
        (
            |manifest| manifest["members"]["state/guard/keys/mint"]["user"] = json!("no-such-user"),
            |error| matches!(error, BackupError::NoOwner { .. }),
            "no-such-user",
        ),
        (
            |manifest| {
                drop(
                    manifest["members"]
                        .as_object_mut()
                        .unwrap()
                        .remove("state/guard/keys/mint"),
                )
            },
            |error| matches!(error, BackupError::Altered { .. }),
            "state/guard/keys/mint: it is not in the manifest",
        ),
        (
            |manifest| manifest["members"]["etc/zz"] = manifest["members"]["etc/config.toml"].clone(),
            |error| matches!(error, BackupError::Altered { .. }),
            "etc/zz: it is missing",
        ),
    ];
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let whole = fs::read(scene.file()).unwrap();
    for (change, expected, text) in cases {
        fs::write(scene.file(), &whole).unwrap();
        rewrite(&scene.file(), change, None);
        let error = refused(&scene, &scene.wanted());
        assert!(
            expected(&error) && error.to_string().contains(text),
            "{text}: {error}"
        );
    }
    fs::write(scene.file(), &whole).unwrap();
    rewrite(&scene.file(), |_| (), Some(("state/guard/keys/mint", b"b key")));
    let error = refused(&scene, &scene.wanted()).to_string();
    assert!(error.contains("at state/guard/keys/mint: its content"), "{error}");

    fs::write(scene.file(), &whole).unwrap();
    rewrite(
        &scene.file(),
        |manifest| manifest["machine"] = json!("somebody else"),
        None,
    );
    let mut wanted = scene.wanted();
    wanted.other_machine = true;
    scene.restore_as(&wanted).unwrap();
}

#[tokio::test]
async fn a_damaged_database_or_log_in_it_is_refused() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let whole = fs::read(scene.file()).unwrap();
    let sha256 = |bytes: &[u8]| Manifest::digest(bytes);
    for (path, bytes) in [
        ("state/orchestrator/journal.db", b"no database".as_slice()),
        ("state/guard/audit/checkpoints.log", b"{}\n"),
    ] {
        fs::write(scene.file(), &whole).unwrap();
        let digest = sha256(bytes);
        let change = |manifest: &mut Value| {
            manifest["members"][path]["sha256"] = json!(digest);
            manifest["members"][path]["size"] = json!(bytes.len());
        };
        rewrite(&scene.file(), change, Some((path, bytes)));
        let error = refused(&scene, &scene.wanted());
        assert!(
            matches!(error, BackupError::Corrupt { .. } | BackupError::Log { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn standard_tools_get_everything_out_of_it() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    scene.create(&[]).unwrap();
    let out = scene.root.path().join("out");
    fs::create_dir(&out).unwrap();
    let tar = Command::new("tar")
        .args(["--zstd", "-xf"])
        .arg(scene.file())
        .arg("-C")
        .arg(&out)
        .status()
        .unwrap();
    assert!(tar.success());
    assert_eq!(
        fs::read_to_string(out.join("state/worker/fs/store/ab/abcd")).unwrap(),
        "content before a change"
    );
    let manifest: Manifest = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert!(manifest.members.contains_key("etc/config.toml"));
}
