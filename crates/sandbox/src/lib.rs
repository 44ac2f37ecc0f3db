//! Agents' containers and their front doors. The one holder of the Podman socket.
//!
//! | module | for |
//! |---|---|
//! | [`config`], [`kind`] | the service's configuration, and what an agent kind is |
//! | [`podman`] | Podman: its service process, its REST API, what a container is made of |
//! | [`image`] | the agent image, from the OCI layout of the distribution |
//! | [`machine`] | what this machine can enforce, and what holds instead |
//! | [`isolation`] | what holds for a live container, read from the kernel |
//! | [`door`] | an agent's front door: forwards its session and nothing else |
//! | [`agent`] | the life of one agent: start, supervise, freeze, restart, stop |
//! | [`fleet`] | all agents, the emergency stop |
//! | [`audit`] | what the guard is told |
//! | [`service`] | the `aios.sandbox.v1.Sandbox` rpcs and who may call them |
//!
//! It knows no tools and no tokens, and decides nothing about goals: the session that it forwards is
//! between the agent and the orchestrator.
#![forbid(unsafe_code)]

pub mod agent;
pub mod audit;
pub mod config;
pub mod door;
pub mod error;
pub mod fleet;
pub mod image;
pub mod isolation;
pub mod kind;
pub mod machine;
pub mod podman;
pub mod run;
pub mod service;
