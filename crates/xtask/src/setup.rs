//! `cargo xtask setup`: packages, system users, Podman's configuration. Quick when all is there.

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::collections::BTreeSet;

use crate::host::{Host, say};
use crate::{python, users};

/// Run aiOS as ordinary processes, with its agents in rootless containers.
const RUN: &[&str] = &[
    "podman",
    "runc",
    "uidmap",
    "slirp4netns",
    "python3-pip",
    "python3-venv",
];
/// Make base and OS images.
const IMAGE: &[&str] = &[
    "podman",
    "runc",
    "debian-archive-keyring",
    "mmdebstrap",
    "e2fsprogs",
    "python3-pip",
    // The installer medium.
    "dosfstools",
    "mtools",
    "squashfs-tools",
    "xorriso",
];
/// Boot them.
const VM: &[&str] = &[
    "qemu-system-x86",
    "ovmf",
    "e2fsprogs",
    "fdisk",
    "mtools",
    "openssh-client",
];
/// Measure beside what others made.
const BENCH: &[&str] = &["restic"];
/// Test the page in a real browser.
const BROWSER: &[&str] = &["chromium", "fonts-dejavu-core"];
/// The Rust tests: network namespaces of their own, with a firewall.
const TESTS: &[&str] = &["iproute2", "nftables", "util-linux"];

/// What the machine is set up for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// `make run`
    Run,
    /// `make image`
    Image,
    /// `make vm`
    Vm,
    /// The page's tests
    Browser,
    /// The Rust tests
    Tests,
    /// `make bench`
    Bench,
}

/// Arguments of `setup`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to set the machine up for; may be given more than once.
    #[arg(long = "for", value_enum, default_values_t = [Purpose::Run, Purpose::Image, Purpose::Vm])]
    purposes: Vec<Purpose>,
}

/// Installs and creates what is missing.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    packages(host, &args.purposes)?;
    if args.purposes.contains(&Purpose::Run) {
        users::create(host)?;
        python::venv(host)?;
    }
    if args.purposes.contains(&Purpose::Tests) {
        runner(host)?;
    }
    Ok(())
}

/// Installs the runner of the Rust tests among the person's own Cargo programs. It is no Debian package.
fn runner(host: &Host) -> Result<()> {
    let sh = &host.shell;
    let found = xshell::cmd!(sh, "cargo nextest --version").quiet();
    if found.ignore_stdout().ignore_stderr().run().is_ok() {
        return Ok(());
    }
    say("cargo-nextest: building it; this happens once");
    xshell::cmd!(sh, "cargo install --quiet --locked cargo-nextest")
        .run()
        .context("install cargo-nextest, which runs the tests; see https://nexte.st for other ways")
}

fn packages(host: &Host, purposes: &[Purpose]) -> Result<()> {
    let missing = missing(host, purposes)?;
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("packages: installing {}", missing.join(" ")));
    let apt = |words: &[&str]| {
        host.root_cmd("env")
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet=2"])
            .args(words)
    };
    apt(&["update"]).ignore_stdout().run().context("apt-get update")?;
    apt(&["install", "--no-install-recommends"])
        .args(&missing)
        .ignore_stdout()
        .run()
        .context("apt-get install: see its message above")?;
    say("packages: installed");
    Ok(())
}

fn missing(host: &Host, purposes: &[Purpose]) -> Result<Vec<&'static str>> {
    let wanted: BTreeSet<&'static str> = purposes
        .iter()
        .flat_map(|purpose| match purpose {
            Purpose::Run => RUN,
            Purpose::Image => IMAGE,
            Purpose::Vm => VM,
            Purpose::Browser => BROWSER,
            Purpose::Tests => TESTS,
            Purpose::Bench => BENCH,
        })
        .copied()
        .collect();
    let sh = &host.shell;
    let output = xshell::cmd!(sh, "dpkg-query --show --showformat")
        .arg("${Package} ${db:Status-Status}\n")
        .args(wanted.iter())
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    Ok(wanted
        .into_iter()
        .filter(|name| !installed.contains(name))
        .collect())
}
