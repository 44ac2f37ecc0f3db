//! Asking `aios-init`, from threads that may wait. Each question has a connection of its own, so that a
//! supervisor that was replaced meanwhile is nobody's trouble.

use super::error::ServiceError;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{
    DeploymentInfo, GetDeploymentRequest, GetServiceRequest, LayPackagesRequest, ListServicesRequest,
    LogLine, LogsRequest, ServiceInfo, ServiceRequest, ShutdownRequest,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

/// How often a budget is looked at while init works.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a supervisor may take to be replaced.
const REPLACED: Duration = Duration::from_secs(10);

/// What is asked of init about one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Start it and what it needs.
    Start,
    /// Stop it and what needs it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Start it at boot.
    Enable,
    /// Do not start it at boot.
    Disable,
}

/// The way to init.
#[derive(Debug, Clone)]
pub struct Init {
    socket: PathBuf,
}

type Client = InitClient<Channel>;

impl Init {
    /// init of this instance.
    pub fn of(paths: &Paths) -> Self {
        Self {
            socket: paths.socket("init"),
        }
    }

    /// All services, in start order.
    ///
    /// # Errors
    /// init does not answer.
    pub fn list(&self, budget: &Budget) -> Result<Vec<ServiceInfo>> {
        self.patiently(budget, async |mut client: Client| {
            client
                .list_services(ListServicesRequest {})
                .await
                .map(|answer| answer.into_inner().services)
        })
    }

    /// One service.
    ///
    /// # Errors
    /// There is none of that name, or init does not answer.
    pub fn get(&self, name: &str, budget: &Budget) -> Result<ServiceInfo> {
        self.patiently(budget, async |mut client: Client| {
            let request = GetServiceRequest {
                name: name.to_owned(),
            };
            client.get_service(request).await.map(Response::into_inner)
        })
    }

    /// The last `count` lines of a service's log.
    ///
    /// # Errors
    /// There is none of that name, or init does not answer.
    pub fn logs(&self, name: &str, count: u32, budget: &Budget) -> Result<Vec<LogLine>> {
        self.patiently(budget, async |mut client: Client| {
            let request = LogsRequest {
                name: name.to_owned(),
                last: count,
                follow: false,
            };
            let mut stream = client.logs(request).await?.into_inner();
            let mut lines = Vec::new();
            while let Some(line) = stream.message().await? {
                lines.push(line);
            }
            Ok(lines)
        })
    }

    /// Gives an order and waits until it is carried out. A restart is asked for once; the others change nothing
    /// the second time, and are asked for again when the supervisor was replaced meanwhile.
    ///
    /// # Errors
    /// init refuses, the service does not start, or init does not answer.
    pub fn order(&self, order: Order, name: &str, budget: &Budget) -> Result<ServiceInfo> {
        let ask = async |mut client: Client| {
            let request = ServiceRequest {
                name: name.to_owned(),
            };
            match order {
                Order::Start => client.start_service(request).await,
                Order::Stop => client.stop_service(request).await,
                Order::Restart => client.restart_service(request).await,
                Order::Enable => client.enable_service(request).await,
                Order::Disable => client.disable_service(request).await,
            }
            .map(Response::into_inner)
        };
        if order == Order::Restart {
            self.once(budget, ask)
        } else {
            self.patiently(budget, ask)
        }
    }

    /// Which image of the operating system runs, and how far it is trusted.
    ///
    /// # Errors
    /// init does not answer.
    pub fn deployment(&self, budget: &Budget) -> Result<DeploymentInfo> {
        self.once(budget, async |mut client: Client| {
            let request = GetDeploymentRequest {};
            client.get_deployment(request).await.map(Response::into_inner)
        })
    }

    /// Ends everything in order: `reboot`, `poweroff`.
    ///
    /// # Errors
    /// init refuses, or does not answer.
    pub fn shutdown(&self, kind: &str, budget: &Budget) -> Result<()> {
        self.once(budget, async |mut client: Client| {
            let kind = kind.to_owned();
            client.shutdown(ShutdownRequest { kind }).await.map(drop)
        })
    }

    /// Lays what is unpacked under a name over `/usr`, or with an empty name nothing. Asked twice it changes nothing.
    ///
    /// # Errors
    /// init refuses, cannot mount it, or does not answer.
    pub fn lay_packages(&self, name: &str, budget: &Budget) -> Result<()> {
        self.patiently(budget, async |mut client: Client| {
            let name = name.to_owned();
            client.lay_packages(LayPackagesRequest { name }).await.map(drop)
        })
    }

    /// Asks again while there is nobody to ask.
    fn patiently<T: Send>(
        &self,
        budget: &Budget,
        ask: impl AsyncFn(Client) -> std::result::Result<T, Status> + Sync,
    ) -> Result<T> {
        let since = Instant::now();
        loop {
            match self.once(budget, &ask) {
                Err(ToolError::Unreachable { .. }) if since.elapsed() < REPLACED => {
                    self.on_a_thread(async || tokio::time::sleep(GLANCE).await)?;
                    budget.check()?;
                }
                other => return other,
            }
        }
    }

    fn once<T: Send>(
        &self,
        budget: &Budget,
        ask: impl AsyncFnOnce(Client) -> std::result::Result<T, Status> + Send,
    ) -> Result<T> {
        budget.check()?;
        self.on_a_thread(async || {
            let client = InitClient::new(rpc::channel(&self.socket));
            tokio::select! {
                answer = ask(client) => answer.map_err(error_of),
                late = over(budget) => Err(late),
            }
        })?
    }

    /// Runs a future where no runtime is: callers are threads that may wait, of a runtime or not.
    fn on_a_thread<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> Result<T> {
        let thread = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| ToolError::io("start", "a runtime", error))?;
            Ok(runtime.block_on(work()))
        };
        std::thread::scope(|scope| scope.spawn(thread).join())
            .map_err(|_| ToolError::Defect("a thread that asks init has ended early".to_owned()))?
    }

    /// Waits a moment between two looks.
    ///
    /// # Errors
    /// Time is up, or somebody cancelled.
    pub fn pause(&self, time: Duration, budget: &Budget) -> Result<()> {
        self.on_a_thread(async || tokio::time::sleep(time).await)?;
        budget.check()
    }
}

/// Completes when the budget does not allow to go on.
async fn over(budget: &Budget) -> ToolError {
    loop {
        tokio::time::sleep(GLANCE).await;
        if let Err(error) = budget.check() {
            return error;
        }
    }
}

fn error_of(status: Status) -> ToolError {
    let report = rpc::report_of(&status);
    let why = format!("{} ({})", report.message, report.code);
    match status.code() {
        Code::NotFound => ServiceError::Unknown { why }.into(),
        Code::PermissionDenied | Code::Unauthenticated => ServiceError::Refused { why }.into(),
        Code::Unavailable | Code::Unknown | Code::Cancelled => {
            ToolError::Unreachable { service: "init", why }
        }
        _ => ServiceError::Init { why }.into(),
    }
}
