//! What went wrong, said so that the person can go on.

use aios_client::Failure;
use clap::error::ErrorKind;

use crate::exit::Exit;
use crate::render::text::printable;
use crate::terminal::{Terminal, Tone};

/// Says `failure` and picks the exit code.
pub(crate) fn report(failure: &Failure, terminal: &mut Terminal) -> Exit {
    if terminal.json() {
        let error = serde_json::json!({
            "error": { "code": failure.code, "message": failure.message, "next_step": failure.next_step }
        });
        terminal.note(error.to_string());
        return failure.kind.into();
    }
    let head = terminal.tone(Tone::Bad, &format!("error[{}]", failure.code));
    terminal.note(format!("{head}: {}", printable(&failure.message)));
    if !failure.next_step.is_empty() {
        terminal.note(format!("next: {}", printable(&failure.next_step)));
    }
    failure.kind.into()
}

/// Passes on what the parser says: help and version to the output, mistakes to the person.
pub(crate) fn usage(answer: &clap::Error, terminal: &mut Terminal) -> Exit {
    let text = answer.render().to_string();
    match answer.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            terminal.raw(text.as_bytes());
            Exit::Done
        }
        // A noun without a verb: say so, and show what there is.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            terminal.note("error[AIOS-CLI-0001]: the command is not complete");
            terminal.note(text.trim_end());
            terminal.note("next: add one of the commands above");
            Exit::Usage
        }
        _ => {
            let text = text
                .trim_end()
                .strip_prefix("error: ")
                .unwrap_or(text.trim_end())
                .to_owned();
            let (what, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
            terminal.note(format!("error[AIOS-CLI-0001]: {what}"));
            if !rest.is_empty() {
                terminal.note(rest);
            }
            terminal.note("next: correct the command; `aiosctl help` lists them");
            Exit::Usage
        }
    }
}
