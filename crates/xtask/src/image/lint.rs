//! `cargo xtask image lint`: whether bootc will take an image, before anybody installs it.
//!
//! The rules are those of `bootc container lint`, written here anew, so that they hold for an image whose base brings no
//! bootc, and for any directory. Where the image has a bootc, its own verdict is asked too.
//!
//! ```text
//! cargo xtask image lint                       # the image that was built last
//! cargo xtask image lint --root DIR --json     # any tree
//! ```

mod accounts;
mod prepare_root;
mod rules;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{IMAGE, mounted};
use crate::host::{Host, say};
use rules::{RULES, Rule, Severity};
use tree::Tree;

/// Where a bootc lies in an image that has one.
const BOOTC: &str = "usr/bin/bootc";
/// Findings of one rule that are printed; `--json` has all.
const SHOWN: usize = 5;

/// Arguments of `image lint`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An image of root's store.
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// A root file system in a directory, instead.
    #[arg(long, conflicts_with = "image")]
    root: Option<PathBuf>,
    /// Fail on warnings too.
    #[arg(long)]
    fatal_warnings: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One thing that breaks one rule.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    rule: &'static str,
    severity: Severity,
    found: String,
    advice: &'static str,
}

/// What the image's own bootc says.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "output", rename_all = "lowercase")]
enum Own {
    /// It has none.
    Absent,
    Passed,
    Failed(String),
}

/// The outcome of all rules on one tree.
#[derive(Serialize)]
struct Report {
    rules: usize,
    findings: Vec<Finding>,
    bootc: Own,
}

impl Report {
    fn count(&self, severity: Severity) -> usize {
        let of_it = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of_it).count()
    }

    fn holds(&self, fatal_warnings: bool) -> bool {
        let warned = fatal_warnings && self.count(Severity::Warning) > 0;
        self.count(Severity::Fatal) == 0 && !warned && !matches!(self.bootc, Own::Failed(_))
    }
}

/// Judges the image or tree that the arguments name; the exit code is 1 when it does not hold.
pub(crate) fn run(host: &Host, args: &Args) -> Result<ExitCode> {
    if args.root.is_none() && !host.is_root() {
        return as_root(host, args);
    }
    let report = match &args.root {
        Some(root) => judge(root, |root| bootc_of_tree(host, root))?,
        None => mounted::with(host, &args.image, |root| {
            judge(root, |_| bootc_of_image(host, &args.image))
        })?,
    };
    if args.json {
        say(&serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.holds(args.fatal_warnings) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Judges an image that was just built; fails when there is anything to say against it.
pub(super) fn require(host: &Host, image: &str) -> Result<()> {
    let args = Args {
        image: image.to_owned(),
        root: None,
        fatal_warnings: true,
        json: false,
    };
    let code = run(host, &args)?;
    anyhow::ensure!(
        code == ExitCode::SUCCESS,
        "{image} breaks rules of bootc: mend bootc/finish.sh or the base"
    );
    Ok(())
}

/// Root's images are root's to read: the same again through `sudo`.
fn as_root(host: &Host, args: &Args) -> Result<ExitCode> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command =
        host.root_cmd(&program.to_string_lossy())
            .args(["image", "lint", "--image", &args.image]);
    if args.fatal_warnings {
        command = command.arg("--fatal-warnings");
    }
    if args.json {
        command = command.arg("--json");
    }
    let output = command.ignore_status().output()?;
    say(String::from_utf8_lossy(&output.stdout).trim_end());
    Ok(if output.status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn judge(root: &Path, own: impl FnOnce(&Path) -> Result<Own>) -> Result<Report> {
    let tree = Tree::open(root)?;
    let findings = findings(&tree)?;
    let bootc = if tree.meta(BOOTC)?.is_some() {
        own(root)?
    } else {
        Own::Absent
    };
    Ok(Report {
        rules: RULES.len(),
        findings,
        bootc,
    })
}

/// All that breaks a rule, in the order of the rules.
fn findings(tree: &Tree) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    for rule in RULES {
        let found = (rule.check)(tree).with_context(|| format!("the rule {}", rule.name))?;
        all.extend(found.into_iter().map(|found| finding(rule, found)));
    }
    Ok(all)
}

fn finding(rule: &Rule, found: String) -> Finding {
    Finding {
        rule: rule.name,
        severity: rule.severity,
        found,
        advice: rule.advice,
    }
}

fn print(report: &Report) {
    lines(report).iter().for_each(|line| say(line));
}

/// A line a finding, as many as a person reads, and the sum.
fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut broken = 0;
    for rule in RULES {
        let of_rule = |finding: &&Finding| finding.rule == rule.name;
        let findings: Vec<&Finding> = report.findings.iter().filter(of_rule).collect();
        broken += usize::from(!findings.is_empty());
        let grade = match rule.severity {
            Severity::Fatal => "fatal",
            Severity::Warning => "warning",
        };
        for finding in findings.iter().take(SHOWN) {
            lines.push(format!(
                "{grade}: {}: {}; {}",
                rule.name, finding.found, rule.advice
            ));
        }
        if findings.len() > SHOWN {
            lines.push(format!(
                "{grade}: {}: and {} more",
                rule.name,
                findings.len() - SHOWN
            ));
        }
    }
    lines.push(format!(
        "lint: {} of {} rules hold; fatal findings: {}, warnings: {}",
        report.rules - broken,
        report.rules,
        report.count(Severity::Fatal),
        report.count(Severity::Warning)
    ));
    lines.push(match &report.bootc {
        Own::Absent => {
            format!("lint: SKIPPED `bootc container lint`: the image has no /{BOOTC}; its base brings none")
        }
        Own::Passed => "lint: `bootc container lint` passed too".to_owned(),
        Own::Failed(output) => format!("fatal: `bootc container lint` says:\n{output}"),
    });
    lines
}

/// Asks the image's own bootc in a build step, as bootc's manual has it: that works wherever the image could be built.
fn bootc_of_image(host: &Host, image: &str) -> Result<Own> {
    let context = host.shell.create_temp_dir()?;
    let id = context.path().join("id");
    let output = host
        .podman()
        .args(["build", "--isolation", "chroot", "--layers=false", "--file", "-"])
        .arg("--iidfile")
        .arg(&id)
        .arg(context.path())
        .stdin(format!(
            "FROM {image}\nRUN /{BOOTC} container lint --fatal-warnings\n"
        ))
        .ignore_status()
        .output()?;
    if let Ok(id) = std::fs::read_to_string(&id) {
        host.podman().args(["rmi", id.trim()]).ignore_stdout().run()?;
    }
    Ok(own(&output))
}

/// Asks the tree's own bootc with the tree as `/`.
fn bootc_of_tree(host: &Host, root: &Path) -> Result<Own> {
    let output = host
        .root_cmd("chroot")
        .arg(root)
        .args([&format!("/{BOOTC}"), "container", "lint", "--fatal-warnings"])
        .ignore_status()
        .output()?;
    Ok(own(&output))
}

fn own(output: &std::process::Output) -> Own {
    if output.status.success() {
        return Own::Passed;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Own::Failed(format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
}
