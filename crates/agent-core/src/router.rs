//! Which agents are there, what they can do, and which of them is free.
//!
//! [`Pool`] decides and does no I/O; one task owns it and [`Router`] is the handle. Waiting for an
//! agent is a queue in the order of asking.

use crate::session::ToSession;
use aios_core::id::{AgentId, TaskId};
use aios_core::tasks::Tasks;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::sync::{mpsc, oneshot};

/// Messages that may wait for the pool's task; when full, senders wait.
const QUEUE: usize = 128;
/// Agents that are gone and still listed.
const REMEMBERED: usize = 64;

/// An agent as the pool knows it.
#[derive(Debug, Clone)]
pub struct AgentEntry {
    /// Instance.
    pub agent: AgentId,
    /// Kind.
    pub kind: String,
    /// Container.
    pub container_id: String,
    /// Declared skills.
    pub skills: Vec<String>,
    /// Most tasks at once.
    pub max_tasks: usize,
    /// Tasks it has.
    pub active: BTreeSet<TaskId>,
    /// Whether its session is open.
    pub connected: bool,
    /// Last word from it, UTC milliseconds.
    pub last_seen_ms: i64,
    /// Number of its session; a later session of the same agent takes the place of an earlier one.
    pub session: u64,
    /// The way to its session.
    pub door: mpsc::Sender<ToSession>,
}

/// An agent that has been given a task.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Instance.
    pub agent: AgentId,
    /// Kind.
    pub kind: String,
    /// Container.
    pub container_id: String,
    /// The way to its session.
    pub door: mpsc::Sender<ToSession>,
}

/// What a task wants of an agent.
#[derive(Debug, Clone)]
pub struct Want {
    /// The task.
    pub task: TaskId,
    /// Skill.
    pub skill: String,
    /// Kind.
    pub kind: String,
}

/// The agents. No I/O.
#[derive(Debug, Default)]
pub struct Pool {
    agents: BTreeMap<AgentId, AgentEntry>,
}

impl Pool {
    /// An agent's session opened.
    pub fn connect(&mut self, entry: AgentEntry) {
        self.agents.insert(entry.agent, entry);
        while self.agents.values().filter(|agent| !agent.connected).count() > REMEMBERED {
            let oldest = self
                .agents
                .values()
                .filter(|agent| !agent.connected)
                .min_by_key(|agent| agent.last_seen_ms)
                .map(|agent| agent.agent);
            match oldest {
                Some(oldest) => self.agents.remove(&oldest),
                None => break,
            };
        }
    }

    /// A session ended. One that was replaced by a later session says nothing about the agent.
    pub fn disconnect(&mut self, agent: AgentId, session: u64, now_ms: i64) {
        if let Some(entry) = self
            .agents
            .get_mut(&agent)
            .filter(|entry| entry.session == session)
        {
            entry.connected = false;
            entry.active.clear();
            entry.last_seen_ms = now_ms;
        }
    }

    /// A word from an agent.
    pub fn seen(&mut self, agent: AgentId, now_ms: i64) {
        if let Some(entry) = self.agents.get_mut(&agent) {
            entry.last_seen_ms = now_ms;
        }
    }

    /// Gives a task to the agent that fits and has the fewest tasks.
    pub fn take(&mut self, want: &Want) -> Option<Seat> {
        let entry = self
            .agents
            .values_mut()
            .filter(|agent| {
                agent.connected
                    && agent.kind == want.kind
                    && agent.active.len() < agent.max_tasks
                    && agent.skills.contains(&want.skill)
            })
            .min_by_key(|agent| agent.active.len())?;
        entry.active.insert(want.task);
        Some(Seat {
            agent: entry.agent,
            kind: entry.kind.clone(),
            container_id: entry.container_id.clone(),
            door: entry.door.clone(),
        })
    }

    /// A task is no longer with an agent.
    pub fn release(&mut self, agent: AgentId, task: TaskId) {
        if let Some(entry) = self.agents.get_mut(&agent) {
            entry.active.remove(&task);
        }
    }

    /// Agents that are there or were.
    pub fn list(&self) -> Vec<AgentEntry> {
        self.agents.values().cloned().collect()
    }
}

enum Ask {
    Connect(AgentEntry),
    Disconnect(AgentId, u64, i64),
    Seen(AgentId, i64),
    Take(Want, oneshot::Sender<Seat>),
    Release(AgentId, TaskId),
    List(oneshot::Sender<Vec<AgentEntry>>),
}

/// A handle on the pool. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    asks: mpsc::Sender<Ask>,
}

impl Router {
    /// Starts the pool's task.
    pub fn start(tasks: &Tasks) -> Self {
        let (asks, mut queue) = mpsc::channel(QUEUE);
        let end = tasks.token();
        tasks.spawn("router", async move {
            let mut pool = Pool::default();
            let mut waiting = VecDeque::new();
            loop {
                let ask = tokio::select! {
                    ask = queue.recv() => ask,
                    () = end.cancelled() => None,
                };
                let Some(ask) = ask else { break };
                answer(&mut pool, &mut waiting, ask);
                seat_waiting(&mut pool, &mut waiting);
            }
        });
        Self { asks }
    }

    async fn send(&self, ask: Ask) {
        if self.asks.send(ask).await.is_err() {
            tracing::debug!("the router has ended");
        }
    }

    /// An agent's session opened.
    pub async fn connect(&self, entry: AgentEntry) {
        self.send(Ask::Connect(entry)).await;
    }

    /// An agent's session ended.
    pub async fn disconnect(&self, agent: AgentId, session: u64, now_ms: i64) {
        self.send(Ask::Disconnect(agent, session, now_ms)).await;
    }

    /// A word from an agent.
    pub async fn seen(&self, agent: AgentId, now_ms: i64) {
        self.send(Ask::Seen(agent, now_ms)).await;
    }

    /// Asks for an agent; the answer comes when one is free. Dropping the receiver ends the wait.
    pub async fn take(&self, want: Want) -> oneshot::Receiver<Seat> {
        let (answer, answered) = oneshot::channel();
        self.send(Ask::Take(want, answer)).await;
        answered
    }

    /// A task is no longer with an agent.
    pub async fn release(&self, agent: AgentId, task: TaskId) {
        self.send(Ask::Release(agent, task)).await;
    }

    /// Agents that are there or were.
    pub async fn list(&self) -> Vec<AgentEntry> {
        let (answer, answered) = oneshot::channel();
        self.send(Ask::List(answer)).await;
        answered.await.unwrap_or_default()
    }
}

type Waiting = VecDeque<(Want, oneshot::Sender<Seat>)>;

fn answer(pool: &mut Pool, waiting: &mut Waiting, ask: Ask) {
    match ask {
        Ask::Connect(entry) => pool.connect(entry),
        Ask::Disconnect(agent, session, now_ms) => pool.disconnect(agent, session, now_ms),
        Ask::Seen(agent, now_ms) => pool.seen(agent, now_ms),
        Ask::Take(want, answer) => waiting.push_back((want, answer)),
        Ask::Release(agent, task) => pool.release(agent, task),
        Ask::List(answer) => drop(answer.send(pool.list())),
    }
}

fn seat_waiting(pool: &mut Pool, waiting: &mut Waiting) {
    waiting.retain(|(_, answer)| !answer.is_closed());
    for (want, answer) in std::mem::take(waiting) {
        match pool.take(&want) {
            Some(seat) => {
                if let Err(seat) = answer.send(seat) {
                    pool.release(seat.agent, want.task);
                }
            }
            None => waiting.push_back((want, answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(agent: AgentId, session: u64, max_tasks: usize) -> AgentEntry {
        AgentEntry {
            agent,
            kind: "maintenance_agent".to_owned(),
            container_id: String::new(),
            skills: vec!["maintenance.free_space".to_owned()],
            max_tasks,
            active: BTreeSet::new(),
            connected: true,
            last_seen_ms: 0,
            session,
            door: mpsc::channel(1).0,
        }
    }

    fn want(skill: &str) -> Want {
        Want {
            task: TaskId::new(),
            skill: skill.to_owned(),
            kind: "maintenance_agent".to_owned(),
        }
    }

    #[test]
    fn a_task_goes_only_to_an_agent_that_has_the_skill_and_room() {
        let mut pool = Pool::default();
        let agent = AgentId::new();
        pool.connect(entry(agent, 1, 1));
        assert!(pool.take(&want("network.configure")).is_none());
        let first = want("maintenance.free_space");
        assert_eq!(pool.take(&first).map(|seat| seat.agent), Some(agent));
        assert!(pool.take(&want("maintenance.free_space")).is_none());
        pool.release(agent, first.task);
        assert!(pool.take(&want("maintenance.free_space")).is_some());
    }

    #[test]
    fn the_end_of_a_replaced_session_does_not_end_the_new_one() {
        let mut pool = Pool::default();
        let agent = AgentId::new();
        pool.connect(entry(agent, 1, 1));
        pool.connect(entry(agent, 2, 1));
        pool.disconnect(agent, 1, 5);
        assert!(pool.take(&want("maintenance.free_space")).is_some());
        pool.disconnect(agent, 2, 6);
        assert!(pool.take(&want("maintenance.free_space")).is_none());
    }

    #[test]
    fn agents_that_are_gone_are_forgotten_in_the_end() {
        let mut pool = Pool::default();
        for number in 0..100 {
            let agent = AgentId::new();
            pool.connect(entry(agent, 1, 1));
            pool.disconnect(agent, 1, number);
        }
        assert!(pool.list().len() <= REMEMBERED + 1);
    }
}
