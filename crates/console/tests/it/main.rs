//! The console over real HTTP, against doubles of the services.

mod defence;
mod flow;
mod openapi;
mod support;
