//! `aios-supervisor`: the second half. `aios-init` starts it; it is not for a person.

use aios_init::supervise;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut state = None;
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--state" {
            state = args.next().map(PathBuf::from);
        }
    }
    supervise::run(state.as_deref())
}
