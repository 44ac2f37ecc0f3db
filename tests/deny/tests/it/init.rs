//! Services and the machine are a person's to change: no process of an agent, tool or worker stops the
//! guard or powers off, also not with a person's uid.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use aios_harness::client::{self, code};
use aios_harness::{Instance, Options, Relay, Service, Who};
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{
    FinalizeAtShutdownRequest, LayPackagesRequest, ListServicesRequest, ReloadServicesRequest,
    ReportHealthRequest, ServiceInfo, ServiceRequest, ShutdownRequest,
};
use aios_tests_deny::{garbage, start};
use anyhow::{Context, Result};
use tonic::transport::Channel;
use tonic::{Response, Status};

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// aios-init with one service of its own, on the tree of an instance whose guard runs.
struct Machine {
    aios: Instance,
    init: Child,
}

impl Machine {
    async fn new() -> Result<Option<Self>> {
        let Some(aios) = start(Options {
            services: vec![Service::Guard],
            config: "[init]\nallow_degraded = true\n".to_owned(),
            ..Options::default()
        })?
        else {
            return Ok(None);
        };
        let services = aios.paths().vendor.join("services");
        fs::create_dir_all(&services)?;
        fs::write(services.join("base.toml"), SLEEP)?;
        let init = aios.start_init()?;
        let mut machine = Self { aios, init };
        let deadline = Instant::now() + PATIENCE;
        while machine.state(&machine.root()).await.ok().as_deref() != Some("ready") {
            let ended = machine.init.try_wait()?;
            let log = machine.log()?;
            anyhow::ensure!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(machine))
    }

    fn root(&self) -> InitClient<Channel> {
        InitClient::new(aios_core::rpc::channel(&self.aios.paths().socket("init")))
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.aios.root().join("init.log"))?)
    }

    fn relay(&self, who: Who, confined: bool) -> Result<Relay> {
        Relay::start(who, confined, &self.aios.paths().socket("init"))
    }

    async fn state(&self, client: &InitClient<Channel>) -> Result<String> {
        let list = client.clone().list_services(ListServicesRequest {}).await?;
        let services = list.into_inner().services;
        Ok(services.first().context("a service")?.state.clone())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.init.id().cast_signed());
        // SIGTERM, so that it ends its service too.
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok() {
            drop(self.init.wait());
        }
    }
}

/// Every rpc that changes something, by name, and the state in which it left the service.
async fn changes(client: &InitClient<Channel>) -> Vec<(&'static str, Result<String, Status>)> {
    let base = || ServiceRequest {
        name: "base".to_owned(),
    };
    let end = ShutdownRequest {
        kind: "exit".to_owned(),
    };
    let mut client = client.clone();
    let state = |answer: Response<ServiceInfo>| answer.into_inner().state;
    vec![
        ("StopService", client.stop_service(base()).await.map(state)),
        ("StartService", client.start_service(base()).await.map(state)),
        ("RestartService", client.restart_service(base()).await.map(state)),
        ("EnableService", client.enable_service(base()).await.map(state)),
        ("DisableService", client.disable_service(base()).await.map(state)),
        (
            "ReloadServices",
            client
                .reload_services(ReloadServicesRequest {})
                .await
                .map(|_| String::new()),
        ),
        (
            "ReportHealth",
            client
                .report_health(ReportHealthRequest::default())
                .await
                .map(|answer| answer.into_inner().verdict),
        ),
        (
            "FinalizeAtShutdown",
            client
                .finalize_at_shutdown(FinalizeAtShutdownRequest {})
                .await
                .map(|_| String::new()),
        ),
        ("Shutdown", client.shutdown(end).await.map(|_| String::new())),
    ]
}

#[tokio::test]
async fn a_confined_process_with_the_persons_uid_changes_no_service_and_does_not_power_off() -> Result<()> {
    let Some(machine) = Machine::new().await? else {
        return Ok(());
    };
    for (who, confined, wanted) in [
        (Who::Person, true, "AIOS-AUTH-0603"),
        (Who::Stranger, false, "AIOS-INIT-0009"),
        (Who::Of(Service::Tools), true, "AIOS-INIT-0009"),
    ] {
        let relay = machine.relay(who, confined)?;
        let client = InitClient::new(relay.channel());
        assert_eq!(machine.state(&client).await?, "ready", "reading is free");
        for (rpc, answer) in changes(&client).await {
            let status = answer.err().with_context(|| format!("{rpc} as {who:?}"))?;
            assert_eq!(code(&status), wanted, "{rpc} as {who:?}: {status:?}");
            let uid = format!("\\\"uid\\\":{}", who.uid()?);
            let records = client::audit_with_payloads(&machine.aios, 0).await?;
            assert!(
                records
                    .iter()
                    .map(ToString::to_string)
                    .any(|record| record.contains("init.denied")
                        && [rpc, wanted, &uid].iter().all(|part| record.contains(*part))),
                "{rpc} as {who:?} is not in the audit log: {records:#?}"
            );
        }
    }
    assert_eq!(machine.state(&machine.root()).await?, "ready");
    Ok(())
}

/// What lies over the system is the worker's of images alone: whoever else asks, root too, would go round approval and undo.
#[tokio::test]
async fn nobody_but_the_worker_of_images_lays_anything_over_the_system() -> Result<()> {
    let Some(machine) = Machine::new().await? else {
        return Ok(());
    };
    for (who, confined) in [
        (Who::Person, false),
        (Who::Stranger, false),
        (Who::Of(Service::Tools), true),
    ] {
        let relay = machine.relay(who, confined)?;
        let mut client = InitClient::new(relay.channel());
        let request = LayPackagesRequest {
            name: "mine".to_owned(),
        };
        let answer = client.lay_packages(request).await;
        let status = answer
            .err()
            .with_context(|| format!("{who:?} laid something over /usr"))?;
        assert_eq!(code(&status), "AIOS-INIT-0018", "{who:?}: {status:?}");
        let uid = format!("\\\"uid\\\":{}", who.uid()?);
        let records = client::audit_with_payloads(&machine.aios, 0).await?;
        assert!(
            records
                .iter()
                .map(ToString::to_string)
                .any(|record| ["init.denied", "LayPackages", &uid]
                    .iter()
                    .all(|part| record.contains(*part))),
            "{who:?} is not in the audit log: {records:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_person_changes_services_from_an_ordinary_process() -> Result<()> {
    let Some(mut machine) = Machine::new().await? else {
        return Ok(());
    };
    let relay = machine.relay(Who::Person, false)?;
    let wanted = [
        ("StopService", "stopped"),
        ("StartService", "ready"),
        ("RestartService", "ready"),
        ("EnableService", "ready"),
        ("DisableService", "ready"),
        ("ReloadServices", ""),
        ("ReportHealth", "trusted"),
        // There is no image to finalize on a machine that was not installed by bootc.
        ("FinalizeAtShutdown", "AIOS-INIT-0017"),
        ("Shutdown", ""),
    ];
    let found = changes(&InitClient::new(relay.channel())).await;
    assert_eq!(found.len(), wanted.len());
    for ((rpc, answer), (name, state)) in found.into_iter().zip(wanted) {
        let said = answer.unwrap_or_else(|status| code(&status));
        assert_eq!((rpc, said.as_str()), (name, state));
    }
    let deadline = Instant::now() + PATIENCE;
    while machine.init.try_wait()?.is_none() {
        anyhow::ensure!(Instant::now() < deadline, "it still runs: {}", machine.log()?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_while_the_guard_is_away_is_still_a_refusal_and_is_in_the_log() -> Result<()> {
    let Some(mut machine) = Machine::new().await? else {
        return Ok(());
    };
    machine.aios.kill(Service::Guard)?;
    // Its socket stays, as with aios-init: nobody accepts, and the caller must not wait for ever.
    let relay = machine.relay(Who::Person, true)?;
    let request = ServiceRequest {
        name: "base".to_owned(),
    };
    let answer = InitClient::new(relay.channel()).stop_service(request).await;
    let status = answer.err().context("it was let through")?;
    assert_eq!(code(&status), "AIOS-AUTH-0603");
    let log = machine.log()?;
    assert!(
        log.contains("AIOS-AUTH-0603") && log.contains("could not be written to the audit log"),
        "{log}"
    );
    assert_eq!(machine.state(&machine.root()).await?, "ready");
    Ok(())
}

#[tokio::test]
async fn noise_broken_messages_and_endless_ones_do_not_hurt_init() -> Result<()> {
    let Some(mut machine) = Machine::new().await? else {
        return Ok(());
    };
    let socket = machine.aios.paths().socket("init");
    let channel = aios_core::rpc::channel(&socket);
    garbage::endure(&socket, &channel, "/aios.init.v1.Init/GetService").await?;
    assert!(machine.init.try_wait()?.is_none());
    assert_eq!(machine.state(&machine.root()).await?, "ready");
    Ok(())
}
