//! `aios-init`: parses four words and runs one of the two halves.

use aios_init::{pid1, supervise};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
aios-init: first process and service supervisor of aiOS

  aios-init --state DIR   run the services of a development tree until SIGTERM or SIGINT
  aios-init               as process 1: boot the machine or container

The supervisor half is started by the program itself (`aios-init supervise`).
";

fn main() -> ExitCode {
    let mut state = None;
    let mut half = Half::Pid1;
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("supervise") => half = Half::Supervisor,
            Some("--state") => state = args.next().map(PathBuf::from),
            Some("--help" | "-h") => return say(USAGE, ExitCode::SUCCESS),
            // The kernel hands words of its command line that it does not know to process 1.
            _ if std::process::id() == 1 => {}
            _ => return say(USAGE, ExitCode::from(2)),
        }
    }
    match half {
        Half::Pid1 => pid1::run(state.as_deref()),
        Half::Supervisor => supervise::run(state.as_deref()),
    }
}

enum Half {
    Pid1,
    Supervisor,
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write;
    match std::io::stderr().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
