//! Events as they happen, the current state first.

use crate::error::GuardError;
use crate::guard::Guard;
use aios_core::rpc;
use aios_proto::guard::v1::guard_event::Event;
use aios_proto::guard::v1::{GuardEvent, ListApprovalsRequest};
use futures_util::Stream;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tonic::Status;

/// Emergency state, pending approvals, then events. A follower that is too slow is cut off: it asks
/// again and gets the current state.
pub(crate) fn follow(guard: Arc<Guard>) -> impl Stream<Item = Result<GuardEvent, Status>> + Send {
    async_stream::try_stream! {
        let mut events = guard.events.subscribe();
        for event in current(&guard).map_err(|error| rpc::status(&error))? {
            yield event;
        }
        loop {
            match events.recv().await {
                Ok(event) => yield event,
                Err(RecvError::Lagged(_)) => Err(Status::data_loss("this follower was too slow; connect again"))?,
                Err(RecvError::Closed) => break,
            }
        }
    }
}

fn current(guard: &Guard) -> Result<Vec<GuardEvent>, GuardError> {
    let emergency = guard.state().trust.emergency().clone();
    let pending = ListApprovalsRequest {
        pending_only: true,
        goal_id: String::new(),
        limit: 1000,
    };
    let mut events = vec![GuardEvent {
        event: Some(Event::Emergency(emergency)),
    }];
    let approvals = guard.list_approvals(&pending)?;
    events.extend(approvals.into_iter().map(|approval| GuardEvent {
        event: Some(Event::Approval(approval)),
    }));
    Ok(events)
}
