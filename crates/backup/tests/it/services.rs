//! Real services: backed up while they work, stopped, restored, started again.

use aios_backup::contents::{self, Kind};
use aios_backup::progress::Progress;
use aios_backup::{BackupError, create, restore};
use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, Service};
use aios_proto::tools::v1::call_response::Result as Answer;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

async fn done(aios: &Instance, task: &Task, step: u64, tool: &str, args: serde_json::Value) -> Result<()> {
    let answer = client::call(aios, task, step, tool, &args.to_string()).await;
    let answer = answer.map_err(client::plain)?;
    ensure!(matches!(answer, Answer::Done(_)), "{tool}: {answer:?}");
    Ok(())
}

async fn mint(aios: &Instance) -> Result<Task> {
    let tree = aios.tree().canonicalize()?;
    client::mint_full(aios, &[&format!("fs:*:{}/**", tree.display())]).await
}

fn create_wanted(file: PathBuf) -> aios_backup::create::Wanted {
    aios_backup::create::Wanted {
        file,
        keys: Vec::new(),
        now: "2026-11-23T12:00:00Z".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_were_backed_up_at_work_go_on_from_there() -> Result<()> {
    if !aios_harness::as_root()? {
        return Ok(());
    }
    let mut aios = Instance::start(Options::with_full_autonomy())?;
    let (paths, file) = (aios.paths().clone(), aios.root().join("x.aios"));
    let task = mint(&aios).await?;
    let page = aios.file("page", b"first")?;
    let counter = aios.file("counter", b"")?;
    done(
        &aios,
        &task,
        1,
        "fs.write",
        json!({"path": page, "content": "second", "how": "overwrite"}),
    )
    .await?;

    let (own, to) = (paths.clone(), file.clone());
    let making = tokio::task::spawn_blocking(move || {
        create(&own, &create_wanted(to), &mut Progress::new(&mut |_| ()))
    });
    let mut step = 1;
    while !making.is_finished() || step < 5 {
        step += 1;
        let args = json!({"path": counter, "content": "line\n", "how": "append"});
        done(&aios, &task, step, "fs.write", args).await?;
    }
    let made = making.await??;
    ensure!(made.manifest.unlisted.is_empty(), "{:?}", made.manifest.unlisted);
    for (path, schema) in made.manifest.databases() {
        let known = contents::find(path.trim_start_matches("state/")).context(path.to_owned())?;
        ensure!(
            known.1.kind == Kind::Database(schema),
            "{path} has schema {schema}"
        );
    }
    let after = client::audit_size(&aios).await?;

    let wanted = restore::Wanted {
        file,
        key: None,
        dry_run: false,
        other_machine: false,
        stamp: "20261123T120000Z".to_owned(),
    };
    let put_back = || aios_backup::restore(&paths, &wanted, &mut Progress::new(&mut |_| ()));
    ensure!(matches!(put_back(), Err(BackupError::Running { .. })), "it runs");
    for service in [Service::Tools, Service::WorkerFs, Service::Guard] {
        aios.stop(service)?;
    }
    let restored = put_back()?;
    for service in [Service::Guard, Service::WorkerFs, Service::Tools] {
        aios.restart(service)?;
    }

    let records = client::audit(&aios).await?;
    let record = records
        .iter()
        .find(|record| record["kind"] == "guard.restored")
        .context("the restore is in the log")?;
    ensure!(record.to_string().contains(&restored.note.backup), "{record:#}");
    ensure!(
        !paths.state.join("guard/restored.json").exists(),
        "it is recorded once"
    );
    ensure!(
        restored.note.replaced.is_some_and(|log| log.size >= after),
        "the log that was replaced is named"
    );

    // The person is who they were, and the worker undoes what it did before the backup.
    let undo = mint(&aios).await?;
    let args = json!({"task_id": task.task.to_string(), "step": 1});
    done(&aios, &undo, 1, "fs.undo", args).await?;
    ensure!(
        fs::read_to_string(&page)? == "first",
        "undo gave back something else"
    );
    let log = paths.state_of("guard").join("audit");
    let report = aios_audit::verify::verify_dir(log, None)?;
    ensure!(report.ok(), "{:?}", report.findings);
    Ok(())
}
