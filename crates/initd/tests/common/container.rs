//! aios-init as process 1 of a container: namespaces of its own for processes, mounts and cgroups, and no
//! `--state`, so that everything is as on a booted machine but for what only a machine has.

use super::{PATIENCE, until};
use aios_core::rpc;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{BootPhase, GetBootRequest, ServiceInfo};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;
use tonic::transport::Channel;

/// What happens between `unshare` and aios-init. The cgroup that it is in becomes the root of its own
/// hierarchy, which process 1 mounts; what it finds mounted it leaves as it is.
const ENTER: &str = "set -e; mount -t tmpfs none /sys/fs/cgroup; \
    for d in /tmp /run /dev/shm; do mount --rbind $d $d; done; eval \"$1\"; shift; exec \"$@\"";

pub(crate) struct Container {
    pub(crate) root: TempDir,
    child: Child,
    cgroup: Option<PathBuf>,
}

impl Container {
    /// Starts one on a tree; `prepare` is shell code that runs as root in its namespaces.
    pub(crate) fn start(root: TempDir, prepare: &str) -> Self {
        let cgroup = cgroup(root.path());
        let join = cgroup
            .as_ref()
            .map(|path| format!("echo $$ > {}/cgroup.procs; ", path.display()))
            .unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!(
                "{join}exec unshare --pid --mount --cgroup --fork --kill-child --mount-proc /bin/sh -c \"$@\""
            ))
            .args(["sh", ENTER, "sh", prepare])
            .arg(env!("CARGO_BIN_EXE_aios-init"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(root.path().join("init.log")).unwrap());
        for (name, directory) in [
            ("AIOS_VENDOR_DIR", "vendor"),
            ("AIOS_ETC_DIR", "etc"),
            ("AIOS_STATE_DIR", "var"),
            ("AIOS_RUN_DIR", "run"),
        ] {
            command.env(name, root.path().join(directory));
        }
        let child = command.spawn().unwrap();
        Self { root, child, cgroup }
    }

    /// Process 1 of it, by its number outside.
    pub(crate) fn pid1(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        fs::read_to_string(children).unwrap().trim().parse().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn out(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> String {
        let part = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        part("init.log") + &part("var/log/aios-init.log")
    }

    pub(crate) fn client(&self) -> InitClient<Channel> {
        InitClient::new(rpc::channel(&self.path("run/init.sock")))
    }

    pub(crate) async fn until_state(&self, name: &str, state: &str) -> ServiceInfo {
        until(|| self.client(), || self.log(), name, |info| info.state == state).await
    }

    /// The phases of the boot, once it is over.
    pub(crate) async fn phases(&self) -> Vec<BootPhase> {
        let start = Instant::now();
        loop {
            let boot = self.client().get_boot(GetBootRequest {}).await;
            let phases = boot.map(|boot| boot.into_inner().phases).unwrap_or_default();
            if phases.iter().any(|phase| phase.name == "ready") {
                return phases;
            }
            assert!(start.elapsed() < PATIENCE, "{phases:?}\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Asks process 1 to end, as a container's runtime does; says whether it ended with 0.
    pub(crate) fn stop(&mut self) -> bool {
        super::signal(self.pid1(), nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap().success()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // `unshare` takes everything inside with it. It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if let Some(cgroup) = &self.cgroup {
            remove(cgroup);
        }
    }
}

/// A cgroup of its own, where there are any.
fn cgroup(root: &Path) -> Option<PathBuf> {
    let top = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|top| Path::new(top).join("cgroup.procs").exists())?;
    let path = Path::new(top).join(root.file_name().unwrap());
    fs::create_dir(&path).ok().map(|()| path)
}

fn remove(cgroup: &Path) {
    for _ in 0..200 {
        let _empty_or_gone = aios_confine::cgroup::Cgroup::at(cgroup).kill();
        if aios_confine::cgroup::Cgroup::at(cgroup).remove().is_ok() {
            return;
        }
        std::thread::yield_now();
    }
}
