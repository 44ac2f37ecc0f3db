//! `aiosctl`: see the library of this package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use aiosctl::{Surroundings, Terminal, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    run(&words, &Surroundings::of_process(), &mut Terminal::of_process())
        .await
        .into()
}
