//! Capabilities, tokens, signed objects, policy and peers through their public interface.
//!
//! One binary: linking takes longer than most of these tests.
#![cfg(test)]

mod capability;
mod peer;
mod policy;
mod signed;
mod token;
mod trust;
