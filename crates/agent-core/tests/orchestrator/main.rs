//! The real orchestrator process, spoken to over its sockets, between doubles of the other services.
#![cfg(test)]

mod agent;
mod bad_input;
mod bad_words;
mod bench;
mod callers;
mod diagnosis;
mod doubles;
mod goals;
mod hangups;
mod kills;
mod locks;
mod machine;
mod schedules;
mod triggers;
