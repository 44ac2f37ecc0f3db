//! Whoever reaches a socket may write anything to it: each service answers a status or hangs up, and goes
//! on serving everybody else.

use aios_harness::{Options, Service, Who};
use aios_tests_deny::{garbage, start};
use anyhow::{Context, Result};

#[tokio::test]
async fn noise_broken_messages_and_endless_ones_hurt_no_service() -> Result<()> {
    let services = [
        (Service::Guard, "/aios.guard.v1.Guard/GetApproval"),
        (Service::WorkerFs, "/aios.worker.v1.Worker/GetStatus"),
        (Service::Tools, "/aios.tools.v1.ToolRegistry/Get"),
        (Service::Memory, "/aios.memory.v1.Memory/QueryWorking"),
        (
            Service::Orchestrator,
            "/aios.orchestrator.v1.Orchestrator/GetGoal",
        ),
    ];
    let Some(mut aios) = start(Options {
        services: services.iter().map(|(service, _)| *service).collect(),
        ..Options::default()
    })?
    else {
        return Ok(());
    };
    for (service, rpc) in services {
        let pid = aios.pid(service);
        let channel = aios.channel(Who::Root, service)?;
        garbage::endure(&service.socket(aios.paths()), &channel, rpc)
            .await
            .with_context(|| format!("{service:?}: {}", aios.log(service)))?;
        assert_eq!(
            (aios.ended(service)?, aios.pid(service)),
            (None, pid),
            "{service:?}"
        );
    }
    Ok(())
}
