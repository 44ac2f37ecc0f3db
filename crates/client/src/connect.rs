//! Connections to the services of one instance, over its Unix sockets.

use std::path::{Path, PathBuf};

use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::memory::v1::memory_client::MemoryClient;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use aios_proto::sandbox::v1::sandbox_client::SandboxClient;
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use tokio::net::UnixStream;
use tonic::transport::Channel;

use crate::Failure;

/// The services of one instance. Each method opens a connection of its own.
#[derive(Clone, Debug)]
pub struct Services {
    run: PathBuf,
}

impl Services {
    /// The instance whose sockets lie in `run`.
    pub fn new(run: impl Into<PathBuf>) -> Self {
        Self { run: run.into() }
    }

    /// The directory of the sockets.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// The guard.
    ///
    /// # Errors
    /// [`crate::Kind::Unreachable`] when nothing answers on its socket; so for every service.
    pub async fn guard(&self) -> Result<GuardClient<Channel>, Failure> {
        Ok(GuardClient::new(self.channel("guard").await?))
    }

    /// The orchestrator.
    ///
    /// # Errors
    /// As [`Services::guard`].
    pub async fn orchestrator(&self) -> Result<OrchestratorClient<Channel>, Failure> {
        Ok(OrchestratorClient::new(self.channel("orchestrator").await?))
    }

    /// The tool registry.
    ///
    /// # Errors
    /// As [`Services::guard`].
    pub async fn tools(&self) -> Result<ToolRegistryClient<Channel>, Failure> {
        Ok(ToolRegistryClient::new(self.channel("tools").await?))
    }

    /// Memory.
    ///
    /// # Errors
    /// As [`Services::guard`].
    pub async fn memory(&self) -> Result<MemoryClient<Channel>, Failure> {
        Ok(MemoryClient::new(self.channel("memory").await?))
    }

    /// The supervisor.
    ///
    /// # Errors
    /// As [`Services::guard`].
    pub async fn init(&self) -> Result<InitClient<Channel>, Failure> {
        Ok(InitClient::new(self.channel("init").await?))
    }

    /// The sandbox.
    ///
    /// # Errors
    /// As [`Services::guard`].
    pub async fn sandbox(&self) -> Result<SandboxClient<Channel>, Failure> {
        Ok(SandboxClient::new(self.channel("sandbox").await?))
    }

    async fn channel(&self, service: &str) -> Result<Channel, Failure> {
        let socket = self.run.join(format!("{service}.sock"));
        // The channel connects lazily and hides why it could not; this finds out and says it.
        if let Err(error) = UnixStream::connect(&socket).await {
            return Err(Failure::unreachable(&format!("aios-{service}"), &socket, &error));
        }
        Ok(aios_core::rpc::channel(&socket))
    }
}
