//! What the end-to-end tests share: the running instance, seen only through `aiosctl`, and exact pictures of file trees.
//!
//! The instance is the one of `$AIOS_STATE`, started by `make up`. Without `AIOS_E2E=1` the tests say that they were
//! skipped and end; with it, a missing instance is a failure.

pub mod containers;
pub mod ctl;
pub mod tree;

/// Services of an instance, sorted.
pub const SERVICES: &[&str] = &[
    "aios-console",
    "aios-guard",
    "aios-memory",
    "aios-orchestrator",
    "aios-sandbox",
    "aios-tools",
    "aios-worker-fs",
    "aios-worker-host",
    "aios-worker-net",
    "aios-worker-os",
    "aios-worker-pkg",
    "aios-worker-process",
    "aios-worker-sec",
    "aios-worker-service",
];

/// The running instance, or nothing when these tests were not asked for.
pub fn instance() -> Option<ctl::Instance> {
    if std::env::var_os("AIOS_E2E").is_none() {
        eprintln!("SKIPPED: `make test-system` starts an instance and runs this with AIOS_E2E=1");
        return None;
    }
    Some(at_state())
}

/// The running instance of `$AIOS_STATE`.
///
/// # Panics
/// There is none.
pub fn at_state() -> ctl::Instance {
    let state = std::env::var_os("AIOS_STATE").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.aios"),
        std::path::PathBuf::from,
    );
    let instance = ctl::Instance::at(&state.canonicalize().expect("an instance: run `make up`"));
    instance.cancel_leftovers();
    instance
}
