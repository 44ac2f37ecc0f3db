//! `aiosctl agent …`

use aios_client::system::AgentView;
use aios_client::{Failure, Kind};
use aios_proto::sandbox::v1::{AgentRequest, ListAgentsRequest, LogsRequest};
use serde_json::json;
use tokio_stream::StreamExt;

use super::Ended;
use crate::args::{Agent, Lines};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::render::text::printable;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Agent, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Agent::List => list(instance, terminal).await,
        Agent::Show { id } => {
            let found = all(instance)
                .await?
                .into_iter()
                .find(|agent| agent.agent_id == id);
            one(&found.ok_or_else(|| unknown(&id))?, terminal)
        }
        Agent::Logs { id, lines } => logs(id, lines, instance, terminal).await,
        Agent::Freeze { id } => {
            let agent = instance
                .services
                .sandbox()
                .await?
                .freeze_agent(AgentRequest { agent_id: id })
                .await?;
            one(&agent.into_inner().into(), terminal)
        }
        Agent::Thaw { id } => {
            let agent = instance
                .services
                .sandbox()
                .await?
                .thaw_agent(AgentRequest { agent_id: id })
                .await?;
            one(&agent.into_inner().into(), terminal)
        }
    }
}

/// All agents.
pub(crate) async fn all(instance: &Instance) -> Result<Vec<AgentView>, Failure> {
    let agents = instance
        .services
        .sandbox()
        .await?
        .list_agents(ListAgentsRequest {})
        .await?
        .into_inner()
        .agents;
    Ok(agents.into_iter().map(Into::into).collect())
}

async fn list(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let agents = all(instance).await?;
    if terminal.json() {
        terminal.document(&agents);
    } else {
        render::system::agents(terminal, &agents);
    }
    Ok(Exit::Done)
}

fn one(agent: &AgentView, terminal: &mut Terminal) -> Ended {
    if terminal.json() {
        terminal.document(agent);
    } else {
        render::system::agent(terminal, agent);
    }
    Ok(Exit::Done)
}

async fn logs(id: String, lines: Lines, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = LogsRequest {
        agent_id: id,
        last: lines.last,
        follow: lines.follow,
    };
    let mut stream = instance
        .services
        .sandbox()
        .await?
        .logs(request)
        .await?
        .into_inner();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if terminal.json() {
            terminal.json_line(&json!({ "stream": chunk.stream, "text": chunk.text }));
        } else {
            terminal.raw(printable(&chunk.text).as_bytes());
            if !chunk.text.ends_with('\n') {
                terminal.raw(b"\n");
            }
        }
    }
    Ok(Exit::Done)
}

fn unknown(id: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        "AIOS-CLI-0004",
        format!("there is no agent {id}"),
        "see `aiosctl agent list` for those that there are",
    )
}
