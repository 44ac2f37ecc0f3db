//! The orchestrator: takes goals, plans them, has them done by agents or by itself, and proves them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | goals, tasks and steps as state machines driven by events; no I/O |
//! | [`journal`] | the durable truth: events, and the tables projected from them |
//! | [`intent`], [`runbook`], [`planner`] | from a person's words to a plan, without a model |
//! | [`analyze`], [`remedies`] | from what the tools saw to causes, and from causes to what follows |
//! | [`engine`], [`conductor`], [`work`] | which goals run; one goal from where it stands to its end; its tasks |
//! | [`steps`], [`executor`], [`agent_task`] | one call; a task done by itself; a task done by an agent |
//! | [`router`], [`session`] | which agents are there, and the conversation with each |
//! | [`schedule`], [`trigger`] | goals that are stated at given times, or when something happens |
//! | [`locks`], [`claims`] | which goal is changing what, so that no two work against each other |
//! | [`guard_view`], [`clients`] | what the guard tells; the other services |
//! | [`aggregator`], [`projection`] | the result of a goal; telling memory |
//! | [`service`], [`callers`], [`app`] | the gRPC surface, who may use it, and putting it all together |
//!
//! It holds no power of its own: every call carries a token that the guard minted for one task, and
//! every approval is a person's, kept by the guard.
#![forbid(unsafe_code)]

pub mod agent_task;
pub mod aggregator;
pub mod analyze;
pub mod app;
pub mod callers;
pub mod claims;
pub mod clients;
pub mod conductor;
pub mod config;
pub mod core;
pub mod engine;
pub mod error;
pub mod executor;
pub mod guard_view;
pub mod intent;
pub mod journal;
pub mod locks;
pub mod model;
pub mod planner;
pub mod projection;
pub mod remedies;
pub mod router;
pub mod runbook;
pub mod schedule;
pub mod service;
pub mod session;
pub mod steps;
pub mod trigger;
pub mod work;

/// Kind under which the guard knows the built-in executor.
pub const EXECUTOR_KIND: &str = "executor";
