//! `aiosctl`: see the library of this package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use aiosctl::{Surroundings, Terminal, run_as};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let called = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let (surroundings, mut terminal) = (Surroundings::of_process(), Terminal::of_process());
    run_as(&called, &words, &surroundings, &mut terminal).await.into()
}
