//! Tools: what they are, how a call of one passes from a token to an effect, and the worker that
//! has the effect.
//!
//! Three programs stand on this crate. `aios-tools` holds the [`registry`] and the [`pipeline`] and
//! has no privilege of its own. `aios-worker-fs` is the [`worker`] runtime around the [`fs`]
//! namespace, the only process that touches people's files. `aios-worker-host` is the same runtime
//! around what only looks at the machine ([`host`]), and needs no privilege for it. `aios-worker-net` is
//! it around addresses, routes and the firewall ([`net`], [`firewall`]), whose changes are provisional
//! ([`provisional`]) until somebody confirms them.
//!
//! None decides what is allowed: the guard does, and the worker verifies what the guard signed.

#![forbid(unsafe_code)]

pub mod budget;
pub mod error;
pub mod firewall;
pub mod fs;
pub mod host;
pub mod net;
pub mod pipeline;
pub mod provisional;
pub mod registry;
pub mod run;
pub mod typed;
pub mod worker;
