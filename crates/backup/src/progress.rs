//! Telling how far long work is.

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub phase: &'static str,
    /// Bytes done.
    pub done: u64,
    /// Bytes altogether; 0 where that is not known.
    pub total: u64,
}

/// Hands steps to whoever shows them.
pub struct Progress<'a> {
    tell: &'a mut dyn FnMut(Step),
    step: Step,
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.step.fmt(f)
    }
}

impl<'a> Progress<'a> {
    /// Each step goes to `tell`.
    pub fn new(tell: &'a mut dyn FnMut(Step)) -> Self {
        let step = Step {
            phase: "",
            done: 0,
            total: 0,
        };
        Self { tell, step }
    }

    pub(crate) fn phase(&mut self, phase: &'static str) {
        self.begin(phase, 0);
    }

    pub(crate) fn begin(&mut self, phase: &'static str, total: u64) {
        self.step = Step {
            phase,
            done: 0,
            total,
        };
        (self.tell)(self.step);
    }

    pub(crate) fn done(&mut self, bytes: u64) {
        self.step.done = self.step.done.saturating_add(bytes);
        (self.tell)(self.step);
    }
}
