//! `aiosctl` against doubles of the services on real sockets.

mod goals;
mod support;
mod system;
mod usage;
