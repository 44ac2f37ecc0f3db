//! Waiting for a neighbour's answer without going to sleep for it.
//!
//! A service of this machine answers within a fraction of a millisecond, and waking a processor that went
//! to sleep meanwhile takes as long again, in every process that a call passes.

use futures_util::poll;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a processor is kept awake for an answer: longer than most take, and a five-thousandth of
/// what a second of it can do.
const AWAKE: Duration = Duration::from_micros(200);

/// Answers that this process waits for now.
static AWAITED: AtomicUsize = AtomicUsize::new(0);

/// Counts itself in [`AWAITED`] for as long as it lives.
struct Awaited;

impl Awaited {
    fn new() -> Self {
        AWAITED.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Whether this process waits for nothing else. With more to wait for there is more to do than wait.
    fn alone() -> bool {
        AWAITED.load(Ordering::Relaxed) == 1
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        AWAITED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Awaits an answer, for the first 200 µs with an open eye when it is the only one awaited.
pub async fn eagerly<F: Future>(answer: F) -> F::Output {
    let _awaited = Awaited::new();
    let mut answer = pin!(answer);
    let begun = Instant::now();
    while Awaited::alone() && begun.elapsed() < AWAKE {
        if let Poll::Ready(answer) = poll!(answer.as_mut()) {
            return answer;
        }
        // Everything else that is ready has its turn, and sockets are looked at.
        tokio::task::yield_now().await;
    }
    answer.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_through_early_and_late() {
        assert_eq!(eagerly(async { 1 }).await, 1);
        let late = async {
            tokio::time::sleep(AWAKE * 20).await;
            2
        };
        assert_eq!(eagerly(late).await, 2);
        let (one, other) = tokio::join!(
            eagerly(tokio::task::yield_now()),
            eagerly(tokio::time::sleep(AWAKE))
        );
        assert_eq!((one, other), ((), ()));
        drop(Box::pin(eagerly(std::future::pending::<()>())));
        assert_eq!(AWAITED.load(Ordering::Relaxed), 0);
    }
}
