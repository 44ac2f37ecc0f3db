//! Stand-ins for the services of an instance: real gRPC on real sockets, a real audit log and real
//! person proofs, over a small scripted world instead of a machine.
//!
//! For tests of what a person uses, never for running anything: the doubles trust every local
//! caller. What a goal does is decided by words in its text:
//!
//! | text holds | the goal |
//! |---|---|
//! | `free space` | lists, asks approval for a delete of 3 files, completes, can be undone |
//! | `forbidden` | fails: its one step is denied by policy |
//! | anything else | waits for input |

mod guard;
mod orchestrator;
mod others;
mod schedules;
mod script;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aios_core::clock::Clock;
use aios_core::error::{Class, Report};
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::{guard::v1 as guard_v1, init::v1 as init_v1, memory::v1 as memory_v1};
use aios_proto::{orchestrator::v1 as orchestrator_v1, sandbox::v1 as sandbox_v1, tools::v1 as tools_v1};
use tonic::Status;
use tonic::service::Routes;
use world::World;

/// Running doubles. They end with [`Doubles::stop`], or with the runtime.
#[derive(Debug)]
pub struct Doubles {
    run: PathBuf,
    tasks: Tasks,
}

/// A service of the instance, so that a test can leave one out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Double {
    Guard,
    Orchestrator,
    Tools,
    Memory,
    Init,
    Sandbox,
}

/// All of them.
pub const ALL: [Double; 6] = [
    Double::Guard,
    Double::Orchestrator,
    Double::Tools,
    Double::Memory,
    Double::Init,
    Double::Sandbox,
];

impl Doubles {
    /// Starts `services` with their sockets in `run` (made when missing), state in `state`.
    ///
    /// # Errors
    /// A socket or the audit log cannot be opened.
    pub async fn start(
        run: &Path,
        state: &Path,
        clock: Arc<dyn Clock>,
        services: &[Double],
    ) -> Result<Self, Box<dyn std::error::Error>> {
        std::fs::create_dir_all(run)?;
        std::fs::create_dir_all(state)?;
        let world = World::new(&state.join("guard").join("audit"), clock)?;
        let tasks = Tasks::new();
        for service in services {
            let (name, routes) = Self::routes(*service, &world, &tasks);
            let listener = rpc::listen(name, &run.join(format!("{name}.sock")), 0o600)?;
            let serving = rpc::serve(listener, routes, &[], tasks.token());
            tasks.spawn("double", async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a double ended");
                }
            });
        }
        Ok(Self {
            run: run.to_owned(),
            tasks,
        })
    }

    fn routes(service: Double, world: &Arc<World>, tasks: &Tasks) -> (&'static str, Routes) {
        let (world, tasks) = (world.clone(), tasks.clone());
        match service {
            Double::Guard => {
                let double = guard::GuardDouble { world, tasks };
                (
                    "guard",
                    Routes::new(guard_v1::guard_server::GuardServer::new(double)),
                )
            }
            Double::Orchestrator => {
                let double = orchestrator::OrchestratorDouble { world, tasks };
                (
                    "orchestrator",
                    Routes::new(orchestrator_v1::orchestrator_server::OrchestratorServer::new(
                        double,
                    )),
                )
            }
            Double::Tools => (
                "tools",
                Routes::new(tools_v1::tool_registry_server::ToolRegistryServer::new(
                    others::ToolsDouble,
                )),
            ),
            Double::Memory => (
                "memory",
                Routes::new(memory_v1::memory_server::MemoryServer::new(others::MemoryDouble)),
            ),
            Double::Init => (
                "init",
                Routes::new(init_v1::init_server::InitServer::new(others::InitDouble)),
            ),
            Double::Sandbox => (
                "sandbox",
                Routes::new(sandbox_v1::sandbox_server::SandboxServer::new(
                    others::SandboxDouble,
                )),
            ),
        }
    }

    /// The directory of their sockets.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// Ends them, and says whether all ended in time.
    pub async fn stop(&self) -> bool {
        self.tasks.shutdown(Duration::from_secs(5)).await
    }
}

/// A coded status, as the real services send them.
pub(crate) fn refusal(class: Class, code: &str, message: &str, next_step: &str) -> Status {
    let report = Report {
        code: code.to_owned(),
        message: message.to_owned(),
        next_step: next_step.to_owned(),
    };
    rpc::status_of_report(&report, class)
}

fn not_found(what: &str) -> Status {
    refusal(
        Class::NotFound,
        "AIOS-DOUBLE-0001",
        &format!("there is no {what}"),
        "list what there is",
    )
}

fn not_offered() -> Status {
    refusal(
        Class::Unimplemented,
        "AIOS-DOUBLE-0002",
        "the double does not do this",
        "use the real service",
    )
}
