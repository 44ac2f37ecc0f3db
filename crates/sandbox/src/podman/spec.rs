//! What a container is made of: the body of Podman's create call (its `SpecGenerator`).
//!
//! Field names are Podman's; a field that it does not know is dropped silently by it, so
//! `tests/container.rs` reads from the kernel that each of them holds.

use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A container.
#[derive(Debug, Clone, Serialize)]
pub struct Spec {
    name: String,
    image: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    user: String,
    hostname: String,
    env: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    netns: Namespace,
    read_only_filesystem: bool,
    no_new_privileges: bool,
    cap_drop: Vec<&'static str>,
    mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_limits: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroups_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_parent: Option<String>,
    log_configuration: LogConfiguration,
    image_volume_mode: &'static str,
    use_image_hosts: bool,
    use_image_resolve_conf: bool,
    httpproxy: bool,
    terminal: bool,
    stdin: bool,
    systemd: &'static str,
    stop_timeout: u64,
    work_dir: &'static str,
}

/// A read-only bind mount.
#[derive(Debug, Clone)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: &'static str,
}

/// Limits of a container.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_max_bytes: u64,
    /// Processes and threads.
    pub pids_max: u32,
    /// CPUs.
    pub cpus: f64,
    /// Bytes of `/tmp`.
    pub tmp_max_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Namespace {
    nsmode: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Mount {
    destination: String,
    #[serde(rename = "type")]
    kind: &'static str,
    source: String,
    options: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Resources {
    memory: Memory,
    pids: Pids,
    cpu: Cpu,
}

#[derive(Debug, Clone, Serialize)]
struct Memory {
    limit: u64,
    /// Memory and swap together: the same, so no swap.
    swap: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Pids {
    limit: u32,
}

#[derive(Debug, Clone, Serialize)]
struct Cpu {
    quota: u64,
    period: u64,
}

#[derive(Debug, Clone, Serialize)]
struct LogConfiguration {
    driver: &'static str,
    size: u64,
}

/// Microseconds of a scheduling period.
const PERIOD_US: u64 = 100_000;
/// Bytes of output that are kept.
const LOG_BYTES: u64 = 1 << 20;

impl Spec {
    /// A container without network, capabilities, writable root, host environment or swap.
    pub fn confined(name: &str, image: &str, user: u32, limits: &Limits) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: format!("{user}:{user}"),
            hostname: "agent".to_owned(),
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            netns: Namespace { nsmode: "none" },
            read_only_filesystem: true,
            no_new_privileges: true,
            cap_drop: vec!["ALL"],
            mounts: vec![tmpfs("/tmp", limits.tmp_max_bytes)],
            resource_limits: Some(Resources {
                memory: Memory {
                    limit: limits.memory_max_bytes,
                    swap: limits.memory_max_bytes,
                },
                pids: Pids {
                    limit: limits.pids_max,
                },
                cpu: Cpu {
                    quota: quota(limits.cpus),
                    period: PERIOD_US,
                },
            }),
            cgroups_mode: None,
            cgroup_parent: None,
            log_configuration: LogConfiguration {
                driver: "k8s-file",
                size: LOG_BYTES,
            },
            image_volume_mode: "ignore",
            use_image_hosts: true,
            use_image_resolve_conf: true,
            httpproxy: false,
            terminal: false,
            stdin: false,
            systemd: "false",
            stop_timeout: 3,
            work_dir: "/",
        }
    }

    /// Program of PID 1 and its arguments.
    #[must_use]
    pub fn command(mut self, entrypoint: &str, command: &[String]) -> Self {
        self.entrypoint = vec![entrypoint.to_owned()];
        self.command = command.to_vec();
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A read-only bind mount.
    #[must_use]
    pub fn bind(mut self, bind: &Bind) -> Self {
        self.mounts.push(Mount {
            destination: bind.destination.to_owned(),
            kind: "bind",
            source: text(&bind.source),
            options: ["bind", "ro", "nosuid", "nodev", "rprivate"]
                .map(str::to_owned)
                .to_vec(),
        });
        self
    }

    /// The cgroup below which the container's own is made. Without one rootless Podman sets no
    /// limits at all.
    #[must_use]
    pub fn cgroup_parent(mut self, parent: Option<&Path>) -> Self {
        self.cgroup_parent = parent.map(text);
        self
    }

    /// No cgroup of its own, and so no limits: for crun where there are no controllers, which fails rather than go without.
    #[must_use]
    pub fn without_cgroup(mut self) -> Self {
        self.resource_limits = None;
        self.cgroups_mode = Some("disabled");
        self
    }
}

fn tmpfs(destination: &str, size: u64) -> Mount {
    let size = format!("size={size}");
    Mount {
        destination: destination.to_owned(),
        kind: "tmpfs",
        source: "tmpfs".to_owned(),
        options: [size.as_str(), "mode=1777", "nosuid", "nodev", "noexec"]
            .map(str::to_owned)
            .to_vec(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kinds allow 0.01 to 1024 CPUs only"
)]
#[expect(clippy::cast_precision_loss, reason = "the period is small")]
fn quota(cpus: f64) -> u64 {
    (cpus * PERIOD_US as f64).round() as u64
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
