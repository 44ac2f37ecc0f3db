//! `aios-shim -- COMMAND ARGUMENTS…`: the first process of an agent's container.
//!
//! It runs twice. First it confines itself (AppArmor, Landlock, seccomp, all under no_new_privs) and
//! executes itself again, so that PID 1 lies inside the profile too; then it starts the command,
//! reaps, forwards signals, and ends with the command's exit code.
#![forbid(unsafe_code)]

mod confinement;
mod error;
mod init;

use error::ShimError;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Says that the confinement stands; anything inside may say so, and gains nothing by it.
const CONFINED: &str = "--confined";

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
    let confined = arguments.first().is_some_and(|first| first == CONFINED);
    if confined {
        arguments.remove(0);
    }
    if arguments.first().is_some_and(|first| first == "--") {
        arguments.remove(0);
    }
    if arguments.is_empty() {
        return Err(ShimError::Usage);
    }
    if confined {
        return init::run(&arguments);
    }
    confinement::enter(&confinement::Wanted::from_env()?)?;
    Err(confinement::execute_again(CONFINED, &arguments))
}
