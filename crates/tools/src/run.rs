//! Builds the services from configuration and runs them until they are asked to end.

use crate::error::ToolError;
use crate::firewall::Firewall;
use crate::fs::Fs;
use crate::fs::resolve::Resolver;
use crate::host::Host;
use crate::host::hw::Hw;
use crate::host::monitor::Monitor;
use crate::net::Net;
use crate::net::pending::{MachineClock, Pending};
use crate::os::Os;
use crate::os::packages::Packages;
use crate::os::settings::Settings;
use crate::pipeline::{GrpcGuard, GrpcWorkers, IMAGE_PACKAGES, Pipeline, ToolsService};
use crate::pkg::Pkg;
use crate::pkg::root::Root;
use crate::process::Process;
use crate::registry::Registry;
use crate::sec::Sec;
use crate::sec::machine::Machine;
use crate::service::Services;
use crate::service::init::Init;
use crate::worker::Namespace;
use crate::worker::executor::Executor;
use crate::worker::gate::Gate;
use crate::worker::journal::Journal;
use crate::worker::read_only::ReadOnly;
use crate::worker::service::WorkerService;
use crate::worker::store::{Limits, Store};
use aios_auth::peer::{Role, Roles, Users};
use aios_auth::protected::Protected;
use aios_auth::trust::TrustKeys;
use aios_core::clock::SystemClock;
use aios_core::paths::Paths;
use aios_core::service::Failure;
use aios_core::{config, ready, rpc, tasks};
use aios_deployment::DeploymentId;
use aios_proto::tools::v1::tool_registry_server::ToolRegistryServer;
use aios_proto::worker::v1::worker_server::WorkerServer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How long a service waits for the guard to publish its keys.
const KEYS_WAIT: Duration = Duration::from_secs(60);
const KEYS_RETRY: Duration = Duration::from_millis(50);
/// How long running calls are waited for at the end.
const ENDING: Duration = Duration::from_secs(5);
/// Largest request, bytes: a call has up to 100 000 identities.
const LARGEST: usize = 16 << 20;

/// Reads and preparations of files at the same time; more wait their turn.
pub const FILE_LANES: usize = 32;
/// The same of packages: apt reads large lists each time.
pub const PACKAGE_LANES: usize = 4;
/// The same of images: bootc looks at disks and partitions each time.
pub const IMAGE_LANES: usize = 4;
/// The same of each namespace that only looks.
pub const LOOKING_LANES: usize = 8;
/// The same of the process namespace; who waits for a process holds one.
pub const PROCESS_LANES: usize = 16;
/// The same of the network's namespace: each may wait for somebody far away.
pub const NET_LANES: usize = 16;
/// Threads beyond the lanes, for what must be answered though all of them hang: what became of a call.
pub const SPARE_THREADS: usize = 2;

/// Full names of the services, as health and reflection tell them.
const TOOLS: &str = "aios.tools.v1.ToolRegistry";
const WORKER: &str = "aios.worker.v1.Worker";

/// Runs the tool service.
///
/// # Errors
/// Configuration, keys or socket.
pub async fn tools(paths: &Paths) -> Result<(), Failure> {
    let roles = roles(paths)?;
    let keys = keys(paths, &roles).await?;
    let registry = Arc::new(Registry::builtin());
    let workers = GrpcWorkers::of(paths, registry.namespaces());
    let workers = if of_images() {
        workers.on_images(paths)
    } else {
        workers
    };
    let pipeline = Pipeline::new(
        Arc::clone(&registry),
        &keys.mint,
        Arc::new(SystemClock),
        GrpcGuard::of(paths),
        workers,
    )?;
    let owned = tasks::Tasks::new();
    let service = ToolRegistryServer::new(ToolsService::new(registry, roles, pipeline, owned.clone()))
        .max_decoding_message_size(LARGEST)
        .max_encoding_message_size(LARGEST);
    let listener = rpc::listen("tools", &paths.socket("tools"), 0o660)?;
    let served = serve(vec![(listener, Routes::new(service))], TOOLS).await;
    if !owned.shutdown(ENDING).await {
        tracing::warn!("calls were still running at the end; their keys name them at the next start");
    }
    served
}

/// Whether this machine was started from an image that bootc laid out. A container sees the command line of its host.
fn of_images() -> bool {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    DeploymentId::of_command_line(&line).is_some() && !Path::new("/run/.containerenv").exists()
}

/// Runs the fs worker.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_fs(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| Ok(vec![house.listen("fs", house.fs()?)?])).await
}

/// The fs worker's service over its state directory; recovers what a crash interrupted.
///
/// # Errors
/// Configuration is wrong, or journal or store cannot be used.
pub fn fs_service(paths: &Paths, keys: TrustKeys, roles: Roles) -> Result<WorkerService<Fs>, ToolError> {
    House { paths, keys, roles }.fs()
}

/// Runs the worker of the namespaces that only look at the machine, each on a socket of its own.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_host(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| {
        Ok(vec![
            house.serve(ReadOnly::new(Hw(Host::this())), "host", LOOKING_LANES)?,
            house.serve(ReadOnly::new(Monitor(Host::this())), "host", LOOKING_LANES)?,
        ])
    })
    .await
}

/// Runs the worker of addresses, routes and the firewall. Both share one list of provisional changes; each takes
/// back its own on the thread that executes its calls.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_net(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| {
        let list = house.state("net").join("pending.db");
        let pending = Arc::new(Pending::open(&list, Box::new(MachineClock::new()?))?);
        Ok(vec![
            house.serve(Firewall::new(Arc::clone(&pending)), "net", LOOKING_LANES)?,
            house.serve(Net::new(pending, Path::new("/etc")), "net", NET_LANES)?,
        ])
    })
    .await
}

/// Runs the worker that looks for weaknesses.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_sec(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| {
        Ok(vec![house.listen("sec", house.sec(Machine::this())?)?])
    })
    .await
}

/// Runs the worker that asks init about services.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_service(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| {
        Ok(vec![house.serve(house.services(), "service", LOOKING_LANES)?])
    })
    .await
}

/// Runs the process worker.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_process(paths: &Paths) -> Result<(), Failure> {
    worker(paths, |house| {
        Ok(vec![house.listen("process", house.process()?)?])
    })
    .await
}

/// The service worker's service over its state directory; looks what became of calls that a crash interrupted.
///
/// # Errors
/// Journal cannot be used.
pub fn service_service(
    paths: &Paths,
    keys: TrustKeys,
    roles: Roles,
) -> Result<WorkerService<Services>, ToolError> {
    let house = House { paths, keys, roles };
    house.service(house.services(), "service", LOOKING_LANES)
}

/// The process worker's service over its state directory; recovers what a crash interrupted.
///
/// # Errors
/// Journal or marks cannot be used.
pub fn process_service(
    paths: &Paths,
    keys: TrustKeys,
    roles: Roles,
) -> Result<WorkerService<Process>, ToolError> {
    House { paths, keys, roles }.process()
}

/// Runs the package worker.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_pkg(paths: &Paths) -> Result<(), Failure> {
    let root: Root = config::load(paths, "pkg")?;
    worker(paths, |house| Ok(vec![house.listen("pkg", house.pkg(root)?)?])).await
}

/// The package worker's service over its state directory; recovers what a crash interrupted.
///
/// # Errors
/// Journal or store cannot be used.
pub fn pkg_service(
    paths: &Paths,
    keys: TrustKeys,
    roles: Roles,
    root: Root,
) -> Result<WorkerService<Pkg>, ToolError> {
    House { paths, keys, roles }.pkg(root)
}

/// Runs the worker of the operating system's images.
///
/// # Errors
/// Configuration, keys, journal or socket.
pub async fn worker_os(paths: &Paths) -> Result<(), Failure> {
    let settings: Settings = config::load(paths, "os")?;
    let root: Root = config::load(paths, "pkg")?;
    worker(paths, |house| {
        let os = Arc::new(house.images(settings)?);
        Ok(vec![
            house.listen("os", house.service_of(Arc::clone(&os), "os", IMAGE_LANES)?)?,
            house.listen(IMAGE_PACKAGES, house.image_packages(os, root)?)?,
        ])
    })
    .await
}

/// The two services of the worker of images over its state directory: `os`, and `pkg` on a machine of images.
///
/// # Errors
/// Journals cannot be used.
pub fn image_services(
    paths: &Paths,
    keys: TrustKeys,
    roles: Roles,
    settings: Settings,
    root: Root,
) -> Result<(WorkerService<Os>, WorkerService<Packages>), ToolError> {
    let house = House { paths, keys, roles };
    let os = Arc::new(house.images(settings)?);
    let service = house.service_of(Arc::clone(&os), "os", IMAGE_LANES)?;
    Ok((service, house.image_packages(os, root)?))
}

/// The sec worker's service over its state directory, for the machine that lies at `machine`.
///
/// # Errors
/// Journal or store cannot be used.
pub fn sec_service(
    paths: &Paths,
    keys: TrustKeys,
    roles: Roles,
    machine: Machine,
) -> Result<WorkerService<Sec>, ToolError> {
    House { paths, keys, roles }.sec(machine)
}

/// A namespace's socket and service.
type Served = (UnixListener, Routes);

/// Runs a worker: one process, with what `namespaces` makes of it.
async fn worker(
    paths: &Paths,
    namespaces: impl FnOnce(&House<'_>) -> Result<Vec<Served>, ToolError>,
) -> Result<(), Failure> {
    let roles = roles(paths)?;
    let keys = keys(paths, &roles).await?;
    let house = House { paths, keys, roles };
    serve(namespaces(&house)?, WORKER).await
}

/// What the namespaces of one worker process have in common.
struct House<'a> {
    paths: &'a Paths,
    keys: TrustKeys,
    roles: Roles,
}

impl House<'_> {
    /// State directory of a worker.
    fn state(&self, worker: &str) -> PathBuf {
        self.paths.state.join("worker").join(worker)
    }

    fn fs(&self) -> Result<WorkerService<Fs>, ToolError> {
        let limits: Limits = config::load(self.paths, "tools").map_err(ToolError::auth)?;
        let store = Store::open(&self.state("fs").join("store"), limits)?;
        let clock = Arc::new(SystemClock);
        let fs = Fs::new(Resolver::new(Protected::of(self.paths)), store, clock)?;
        self.service(fs, "fs", FILE_LANES)
    }

    fn services(&self) -> Services {
        Services::new(Init::of(self.paths), Arc::new(SystemClock))
    }

    fn process(&self) -> Result<WorkerService<Process>, ToolError> {
        let marks = self.state("process").join("marks");
        let process = Process::new(self.roles.clone(), marks)?;
        self.service(process, "process", PROCESS_LANES)
    }

    fn pkg(&self, root: Root) -> Result<WorkerService<Pkg>, ToolError> {
        let pkg = Pkg::open(root, &self.state("pkg"))?;
        self.service(pkg, "pkg", PACKAGE_LANES)
    }

    fn images(&self, settings: Settings) -> Result<Os, ToolError> {
        Os::open(settings, self.paths, &self.state("os"))
    }

    fn image_packages(&self, os: Arc<Os>, root: Root) -> Result<WorkerService<Packages>, ToolError> {
        let packages = Packages::open(os, root, &self.state("os"))?;
        self.service(packages, "os", IMAGE_LANES)
    }

    fn sec(&self, machine: Machine) -> Result<WorkerService<Sec>, ToolError> {
        let resolver = Resolver::of("sec", Protected::of(self.paths));
        let sec = Sec::open(machine, resolver, &self.state("sec"), Arc::new(SystemClock))?;
        self.service(sec, "sec", LOOKING_LANES)
    }

    /// Socket and service of a namespace, whose journal lies in `worker`'s state directory.
    fn serve<N: Namespace>(&self, namespace: N, worker: &str, lanes: usize) -> Result<Served, ToolError> {
        let name = namespace.name();
        self.listen(name, self.service(namespace, worker, lanes)?)
    }

    /// Settles what a crash interrupted before it answers anything.
    fn service<N: Namespace>(
        &self,
        namespace: N,
        worker: &str,
        lanes: usize,
    ) -> Result<WorkerService<N>, ToolError> {
        self.service_of(Arc::new(namespace), worker, lanes)
    }

    fn service_of<N: Namespace>(
        &self,
        namespace: Arc<N>,
        worker: &str,
        lanes: usize,
    ) -> Result<WorkerService<N>, ToolError> {
        let name = namespace.name();
        let file = if name == worker { "journal" } else { name };
        let journal = self.state(worker).join(format!("{file}.db"));
        let clock = Arc::new(SystemClock);
        let executor = Executor::start(Arc::clone(&namespace), Journal::open(&journal)?, clock.clone())?;
        let reader = Journal::reader(&journal)?;
        let gate = Gate::new(self.keys, clock)?;
        Ok(WorkerService::new(
            namespace,
            gate,
            self.roles.clone(),
            executor,
            reader,
            lanes,
        ))
    }

    fn listen<N: Namespace>(&self, name: &str, service: WorkerService<N>) -> Result<Served, ToolError> {
        let socket = self.paths.worker_socket(name);
        let listener = rpc::listen(&format!("worker-{name}"), &socket, 0o660).map_err(|error| {
            ToolError::io(
                "listen on",
                socket.to_string_lossy(),
                std::io::Error::other(error),
            )
        })?;
        let service = WorkerServer::new(service)
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(LARGEST);
        Ok((listener, Routes::new(service)))
    }
}

fn roles(paths: &Paths) -> Result<Roles, Failure> {
    let users: Users = config::load(paths, "users")?;
    Roles::resolve(&users).map_err(Failure::from)
}

/// The guard's public keys; a service may start before the guard has published them.
async fn keys(paths: &Paths, roles: &Roles) -> Result<TrustKeys, Failure> {
    let file = paths.trust_file();
    let until = tokio::time::Instant::now() + KEYS_WAIT;
    loop {
        match TrustKeys::read(&file, roles.uid(Role::Guard)) {
            Ok(keys) => return Ok(keys),
            Err(error) if file.exists() || tokio::time::Instant::now() >= until => {
                return Err(error.into());
            }
            Err(_) => tokio::time::sleep(KEYS_RETRY).await,
        }
    }
}

/// Serves until it is asked to end; says that it is ready once every socket is open.
async fn serve(sockets: Vec<(UnixListener, Routes)>, name: &'static str) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let servers = sockets
        .into_iter()
        .map(|(listener, routes)| rpc::serve(listener, routes, &[name], shutdown.clone()));
    let servers = futures_util::future::try_join_all(servers);
    tokio::pin!(servers);
    if let Err(error) = ready::notify() {
        tracing::warn!(%error, "the supervisor could not be told that the service is ready");
    }
    tokio::select! {
        ended = &mut servers => return ended.map(drop).map_err(Failure::from),
        asked = tasks::termination() => {
            asked.map_err(Failure::system("watching for signals"))?;
        }
    }
    shutdown.cancel();
    servers.await.map(drop).map_err(Failure::from)
}
