//! `aios-init`: the first half, process 1.

use aios_init::pid1;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
aios-init: first process and service supervisor of aiOS

  aios-init --state DIR   run the services of a development tree until SIGTERM or SIGINT
  aios-init               as process 1: boot the machine or container
";

fn main() -> ExitCode {
    let first = std::process::id() == 1;
    let mut state = None;
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--state") => state = args.next().map(PathBuf::from),
            // The kernel hands words of its command line that it does not know to process 1.
            _ if first => {}
            Some("--help" | "-h") => return say(USAGE, ExitCode::SUCCESS),
            _ => return say(USAGE, ExitCode::from(2)),
        }
    }
    if !first && state.is_none() {
        return say(USAGE, ExitCode::from(2));
    }
    pid1::run(state.as_deref())
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write;
    match std::io::stderr().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
