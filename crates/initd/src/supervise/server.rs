//! `init.sock`: the gRPC service of `aios.init.v1`.

use super::logs::{Line, Logs};
use super::manager::{Event, Manager};
use super::persons::{Persons, uid_of};
use super::requests::{Change, Reply, Request};
use super::world::World;
use crate::error::{InitError, Result};
use crate::link::End;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::init::v1::init_server::{Init, InitServer};
use aios_proto::init::v1::{
    DeploymentInfo, FinalizeAtShutdownRequest, FinalizeAtShutdownResponse, GetBootRequest, GetBootResponse,
    GetDeploymentRequest, GetServiceRequest, LayPackagesRequest, LayPackagesResponse, ListServicesRequest,
    ListServicesResponse, LogLine, LogsRequest, ReloadServicesRequest, ReloadServicesResponse,
    ReportHealthRequest, ReportHealthResponse, ServiceInfo, ServiceRequest, ShutdownRequest,
    ShutdownResponse,
};
use nix::unistd::{Gid, Group, chown};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Response, Status};

/// How long calls that are running at the end may take.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// The service.
struct Server {
    events: mpsc::Sender<Event>,
    logs: Logs,
    persons: Persons,
    token: CancellationToken,
}

/// Removes the socket when the supervisor ends.
pub(super) struct Served(PathBuf);

impl Drop for Served {
    fn drop(&mut self) {
        // Gone with `run/` where the whole tree was removed.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Name under which PID 1 keeps the socket. The same socket for every supervisor: whoever sees it through a mount
/// of its own would not see another, and who connects meanwhile waits instead of failing.
const KEPT: &str = "init.sock";

/// Opens the socket, or takes that of an earlier supervisor.
pub(super) fn listen(world: &mut World) -> Result<(UnixListener, Served)> {
    let path = world.paths.socket("init");
    if let Some(fd) = world.take(KEPT).filter(|_| path.exists()) {
        let listener = std::os::unix::net::UnixListener::from(fd);
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener))
            .map_err(InitError::path("cannot take over", &path))?;
        return Ok((listener, Served(path)));
    }
    // The lock on the tree says that nobody else serves here: a socket that is there is stale.
    super::sockets::remove_stale(&path)?;
    let listener = rpc::listen("init", &path, 0o660)?;
    let group = Group::from_name("aios")
        .ok()
        .flatten()
        .map_or(Gid::from_raw(0), |group| group.gid);
    chown(&path, None, Some(group))
        .map_err(|error| InitError::path("cannot give away", &path)(error.into()))?;
    world.keep(KEPT, listener.as_fd());
    Ok((listener, Served(path)))
}

/// Serves until the tasks end.
pub(super) fn start(manager: &Manager, listener: UnixListener, events: mpsc::Sender<Event>, tasks: &Tasks) {
    let paths = &manager.world.paths;
    let token = tasks.token();
    let server = Server {
        events,
        logs: manager.logs(),
        persons: Persons::new(paths, tasks),
        token: token.clone(),
    };
    let routes = Routes::new(InitServer::new(server));
    tasks.spawn("init.sock", async move {
        let serving = rpc::serve(listener, routes, &["aios.init.v1.Init"], token.clone());
        // Clients keep connections open; running calls get a moment to be answered.
        let over = async move {
            token.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            result = serving => if let Err(error) = result {
                tracing::error!(%error, "init.sock is not served any more");
            },
            () = over => {}
        }
    });
}

impl Server {
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> std::result::Result<T, Status> {
        self.answer(request).await.map_err(|error| rpc::status(&error))
    }

    async fn answer<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let asked = self.events.send(Event::Asked(request(reply))).await;
        asked.map_err(|_| InitError::Ending)?;
        answer.await.map_err(|_| InitError::Ending)?
    }

    async fn change(
        &self,
        change: Change,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        let caller = self.persons.caller(&request, change.rpc()).await?;
        let (uid, name) = (uid_of(&request), request.into_inner().name);
        let ask = |reply| Request::Change(change, caller, name, reply);
        match self.answer(ask).await {
            Ok(info) => Ok(Response::new(info)),
            Err(error @ InitError::Core { .. }) => Err(self.persons.refuse(uid, change.rpc(), &error).await),
            Err(error) => Err(rpc::status(&error)),
        }
    }
}

#[tonic::async_trait]
impl Init for Server {
    async fn list_services(
        &self,
        _: tonic::Request<ListServicesRequest>,
    ) -> std::result::Result<Response<ListServicesResponse>, Status> {
        let services = self.ask(Request::List).await?;
        Ok(Response::new(ListServicesResponse { services }))
    }

    async fn get_service(
        &self,
        request: tonic::Request<GetServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        let name = request.into_inner().name;
        self.ask(|reply| Request::Get(name, reply))
            .await
            .map(Response::new)
    }

    async fn start_service(
        &self,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        self.change(Change::Start, request).await
    }

    async fn stop_service(
        &self,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        self.change(Change::Stop, request).await
    }

    async fn restart_service(
        &self,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        self.change(Change::Restart, request).await
    }

    async fn enable_service(
        &self,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        self.change(Change::Enable, request).await
    }

    async fn disable_service(
        &self,
        request: tonic::Request<ServiceRequest>,
    ) -> std::result::Result<Response<ServiceInfo>, Status> {
        self.change(Change::Disable, request).await
    }

    async fn reload_services(
        &self,
        request: tonic::Request<ReloadServicesRequest>,
    ) -> std::result::Result<Response<ReloadServicesResponse>, Status> {
        self.persons.check(&request, "ReloadServices").await?;
        self.ask(Request::Reload).await.map(Response::new)
    }

    type LogsStream = Pin<Box<dyn Stream<Item = std::result::Result<LogLine, Status>> + Send>>;

    async fn logs(
        &self,
        request: tonic::Request<LogsRequest>,
    ) -> std::result::Result<Response<Self::LogsStream>, Status> {
        let LogsRequest { name, last, follow } = request.into_inner();
        let known = name.clone();
        self.ask(|reply| Request::Knows(known, reply)).await?;
        let count = if last == 0 {
            100
        } else {
            usize::try_from(last).unwrap_or(usize::MAX)
        };
        let (lines, more) = self.logs.last(&name, count);
        let (sender, receiver) = mpsc::channel(64);
        let token = self.token.clone();
        let feed = async move {
            for line in lines {
                if sender.send(wire(&name, line, 0)).await.is_err() {
                    return;
                }
            }
            if follow {
                tokio::select! {
                    () = token.cancelled() => {}
                    () = pass_on(&name, more, &sender) => {}
                }
            }
        };
        // The stream drives the feed itself, so that no task outlives its listener.
        let lines = tokio_stream::wrappers::ReceiverStream::new(receiver).map(Ok);
        Ok(Response::new(Box::pin(Fed {
            feed: Some(Box::pin(feed)),
            lines,
        })))
    }

    async fn get_boot(
        &self,
        _: tonic::Request<GetBootRequest>,
    ) -> std::result::Result<Response<GetBootResponse>, Status> {
        self.ask(Request::Boot).await.map(Response::new)
    }

    async fn get_deployment(
        &self,
        _: tonic::Request<GetDeploymentRequest>,
    ) -> std::result::Result<Response<DeploymentInfo>, Status> {
        self.ask(Request::Deployment).await.map(Response::new)
    }

    async fn report_health(
        &self,
        request: tonic::Request<ReportHealthRequest>,
    ) -> std::result::Result<Response<ReportHealthResponse>, Status> {
        self.persons.reporter(&request, "ReportHealth").await?;
        let problems = request.into_inner().problems;
        self.ask(|reply| Request::Health(problems, reply))
            .await
            .map(Response::new)
    }

    async fn finalize_at_shutdown(
        &self,
        request: tonic::Request<FinalizeAtShutdownRequest>,
    ) -> std::result::Result<Response<FinalizeAtShutdownResponse>, Status> {
        self.persons.root(&request, "FinalizeAtShutdown").await?;
        self.ask(Request::Finalize).await.map(Response::new)
    }

    async fn lay_packages(
        &self,
        request: tonic::Request<LayPackagesRequest>,
    ) -> std::result::Result<Response<LayPackagesResponse>, Status> {
        self.persons.images(&request, "LayPackages").await?;
        let name = request.into_inner().name;
        self.ask(|reply| Request::Lay(name, reply)).await?;
        Ok(Response::new(LayPackagesResponse {}))
    }

    async fn shutdown(
        &self,
        request: tonic::Request<ShutdownRequest>,
    ) -> std::result::Result<Response<ShutdownResponse>, Status> {
        self.persons.ender(&request, "Shutdown").await?;
        let kind = request.into_inner().kind;
        let end = End::parse(&kind).ok_or_else(|| {
            let value = kind.chars().take(80).collect();
            rpc::status(&InitError::Value {
                field: "kind",
                value,
                allowed: "poweroff, reboot, exit",
            })
        })?;
        self.ask(|reply| Request::Shutdown(end, reply)).await?;
        Ok(Response::new(ShutdownResponse {}))
    }
}

fn wire(name: &str, line: Line, lost: u64) -> LogLine {
    LogLine {
        time_ms: line.time_ms,
        name: name.to_owned(),
        text: line.text,
        lost,
    }
}

/// New lines until the listener goes; those it was too slow for are counted.
async fn pass_on(name: &str, mut more: broadcast::Receiver<Line>, sender: &mpsc::Sender<LogLine>) {
    let mut lost = 0;
    loop {
        match more.recv().await {
            Ok(line) => {
                if sender
                    .send(wire(name, line, std::mem::take(&mut lost)))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => lost += count,
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// A stream with the future that fills it.
struct Fed<S> {
    feed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    lines: S,
}

impl<S: Stream + Unpin> Stream for Fed<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(feed) = &mut self.feed
            && feed.as_mut().poll(cx).is_ready()
        {
            self.feed = None;
        }
        Pin::new(&mut self.lines).poll_next(cx)
    }
}
