//! What is denied, through the public interfaces of running services.
//!
//! One binary: linking takes longer than most of these tests.
#![cfg(test)]

mod approvals;
mod captured_orchestrator;
mod captured_tools;
mod garbage;
mod goals;
mod init;
mod paths;
mod self_approval;
mod settings;
mod tokens;
mod tools;
