//! `aiosctl backup …`: the work is [`aios_backup`]'s; here it is shown, and told to the guard.

use std::path::{Path, PathBuf};

use aios_backup::create::{self, Made};
use aios_backup::progress::Progress;
use aios_backup::restore::{self, Restored};
use aios_backup::{Archive, BackupError, keys};
use aios_client::Failure;
use aios_proto::guard::v1::RecordRequest;
use jiff::Timestamp;
use serde_json::json;

use super::Ended;
use crate::args::{Backup, BackupArchive};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render::backup as render;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Backup, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Backup::Create { file, key, plain } => {
            let wanted = create::Wanted {
                file,
                keys: if plain {
                    Vec::new()
                } else {
                    keys_for(key, instance)
                },
                now: Timestamp::now().to_string(),
            };
            make(wanted, instance, terminal).await
        }
        Backup::Key { file } => make_key(&file, terminal),
        Backup::Inspect { archive, files } => {
            let archive = open(&archive)?;
            if terminal.json() {
                terminal.document(&render::json(
                    &archive.manifest,
                    &archive.digest,
                    archive.encrypted,
                ));
            } else {
                render::manifest(
                    terminal,
                    &archive.manifest,
                    &archive.digest,
                    archive.encrypted,
                    files,
                );
            }
            Ok(Exit::Done)
        }
        Backup::Verify { archive } => verify(&archive, terminal),
        Backup::Restore {
            archive,
            dry_run,
            other_machine,
        } => {
            let wanted = restore::Wanted {
                file: archive.file,
                key: archive.key,
                dry_run,
                other_machine,
                stamp: Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string(),
            };
            put_back(&wanted, instance, terminal)
        }
    }
}

fn failed(error: &BackupError) -> Failure {
    Failure::coded(error)
}

/// The keys that were named; else the machine's, where it has one.
fn keys_for(named: Vec<PathBuf>, instance: &Instance) -> Vec<PathBuf> {
    let own = instance.paths.etc.join(keys::PUBLIC);
    if named.is_empty() && own.exists() {
        return vec![own];
    }
    named
}

fn open(archive: &BackupArchive) -> Result<Archive, Failure> {
    Archive::open(&archive.file, archive.key.as_deref()).map_err(|error| failed(&error))
}

async fn make(wanted: create::Wanted, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let made = {
        let mut shown = render::Shown::new(terminal);
        let mut tell = |step| shown.step(step);
        create::create(&instance.paths, &wanted, &mut Progress::new(&mut tell))
            .map_err(|error| failed(&error))?
    };
    let recorded = record(&made, &wanted.file, instance).await;
    let path = &wanted.file;
    if terminal.json() {
        let mut document = render::json(&made.manifest, &made.digest, made.encrypted);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("path".to_owned(), json!(path));
            fields.insert("archive_bytes".to_owned(), json!(made.size));
            fields.insert("audit_seq".to_owned(), json!(recorded.as_ref().ok()));
        }
        terminal.document(&document);
    } else {
        render::made(terminal, &made, path);
    }
    match recorded {
        Ok(seq) if !terminal.json() => terminal.line(format!("recorded in the audit log as {seq}")),
        Ok(_) => {}
        // The backup is whole; that it is not in the log must not be missed.
        Err(failure) => terminal.note(format!("not recorded in the audit log: {}", failure.message)),
    }
    Ok(Exit::Done)
}

/// Has the guard record that a copy of everything left its hands.
async fn record(made: &Made, path: &Path, instance: &Instance) -> Result<u64, Failure> {
    let manifest = &made.manifest;
    let details = json!({
        "backup": made.digest, "path": path, "bytes": made.size, "encrypted": made.encrypted,
        "files": manifest.files(), "log": manifest.log, "at_once": manifest.at_once,
    });
    let request = RecordRequest {
        kind: "backup.created".to_owned(),
        details_json: details.to_string(),
        ..RecordRequest::default()
    };
    let answer = instance.services.guard().await?.record(request).await?;
    Ok(answer.into_inner().audit_seq)
}

fn make_key(file: &Path, terminal: &mut Terminal) -> Ended {
    let pair = keys::make(file, &Timestamp::now().to_string()).map_err(|error| failed(&error))?;
    if terminal.json() {
        terminal.document(&json!({ "key": pair.public, "secret": file, "public": pair.public_file }));
        return Ok(Exit::Done);
    }
    let (secret, public) = (file.display(), pair.public_file.display());
    terminal.line(format!("{secret} is secret, {public} is public: {}", pair.public));
    terminal.line(format!(
        "encrypt every backup from now on: sudo install -m 0644 {public} /etc/aios/{}",
        keys::PUBLIC
    ));
    terminal.line(format!(
        "keep {secret} away from this machine: without it no backup can be restored"
    ));
    Ok(Exit::Done)
}

fn verify(archive: &BackupArchive, terminal: &mut Terminal) -> Ended {
    let opened = open(archive)?;
    let (digest, encrypted) = (opened.digest.clone(), opened.encrypted);
    let manifest = {
        let mut shown = render::Shown::new(terminal);
        let (mut done, total) = (0, opened.manifest.bytes());
        let read = opened.read(|_, member, _| {
            done += member.size;
            shown.step(aios_backup::progress::Step {
                phase: "reading",
                done,
                total,
            });
            Ok(())
        });
        read.map_err(|error| failed(&error))?
    };
    if terminal.json() {
        terminal.document(&render::json(&manifest, &digest, encrypted));
    } else {
        render::whole(terminal, &manifest, &digest);
    }
    Ok(Exit::Done)
}

fn put_back(wanted: &restore::Wanted, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let restored: Restored = {
        let mut shown = render::Shown::new(terminal);
        let mut tell = |step| shown.step(step);
        let restored = restore::restore(&instance.paths, wanted, &mut Progress::new(&mut tell));
        restored.map_err(|error| failed(&error))?
    };
    if terminal.json() {
        terminal.document(&json!({
            "dry_run": wanted.dry_run, "restored": restored.before.is_some(),
            "before": restored.before, "note": restored.note,
        }));
    } else {
        render::restored(terminal, &restored, is_installed(instance));
    }
    Ok(Exit::Done)
}

fn is_installed(instance: &Instance) -> bool {
    instance.paths.state == aios_core::paths::Paths::installed().state
}
