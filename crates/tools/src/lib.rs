//! Tools: what they are, how a call of one passes from a token to an effect, and the worker that
//! has the effect.
//!
//! These programs stand on this crate. `aios-tools` holds the [`registry`] and the [`pipeline`] and
//! has no privilege of its own. `aios-worker-fs` is the [`worker`] runtime around the [`fs`]
//! namespace, the only process that touches people's files. `aios-worker-host` is the same runtime
//! around what only looks at the machine ([`host`]), and needs no privilege for it. `aios-worker-sec`
//! looks for weaknesses ([`sec`]): it reads any file and changes none that is not its own.
//!
//! None decides what is allowed: the guard does, and the worker verifies what the guard signed.

#![forbid(unsafe_code)]

pub mod budget;
pub mod error;
pub mod fs;
pub mod host;
pub mod pipeline;
pub mod registry;
pub mod run;
pub mod sec;
pub mod typed;
pub mod worker;
