//! Process 1 and its supervisor when nothing happens: how much memory they hold and whether they wake.

use crate::memory::resident_mib;
use crate::table::{Promise, Table};
use aios_core::rpc;
use aios_proto::init::v1::GetServiceRequest;
use aios_proto::init::v1::init_client::InitClient;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(60);
/// How long a start may take.
const START: Duration = Duration::from_secs(30);
const SERVICES: [&str; 2] = ["first", "second"];

/// Starts both halves over two services that sleep, and looks at them before and after a minute.
///
/// # Errors
/// aios-init does not start, or ends.
pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let running = Running::start()?;
    running.until_ready().await?;
    let init = running.child.id();
    let supervisor = child_named(init, "aios-supervisor").context("aios-init has no supervisor")?;
    // What belongs to the start ends first.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = (switches(init)?, switches(supervisor)?);
    tokio::time::sleep(IDLE).await;
    let after = (switches(init)?, switches(supervisor)?);
    table.add(
        "aios-init, resident",
        resident_mib(init)?,
        "MiB",
        Promise::AtMost(3.0),
    );
    table.add(
        "aios-supervisor, resident",
        resident_mib(supervisor)?,
        "MiB",
        Promise::AtMost(30.0),
    );
    let woken = |after: u32, before: u32| f64::from(after.saturating_sub(before));
    table.add(
        "aios-init, context switches in 60 idle s",
        woken(after.0, before.0),
        "switches",
        Promise::AtMost(0.0),
    );
    table.add(
        "aios-supervisor, the same",
        woken(after.1, before.1),
        "switches",
        Promise::Nothing,
    );
    Ok(())
}

/// aios-init on a directory of its own; ended when dropped.
struct Running {
    state: TempDir,
    child: Child,
}

impl Running {
    fn start() -> Result<Self> {
        let state = tempfile::Builder::new()
            .prefix("aios-bench-")
            .tempdir_in("/tmp")?;
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o755))?;
        let services = state.path().join("vendor/services");
        fs::create_dir_all(&services)?;
        fs::create_dir_all(state.path().join("etc"))?;
        fs::write(
            state.path().join("etc/config.toml"),
            "[init]\nallow_degraded = true\n",
        )?;
        let text = "command = [\"/usr/bin/sleep\", \"1000\"]\nuser = \"daemon\"\nready = \"none\"\n";
        for name in SERVICES {
            fs::write(services.join(format!("{name}.toml")), text)?;
        }
        let programs = std::env::current_exe()?;
        let program = programs.parent().unwrap_or(Path::new(".")).join("aios-init");
        let log = fs::File::create(state.path().join("init.log"))?;
        let child = Command::new(&program)
            .arg("--state")
            .arg(state.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self { state, child })
    }

    async fn until_ready(&self) -> Result<()> {
        let client = InitClient::new(rpc::channel(&self.state.path().join("run/init.sock")));
        let asked = async {
            for name in SERVICES {
                loop {
                    let request = GetServiceRequest { name: name.into() };
                    let answer = client.clone().get_service(request).await;
                    if answer.is_ok_and(|info| info.get_ref().state == "ready") {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let log = || fs::read_to_string(self.state.path().join("init.log")).unwrap_or_default();
        tokio::time::timeout(START, asked)
            .await
            .with_context(|| format!("aios-init did not start its services:\n{}", log()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.child.id().to_string()).status();
        if !stopped.is_ok_and(|status| status.success()) || self.child.wait().is_err() {
            tracing::warn!(pid = self.child.id(), "aios-init could not be stopped");
        }
    }
}

fn child_named(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(name.as_bytes()))
        })
}

/// Voluntary and forced context switches of all threads since the start (proc(5)).
fn switches(pid: u32) -> Result<u32> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let counts: Vec<u32> = status
            .lines()
            .filter(|line| line.contains("ctxt_switches:"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
            .collect();
        ensure!(counts.len() == 2, "the kernel does not count context switches");
        sum += counts.iter().sum::<u32>();
    }
    Ok(sum)
}
