//! The console over real HTTP, against doubles of the services.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "what the doubles say is ASCII")]

mod defence;
mod flow;
mod openapi;
mod support;
