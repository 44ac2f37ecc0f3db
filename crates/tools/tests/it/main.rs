//! The tool service, the workers and the looking tools through their public interfaces.
//!
//! One binary: linking takes longer than most of these tests.
#![cfg(test)]

mod callers;
mod calls;
mod common;
mod crashes;
mod faults;
mod fs_changes;
mod fs_refused;
mod fs_undo;
mod host;
mod network;
mod os;
mod pkg;
mod processes;
mod refusals;
mod rpcs;
mod sec;
mod sequences;
mod service;
mod spawns;
