//! What a change costs that can be taken back: deleting with a snapshot and undoing, for each MiB, beside `cp` and
//! `restic` on the same files.

use crate::table::{Promise, Table};
use aios_harness::client::{self, Task};
use aios_harness::{Instance, Service, Who};
use aios_proto::guard::v1::ExecutionKey;
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use aios_proto::tools::v1::{CallResponse, UndoRequest};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const FILES: u32 = 16;
const FILE_MIB: u32 = 4;
const MIB: usize = 1 << 20;
const RESTIC: &str = "/usr/bin/restic";

/// Measures deletion with a snapshot, undo, and what they are compared to. Everything is on the same file system and
/// durable when its time is taken.
///
/// # Errors
/// A call is refused or fails, or a program to compare with is missing.
pub(crate) async fn measure(aios: &Instance, table: &mut Table) -> Result<()> {
    let tree = aios.tree().canonicalize()?;
    let files = random_files(&tree)?;
    let mib = f64::from(FILES * FILE_MIB);
    let mut row = |what: &str, seconds: f64| {
        table.add(what, seconds * 1e3 / mib, "ms/MiB", Promise::Nothing);
    };
    row("copy by `cp --reflink=auto`, then sync", copy(&tree, &files)?);
    let (backup, restore) = restic(&tree, &files)?;
    row("`restic backup`, all new", backup);
    row("`restic restore`", restore);
    let task = client::mint_full(aios, &[&format!("fs:*:{}/**", tree.display())]).await?;
    row("delete with snapshot", delete(aios, &task, &files).await?);
    row("undo of it", undo(aios, &task).await?);
    ensure!(
        files.iter().all(|file| file.exists()),
        "undo brought every file back"
    );
    Ok(())
}

/// Files of bytes that do not compress, owned by the person.
fn random_files(tree: &Path) -> Result<Vec<PathBuf>> {
    let dir = tree.join("snapshots");
    fs::create_dir(&dir)?;
    let owner = rustix::fs::stat(tree)?;
    chown(&dir, Some(owner.st_uid), Some(owner.st_gid))?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut files = Vec::new();
    for number in 0..FILES {
        let path = dir.join(format!("{number}.bin"));
        let mut file = File::create(&path)?;
        for _ in 0..FILE_MIB {
            let mut block = Vec::with_capacity(MIB);
            while block.len() < MIB {
                // Marsaglia's xorshift64: the same bytes in every run.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                block.extend_from_slice(&state.to_le_bytes());
            }
            file.write_all(&block)?;
        }
        file.sync_all()?;
        chown(&path, Some(owner.st_uid), Some(owner.st_gid))?;
        files.push(path);
    }
    Ok(files)
}

fn copy(tree: &Path, files: &[PathBuf]) -> Result<f64> {
    let to = tree.join("copies");
    fs::create_dir(&to)?;
    let started = Instant::now();
    succeeds(
        Command::new("cp")
            .args(["--reflink=auto", "--preserve=all"])
            .args(files)
            .arg(&to),
    )?;
    for file in fs::read_dir(&to)? {
        File::open(file?.path())?.sync_all()?;
    }
    let took = started.elapsed().as_secs_f64();
    fs::remove_dir_all(&to)?;
    Ok(took)
}

fn restic(tree: &Path, files: &[PathBuf]) -> Result<(f64, f64)> {
    ensure!(
        Path::new(RESTIC).exists(),
        "{RESTIC} is missing: run `cargo xtask setup --for bench`"
    );
    let (repository, back) = (tree.join("restic"), tree.join("restored"));
    let command = |words: &[&str]| {
        let mut command = Command::new(RESTIC);
        command
            .env("RESTIC_PASSWORD", "bench")
            .env("RESTIC_REPOSITORY", &repository)
            .args(["--no-cache", "--quiet"])
            .args(words);
        command
    };
    succeeds(&mut command(&["init"]))?;
    let started = Instant::now();
    succeeds(command(&["backup"]).args(files))?;
    let backup = started.elapsed().as_secs_f64();
    let started = Instant::now();
    succeeds(command(&["restore", "latest", "--target"]).arg(&back))?;
    let restore = started.elapsed().as_secs_f64();
    fs::remove_dir_all(&repository)?;
    fs::remove_dir_all(&back)?;
    Ok((backup, restore))
}

fn succeeds(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

async fn delete(aios: &Instance, task: &Task, files: &[PathBuf]) -> Result<f64> {
    let mut tools = ToolRegistryClient::new(aios.channel(Who::Of(Service::Orchestrator), Service::Tools)?);
    let args = json!({ "paths": files }).to_string();
    let started = Instant::now();
    let request = client::call_request(task, 1, "fs.delete", &args);
    done(tools.call(request).await.map_err(client::plain)?.into_inner())?;
    Ok(started.elapsed().as_secs_f64())
}

async fn undo(aios: &Instance, task: &Task) -> Result<f64> {
    let mut tools = ToolRegistryClient::new(aios.channel(Who::Of(Service::Orchestrator), Service::Tools)?);
    let key = |step| {
        Some(ExecutionKey {
            task_id: task.task.to_string(),
            step,
        })
    };
    let request = UndoRequest {
        token: task.token.clone(),
        key: key(2),
        target: key(1),
        namespace: "fs".to_owned(),
    };
    let started = Instant::now();
    done(tools.undo(request).await.map_err(client::plain)?.into_inner())?;
    Ok(started.elapsed().as_secs_f64())
}

fn done(answer: CallResponse) -> Result<()> {
    match answer.result {
        Some(Answer::Done(_)) => Ok(()),
        other => bail!("not done: {other:?}"),
    }
}
