//! Goals that are stated when something happens to a service: the real process beside a double of the supervisor.

use crate::bench::Bench;
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::init::v1 as init;
use aios_proto::init::v1::init_server::{Init, InitServer};
use aios_proto::orchestrator::v1 as api;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

const TRIGGERS: &str = "[[trigger]]\nname = \"failed\"\non = \"service.failed\"\n\
    goal = \"free space under /srv/{subject}: delete *.log older than 7 days\"\n\
    [[trigger]]\nname = \"backoff\"\non = \"service.backoff\"\nsubjects = [\"logs\"]\nwindow_ms = 1000\n\
    goal = \"free space under /srv/{subject}: delete *.tmp older than 7 days\"\n";

/// Services by the word of the test.
#[derive(Clone, Default)]
struct Supervisor(Arc<Mutex<Vec<init::ServiceInfo>>>);

impl Supervisor {
    fn start(paths: &Paths) -> Self {
        let double = Self::default();
        let listener = rpc::listen("init", &paths.socket("init"), 0o660).unwrap();
        let routes = Routes::new(InitServer::new(double.clone()));
        let server = rpc::serve(listener, routes, &[], CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move { server.await.unwrap() });
        double
    }

    fn is(&self, name: &str, state: &str, restarts: u32) {
        let mut services = self.0.lock().unwrap();
        services.retain(|service| service.name != name);
        services.push(init::ServiceInfo {
            name: name.to_owned(),
            state: state.to_owned(),
            restarts,
            last_exit: "exit 3".to_owned(),
            ..init::ServiceInfo::default()
        });
    }
}

fn unasked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the orchestrator must not call this"))
}

#[tonic::async_trait]
impl Init for Supervisor {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<init::LogLine, Status>> + Send>>;

    async fn list_services(
        &self,
        _: Request<init::ListServicesRequest>,
    ) -> Result<Response<init::ListServicesResponse>, Status> {
        let services = self.0.lock().unwrap().clone();
        Ok(Response::new(init::ListServicesResponse { services }))
    }

    async fn get_service(
        &self,
        _: Request<init::GetServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn enable_service(
        &self,
        _: Request<init::ServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn disable_service(
        &self,
        _: Request<init::ServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn reload_services(
        &self,
        _: Request<init::ReloadServicesRequest>,
    ) -> Result<Response<init::ReloadServicesResponse>, Status> {
        unasked()
    }

    async fn start_service(
        &self,
        _: Request<init::ServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn stop_service(
        &self,
        _: Request<init::ServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn restart_service(
        &self,
        _: Request<init::ServiceRequest>,
    ) -> Result<Response<init::ServiceInfo>, Status> {
        unasked()
    }

    async fn logs(&self, _: Request<init::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        unasked()
    }

    async fn get_boot(
        &self,
        _: Request<init::GetBootRequest>,
    ) -> Result<Response<init::GetBootResponse>, Status> {
        unasked()
    }

    async fn get_deployment(
        &self,
        _: Request<init::GetDeploymentRequest>,
    ) -> Result<Response<init::DeploymentInfo>, Status> {
        unasked()
    }

    async fn report_health(
        &self,
        _: Request<init::ReportHealthRequest>,
    ) -> Result<Response<init::ReportHealthResponse>, Status> {
        unasked()
    }

    async fn finalize_at_shutdown(
        &self,
        _: Request<init::FinalizeAtShutdownRequest>,
    ) -> Result<Response<init::FinalizeAtShutdownResponse>, Status> {
        unasked()
    }

    async fn lay_packages(
        &self,
        _: Request<init::LayPackagesRequest>,
    ) -> Result<Response<init::LayPackagesResponse>, Status> {
        unasked()
    }

    async fn shutdown(
        &self,
        _: Request<init::ShutdownRequest>,
    ) -> Result<Response<init::ShutdownResponse>, Status> {
        unasked()
    }
}

async fn subject(bench: &Bench, trigger: &str) -> Option<api::TriggerSubject> {
    let list = bench.client().list_schedules(api::ListSchedulesRequest {}).await;
    let triggers = list.unwrap().into_inner().triggers;
    assert_eq!(triggers.len(), 2);
    let trigger = triggers.into_iter().find(|it| it.name == trigger).unwrap();
    trigger.subjects.into_iter().next()
}

async fn until(
    bench: &Bench,
    trigger: &str,
    fits: impl Fn(&api::TriggerSubject) -> bool,
) -> api::TriggerSubject {
    for _ in 0..1000 {
        if let Some(found) = subject(bench, trigger).await.filter(|it| fits(it)) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never so: {:#?}", subject(bench, trigger).await);
}

async fn goals(bench: &Bench) -> Vec<api::Goal> {
    let list = bench.client().list_goals(api::ListGoalsRequest::default()).await;
    list.unwrap().into_inner().goals
}

async fn watching() -> Option<(Bench, Supervisor)> {
    let mut bench = Bench::prepare()?;
    bench.configure("[orchestrator]\nevent_poll_ms = 50\n");
    std::fs::write(bench.paths.etc.join("triggers.toml"), TRIGGERS).unwrap();
    let supervisor = Supervisor::start(&bench.paths);
    supervisor.is("logs", "ready", 0);
    supervisor.is("other", "ready", 0);
    bench.launch().await;
    Some((bench, supervisor))
}

#[tokio::test]
async fn a_service_that_failed_is_answered_with_one_goal_also_across_a_kill() {
    let Some((mut bench, supervisor)) = watching().await else {
        return;
    };
    // It has seen them ready.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(goals(&bench).await.is_empty());
    supervisor.is("logs", "failed", 4);
    let answered = until(&bench, "failed", |_| true).await;
    assert_eq!((answered.subject.as_str(), answered.suppressed), ("logs", 0));
    let goal = bench.goal(&answered.goal_id).await.goal.unwrap();
    assert_eq!(
        goal.text,
        "free space under /srv/logs: delete *.log older than 7 days"
    );
    assert_eq!(
        goal.cause,
        "trigger failed on service.failed of logs: failed, last exit 3, started again 4 times"
    );
    assert_eq!(goal.submitted_by, "root");
    supervisor.is("logs", "ready", 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    supervisor.is("logs", "failed", 1);
    until(&bench, "failed", |it| it.suppressed == 1).await;
    bench.kill();
    bench.launch().await;
    let after = until(&bench, "failed", |it| it.suppressed == 2).await;
    assert_eq!(after.goal_id, answered.goal_id);
    assert_eq!(goals(&bench).await.len(), 1);
}

#[tokio::test]
async fn a_service_that_is_started_again_and_again_is_answered_where_the_trigger_is_about_it() {
    let Some((bench, supervisor)) = watching().await else {
        return;
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Ready at every look, and yet it ended in between.
    supervisor.is("other", "ready", 3);
    supervisor.is("logs", "ready", 1);
    let answered = until(&bench, "backoff", |_| true).await;
    assert_eq!(answered.subject, "logs");
    supervisor.is("logs", "ready", 2);
    let second = until(&bench, "backoff", |it| it.suppressed == 1).await;
    assert_eq!(second.goal_id, answered.goal_id);
    assert_eq!(goals(&bench).await.len(), 1);
}

#[tokio::test]
async fn without_a_supervisor_the_rest_goes_on() {
    let Some(mut bench) = Bench::prepare() else { return };
    bench.configure("[orchestrator]\nevent_poll_ms = 50\n");
    std::fs::write(bench.paths.etc.join("triggers.toml"), TRIGGERS).unwrap();
    bench.launch().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(subject(&bench, "failed").await.is_none());
    assert!(goals(&bench).await.is_empty());
}

#[tokio::test]
async fn a_wrong_trigger_file_keeps_the_orchestrator_from_starting() {
    let Some(bench) = Bench::prepare() else { return };
    let wrong = TRIGGERS.replace("service.failed", "service.fell");
    std::fs::write(bench.paths.etc.join("triggers.toml"), wrong).unwrap();
    let said = bench.refuses_to_start();
    assert!(said.contains("service.fell"), "{said}");
}
