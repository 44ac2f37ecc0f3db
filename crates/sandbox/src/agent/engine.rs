//! What an agent's life needs of the machine, so that it can be tested without one.

use rustix::process::{PidfdFlags, pidfd_open};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::error::SandboxError;
use crate::isolation::Observed;
use crate::podman::{Client, Spec};

/// How long Podman may take to notice that a process has ended.
const NOTICED: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// A container's first process.
pub struct Process {
    /// Its id on the host.
    pub pid: u32,
    /// Completes when it has ended.
    pub ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How a container's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
}

/// Containers.
#[tonic::async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Creates a container; gives its id.
    async fn create(&self, spec: &Spec) -> Result<String, SandboxError>;
    /// Starts a created or ended one.
    async fn start(&self, id: &str) -> Result<Process, SandboxError>;
    /// How its last run ended.
    async fn exit(&self, id: &str) -> Result<Exit, SandboxError>;
    /// What the kernel says about a process.
    fn observe(&self, pid: u32) -> io::Result<Observed>;
    /// Freezes its processes.
    async fn pause(&self, id: &str) -> Result<(), SandboxError>;
    /// Thaws them.
    async fn unpause(&self, id: &str) -> Result<(), SandboxError>;
    /// Ends it, by force after `grace`.
    async fn stop(&self, id: &str, grace: Duration) -> Result<(), SandboxError>;
    /// Removes it.
    async fn remove(&self, id: &str) -> Result<(), SandboxError>;
}

/// Podman.
#[derive(Debug, Clone)]
pub struct PodmanEngine {
    client: Client,
}

impl PodmanEngine {
    /// On top of a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[tonic::async_trait]
impl Engine for PodmanEngine {
    async fn create(&self, spec: &Spec) -> Result<String, SandboxError> {
        let (id, warnings) = self.client.create(spec).await?;
        for warning in warnings {
            tracing::warn!(container = id, warning, "Podman made a container with a warning");
        }
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<Process, SandboxError> {
        self.client.start(id).await?;
        let container = self.client.inspect(id).await?;
        let pid = container.state.pid;
        let ended: Pin<Box<dyn Future<Output = ()> + Send>> = match watch(pid) {
            Ok(fd) => Box::pin(async move {
                if let Err(error) = fd.ready(Interest::READABLE).await {
                    tracing::error!(%error, pid, "a container's process cannot be watched");
                }
            }),
            // It has ended already.
            Err(error) if container.state.running => {
                tracing::warn!(%error, pid, "a container's process is gone");
                Box::pin(std::future::ready(()))
            }
            Err(_) => Box::pin(std::future::ready(())),
        };
        Ok(Process { pid, ended })
    }

    async fn exit(&self, id: &str) -> Result<Exit, SandboxError> {
        let deadline = Instant::now() + NOTICED;
        loop {
            // The process ends a moment before Podman has its exit code.
            let state = self.client.inspect(id).await?.state;
            if !state.running || Instant::now() > deadline {
                return Ok(Exit {
                    code: state.exit_code,
                    out_of_memory: state.oom_killed,
                });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    fn observe(&self, pid: u32) -> io::Result<Observed> {
        Observed::of(pid)
    }

    async fn pause(&self, id: &str) -> Result<(), SandboxError> {
        Ok(self.client.pause(id).await?)
    }

    async fn unpause(&self, id: &str) -> Result<(), SandboxError> {
        Ok(self.client.unpause(id).await?)
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), SandboxError> {
        Ok(self.client.stop(id, grace).await?)
    }

    async fn remove(&self, id: &str) -> Result<(), SandboxError> {
        Ok(self.client.remove(id).await?)
    }
}

/// A handle that becomes readable when the process ends; no polling, no reused pid.
fn watch(pid: u32) -> io::Result<AsyncFd<std::os::fd::OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let fd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    #[expect(
        deprecated,
        reason = "the descriptor is owned, so what the deprecation warns of cannot happen; its successor is unsafe"
    )]
    AsyncFd::with_interest(fd, Interest::READABLE)
}
