//! How long a call may work, and whether somebody ended it. Every loop of a tool asks, so that a
//! timeout ends the work and not only the waiting for it.
//!
//! It cannot end a system call that hangs in the kernel.

use crate::error::ToolError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time left and the wish to go on. Clones share the wish.
#[derive(Debug, Clone)]
pub struct Budget {
    deadline: Instant,
    allowed_ms: u64,
    cancelled: Arc<AtomicBool>,
}

impl Budget {
    /// A budget of `ms` milliseconds from now.
    pub fn of_ms(ms: u64) -> Self {
        Self {
            deadline: Instant::now() + Duration::from_millis(ms),
            allowed_ms: ms,
            cancelled: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Ends the work at its next check.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Time left; nothing once it was cancelled.
    pub fn left(&self) -> Duration {
        if self.cancelled.load(Ordering::SeqCst) {
            return Duration::ZERO;
        }
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`ToolError::Cancelled`] or [`ToolError::TimedOut`].
    pub fn check(&self) -> Result<(), ToolError> {
        if self.cancelled.load(Ordering::SeqCst) {
            return Err(ToolError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(ToolError::TimedOut {
                allowed_ms: self.allowed_ms,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_time_is_up_or_somebody_cancels() {
        assert!(matches!(
            Budget::of_ms(0).check(),
            Err(ToolError::TimedOut { allowed_ms: 0 })
        ));
        let budget = Budget::of_ms(60_000);
        assert!(budget.check().is_ok());
        budget.clone().cancel();
        assert!(matches!(budget.check(), Err(ToolError::Cancelled)));
    }
}
