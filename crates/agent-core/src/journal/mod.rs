//! The journal of goals: the one truth about them. Its thread owns the database; everyone else holds
//! a [`Journal`] and sends it work. The queue is bounded: when it is full, callers wait.
//!
//! Not for reading around it: other processes see goals only through the service.

mod schedules;
mod schema;
mod store;

pub use schedules::Settled;
pub use store::{Recorded, Store, Submission};

use crate::error::Error;
use crate::model::Goal;
use crate::model::event::Event;
use crate::model::remedy::Book;
use crate::model::state::GoalState;
use aios_core::id::GoalId;
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Work that may wait for the journal's thread.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A handle on the journal. Cheap to clone; the thread ends when the last one is gone.
#[derive(Clone)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    last_seq: watch::Receiver<u64>,
}

impl Journal {
    /// Starts the journal's thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(store: Store) -> Result<(Self, JoinHandle<()>), Error> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let (announce, last_seq) = watch::channel(store.last_seq());
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .stack_size(1 << 20)
            .spawn(move || {
                let mut store = store;
                while let Some(job) = queue.blocking_recv() {
                    job(&mut store);
                    announce
                        .send_if_modified(|seq| std::mem::replace(seq, store.last_seq()) != store.last_seq());
                }
            })
            .map_err(|source| Error::Io {
                what: "starting the journal's thread".to_owned(),
                source,
            })?;
        Ok((Self { jobs, last_seq }, thread))
    }

    async fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let result = work(store);
            // The asker may have gone away; what was stored stays stored.
            drop(answer.send(result));
        });
        self.jobs.send(job).await.map_err(|_| Error::JournalClosed)?;
        answered.await.map_err(|_| Error::JournalClosed)?
    }

    /// See [`Store::submit`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit(&self, id: GoalId, event: Event) -> Result<(Goal, Submission), Error> {
        self.ask(move |store| store.submit(id, &event)).await
    }

    /// See [`Store::append`].
    ///
    /// # Errors
    /// As there.
    pub async fn append(&self, id: GoalId, events: Vec<Event>) -> Result<Goal, Error> {
        self.ask(move |store| store.append(id, &events)).await
    }

    /// See [`Store::goal`].
    ///
    /// # Errors
    /// As there.
    pub async fn goal(&self, id: GoalId) -> Result<Goal, Error> {
        self.ask(move |store| store.goal(id)).await
    }

    /// The goal named by a whole id or a part of it.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub async fn find(&self, part: &str) -> Result<Goal, Error> {
        let part = part.to_owned();
        self.ask(move |store| store.find(&part).and_then(|id| store.goal(id)))
            .await
    }

    /// See [`Store::book`].
    ///
    /// # Errors
    /// As there.
    pub async fn book(&self, id: GoalId) -> Result<Option<Book>, Error> {
        self.ask(move |store| store.book(id)).await
    }

    /// See [`Store::list`].
    ///
    /// # Errors
    /// As there.
    pub async fn list(&self, limit: u32, states: Vec<GoalState>) -> Result<Vec<Goal>, Error> {
        self.ask(move |store| store.list(limit, &states)).await
    }

    /// See [`Store::unfinished`].
    ///
    /// # Errors
    /// As there.
    pub async fn unfinished(&self) -> Result<Vec<GoalId>, Error> {
        self.ask(|store| store.unfinished()).await
    }

    /// See [`Store::counts`].
    ///
    /// # Errors
    /// As there.
    pub async fn counts(&self) -> Result<BTreeMap<String, u32>, Error> {
        self.ask(|store| store.counts()).await
    }

    /// See [`Store::events`].
    ///
    /// # Errors
    /// As there.
    pub async fn events(&self, goal: Option<GoalId>, from: u64, limit: u32) -> Result<Vec<Recorded>, Error> {
        self.ask(move |store| store.events(goal, from, limit)).await
    }

    /// Number of the newest event, and word of every newer one.
    pub fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }
}
