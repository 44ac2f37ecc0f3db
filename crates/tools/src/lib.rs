//! Tools: what they are, how a call of one passes from a token to an effect, and the worker that
//! has the effect.
//!
//! Two programs stand on this crate. `aios-tools` holds the [`registry`] and the [`pipeline`] and
//! has no privilege of its own. `aios-worker NAME` is the [`worker`] runtime around the namespaces of one
//! worker, each a service with a user of its own: `fs` around [`fs`], the only process that touches people's files;
//! `host` around what only looks at the machine ([`host`]), and needs no privilege for it; the others
//! around a namespace or two each: [`process`], [`service`], [`sec`], [`net`] and [`firewall`], whose
//! changes are [`provisional`] until somebody confirms them, [`pkg`], whose worker alone must be root, and
//! [`os`], which runs bootc as root.
//!
//! None decides what is allowed: the guard does, and the worker verifies what the guard signed.

#![forbid(unsafe_code)]

pub mod budget;
pub mod error;
pub mod firewall;
pub mod fs;
pub mod host;
pub mod net;
pub mod os;
pub mod pipeline;
pub mod pkg;
pub mod process;
pub mod provisional;
pub mod registry;
pub mod run;
pub mod sec;
pub mod service;
pub mod typed;
pub mod worker;
