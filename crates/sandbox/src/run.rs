//! Building the service from its configuration, running it, ending it.

use aios_core::config;
use aios_core::paths::Paths;
use aios_core::rpc::Refusals;
use aios_core::tasks::{Tasks, termination};
use aios_core::{ready, rpc};
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::sandbox::v1::sandbox_server::SandboxServer;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::PodmanEngine;
use crate::audit::Audit;
use crate::config::{SandboxConfig, Users};
use crate::error::SandboxError;
use crate::fleet::{self, Fleet, LABEL, Shared};
use crate::image::Image;
use crate::kind;
use crate::machine::Enforced;
use crate::podman::{Client, Layout, Service};
use crate::service::{Callers, SandboxService};

/// The runtime of the image.
const CRUN: &str = "crun";
/// The runtime of machines without cgroup v2.
const RUNC: &str = "runc";
/// Where Podman looks for one, of those places that distributions use.
const PROGRAMS: [&str; 6] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
];

/// How long agents get to end before Podman is ended under them.
const AGENTS_END: Duration = Duration::from_secs(20);
/// How long the rest gets.
const REST_ENDS: Duration = Duration::from_secs(10);

/// Runs until SIGTERM.
///
/// # Errors
/// Configuration, machine, image or Podman do not allow a start.
pub async fn run(paths: &Paths) -> Result<(), SandboxError> {
    let config: SandboxConfig = config::load(paths, "sandbox")?;
    let kinds = kind::load_all(paths)?;
    let enforced = Arc::new(Enforced::probe(&config.apparmor_profile, config.allow_degraded)?);
    for degradation in &enforced.degradations {
        tracing::warn!(degradation, "this machine lacks something");
    }
    let layout = layout(paths, &config, &enforced);
    layout.prepare()?;
    let image = Image::of_layout(&paths.vendor.join("agent-image"))?;
    image.make_way(&layout).await?;
    let service = Service::start(layout.clone()).await?;
    let client = service.client();
    // Podman outlives the agents and ends last.
    let outer = Tasks::new();
    outer.spawn("podman", service.supervise(outer.token()));
    let inner = Tasks::new();
    let served = serve(paths, &config, kinds, (image, enforced), &layout, &client, &inner).await;
    if !inner.shutdown(AGENTS_END).await {
        tracing::error!("agents did not end in time");
    }
    remove_orphans(&client).await;
    if !outer.shutdown(REST_ENDS).await {
        tracing::error!("Podman's service did not end in time");
    }
    served
}

fn layout(paths: &Paths, config: &SandboxConfig, enforced: &Enforced) -> Layout {
    let runtime = match (config.runtime.as_str(), enforced.limits()) {
        ("", true) => CRUN,
        // crun refuses a machine whose cgroup hierarchies are mixed; the image has no other.
        ("", false) if installed(RUNC) => RUNC,
        ("", false) => CRUN,
        (named, _) => named,
    };
    Layout {
        state: paths.state_of("sandbox"),
        run: paths.run.join("sandbox"),
        program: config.podman.clone(),
        runtime: runtime.to_owned(),
    }
}

/// Whether Podman would find this runtime.
fn installed(runtime: &str) -> bool {
    PROGRAMS
        .iter()
        .any(|directory| Path::new(directory).join(runtime).exists())
}

/// Whether containers get cgroups: everywhere but where crun would set limits that nothing enforces, and fail.
fn with_cgroups(layout: &Layout, enforced: &Enforced) -> bool {
    enforced.limits() || layout.runtime != CRUN
}

async fn serve(
    paths: &Paths,
    config: &SandboxConfig,
    kinds: std::collections::BTreeMap<String, kind::Kind>,
    (image, enforced): (Image, Arc<Enforced>),
    layout: &Layout,
    client: &Client,
    tasks: &Tasks,
) -> Result<(), SandboxError> {
    remove_orphans(client).await;
    layout.remove_doors()?;
    image
        .ensure(&paths.vendor.join("agent-image"), layout, client)
        .await?;
    let guard = rpc::channel(&paths.socket("guard"));
    let (audit, sending) = Audit::new();
    let end_of_sending = Tasks::new();
    end_of_sending.spawn("audit", sending.run(guard.clone(), end_of_sending.token()));
    let fleet = Arc::new(Fleet::new(Shared {
        kinds,
        image,
        cgroups: with_cgroups(layout, &enforced),
        enforced,
        engine: Arc::new(PodmanEngine::new(client.clone())),
        orchestrator: rpc::channel(&paths.socket("orchestrator")),
        audit: audit.clone(),
        tasks: tasks.clone(),
        doors: layout.doors(),
        max_agents: config.max_agents,
        allow_degraded: config.allow_degraded,
        grace: Duration::from_millis(config.stop_grace_ms),
    }));
    tasks.spawn("guard", fleet::follow_guard(fleet.clone(), guard, tasks.token()));
    let socket = paths.socket("sandbox");
    let listener = rpc::listen("sandbox", &socket, 0o660)?;
    share(&socket)?;
    let users: Users = config::load(paths, "users")?;
    let callers = Callers::new(paths, &users.orchestrator);
    let recorder = GuardClient::new(rpc::channel(&paths.socket("guard")));
    let refusals = Refusals::new("sandbox.denied", tasks.clone(), move |request| {
        let mut recorder = recorder.clone();
        async move { recorder.record(request).await.map(drop) }
    });
    let rpcs = SandboxServer::new(SandboxService::new(
        fleet.clone(),
        client.clone(),
        callers,
        refusals,
    ));
    let routes = tonic::service::Routes::new(rpcs);
    let serving = rpc::serve(listener, routes, &["aios.sandbox.v1.Sandbox"], tasks.token());
    fleet.begin_configured();
    ready::notify().map_err(|source| SandboxError::file("notify", &socket, source))?;
    let served = tokio::select! {
        served = serving => served.map_err(SandboxError::from),
        ended = termination() => ended.map_err(|source| SandboxError::file("wait for signals for", &socket, source)),
    };
    if let Err(error) = ready::stopping() {
        tracing::warn!(%error, "the supervisor could not be told of the end");
    }
    // The agents' ends are recorded before the way to the guard is closed.
    if !tasks.shutdown(AGENTS_END).await {
        tracing::error!("agents did not end in time");
    }
    if !end_of_sending.shutdown(REST_ENDS).await {
        tracing::error!("not every event reached the audit log in time");
    }
    served
}

/// Lets the group `aios` connect to a socket that we made; one that aios-init made is shared already.
/// A machine without that group keeps it to this user and root.
fn share(socket: &Path) -> Result<(), SandboxError> {
    let failed = |error: nix::Error| SandboxError::file("share", socket, error.into());
    let owner = std::fs::metadata(socket).map_err(|source| SandboxError::file("look at", socket, source))?;
    match nix::unistd::Group::from_name("aios").map_err(failed)? {
        Some(group) if owner.gid() != group.gid.as_raw() => {
            nix::unistd::chown(socket, None, Some(group.gid)).map_err(failed)
        }
        _ => Ok(()),
    }
}

/// Containers of an earlier run that was killed: their doors are gone, so they can only be removed.
async fn remove_orphans(client: &Client) {
    let orphans = match client.list(LABEL).await {
        Ok(orphans) => orphans,
        Err(error) => {
            tracing::error!(%error, "containers of an earlier run could not be looked for");
            return;
        }
    };
    for orphan in orphans {
        match client.remove(&orphan.id).await {
            Ok(()) => tracing::warn!(container = orphan.id, "removed a container of an earlier run"),
            Err(error) => tracing::error!(%error, container = orphan.id, "a container could not be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crun_on_a_machine_without_limits_goes_without_cgroups() {
        for (runtime, limits, cgroups) in [
            (CRUN, true, true),
            (CRUN, false, false),
            (RUNC, true, true),
            (RUNC, false, true),
        ] {
            let layout = Layout {
                state: "/s".into(),
                run: "/r".into(),
                program: "podman".into(),
                runtime: runtime.to_owned(),
            };
            let enforced = Enforced {
                cgroup_parent: limits.then(|| "/agents/pods".into()),
                apparmor: None,
                landlock: true,
                degradations: Vec::new(),
            };
            assert_eq!(with_cgroups(&layout, &enforced), cgroups, "{runtime} {limits}");
        }
    }
}
