//! The gRPC surface of memory.

use crate::error::Error;
use crate::ring::Ring;
use crate::working::Working;
use aios_auth::peer::{self, PeerError, Role, Roles};
use aios_core::{failpoint, rpc};
use aios_proto::memory::v1 as api;
use aios_proto::memory::v1::memory_server::Memory;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Request, Response, Status};

/// Most events in one projection or answer.
const MAX_EVENTS: u32 = 1000;
/// Longest text of an operational event, bytes.
const MAX_TEXT: usize = 16 << 10;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    working: Arc<Mutex<Working>>,
    ring: Arc<Mutex<Ring>>,
    roles: Arc<Roles>,
}

impl Service {
    /// A service over both tiers.
    pub fn new(working: Working, ring: Ring, roles: Roles) -> Self {
        Self {
            working: Arc::new(Mutex::new(working)),
            ring: Arc::new(Mutex::new(ring)),
            roles: Arc::new(roles),
        }
    }

    /// Work on the database, away from the threads that serve. The lock is never held across a wait.
    async fn database<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Working) -> Result<R, Error> + Send + 'static,
    ) -> Result<Response<R>, Status> {
        let working = Arc::clone(&self.working);
        let done = tokio::task::spawn_blocking(move || {
            let mut working = working.lock().map_err(|_| Error::Closed)?;
            work(&mut working)
        })
        .await;
        answer(done.unwrap_or(Err(Error::Closed)))
    }

    fn ring<R>(&self, work: impl FnOnce(&mut Ring) -> R) -> R {
        work(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn writer<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let writers = [Role::Root, Role::Orchestrator];
        self.roles
            .require(request, &writers)
            .map(|_| ())
            .map_err(|error| rpc::status(&error))
    }

    /// Any local client that is no confined process. Services are confined by design, and known by uid.
    fn reader<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let refuse = |error: PeerError| rpc::status(&error);
        let caller = peer::peer(request).map_err(refuse)?;
        if caller.uid != 0 && self.roles.is_service(caller.uid) {
            return Ok(());
        }
        peer::check_unconfined(caller).map_err(refuse)
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| rpc::status(&error))
}

fn bad(field: &'static str, problem: impl Into<String>) -> Status {
    rpc::status(&Error::field(field, problem))
}

fn limit(limit: u32) -> u32 {
    if limit == 0 { 100 } else { limit.min(MAX_EVENTS) }
}

/// JSON objects only: what is stored is read back by programs.
fn check_object(field: &'static str, text: &str) -> Result<(), Status> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(bad(field, format!("must be a JSON object: {error}"))),
    }
}

#[tonic::async_trait]
impl Memory for Service {
    async fn project(
        &self,
        request: Request<api::ProjectRequest>,
    ) -> Result<Response<api::ProjectResponse>, Status> {
        self.writer(&request)?;
        let events = request.into_inner().events;
        if events.len() > MAX_EVENTS as usize {
            return Err(bad(
                "events",
                format!("{} at once; {MAX_EVENTS} are the most", events.len()),
            ));
        }
        for event in &events {
            if event.seq == 0 || event.kind.is_empty() {
                return Err(bad("events", "each event has a seq from 1 and a kind"));
            }
            check_object("events.body_json", &event.body_json)?;
        }
        if events.is_sorted_by(|one, next| one.seq < next.seq) {
            let done = self
                .database(move |working| {
                    working
                        .project(&events)
                        .map(|position| api::ProjectResponse { position })
                })
                .await;
            failpoint::hit("memory.before_answer");
            return done;
        }
        Err(bad("events", "must be ascending by seq"))
    }

    async fn get_position(
        &self,
        request: Request<api::GetPositionRequest>,
    ) -> Result<Response<api::GetPositionResponse>, Status> {
        self.reader(&request)?;
        self.database(|working| {
            Ok(api::GetPositionResponse {
                position: working.position(),
            })
        })
        .await
    }

    async fn query_working(
        &self,
        request: Request<api::QueryWorkingRequest>,
    ) -> Result<Response<api::QueryWorkingResponse>, Status> {
        self.reader(&request)?;
        let filter = request.into_inner();
        self.database(move |working| {
            let events = working.query(&filter.goal_id, &filter.kind, limit(filter.limit))?;
            Ok(api::QueryWorkingResponse { events })
        })
        .await
    }

    async fn observe(
        &self,
        request: Request<api::ObserveRequest>,
    ) -> Result<Response<api::ObserveResponse>, Status> {
        let peer = peer::peer(&request).map_err(|error| rpc::status(&error))?;
        if peer.uid != 0 && !self.roles.is_service(peer.uid) {
            let caller = self.roles.name(peer.uid);
            let refused = PeerError::NotAllowed {
                caller,
                wanted: "a service of aiOS".to_owned(),
            };
            return Err(rpc::status(&refused));
        }
        let Some(mut event) = request.into_inner().event else {
            return Err(bad("event", "is missing"));
        };
        if event.source.is_empty() || event.kind.is_empty() {
            return Err(bad("event", "has a source and a kind"));
        }
        let texts = [&event.source, &event.kind, &event.message, &event.details_json];
        if texts.iter().any(|text| text.len() > MAX_TEXT) {
            return Err(bad(
                "event",
                format!("no text of it is longer than {MAX_TEXT} bytes"),
            ));
        }
        if event.details_json.is_empty() {
            "{}".clone_into(&mut event.details_json);
        }
        check_object("event.details_json", &event.details_json)?;
        let dropped = self.ring(|ring| {
            ring.push(event);
            ring.dropped()
        });
        Ok(Response::new(api::ObserveResponse { dropped }))
    }

    async fn recent(
        &self,
        request: Request<api::RecentRequest>,
    ) -> Result<Response<api::RecentResponse>, Status> {
        self.reader(&request)?;
        let filter = request.into_inner();
        let most = usize::try_from(limit(filter.limit)).unwrap_or(usize::MAX);
        let events = self.ring(|ring| ring.recent(most, &filter.source));
        Ok(Response::new(api::RecentResponse { events }))
    }

    async fn stats(
        &self,
        request: Request<api::StatsRequest>,
    ) -> Result<Response<api::StatsResponse>, Status> {
        self.reader(&request)?;
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (events, capacity, dropped) =
            self.ring(|ring| (number(ring.len()), number(ring.capacity()), ring.dropped()));
        self.database(move |working| {
            Ok(api::StatsResponse {
                working_events: working.count()?,
                operational_events: events,
                operational_capacity: capacity,
                operational_dropped: dropped,
            })
        })
        .await
    }
}
