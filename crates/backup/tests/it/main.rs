//! Backups of states at work, and the way back.
#![cfg(test)]

mod archive;
mod kills;
mod moment;
mod restore;
mod scene;
mod services;
