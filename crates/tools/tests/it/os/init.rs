//! A supervisor that knows of images and notes who asked it for the end.

use aios_core::paths::Paths;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_deployment::overlay;
use aios_proto::init::v1 as init;
use aios_proto::init::v1::init_server::{Init, InitServer};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// The supervisor; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Supervisor {
    ends: Arc<Mutex<Vec<String>>>,
    /// Whether what runs is on trial until then.
    deadline_ms: i64,
    state: PathBuf,
    root: PathBuf,
}

impl Supervisor {
    /// `root` is where it lays packages: in the table of mounts, and nowhere else.
    pub(crate) fn start(paths: &Paths, root: &Path, tasks: &Tasks, deadline_ms: i64) -> Self {
        std::fs::create_dir_all(root.join("proc/self")).unwrap();
        let double = Self {
            deadline_ms,
            state: paths.state.clone(),
            root: root.to_owned(),
            ..Self::default()
        };
        let listener = rpc::listen("init", &paths.socket("init"), 0o660).unwrap();
        let routes = Routes::new(InitServer::new(double.clone()));
        let server = rpc::serve(listener, routes, &[], tasks.token());
        tasks.spawn("init", async move { server.await.unwrap() });
        double
    }

    /// What it was asked to end as.
    pub(crate) fn ends(&self) -> Vec<String> {
        self.ends.lock().unwrap().clone()
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn unasked<T>() -> Answer<T> {
    Err(Status::unimplemented("the worker of images must not call this"))
}

#[tonic::async_trait]
impl Init for Supervisor {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<init::LogLine, Status>> + Send>>;

    async fn get_deployment(&self, _: Request<init::GetDeploymentRequest>) -> Answer<init::DeploymentInfo> {
        Ok(Response::new(init::DeploymentInfo {
            on_trial: self.deadline_ms > 0,
            deadline_ms: self.deadline_ms,
            ..init::DeploymentInfo::default()
        }))
    }
    async fn shutdown(&self, request: Request<init::ShutdownRequest>) -> Answer<init::ShutdownResponse> {
        self.ends.lock().unwrap().push(request.into_inner().kind);
        Ok(Response::new(init::ShutdownResponse {}))
    }
    async fn list_services(
        &self,
        _: Request<init::ListServicesRequest>,
    ) -> Answer<init::ListServicesResponse> {
        unasked()
    }
    async fn get_service(&self, _: Request<init::GetServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn start_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn stop_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn restart_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn enable_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn disable_service(&self, _: Request<init::ServiceRequest>) -> Answer<init::ServiceInfo> {
        unasked()
    }
    async fn reload_services(
        &self,
        _: Request<init::ReloadServicesRequest>,
    ) -> Answer<init::ReloadServicesResponse> {
        unasked()
    }
    async fn logs(&self, _: Request<init::LogsRequest>) -> Answer<Self::LogsStream> {
        unasked()
    }
    async fn get_boot(&self, _: Request<init::GetBootRequest>) -> Answer<init::GetBootResponse> {
        unasked()
    }
    async fn report_health(
        &self,
        _: Request<init::ReportHealthRequest>,
    ) -> Answer<init::ReportHealthResponse> {
        unasked()
    }
    async fn lay_packages(
        &self,
        request: Request<init::LayPackagesRequest>,
    ) -> Answer<init::LayPackagesResponse> {
        let name = request.into_inner().name;
        let dir = overlay::dir(&self.state).join(&name);
        if !name.is_empty() && !dir.join("usr").is_dir() {
            return Err(Status::failed_precondition(format!(
                "{} has no usr",
                dir.display()
            )));
        }
        let line = format!("72 47 0:42 / /usr ro - overlay {} ro\n", overlay::source(&name));
        let table = if name.is_empty() { "" } else { &line };
        std::fs::write(self.root.join("proc/self/mountinfo"), table).unwrap();
        Ok(Response::new(init::LayPackagesResponse {}))
    }
    async fn finalize_at_shutdown(
        &self,
        _: Request<init::FinalizeAtShutdownRequest>,
    ) -> Answer<init::FinalizeAtShutdownResponse> {
        unasked()
    }
}
