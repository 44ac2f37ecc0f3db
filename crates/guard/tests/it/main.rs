//! The guard's rpcs as other processes see them.
//!
//! One binary: linking takes longer than most of these tests.
#![cfg(test)]

mod bad_input;
mod calls;
mod common;
mod crash;
mod hangups;
mod people;
