//! The `aios.sandbox.v1.Sandbox` rpcs and who may call them.

use aios_auth::peer::check_unconfined;
use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::rpc::{Peer, Refusals, Refused, peer_of, status};
use aios_proto::sandbox::v1::sandbox_server::Sandbox;
use aios_proto::sandbox::v1::{
    AgentContainer, AgentRequest, ListAgentsRequest, ListAgentsResponse, LogChunk, LogsRequest,
    RunAgentRequest, StatusRequest, StatusResponse,
};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use tonic::{Request, Response, Status};

use crate::agent::Gate;
use crate::error::SandboxError;
use crate::fleet::Fleet;
use crate::podman::{Client, LogStream};

/// Lines of output when the caller names none.
const LAST: u32 = 100;

/// Who may run, freeze, stop and listen to agents.
#[derive(Debug, Clone)]
pub struct Callers {
    /// The orchestrator's uid; none where the user does not exist.
    pub orchestrator: Option<u32>,
    /// Directory that holds one directory an enrolled person, named by uid and owned by them.
    pub persons: PathBuf,
}

impl Callers {
    /// From the machine's users; `orchestrator` is a user's name or number.
    pub fn new(paths: &Paths, orchestrator: &str) -> Self {
        Self {
            orchestrator: uid_of(orchestrator),
            persons: paths.state.join("persons"),
        }
    }

    /// A person's uid is not enough: a process that agents, tools or workers started may have got hold
    /// of it.
    fn check(&self, peer: &Peer, action: &'static str) -> Result<(), SandboxError> {
        if Some(peer.uid) == self.orchestrator && peer.uid != 0 {
            return Ok(());
        }
        if peer.uid != 0 && !self.is_person(peer.uid) {
            let uid = peer.uid;
            return Err(SandboxError::Forbidden { uid, action });
        }
        Ok(check_unconfined(peer)?)
    }

    fn is_person(&self, uid: u32) -> bool {
        fs::symlink_metadata(self.persons.join(uid.to_string()))
            .is_ok_and(|it| it.is_dir() && it.uid() == uid)
    }
}

fn uid_of(user: &str) -> Option<u32> {
    if let Ok(uid) = user.parse() {
        return Some(uid);
    }
    match nix::unistd::User::from_name(user) {
        Ok(found) => found.map(|found| found.uid.as_raw()),
        Err(error) => {
            tracing::error!(%error, user, "a user cannot be looked up");
            None
        }
    }
}

/// The rpcs.
pub struct SandboxService {
    fleet: Arc<Fleet>,
    podman: Client,
    callers: Callers,
    refusals: Refusals,
}

impl SandboxService {
    /// On top of the fleet; every caller that is refused is noted with `refusals`.
    pub fn new(fleet: Arc<Fleet>, podman: Client, callers: Callers, refusals: Refusals) -> Self {
        Self {
            fleet,
            podman,
            callers,
            refusals,
        }
    }

    fn check<T>(&self, request: &Request<T>, rpc: &'static str, action: &'static str) -> Result<(), Status> {
        let peer = peer_of(request);
        let checked = peer
            .ok_or(SandboxError::NoPeer)
            .and_then(|peer| self.callers.check(peer, action));
        checked.map_err(|error| {
            // Nobody waits for the record, least of all the caller.
            drop(self.refusals.note(Refused {
                uid: peer.map(|peer| peer.uid),
                rpc,
                check: "peer",
                goal_id: String::new(),
                report: Report::of(&error),
            }));
            status(&error)
        })
    }
}

fn answer(result: Result<AgentContainer, SandboxError>) -> Result<Response<AgentContainer>, Status> {
    result.map(Response::new).map_err(|error| status(&error))
}

#[tonic::async_trait]
impl Sandbox for SandboxService {
    type LogsStream = BoxStream<'static, Result<LogChunk, Status>>;

    async fn run_agent(&self, request: Request<RunAgentRequest>) -> Result<Response<AgentContainer>, Status> {
        self.check(&request, "RunAgent", "run agents")?;
        answer(self.fleet.run(&request.get_ref().kind).await)
    }

    async fn list_agents(
        &self,
        _: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        Ok(Response::new(ListAgentsResponse {
            agents: self.fleet.list(),
        }))
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        self.check(&request, "Logs", "read what agents print")?;
        let LogsRequest {
            agent_id,
            last,
            follow,
        } = request.into_inner();
        let container = self
            .fleet
            .show(&agent_id)
            .map_err(|error| status(&error))?
            .container_id;
        if container.is_empty() {
            let error = SandboxError::State {
                id: agent_id,
                state: "not started yet",
                action: "read",
            };
            return Err(status(&error));
        }
        let last = if last == 0 { LAST } else { last };
        let logs = self.podman.logs(&container, last, follow).await;
        let logs = logs.map_err(|error| status(&SandboxError::from(error)))?;
        Ok(Response::new(stream::unfold(Some(logs), next_chunk).boxed()))
    }

    async fn freeze_agent(&self, request: Request<AgentRequest>) -> Result<Response<AgentContainer>, Status> {
        self.check(&request, "FreezeAgent", "freeze agents")?;
        answer(self.fleet.freeze(&request.get_ref().agent_id).await)
    }

    async fn thaw_agent(&self, request: Request<AgentRequest>) -> Result<Response<AgentContainer>, Status> {
        self.check(&request, "ThawAgent", "thaw agents")?;
        answer(self.fleet.thaw(&request.get_ref().agent_id).await)
    }

    async fn stop_agent(&self, request: Request<AgentRequest>) -> Result<Response<AgentContainer>, Status> {
        self.check(&request, "StopAgent", "stop agents")?;
        answer(self.fleet.stop(&request.get_ref().agent_id).await)
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (podman_version, problem) = match self.podman.version().await {
            Ok(version) => (version, String::new()),
            Err(error) => (String::new(), error.to_string()),
        };
        let enforced = self.fleet.enforced();
        Ok(Response::new(StatusResponse {
            podman_version,
            problem,
            limits_enforced: enforced.limits(),
            degradations: enforced.degradations.clone(),
            doors_closed: self.fleet.gate() != Gate::Open,
        }))
    }
}

async fn next_chunk(logs: Option<LogStream>) -> Option<(Result<LogChunk, Status>, Option<LogStream>)> {
    let mut logs = logs?;
    match logs.next().await {
        Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(logs))),
        Err(error) => Some((
            Err(Status::unavailable(format!("the output broke off: {error}"))),
            None,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_the_orchestrator_and_enrolled_persons_manage_agents() {
        let root = tempfile::tempdir().unwrap();
        let me = nix::unistd::geteuid().as_raw();
        fs::create_dir(root.path().join(me.to_string())).unwrap();
        // A directory that somebody else owns enrols nobody.
        fs::create_dir(root.path().join("4242")).unwrap();
        let callers = Callers {
            orchestrator: Some(783),
            persons: root.path().to_owned(),
        };
        for (uid, may) in [
            (0, true),
            (783, true),
            (me, true),
            (4242, me == 4242),
            (787, false),
        ] {
            let peer = Peer {
                uid,
                gid: uid,
                pid: i32::try_from(std::process::id()).unwrap(),
                pidfd: None,
            };
            assert_eq!(callers.check(&peer, "run agents").is_ok(), may, "uid {uid}");
        }
    }
}
