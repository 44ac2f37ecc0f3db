//! Memory: what has happened, for whoever asks.
//!
//! | module | what it holds |
//! |---|---|
//! | [`working`] | the working tier: a projection of the orchestrator's journal, in SQLite |
//! | [`ring`] | the operational tier: the newest events, in RAM, bounded |
//! | [`service`], [`app`] | the gRPC surface, and putting it together |
//!
//! It owns no truth: the working tier can be deleted at any time and fills itself again from the
//! journal. Nothing waits for it.
#![forbid(unsafe_code)]

pub mod app;
pub mod config;
pub mod error;
pub mod ring;
pub mod service;
pub mod working;
