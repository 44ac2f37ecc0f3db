//! Podman: its service process, its REST API, and what a container is made of.
//!
//! Only the endpoints in use, over `/v4.0.0`, which Podman 4 and 5 serve. The bodies are our own
//! types, so that each security field is spelled by us and checked by a test against a live Podman.

mod client;
mod logs;
mod process;
mod spec;

pub use client::{Client, Container, Image, PodmanError, Summary};
pub use logs::LogStream;
pub use process::{Layout, Service};
pub use spec::{Bind, Limits, Spec};
