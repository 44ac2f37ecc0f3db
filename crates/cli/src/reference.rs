//! The reference of the command line, from its one definition in [`crate::args`]: a page, man pages and completions,
//! each with the path that it has below `docs/reference`. `cargo xtask docs` writes them there.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Arg, Command};
use clap_complete::Shell;

/// Where each shell looks for completions below `share`, and under which name.
const COMPLETIONS: &[(Shell, &str)] = &[
    (Shell::Bash, "bash-completion/completions/aiosctl"),
    (Shell::Zsh, "zsh/vendor-completions/_aiosctl"),
    (Shell::Fish, "fish/vendor_completions.d/aiosctl.fish"),
];

const HEAD: &str = "# Command line

Made by `cargo xtask docs` from the command line's definition; do not edit. `aiosctl help COMMAND` prints the same,
`man aiosctl-COMMAND` too. Every command takes the options of `aiosctl`.
";

/// Content by path: `cli.md`, `share/man/man1/…`, `share/…` for each shell.
///
/// # Errors
/// A man page cannot be rendered.
pub(crate) fn pages(command: Command) -> std::io::Result<BTreeMap<String, String>> {
    // Widths differ between machines, and pages must not.
    let mut command = command.term_width(100).disable_help_subcommand(true);
    let mut pages = BTreeMap::new();
    for (shell, path) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut command.clone(), "aiosctl", &mut script);
        pages.insert(
            format!("share/{path}"),
            String::from_utf8_lossy(&script).into_owned(),
        );
    }
    command.build();
    let mut page = HEAD.to_owned();
    describe(&command, &mut page);
    pages.insert("cli.md".to_owned(), page);
    for command in all(&command) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let mut roff = Vec::new();
        clap_mangen::Man::new(command.clone())
            .source("aiOS")
            .manual("aiOS Manual")
            .render(&mut roff)?;
        let path = format!("share/man/man1/{name}.1");
        pages.insert(path, String::from_utf8_lossy(&roff).into_owned());
    }
    Ok(pages)
}

/// A command and everything below it that a person is shown.
fn all(command: &Command) -> Vec<&Command> {
    let below = shown(command).flat_map(all);
    std::iter::once(command).chain(below).collect()
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// The section of a command, then those of its verbs.
fn describe(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut copy = command.clone();
    let usage = copy.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let level = "#".repeat(name.split(' ').count() + 1);
    let _infallible = writeln!(page, "\n{level} {name}\n\n{about}.\n\n```\n{usage}\n```");
    let verbs: Vec<String> = shown(command)
        .map(|verb| format!("| `{}` | {} |", verb.get_name(), about_of(verb)))
        .collect();
    if !verbs.is_empty() {
        let _infallible = writeln!(
            page,
            "\n| command | what it does |\n|---|---|\n{}",
            verbs.join("\n")
        );
    }
    let is_root = !name.contains(' ');
    let arguments: Vec<String> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && (is_root || !argument.is_global_set()))
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .map(argument)
        .collect();
    if !arguments.is_empty() {
        let _infallible = writeln!(
            page,
            "\n| argument | meaning |\n|---|---|\n{}",
            arguments.join("\n")
        );
    }
    if let Some(after) = command.get_after_help().filter(|_| is_root) {
        let _infallible = writeln!(page, "\n{after}");
    }
    for verb in shown(command) {
        describe(verb, page);
    }
}

fn about_of(command: &Command) -> String {
    command
        .get_about()
        .map(|about| cell(&about.to_string()))
        .unwrap_or_default()
}

/// A row: how an argument is written, and what it means.
fn argument(argument: &Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(ToString::to_string)
        .collect();
    let mut written: Vec<String> = Vec::new();
    written.extend(argument.get_short().map(|short| format!("-{short}")));
    written.extend(argument.get_long().map(|long| format!("--{long}")));
    let written = match (written.is_empty(), values.is_empty()) {
        (true, _) => values.join(" "),
        (false, true) => written.join(", "),
        (false, false) => format!("{} {}", written.join(", "), values.join(" ")),
    };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !choices.is_empty() {
        let _infallible = write!(meaning, ": {}", choices.join(", "));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() {
        let _infallible = write!(meaning, " (default {})", defaults.join(", "));
    }
    format!("| `{written}` | {} |", cell(&meaning))
}

/// Text in a cell of a table: one line, and no bar that would end the cell.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::pages;
    use crate::args::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_a_section_and_a_man_page_and_every_shell_its_completions() {
        let pages = pages(Cli::command()).unwrap();
        let page = &pages["cli.md"];
        for part in [
            "\n## aiosctl\n",
            "\n### aiosctl goal\n",
            "\n#### aiosctl goal run\n",
            "| `--priority N` | From 0 (lowest) to 9 |",
            "| `--level LEVEL` | How much to ask you: `manual`, `supervised`, `full` |",
            "| `--limit N` | At most this many (default `20`) |",
            "```\naiosctl goal run [OPTIONS] <TEXT>\n```",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        // Options of every command stand once, with the first one.
        assert_eq!(page.matches("| `--json` |").count(), 1);
        assert!(
            !page.contains("reference"),
            "what is hidden must not be described"
        );
        assert!(pages["share/man/man1/aiosctl-goal-run.1"].contains(".TH aiosctl-goal-run 1"));
        assert!(pages.contains_key("share/man/man1/aiosctl.1"));
        for path in [
            "bash-completion/completions/aiosctl",
            "zsh/vendor-completions/_aiosctl",
            "fish/vendor_completions.d/aiosctl.fish",
        ] {
            assert!(pages[&format!("share/{path}")].contains("aiosctl"), "{path}");
        }
    }
}
