//! The person's command line: a command becomes a typed request to a service, and its answer
//! becomes text or JSON. Only the user interface is here; what happens is decided by the services.
//!
//! `run` does the work of `main` with everything it touches passed in, so that tests can call it.
#![forbid(unsafe_code)]

pub mod args;
mod command;
mod exit;
mod hook;
mod instance;
mod person;
mod personality;
mod problem;
mod reference;
mod render;
mod terminal;

pub use exit::Exit;
pub use instance::{Instance, Surroundings};
pub use terminal::Terminal;

use args::Cli;
use clap::Parser;
use personality::Personality;

/// [`run`] for a program that was started as `called`: under some names it stands in for another program.
pub async fn run_as(
    called: &str,
    words: &[String],
    surroundings: &Surroundings,
    terminal: &mut Terminal,
) -> Exit {
    match Personality::of(called) {
        Some(personality) => {
            let instance = Instance::find(None, surroundings);
            personality.run(words, &instance, terminal).await
        }
        None => run(words, surroundings, terminal).await,
    }
}

/// Parses `words` (without the program's name), runs the command, and says how it ended. Nothing
/// is written but through `terminal`.
pub async fn run(words: &[String], surroundings: &Surroundings, terminal: &mut Terminal) -> Exit {
    // Beside the grammar, for `cargo xtask docs`: the grammar is what a person types, and completions offer all of it.
    if words.len() == 1 && words.iter().all(|word| word == "reference") {
        return command::reference(terminal).unwrap_or_else(|error| problem::report(&error, terminal));
    }
    let words = std::iter::once("aiosctl").chain(words.iter().map(String::as_str));
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(answer) => return problem::usage(&answer, terminal),
    };
    terminal.configure(&cli);
    let instance = Instance::find(cli.socket.as_deref(), surroundings);
    match command::dispatch(cli.command, &instance, terminal).await {
        Ok(exit) => exit,
        Err(error) => problem::report(&error, terminal),
    }
}
