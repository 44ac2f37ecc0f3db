//! Who may do what: the ground on which guard, tools, workers and clients agree.
//!
//! | module | what it holds |
//! |---|---|
//! | [`capability`] | `namespace:action:resource-glob`: parse, allow, cover |
//! | [`token`] | Biscuit tokens: mint, attenuate, verify, verified-token cache |
//! | [`call`] | the canonical call and its digest |
//! | [`key`] | Ed25519 keys and domain-separated signatures over canonical JSON |
//! | [`receipt`], [`approval`], [`trust`] | signed objects that workers verify offline |
//! | [`person`] | a person's proof over one request |
//! | [`peer`] | which local process is calling, and whether it is confined |
//! | [`policy`] | `policy.toml`: typed rules, layering, decisions with explanation |
//! | [`protected`] | the one list of paths that no grant opens |
//! | [`level`] | risk and autonomy |
//!
//! It decides and verifies; it stores nothing, serves nothing and starts no task. Keys are held by
//! whoever calls it: the guard its four, a person their own.
#![forbid(unsafe_code)]

pub mod approval;
pub mod call;
pub mod capability;
mod glob;
pub mod key;
pub mod level;
pub mod peer;
pub mod person;
pub mod policy;
pub mod protected;
pub mod receipt;
mod signed;
pub mod token;
pub mod trust;

pub use signed::SignedError;
