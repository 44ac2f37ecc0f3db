//! Every service dies at its points; `AIOS_SOAK=1` (`make soak`) covers each point with each kind of
//! change, at least 100 kills in all. Without it a short sample is taken.
#![cfg(test)]

use aios_harness::{Options, Service};
use aios_tests_kills::{Change, GUARD, Goals, ORCHESTRATOR, Scene, TOOLS, WORKER};
use anyhow::{Result, ensure};

fn soak() -> bool {
    std::env::var_os("AIOS_SOAK").is_some()
}

/// All points, or every so many of them.
fn sample(points: &'static [&'static str], every: usize) -> Vec<&'static str> {
    let every = if soak() { 1 } else { every };
    points.iter().step_by(every).copied().collect()
}

async fn kill_all(service: Service, points: &'static [&'static str], every: usize) -> Result<()> {
    let changes: &[Change] = if soak() {
        &[
            Change::Append,
            Change::DeleteAndUndo,
            Change::Undo,
            Change::Overwrite,
        ]
    } else {
        &[Change::Append, Change::DeleteAndUndo]
    };
    let Some(mut scene) = Scene::start(Options::with_full_autonomy()).await? else {
        return Ok(());
    };
    let mut wanted = 0;
    for (index, point) in sample(points, every).into_iter().enumerate() {
        let some = if soak() {
            changes
        } else {
            changes.get(index % 2..=index % 2).unwrap_or(changes)
        };
        for change in some {
            scene.kill_during(*change, service, point).await?;
            wanted += 1;
        }
    }
    scene.verify().await?;
    ensure!(scene.kills == wanted, "{} kills instead of {wanted}", scene.kills);
    println!("{}: {} kills", service.unit(), scene.kills);
    Ok(())
}

#[tokio::test]
async fn every_call_ends_once_when_the_worker_dies() -> Result<()> {
    kill_all(Service::WorkerFs, WORKER, 2).await
}

#[tokio::test]
async fn every_call_ends_once_when_the_tool_service_dies() -> Result<()> {
    kill_all(Service::Tools, TOOLS, 2).await
}

#[tokio::test]
async fn every_call_ends_once_when_the_guard_dies() -> Result<()> {
    kill_all(Service::Guard, GUARD, 2).await
}

#[tokio::test]
async fn every_goal_ends_once_when_the_orchestrator_dies() -> Result<()> {
    let Some(mut goals) = Goals::start()? else {
        return Ok(());
    };
    let points = sample(ORCHESTRATOR, 2);
    let rounds = if soak() { 4 } else { 1 };
    for _ in 0..rounds {
        for point in &points {
            goals.kill_during(Service::Orchestrator, point).await?;
        }
    }
    goals.verify().await?;
    let wanted = points.len() * rounds;
    ensure!(goals.kills == wanted, "{} kills instead of {wanted}", goals.kills);
    println!("aios-orchestrator: {} kills", goals.kills);
    Ok(())
}

#[tokio::test]
async fn every_goal_ends_once_when_another_service_dies() -> Result<()> {
    let Some(mut goals) = Goals::start()? else {
        return Ok(());
    };
    for (service, point) in [
        (Service::Guard, "guard.after_intent"),
        (Service::Tools, "tools.after_execute"),
        (Service::WorkerFs, "worker.fs.after_effect"),
    ] {
        goals.kill_during(service, point).await?;
    }
    goals.verify().await
}

#[tokio::test]
async fn every_goal_ends_once_when_tools_and_orchestrator_die_together() -> Result<()> {
    let Some(mut goals) = Goals::start()? else {
        return Ok(());
    };
    let points = ["tools.after_execute", "tools.before_outcome"];
    for point in points {
        goals.kill_with_orchestrator(point).await?;
    }
    goals.verify().await?;
    let wanted = 2 * points.len();
    ensure!(goals.kills == wanted, "{} kills instead of {wanted}", goals.kills);
    Ok(())
}
