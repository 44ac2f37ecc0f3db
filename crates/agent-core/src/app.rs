//! Putting the orchestrator together, and taking it apart again.

use crate::callers::{self, Callers};
use crate::clients::Clients;
use crate::config::Config;
use crate::core::{Core, FreshIds};
use crate::engine::Engine;
use crate::error::Error;
use crate::guard_view::GuardView;
use crate::journal::{Journal, Store};
use crate::locks::{Locks, Resource};
use crate::router::Router;
use crate::schedule::Schedules;
use crate::service::Service;
use crate::{projection, runbook, trigger};
use aios_auth::peer::{Roles, Users};
use aios_core::clock::SystemClock;
use aios_core::id::GoalId;
use aios_core::paths::Paths;
use aios_core::service::Failure;
use aios_core::tasks::{self, Tasks};
use aios_core::{config, ready, rpc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::Routes;

/// Time that sessions and calls are given to end.
const GRACE: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Configuration, runbooks, journal or socket are not usable; all of them are read before anything
/// is served.
pub async fn run(paths: Paths) -> Result<(), Failure> {
    let settings: Config = config::load(&paths, "orchestrator")?;
    let users: Users = config::load(&paths, "users")?;
    let roles = Roles::resolve(&users)?;
    let runbooks = runbook::load(&paths).map_err(Error::from)?;
    let triggers = trigger::load(&paths).map_err(Error::from)?;
    let directory = paths.state_of("orchestrator");
    std::fs::create_dir_all(&directory).map_err(|source| Error::Io {
        what: format!("making {}", directory.display()),
        source,
    })?;
    let store = Store::open(&directory.join("journal.db"), Arc::new(SystemClock))?;
    let listener = rpc::listen("orchestrator", &paths.socket("orchestrator"), 0o660)?;

    let owner = Tasks::new();
    let (journal, thread) = Journal::start(store)?;
    let clients = Clients::new(&paths);
    let locks = Locks::new(held(&journal).await?);
    let refusals = callers::refusals(&clients, owner.clone());
    let callers = Callers::new(roles, clients.clone(), refusals.clone());
    let core = Arc::new(Core {
        guard_view: GuardView::start(clients.clone(), &settings, &owner),
        router: Router::start(&owner),
        clients,
        journal,
        refusals,
        locks,
        runbooks,
        vendor: paths.vendor.clone(),
        triggers,
        config: settings,
        clock: Arc::new(SystemClock),
        ids: Arc::new(FreshIds),
        tasks: owner.clone(),
    });
    let engine = Engine::start(&core).await?;
    projection::start(&core);
    let schedules = Schedules::start(&core, &engine);
    trigger::watch::start(&core, &engine);
    let service = Service::new(core, engine, callers, schedules);
    let routes = Routes::new(service.orchestrator()).add_service(service.agent_session());
    let names = ["aios.orchestrator.v1.Orchestrator", "aios.agent.v1.AgentSession"];
    let server = rpc::serve(listener, routes, &names, owner.token());
    tokio::pin!(server);
    ready::notify().map_err(Failure::system(
        "telling the supervisor that the service is ready",
    ))?;
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        ended = tasks::termination() => ended.map_err(Failure::system("watching for signals"))?,
    }
    if let Err(error) = ready::stopping() {
        tracing::warn!(%error, "the supervisor could not be told");
    }
    let (all, served) = tokio::join!(owner.shutdown(GRACE), tokio::time::timeout(GRACE, server));
    if !all || served.is_err() {
        tracing::warn!("some calls did not end in time; the journal knows where they stand");
    }
    if thread.is_finished() {
        tracing::error!("the journal ended before the service did");
    }
    Ok(())
}

/// What the goals hold that an earlier process left unfinished.
async fn held(journal: &Journal) -> Result<BTreeMap<GoalId, Vec<Resource>>, Error> {
    let mut held = BTreeMap::new();
    for id in journal.unfinished().await? {
        let goal = journal.goal(id).await?;
        if !goal.holds.is_empty() {
            held.insert(id, goal.holds);
        }
    }
    Ok(held)
}
