//! The operational tier: the newest events of the services, in RAM. Bounded by number and by size;
//! what falls out is counted, so that a reader knows that something is missing.

use aios_proto::memory::v1::OperationalEvent;
use std::collections::VecDeque;

/// Most bytes of text in the ring.
const MAX_BYTES: usize = 4 << 20;

/// A bounded queue of events.
#[derive(Debug)]
pub struct Ring {
    events: VecDeque<OperationalEvent>,
    capacity: usize,
    bytes: usize,
    dropped: u64,
}

impl Ring {
    /// A ring for `capacity` events, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            events: VecDeque::new(),
            capacity: capacity.max(1),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Adds an event; the oldest fall out when there is no room.
    pub fn push(&mut self, event: OperationalEvent) {
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > 1 && (self.events.len() > self.capacity || self.bytes > MAX_BYTES) {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= size(&oldest);
                self.dropped += 1;
            }
        }
    }

    /// Events of a source, or of all when it is empty; newest first.
    pub fn recent(&self, limit: usize, source: &str) -> Vec<OperationalEvent> {
        self.events
            .iter()
            .rev()
            .filter(|event| source.is_empty() || event.source == source)
            .take(limit)
            .cloned()
            .collect()
    }

    /// How many events are in it.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many it can take.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many have fallen out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn size(event: &OperationalEvent) -> usize {
    event.source.len() + event.kind.len() + event.message.len() + event.details_json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(source: &str, message: &str) -> OperationalEvent {
        OperationalEvent {
            source: source.to_owned(),
            message: message.to_owned(),
            ..OperationalEvent::default()
        }
    }

    #[test]
    fn the_oldest_falls_out_and_is_counted() {
        let mut ring = Ring::new(2);
        for message in ["one", "two", "three"] {
            ring.push(event("tools", message));
        }
        let messages: Vec<String> = ring
            .recent(10, "")
            .into_iter()
            .map(|event| event.message)
            .collect();
        assert_eq!(messages, ["three", "two"]);
        assert_eq!(ring.dropped(), 1);
    }

    #[test]
    fn big_events_push_out_more_than_one() {
        let mut ring = Ring::new(100);
        for _ in 0..3 {
            ring.push(event("tools", &"x".repeat(MAX_BYTES / 2)));
        }
        assert!(ring.len() < 3);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted(sizes in proptest::collection::vec(0_usize..2000, 0..300), capacity in 0_usize..50) {
            let mut ring = Ring::new(capacity);
            for size in &sizes {
                ring.push(event("a", &"x".repeat(*size)));
            }
            prop_assert_eq!(ring.len() as u64 + ring.dropped(), sizes.len() as u64);
            prop_assert!(ring.len() <= ring.capacity());
        }
    }
}
