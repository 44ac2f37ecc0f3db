//! What each command asks for, and of whom. One module a noun.

mod agent;
mod approval;
mod audit;
mod backup;
mod config;
mod emergency;
mod follow;
mod goal;
mod memory;
mod notify;
mod os;
mod persons;
mod policy;
mod runbook;
mod schedule;
mod service;
mod status;
mod tool;

use aios_client::Failure;
use clap::CommandFactory;

use crate::args::{Cli, Command, Console};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::terminal::Terminal;

/// How a command ends when nothing went wrong on the way.
type Ended = Result<Exit, Failure>;

/// Runs a command.
pub(crate) async fn dispatch(command: Command, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match command {
        Command::Status => status::run(instance, terminal).await,
        Command::Goal(verb) => goal::run(verb, instance, terminal).await,
        Command::Approval(verb) => approval::run(verb, instance, terminal).await,
        Command::Tool(verb) => tool::run(verb, instance, terminal).await,
        Command::Schedule(verb) => schedule::run(verb, instance, terminal).await,
        Command::Agent(verb) => agent::run(verb, instance, terminal).await,
        Command::Memory(verb) => memory::run(verb, instance, terminal).await,
        Command::Audit(verb) => audit::run(verb, instance, terminal).await,
        Command::Os(verb) => os::run(verb, instance, terminal).await,
        Command::Backup(verb) => backup::run(verb, instance, terminal).await,
        Command::Service(verb) => service::run(verb, instance, terminal).await,
        Command::Boot => service::boot(instance, terminal).await,
        Command::Policy(verb) => policy::run(verb, instance, terminal).await,
        Command::Runbook(verb) => runbook::run(verb, instance, terminal).await,
        Command::Config(verb) => config::run(verb, instance, terminal),
        Command::Emergency(verb) => emergency::run(verb, instance, terminal).await,
        Command::Console(Console::Open) => persons::sign_in(instance, terminal).await,
        Command::Person(verb) => persons::run(verb, instance, terminal).await,
        Command::Completions { shell } => completions(shell, terminal),
    }
}

fn completions(shell: clap_complete::Shell, terminal: &mut Terminal) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "aiosctl", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if terminal.json() {
        terminal.document(&serde_json::json!({ "shell": shell.to_string(), "script": script }));
    } else {
        terminal.raw(script.as_bytes());
    }
    Ok(Exit::Done)
}

/// Prints the pages of the reference, JSON: content by path.
pub(crate) fn reference(terminal: &mut Terminal) -> Ended {
    let pages = crate::reference::pages(Cli::command()).map_err(|error| {
        Failure::new(
            aios_client::Kind::Failed,
            "AIOS-CLI-0017",
            format!("the reference cannot be made: {error}"),
            "this is a defect of aiosctl: report it",
        )
    })?;
    terminal.document(&pages);
    Ok(Exit::Done)
}
