//! Deny tests: see `tests/`. The library is empty; the package's program `deny-probe` is what a captured
//! process would run.
#![forbid(unsafe_code)]
