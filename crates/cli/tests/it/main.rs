//! `aiosctl` against doubles of the services on real sockets.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "ids and hexadecimal are ASCII")]

mod backup;
mod goals;
mod notify;
mod runbooks;
mod support;
mod system;
mod usage;
