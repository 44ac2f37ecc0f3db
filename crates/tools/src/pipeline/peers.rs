//! The two neighbours of the pipeline, guard and workers, as small traits: gRPC in life, doubles in
//! tests.

use crate::error::ToolError;
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Time beyond the tool's own for an answer to travel.
const GRACE: Duration = Duration::from_secs(5);
/// Time for an answer of the guard: it waits for the disk, never for a person.
const GUARD_TIME: Duration = Duration::from_secs(30);
/// Largest answer of a worker, bytes.
const LARGEST: usize = 16 << 20;

type Answer<T> = std::result::Result<T, Status>;

/// What the pipeline asks of the guard.
pub trait Guard: Send + Sync + 'static {
    /// Decides about a prepared call.
    fn authorize(
        &self,
        request: guard::AuthorizeRequest,
    ) -> impl Future<Output = Answer<guard::AuthorizeResponse>> + Send;
    /// Records how a mutating call ended.
    fn record_outcome(
        &self,
        request: guard::RecordOutcomeRequest,
    ) -> impl Future<Output = Answer<guard::RecordOutcomeResponse>> + Send;
    /// Records what never came to a decision.
    fn record(
        &self,
        request: guard::RecordRequest,
    ) -> impl Future<Output = Answer<guard::RecordResponse>> + Send;
    /// Reads records of the audit log, without payloads, oldest first. It does not follow.
    fn audit_tail(
        &self,
        request: guard::AuditTailRequest,
    ) -> impl Future<Output = Answer<Vec<guard::AuditRecord>>> + Send;
}

/// What the pipeline asks of workers, by namespace.
pub trait Workers: Send + Sync + 'static {
    /// Resolves a call.
    fn prepare(
        &self,
        namespace: &str,
        request: worker::PrepareRequest,
    ) -> impl Future<Output = Answer<worker::PrepareResponse>> + Send;
    /// Executes a call.
    fn execute(
        &self,
        namespace: &str,
        request: worker::ExecuteRequest,
    ) -> impl Future<Output = Answer<worker::ExecuteResponse>> + Send;
    /// Asks for a key.
    fn status(
        &self,
        namespace: &str,
        request: worker::GetStatusRequest,
    ) -> impl Future<Output = Answer<worker::GetStatusResponse>> + Send;
    /// Cancels a call.
    fn cancel(
        &self,
        namespace: &str,
        request: worker::CancelRequest,
    ) -> impl Future<Output = Answer<worker::CancelResponse>> + Send;
}

/// The guard behind its socket.
#[derive(Debug, Clone)]
pub struct GrpcGuard {
    client: GuardClient<Channel>,
}

impl GrpcGuard {
    /// The guard of this machine.
    pub fn of(paths: &Paths) -> Self {
        Self {
            client: GuardClient::new(rpc::channel(&paths.socket("guard"))),
        }
    }
}

fn timed<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// Name of the socket at which the worker of images does the tools of packages.
pub const IMAGE_PACKAGES: &str = "image-pkg";

/// The service that does the tools of a namespace.
fn worker_of(namespace: &str) -> &'static str {
    match namespace {
        "fs" => "worker-fs",
        "hw" | "monitor" => "worker-host",
        "net" | "firewall" => "worker-net",
        "os" => "worker-os",
        "pkg" => "worker-pkg",
        "process" => "worker-process",
        "sec" => "worker-sec",
        "service" => "worker-service",
        _ => "tools",
    }
}

/// Says who it was that did not answer in time: our end of the connection only says that time was up.
fn unanswered(namespace: &str, time: Duration) -> impl Fn(Status) -> Status {
    move |status| {
        let foreign = rpc::report_of(&status).code.starts_with("AIOS-RPC-");
        if !foreign || !matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
            return status;
        }
        rpc::status(&ToolError::Unreachable {
            service: worker_of(namespace),
            why: format!("nothing came within {} ms", time.as_millis()),
        })
    }
}

impl Guard for GrpcGuard {
    async fn authorize(&self, request: guard::AuthorizeRequest) -> Answer<guard::AuthorizeResponse> {
        Ok(self
            .client
            .clone()
            .authorize(timed(request, GUARD_TIME))
            .await?
            .into_inner())
    }
    async fn record_outcome(
        &self,
        request: guard::RecordOutcomeRequest,
    ) -> Answer<guard::RecordOutcomeResponse> {
        Ok(self
            .client
            .clone()
            .record_outcome(timed(request, GUARD_TIME))
            .await?
            .into_inner())
    }
    async fn record(&self, request: guard::RecordRequest) -> Answer<guard::RecordResponse> {
        Ok(self
            .client
            .clone()
            .record(timed(request, GUARD_TIME))
            .await?
            .into_inner())
    }
    async fn audit_tail(&self, request: guard::AuditTailRequest) -> Answer<Vec<guard::AuditRecord>> {
        let mut client = self.client.clone();
        let mut stream = client.audit_tail(timed(request, GUARD_TIME)).await?.into_inner();
        let mut records = Vec::new();
        while let Some(record) = stream.message().await? {
            records.push(record);
        }
        Ok(records)
    }
}

/// The workers behind their sockets.
#[derive(Debug, Clone)]
pub struct GrpcWorkers {
    clients: HashMap<String, WorkerClient<Channel>>,
    /// Whether the worker of images does the tools of packages.
    images: bool,
}

impl GrpcWorkers {
    /// The workers of these namespaces.
    pub fn of<'a>(paths: &Paths, namespaces: impl IntoIterator<Item = &'a str>) -> Self {
        let client = |namespace: &str| {
            WorkerClient::new(rpc::channel(&paths.worker_socket(namespace)))
                .max_decoding_message_size(LARGEST)
        };
        Self {
            clients: namespaces
                .into_iter()
                .map(|name| (name.to_owned(), client(name)))
                .collect(),
            images: false,
        }
    }

    /// The same on a machine of images, where packages come by images and the worker of images sees to them.
    #[must_use]
    pub fn on_images(mut self, paths: &Paths) -> Self {
        let other = Self::of(paths, [IMAGE_PACKAGES]).clients.remove(IMAGE_PACKAGES);
        self.clients
            .extend(other.map(|client| ("pkg".to_owned(), client)));
        self.images = true;
        self
    }

    /// The namespace by which the worker is found that does the tools of another one.
    fn doer<'a>(&self, namespace: &'a str) -> &'a str {
        if self.images && namespace == "pkg" {
            "os"
        } else {
            namespace
        }
    }

    fn client(&self, namespace: &str) -> Answer<WorkerClient<Channel>> {
        self.clients.get(namespace).cloned().ok_or_else(|| {
            rpc::status(&ToolError::UnknownTool {
                name: format!("{}.*", namespace.chars().take(60).collect::<String>()),
            })
        })
    }
}

impl Workers for GrpcWorkers {
    async fn prepare(
        &self,
        namespace: &str,
        request: worker::PrepareRequest,
    ) -> Answer<worker::PrepareResponse> {
        let time = Duration::from_millis(request.timeout_ms) + GRACE;
        Ok(self
            .client(namespace)?
            .prepare(timed(request, time))
            .await
            .map_err(unanswered(self.doer(namespace), time))?
            .into_inner())
    }
    async fn execute(
        &self,
        namespace: &str,
        request: worker::ExecuteRequest,
    ) -> Answer<worker::ExecuteResponse> {
        // A mutating call may wait for others; its own time starts when it is taken up.
        let time = Duration::from_millis(request.timeout_ms) * 2 + GRACE;
        Ok(self
            .client(namespace)?
            .execute(timed(request, time))
            .await
            .map_err(unanswered(self.doer(namespace), time))?
            .into_inner())
    }
    async fn status(
        &self,
        namespace: &str,
        request: worker::GetStatusRequest,
    ) -> Answer<worker::GetStatusResponse> {
        Ok(self
            .client(namespace)?
            .get_status(timed(request, GRACE))
            .await
            .map_err(unanswered(self.doer(namespace), GRACE))?
            .into_inner())
    }
    async fn cancel(
        &self,
        namespace: &str,
        request: worker::CancelRequest,
    ) -> Answer<worker::CancelResponse> {
        Ok(self
            .client(namespace)?
            .cancel(timed(request, GRACE))
            .await
            .map_err(unanswered(self.doer(namespace), GRACE))?
            .into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn each_namespace_has_the_worker_whose_socket_it_is() {
        for namespace in Registry::builtin().namespaces() {
            let file = format!(
                "{}/../../configs/services/aios-{}.toml",
                env!("CARGO_MANIFEST_DIR"),
                worker_of(namespace)
            );
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(&format!("/worker/{namespace}.sock\"")), "{file}");
        }
    }

    #[test]
    fn time_that_is_up_names_the_worker_and_other_statuses_stay() {
        let name = unanswered("monitor", Duration::from_millis(5100));
        let report = rpc::report_of(&name(Status::cancelled("Timeout expired")));
        assert_eq!(report.code, "AIOS-TOOLS-0025");
        assert!(
            report.message.contains("worker-host does not answer"),
            "{report:?}"
        );
        assert!(report.next_step.contains("aios-worker-host"), "{report:?}");
        let own = rpc::status(&ToolError::Cancelled);
        assert_eq!(rpc::report_of(&name(own)).code, "AIOS-TOOLS-0014");
        assert_eq!(name(Status::unavailable("gone")).code(), Code::Unavailable);
    }
}
