//! The points at which services can be killed, by service: before and after intent, snapshot, effect,
//! outcome, commit and answer.

/// Points of the guard.
pub const GUARD: &[&str] = &[
    "guard.before_intent",
    "guard.after_intent",
    "guard.before_outcome",
    "guard.after_outcome",
];

/// Points of the tool service.
pub const TOOLS: &[&str] = &[
    "tools.before_authorize",
    "tools.after_authorize",
    "tools.after_execute",
    "tools.before_outcome",
    "tools.after_outcome",
    "tools.before_answer",
];

/// Points of the fs worker.
pub const WORKER: &[&str] = &[
    "worker.fs.before_snapshot",
    "worker.fs.after_snapshot",
    "worker.fs.before_effect",
    "worker.fs.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.before_commit",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

/// Points of the orchestrator.
pub const ORCHESTRATOR: &[&str] = &[
    "orch.before_commit",
    "orch.after_commit",
    "orch.before_step",
    "orch.after_step",
    "orch.before_call",
    "orch.after_call",
    "orch.before_answer",
];
