//! The service tools, on services of the administrator under an aios-init of the test's own.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::{Scene, options};
use super::silence::Late;
use aios_core::clock::{Clock, SystemClock};
use aios_harness::{Instance, Service};
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{ListServicesRequest, ServiceInfo};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "service.start",
    args: r#"{"name": "slow"}"#,
    timeout_ms: 1500,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("service.list", "{}", &["service:list:host"]),
    looks("service.status", r#"{"name": "db"}"#, &["service:status:db"]),
    looks("service.logs", r#"{"name": "db"}"#, &["service:logs:db"]),
    changes("service.start", r#"{"name": "idle"}"#, &["service:start:idle"]),
    // What needs it stops with it, and must be granted too.
    changes(
        "service.stop",
        r#"{"name": "db", "names": ["web"]}"#,
        &["service:stop:db", "service:stop:web"],
    ),
    changes("service.enable", r#"{"name": "idle"}"#, &["service:enable:idle"]),
    changes("service.disable", r#"{"name": "web"}"#, &["service:disable:web"]),
    changes(
        "service.undo",
        r#"{"task_id": "{task}", "step": {step}}"#,
        &["service:stop:web"],
    )
    .after(&[("service.stop", r#"{"name": "web"}"#)]),
    changes(
        "service.restart",
        r#"{"name": "other"}"#,
        &["service:restart:other"],
    )
    .ends(Ends::Final),
];

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a service must have been up to count as one that works.
const WORKS_MS: i64 = 11_000;

/// aios-init on the tree of an instance, and the instance's service worker.
pub(super) struct Supervised {
    aios: Instance,
    init: Child,
}

impl Supervised {
    pub(super) async fn new() -> Result<Self> {
        let base = options(Service::WorkerService);
        let aios = Instance::start(aios_harness::Options {
            services: vec![Service::Guard, Service::Tools],
            config: format!("{}[init]\nallow_degraded = true\n", base.config),
            ..base
        })?;
        fs::create_dir_all(aios.paths().vendor.join("services"))?;
        fs::write(aios.paths().vendor.join("services/base.toml"), SLEEP)?;
        let services = aios.paths().etc.join("services");
        fs::create_dir_all(&services)?;
        for (name, more) in [
            ("db", ""),
            ("web", "needs = [\"db\"]\n"),
            ("other", ""),
            ("idle", "enabled = false\n"),
        ] {
            fs::write(services.join(format!("{name}.toml")), format!("{SLEEP}{more}"))?;
        }
        // It never says that it is ready.
        let slow = SLEEP.replace("\"none\"", "\"notify\"");
        fs::write(services.join("slow.toml"), format!("{slow}enabled = false\n"))?;
        let init = aios.start_init()?;
        // The worker's view has init's socket in it, so that must be there first.
        let mut scene = Self { aios, init };
        scene
            .until(|services| {
                let up = services.iter().filter(|it| it.state == "ready");
                up.count() == 4
            })
            .await?;
        scene.aios.restart(Service::WorkerService)?;
        Ok(scene)
    }

    async fn services(&self) -> Result<Vec<ServiceInfo>> {
        let channel = aios_core::rpc::channel(&self.aios.paths().socket("init"));
        let list = InitClient::new(channel)
            .list_services(ListServicesRequest {})
            .await?;
        Ok(list.into_inner().services)
    }

    async fn until(&mut self, fits: impl Fn(&[ServiceInfo]) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.services().await;
            if found.as_deref().is_ok_and(&fits) {
                return Ok(());
            }
            let ended = self.init.try_wait()?;
            let log = fs::read_to_string(self.aios.root().join("init.log"))?;
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{ended:?} {found:?}: {log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.init.id().cast_signed());
        // SIGTERM, so that it ends its services too.
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok() {
            drop(self.init.wait());
        }
    }
}

impl Scene for Supervised {
    fn aios(&mut self) -> &mut Instance {
        &mut self.aios
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The restart of what does not work yet can be undone: it was to run, and is to run.
    async fn renew(&mut self, tool: &str) -> Result<()> {
        if tool != "service.restart" {
            return Ok(());
        }
        self.until(|services| {
            let other = services.iter().find(|it| it.name == "other");
            other.is_some_and(|it| it.state == "ready" && SystemClock.now_ms() - it.ready_since_ms > WORKS_MS)
        })
        .await
    }

    async fn photo(&mut self) -> Result<Value> {
        let services = self.services().await.context("init")?;
        let look = |it: ServiceInfo| (it.name, json!([it.wanted, it.state == "ready", it.enabled]));
        Ok(Value::Object(services.into_iter().map(look).collect()))
    }
}
