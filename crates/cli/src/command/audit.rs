//! `aiosctl audit …`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aios_client::audit::{CheckpointView, RecordView};
use aios_client::{Failure, Kind, verify};
use aios_proto::guard::v1::{AuditGetRequest, AuditHeadRequest, AuditProveRequest, AuditTailRequest};
use serde_json::json;
use tokio_stream::StreamExt;

use super::Ended;
use crate::args::Audit;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::render::text::count;
use crate::terminal::{Terminal, Tone};

/// Runs a verb.
pub(crate) async fn run(verb: Audit, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Audit::Tail { follow, last, goal } => {
            let goal_id = goal.unwrap_or_default();
            let request = AuditTailRequest {
                from_seq: 0,
                last,
                follow,
                goal_id,
            };
            tail(request, instance, terminal).await
        }
        Audit::Show { seq } => {
            let record = instance
                .services
                .guard()
                .await?
                .audit_get(AuditGetRequest { seq })
                .await?
                .into_inner();
            let record = RecordView::from(record);
            if terminal.json() {
                terminal.document(&record);
            } else {
                render::audit::record(terminal, &record);
            }
            Ok(Exit::Done)
        }
        Audit::Head => {
            let head = instance
                .services
                .guard()
                .await?
                .audit_head(AuditHeadRequest {})
                .await?
                .into_inner();
            let head = CheckpointView::from(head);
            if terminal.json() {
                terminal.document(&head);
            } else {
                terminal.raw(head.note.as_bytes());
            }
            Ok(Exit::Done)
        }
        Audit::Prove { seq } => prove(seq, instance, terminal).await,
        Audit::Verify { path, anchor } => check(path, anchor, instance, terminal).await,
        Audit::Export { dir } => export(&dir, instance, terminal),
    }
}

async fn tail(request: AuditTailRequest, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut stream = instance
        .services
        .guard()
        .await?
        .audit_tail(request)
        .await?
        .into_inner();
    while let Some(record) = stream.next().await {
        let record = RecordView::from(record?);
        if terminal.json() {
            terminal.json_line(&record);
        } else {
            render::audit::line(terminal, &record);
        }
    }
    Ok(Exit::Done)
}

async fn prove(seq: u64, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let proof = instance
        .services
        .guard()
        .await?
        .audit_prove(AuditProveRequest { seq })
        .await?
        .into_inner();
    let holds = verify::proof_holds(&proof);
    let path: Vec<String> = proof.path.iter().map(hex::encode).collect();
    let checkpoint = proof.checkpoint.map(CheckpointView::from);
    let record = proof.record.map(RecordView::from);
    if terminal.json() {
        terminal
            .document(&json!({ "holds": holds, "record": record, "path": path, "checkpoint": checkpoint }));
    } else {
        if let Some(record) = &record {
            render::audit::line(terminal, record);
        }
        for (level, sibling) in path.iter().enumerate() {
            terminal.line(format!("  {level:>2}  {sibling}"));
        }
        if let Some(checkpoint) = &checkpoint {
            terminal.line(format!(
                "root  {} over {}",
                checkpoint.root,
                count(checkpoint.size, "record")
            ));
        }
    }
    if !holds {
        return Err(Failure::new(
            Kind::Failed,
            "AIOS-CLI-0011",
            format!("the proof of record {seq} does not hold"),
            "keep a copy of the log directory and run `aiosctl audit verify`",
        ));
    }
    if !terminal.json() {
        let holds = terminal.tone(Tone::Good, "the proof holds");
        terminal.line(holds);
    }
    Ok(Exit::Done)
}

/// Offline where the log's files can be read; through the guard otherwise.
async fn check(
    path: Option<PathBuf>,
    anchor: Option<String>,
    instance: &Instance,
    terminal: &mut Terminal,
) -> Ended {
    let own = instance.paths.state_of("guard").join("audit");
    let path = match path {
        Some(path) => path,
        None if anchor.is_some() && is_closed(&own) => {
            return Err(Failure::new(
                Kind::Denied,
                "AIOS-CLI-0017",
                format!(
                    "the log in {} is closed to this user, and only its files show whether it was cut",
                    own.display()
                ),
                "run the same command as root, or give `aiosctl audit verify` an exported file",
            ));
        }
        None if anchor.is_some() || std::fs::read_dir(&own).is_ok() => own,
        None => return live(instance, terminal).await,
    };
    offline(&path, anchor.as_deref(), terminal)
}

fn is_closed(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

async fn live(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let report = verify::live(&instance.services).await?;
    if terminal.json() {
        terminal.document(&report);
        return Ok(Exit::Done);
    }
    let whole = terminal.tone(Tone::Good, "whole");
    terminal.line(format!(
        "{whole}: {} read through the guard, {} under the signed checkpoint",
        count(report.records, "record"),
        report.covered
    ));
    terminal.line(format!("root   {}", report.checkpoint.root));
    terminal.line("the files themselves can be checked by root: sudo aiosctl audit verify");
    Ok(Exit::Done)
}

fn offline(path: &Path, anchor: Option<&str>, terminal: &mut Terminal) -> Ended {
    let anchor = anchor.map(read_anchor).transpose()?;
    let checked = if path.is_dir() {
        aios_audit::verify::verify_dir(path, anchor.as_deref())
    } else {
        aios_audit::verify::verify_file(path, anchor.as_deref())
    };
    let report = checked.map_err(|error| Failure::coded(&error))?;
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if terminal.json() {
        terminal.document(&json!({
            "ok": report.ok(), "path": path, "records": report.records, "checkpoints": report.checkpoints,
            "unsigned": report.unsigned, "findings": findings, "more": report.more, "notes": report.notes,
            "anchored": anchor.is_some(), "head": report.head,
        }));
    } else {
        render::audit::report(terminal, &report, &findings, anchor.is_some());
    }
    if report.ok() {
        return Ok(Exit::Done);
    }
    let first = findings.first().cloned().unwrap_or_default();
    Err(Failure::new(
        Kind::Failed,
        "AIOS-CLI-0012",
        format!("the log in {} is not as it was written: {first}", path.display()),
        "keep a copy of it as evidence, and compare with an export or a machine that was not touched",
    ))
}

/// An anchor is given as text or as a file that holds it.
fn read_anchor(anchor: &str) -> Result<String, Failure> {
    if anchor.contains('\n') {
        return Ok(anchor.to_owned());
    }
    std::fs::read_to_string(anchor).map_err(|error| {
        Failure::new(
            Kind::NotFound,
            "AIOS-CLI-0013",
            format!("cannot read the anchor {anchor}: {error}"),
            "note one with `aiosctl audit head > FILE`, and name that file",
        )
    })
}

/// What of a log's directory goes into an export, in the order in which `verify` reads it, so that
/// a writer at work only makes later files newer. Signing keys and payloads stay.
const EXPORTED: [&str; 4] = ["HEAD", "anchor.pub", "checkpoints.log", "segments"];

fn export(target: &Path, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let log = instance.paths.state_of("guard").join("audit");
    copy_log(&log, target).map_err(|error| {
        Failure::new(
            Kind::Failed,
            "AIOS-CLI-0014",
            format!("cannot export {} to {}: {error}", log.display(), target.display()),
            "name a directory that does not exist yet; the log's files are readable for root only",
        )
    })?;
    offline(target, None, terminal)
}

fn copy_log(log: &Path, target: &Path) -> std::io::Result<()> {
    let sources: Vec<PathBuf> = EXPORTED
        .iter()
        .map(|name| log.join(name))
        .filter(|path| path.exists())
        .collect();
    if sources.is_empty() {
        std::fs::read_dir(log)?;
        return Err(std::io::Error::other("there is no log"));
    }
    std::fs::create_dir(target)?;
    for source in sources {
        let Some(name) = source.file_name() else { continue };
        let copy = target.join(name);
        if !source.is_dir() {
            std::fs::copy(&source, &copy)?;
            continue;
        }
        std::fs::create_dir(&copy)?;
        for entry in std::fs::read_dir(&source)? {
            let entry = entry?;
            std::fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
    }
    Ok(())
}
