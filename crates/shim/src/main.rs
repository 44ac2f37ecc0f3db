//! `aios-shim -- COMMAND ARGUMENTS…`: the first process of an agent's container.
//!
//! It has three parts, each an execution of its own. The first confines itself (AppArmor, Landlock,
//! seccomp, all under no_new_privs) and executes the second, so that PID 1 lies inside the profile too.
//! The second starts the third, reaps, forwards signals, and ends with the command's exit code. The
//! third clears the signal mask that it inherited and becomes the command.
#![forbid(unsafe_code)]

mod confinement;
mod error;
mod init;

use error::ShimError;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Marks the second part; anything inside the container may say so, and gains nothing by it.
const PID_1: &str = "--confined";
/// Marks the third part.
const COMMAND: &str = "--command";

fn main() -> ExitCode {
    match run(env::args_os().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "aios-shim: {}: {error}", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(mut arguments: Vec<OsString>) -> Result<u8, ShimError> {
    let part = arguments
        .first()
        .filter(|it| *it == PID_1 || *it == COMMAND)
        .cloned();
    if part.is_some() {
        arguments.remove(0);
    }
    if arguments.first().is_some_and(|first| first == "--") {
        arguments.remove(0);
    }
    if arguments.is_empty() {
        return Err(ShimError::Usage);
    }
    match part {
        Some(part) if part == PID_1 => init::run(COMMAND, &arguments),
        Some(_) => Err(init::become_command(&arguments)),
        None => {
            confinement::enter(&confinement::Wanted::from_env()?)?;
            Err(confinement::execute_again(PID_1, &arguments))
        }
    }
}
