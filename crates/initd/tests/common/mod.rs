//! An instance of aios-init on a temporary tree, with services made for one test.

#![expect(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod container;
pub(crate) mod faults;

use aios_core::rpc;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{GetServiceRequest, ServiceInfo};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::transport::Channel;

/// Longest wait for anything; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this process may change users; if not, the test has run again as root and passed.
pub(crate) fn is_root() -> bool {
    aios_tests_root::as_root().unwrap()
}

pub(crate) struct Instance {
    pub(crate) root: TempDir,
    pub(crate) child: Child,
}

impl Instance {
    /// A tree with these services, not started.
    pub(crate) fn tree(services: &[(&str, &str)]) -> TempDir {
        let root = tempfile::Builder::new()
            .prefix("aios-init-")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let directory = root.path().join("vendor/services");
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("out")).unwrap();
        fs::set_permissions(root.path().join("out"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(
            root.path().join("etc/config.toml"),
            "[init]\nallow_degraded = true\n",
        )
        .unwrap();
        for (name, text) in services {
            let text = text.replace("${OUT}", &root.path().join("out").to_string_lossy());
            fs::write(directory.join(format!("{name}.toml")), text).unwrap();
        }
        root
    }

    pub(crate) fn command(root: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aios-init"));
        command.arg("--state").arg(root).stdin(Stdio::null());
        command
    }

    pub(crate) fn start(services: &[(&str, &str)]) -> Self {
        Self::start_on(Self::tree(services))
    }

    pub(crate) fn start_on(root: TempDir) -> Self {
        let child = Self::spawn(root.path());
        Self { root, child }
    }

    /// Starts the tree's own command, which the test has changed.
    pub(crate) fn start_by(root: TempDir, mut command: Command) -> Self {
        let child = command.stderr(Self::log_file(root.path())).spawn().unwrap();
        Self { root, child }
    }

    fn spawn(root: &Path) -> Child {
        Self::command(root).stderr(Self::log_file(root)).spawn().unwrap()
    }

    fn log_file(root: &Path) -> fs::File {
        let path = root.join("init.log");
        fs::File::options().create(true).append(true).open(path).unwrap()
    }

    /// Starts it again on the same tree, after it ended.
    pub(crate) fn again(&mut self) {
        self.child = Self::spawn(self.root.path());
    }

    /// Kills process 1 and the supervisor at once, as a power cut would, and waits until all is gone.
    pub(crate) async fn power_cut(&mut self, service: u32) {
        signal(self.supervisor(), nix::sys::signal::Signal::SIGKILL);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Here the machine goes on; on a real one the services would be gone too.
        if let Ok(pid) = i32::try_from(service)
            && pid > 0
        {
            signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
        // The lock on the tree says that nobody runs any more.
        let lock = fs::File::open(self.path("run/init/lock")).unwrap();
        eventually("the lock is free", || lock.try_lock().is_ok()).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("init.log")).unwrap()
    }

    pub(crate) fn out(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap_or_default()
    }

    pub(crate) fn client(&self) -> InitClient<Channel> {
        InitClient::new(rpc::channel(&self.path("run/init.sock")))
    }

    pub(crate) async fn info(&self, name: &str) -> Option<ServiceInfo> {
        info(self.client(), name).await
    }

    /// Waits until the service looks as wanted.
    pub(crate) async fn until(&self, name: &str, what: impl Fn(&ServiceInfo) -> bool) -> ServiceInfo {
        until(|| self.client(), || self.log(), name, what).await
    }

    pub(crate) async fn until_state(&self, name: &str, state: &str) -> ServiceInfo {
        self.until(name, |info| info.state == state).await
    }

    /// A file of the administrator's.
    pub(crate) fn write_etc(root: &Path, name: &str, text: &str) {
        let path = root.join("etc").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("${OUT}", &root.join("out").to_string_lossy())).unwrap();
    }

    /// Calls as somebody else: connects with another effective user id. The kernel notes who we are at that
    /// moment on this thread.
    pub(crate) async fn as_uid<T>(&self, uid: u32, call: impl AsyncFnOnce(InitClient<Channel>) -> T) -> T {
        let client = self.client();
        effective(uid);
        let result = call(client).await;
        effective(0);
        result
    }

    /// The supervisor's process id.
    pub(crate) fn supervisor(&self) -> i32 {
        let pid = self.child.id();
        let start = Instant::now();
        loop {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            let found = children
                .split_whitespace()
                .map(|pid| pid.parse::<i32>().unwrap())
                .find(|pid| {
                    fs::read(format!("/proc/{pid}/cmdline"))
                        .is_ok_and(|line| line.starts_with(b"aios-supervisor"))
                });
            if let Some(pid) = found {
                return pid;
            }
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    /// Asks it to end and waits; yields whether it ended with 0.
    pub(crate) fn stop(&mut self) -> bool {
        signal(
            i32::try_from(self.child.id()).unwrap(),
            nix::sys::signal::Signal::SIGTERM,
        );
        self.child.wait().unwrap().success()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.stop();
        }
    }
}

/// What the supervisor says of a service; none while it does not answer or does not know it.
pub(crate) async fn info(mut client: InitClient<Channel>, name: &str) -> Option<ServiceInfo> {
    let request = GetServiceRequest { name: name.into() };
    client
        .get_service(request)
        .await
        .ok()
        .map(|answer| answer.into_inner())
}

/// Waits until a service looks as wanted.
pub(crate) async fn until(
    client: impl Fn() -> InitClient<Channel>,
    log: impl Fn() -> String,
    name: &str,
    what: impl Fn(&ServiceInfo) -> bool,
) -> ServiceInfo {
    let start = Instant::now();
    loop {
        let info = info(client(), name).await;
        if let Some(info) = info.clone().filter(|info| what(info)) {
            return info;
        }
        assert!(start.elapsed() < PATIENCE, "{name} is {info:?}\n{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Changes the effective user of this thread only.
fn effective(uid: u32) {
    let keep = rustix::process::Uid::from_raw(u32::MAX);
    rustix::thread::set_thread_res_uid(keep, rustix::process::Uid::from_raw(uid), keep).unwrap();
}

pub(crate) fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Waits until `what` holds.
pub(crate) async fn eventually(why: &str, mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "{why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A service in Python, with the given last lines after what every one needs.
pub(crate) fn python(body: &str, keys: &str) -> String {
    let head = "import os,sys,time,socket,signal\n\
        def notify(t):\n    s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET']); s.send(t)\n\
        def say(f,t):\n    open('${OUT}/'+f,'a').write(t+'\\n')\n";
    let code = format!("{head}{body}")
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("command = [\"/usr/bin/python3\", \"-uc\", \"{code}\"]\nuser = \"daemon\"\n{keys}")
}

/// Process ids with `text` in their command line, this process left out.
pub(crate) fn processes_with(text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
        })
        .collect()
}
