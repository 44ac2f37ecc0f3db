//! `cargo xtask test-system`: an instance of its own, the end-to-end tests by command line and page, and a stop that
//! leaves nothing.

use anyhow::{Context, Result, ensure};
use std::path::Path;

use crate::host::{Host, say};
use crate::{apart, instance, node};

/// The browser test's package.
const BROWSER: &str = "tests/browser";

/// Starts, tests, and stops even when a test failed. `only` names one file of tests to run, without the page.
pub(crate) fn run(host: &Host, only: Option<&str>) -> Result<()> {
    let tested = instance::up(host).and_then(|()| tests(host, only));
    let stopped = instance::down(host);
    tested.and(stopped)
}

/// Starts, makes faults and counts, and stops even when something was not as it should be; all of it apart from this
/// machine's mounts, processes and network. Only root can make faults: they are mounts, owners and processes of others.
pub(crate) fn eval(host: &Host, words: &[String]) -> Result<()> {
    let program = host.binaries.join("aios-eval");
    ensure!(
        program.exists(),
        "{} is missing: run `cargo build --release -p aios-eval`",
        program.display()
    );
    let instance = instance::Instance::open(host)?;
    if !apart::is_apart() {
        instance.not_running()?;
        return apart::again(host, &instance.state);
    }
    let counted = instance::up(host).and_then(|()| {
        host.root_cmd("env")
            .arg(format!("AIOS_STATE={}", instance.state.display()))
            .arg(program)
            .args(words)
            .run()
            .context("faults that were not found, not mended, or claimed without cause")
    });
    let stopped = instance::down(host);
    counted.and(stopped)
}

fn tests(host: &Host, only: Option<&str>) -> Result<()> {
    let instance = instance::Instance::open(host)?;
    let sh = &host.shell;
    let state = &instance.state;
    let file = only.map_or_else(|| "all()".to_owned(), |name| format!("binary({name})"));
    // One at a time: they share the one agent.
    let rust = xshell::cmd!(
        sh,
        "cargo nextest run --release -p aios-tests-e2e --test-threads 1 --no-fail-fast -E {file}"
    )
    .env("AIOS_E2E", "1")
    .env("AIOS_STATE", state)
    .run()
    .context("end-to-end tests");
    if only.is_some() {
        return rust;
    }
    let page = browser(host, &instance).context("browser test");
    rust.and(page)
}

fn browser(host: &Host, instance: &instance::Instance<'_>) -> Result<()> {
    ensure!(
        Path::new("/usr/bin/chromium").exists(),
        "chromium is missing: run `cargo xtask setup --for browser`"
    );
    let package = host.root.join(BROWSER);
    node::install(host, &package)?;
    let link = instance.sign_in_link()?;
    say("browser: the same path by the page");
    let sh = &host.shell;
    let _package = sh.push_dir(&package);
    let output = xshell::cmd!(sh, "npm test --silent")
        .env("PATH", node::path_variable(host)?)
        .env("AIOS_SIGN_IN", link)
        .env("AIOS_STATE", &instance.state)
        .run();
    output.context("the page's test; pictures are in tests/browser/test-results")
}
