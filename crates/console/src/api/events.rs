//! Live events of a goal, as server-sent events.
//!
//! The id of an event is its number in the journal, so a browser that lost the connection goes on
//! after the last one it saw (`Last-Event-ID`) and misses and repeats nothing. When the goal has
//! ended an event `end` says so; a stream that ends without it was broken, and the browser comes back.

use std::convert::Infallible;
use std::time::Duration;

use aios_client::goal::{ErrorView, EventView, GoalStateView};
use aios_proto::orchestrator::v1::{GetGoalRequest, WatchGoalsRequest};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::Console;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::session::Person;

/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_millis(1000);
/// A comment this often keeps idle connections open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to start.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct From {
    /// First event wanted; `Last-Event-ID` goes before it.
    from: Option<u64>,
}

/// Events of a goal: those that there are, then each as it happens.
#[utoipa::path(get, path = "/api/goals/{id}/events", tag = "goals", params(("id" = String, Path, description = "Goal"), From), responses(
    (status = 200, content_type = "text/event-stream", body = EventView), (status = 401, body = ErrorView), (status = 503, body = ErrorView)))]
pub(crate) async fn events(
    State(console): State<Console>,
    _: Person,
    Id(goal_id): Id,
    Params(from): Params<From>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let permit = console.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "AIOS-CONSOLE-0033",
            "too many live streams are open",
            "close other windows of the console",
        )
    })?;
    let from_seq = first_wanted(&headers, &from)?;
    let request = WatchGoalsRequest {
        goal_id: goal_id.clone(),
        from_seq,
        follow: true,
    };
    let watch = console
        .services
        .orchestrator()
        .await?
        .watch_goals(request)
        .await?
        .into_inner();
    let stopping = console.tasks.token().cancelled_owned();
    let events = sse(console, goal_id, watch, permit).take_until(stopping);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn first_wanted(headers: &HeaderMap, from: &From) -> Result<u64, ApiError> {
    let Some(last) = headers.get("last-event-id") else {
        return Ok(from.from.unwrap_or(1));
    };
    let last: Option<u64> = last.to_str().ok().and_then(|text| text.parse().ok());
    last.map(|last| last.saturating_add(1)).ok_or_else(|| {
        ApiError::bad(
            "AIOS-CONSOLE-0034",
            "Last-Event-ID is no event number",
            "leave it out to start at the first event",
        )
    })
}

struct Watch {
    console: Console,
    goal_id: String,
    events: tonic::Streaming<aios_proto::orchestrator::v1::GoalEvent>,
    // Held as long as the stream lives.
    _permit: OwnedSemaphorePermit,
}

fn sse(
    console: Console,
    goal_id: String,
    events: tonic::Streaming<aios_proto::orchestrator::v1::GoalEvent>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let watch = Watch {
        console,
        goal_id,
        events,
        _permit: permit,
    };
    futures_util::stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.events.message().await {
            Ok(Some(event)) => Some((Ok(data(&EventView::from(event))), Some(watch))),
            Ok(None) => watch.end().await.map(|event| (Ok(event), None)),
            Err(status) => {
                tracing::info!(goal = watch.goal_id, %status, "a live stream broke; the browser comes back");
                None
            }
        }
    })
}

impl Watch {
    /// The closing event, when the goal has really ended.
    async fn end(&self) -> Option<Event> {
        let request = GetGoalRequest {
            goal_id: self.goal_id.clone(),
        };
        let goal = self
            .console
            .services
            .orchestrator()
            .await
            .ok()?
            .get_goal(request)
            .await
            .ok()?
            .into_inner()
            .goal?;
        let state = GoalStateView::from(goal.state());
        state
            .ended()
            .then(|| Event::default().event("end").data(state.word()))
    }
}

fn data(event: &EventView) -> Event {
    let text = serde_json::to_string(event).unwrap_or_default();
    Event::default()
        .event("goal")
        .id(event.seq.to_string())
        .retry(RETRY)
        .data(text)
}
