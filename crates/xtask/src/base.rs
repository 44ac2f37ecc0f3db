//! `cargo xtask base`: both base images from Debian packages, without a container registry.
//!
//! The tarballs are kept by the digest of their recipe, so a machine makes each once. The OS base is an ordinary
//! minimal system. The agent base is *extracted* packages only: no maintainer script ran, and none could, because
//! there is no shell in it.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

use crate::cached::Inputs;
use crate::host::{Host, say};

/// Image names in root's store.
pub(crate) const OS_BASE: &str = "localhost/aios-base";
/// See [`OS_BASE`].
pub(crate) const AGENT_BASE: &str = "localhost/aios-agent-base";

/// Documentation and translations stay out; licences stay in.
const DPKG_OPTIONS: &[&str] = &[
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
];

/// Arguments of `base`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Debian suite: bootc needs libostree 2025.3 or later, which older suites lack.
    #[arg(long, default_value = "forky")]
    suite: String,
    /// Archive to take packages from, when not mmdebstrap's default.
    #[arg(long)]
    mirror: Option<String>,
    /// Make them anew, with today's packages.
    #[arg(long)]
    refresh: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            suite: "forky".to_owned(),
            mirror: None,
            refresh: false,
        }
    }
}

/// mmdebstrap leaves the builder's name and its name server behind; these take them out, at the last moment that each
/// variant has.
const ANONYMOUS: &str = "--customize-hook=echo aios >\"$1/etc/hostname\" && : >\"$1/etc/resolv.conf\"";
const ANONYMOUS_EXTRACT: &str = "--extract-hook=echo aios >\"$1/etc/hostname\" && : >\"$1/etc/resolv.conf\"";

struct Recipe {
    image: &'static str,
    list: &'static str,
    options: &'static [&'static str],
}

const RECIPES: &[Recipe] = &[
    Recipe {
        image: OS_BASE,
        list: "os",
        options: &["--variant=minbase", ANONYMOUS],
    },
    Recipe {
        image: AGENT_BASE,
        list: "agent",
        options: &[
            "--variant=extract",
            ANONYMOUS_EXTRACT,
            "--dpkgopt=path-exclude=/usr/share/zoneinfo/*",
            "--dpkgopt=path-exclude=/usr/share/perl*",
            "--dpkgopt=path-exclude=/usr/lib/*/gconv/*",
            // Python is the only program.
            "--dpkgopt=path-exclude=/usr/bin/*",
            "--dpkgopt=path-include=/usr/bin/python3*",
        ],
    },
];

/// Makes or imports what is missing.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    RECIPES.iter().try_for_each(|recipe| make(host, args, recipe))
}

/// Makes or imports one of them when it is missing.
pub(crate) fn ensure(host: &Host, image: &str) -> Result<()> {
    let args = Args::default();
    RECIPES
        .iter()
        .filter(|recipe| recipe.image == image)
        .try_for_each(|recipe| make(host, &args, recipe))
}

fn make(host: &Host, args: &Args, recipe: &Recipe) -> Result<()> {
    let packages = packages(host, recipe)?;
    let digest = Inputs::default()
        .text(&args.suite)
        .text(args.mirror.as_deref().unwrap_or_default())
        .text(&recipe.options.join(" "))
        .text(&DPKG_OPTIONS.join(" "))
        .text(&packages)
        .digest();
    let tagged = format!("{}:{digest}", recipe.image);
    if !args.refresh && host.has_image(&tagged)? {
        host.podman().args(["tag", &tagged, recipe.image]).run()?;
        return Ok(());
    }
    let tar = host
        .cache
        .join("base")
        .join(format!("{}-{digest}.tar", recipe.list));
    if args.refresh || !tar.exists() {
        bootstrap(host, args, recipe, &packages, &tar)?;
    }
    host.podman()
        .args(["import", "--quiet"])
        .arg(&tar)
        .arg(&tagged)
        .ignore_stdout()
        .run()?;
    host.podman().args(["tag", &tagged, recipe.image]).run()?;
    say(&format!("base: {tagged} imported"));
    Ok(())
}

fn packages(host: &Host, recipe: &Recipe) -> Result<String> {
    let path = host.root.join(format!("bootc/base/{}.packages", recipe.list));
    let text = host.shell.read_file(&path)?;
    let names: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    ensure!(!names.is_empty(), "{} names no package", path.display());
    Ok(names.join(","))
}

/// Runs mmdebstrap. An archive whose Release file is past its date is taken after a warning: its signature still holds,
/// but it may be an old state of the archive.
fn bootstrap(host: &Host, args: &Args, recipe: &Recipe, packages: &str, tar: &PathBuf) -> Result<()> {
    say(&format!(
        "base: making {} from Debian {} packages (about a minute)",
        recipe.list, args.suite
    ));
    host.shell.create_dir(host.cache.join("base"))?;
    let first = mmdebstrap(host, args, recipe, packages, tar, &[])?;
    if first.is_none() {
        return Ok(());
    }
    let message = first.unwrap_or_default();
    ensure!(
        message.contains("expired") || message.contains("is not valid anymore"),
        "mmdebstrap:\n{message}"
    );
    say(
        "base: WARNING: the archive's Release file is past its date; taken all the same, its signature is checked",
    );
    let lax = ["--aptopt=Acquire::Check-Valid-Until \"false\""];
    match mmdebstrap(host, args, recipe, packages, tar, &lax)? {
        None => Ok(()),
        Some(message) => anyhow::bail!("mmdebstrap:\n{message}"),
    }
}

/// Answers mmdebstrap's messages when it failed. The tarball appears whole or not at all.
fn mmdebstrap(
    host: &Host,
    args: &Args,
    recipe: &Recipe,
    packages: &str,
    tar: &PathBuf,
    extra: &[&str],
) -> Result<Option<String>> {
    let part = tar.with_extension("part.tar");
    let output = host
        .root_cmd("mmdebstrap")
        .args(recipe.options)
        .args(DPKG_OPTIONS)
        .args([
            "--aptopt=Apt::Install-Recommends \"false\"",
            "--include",
            packages,
        ])
        .args(extra)
        .arg(&args.suite)
        .arg(&part)
        .args(&args.mirror)
        .ignore_status()
        .output()
        .context("mmdebstrap: run `cargo xtask setup` first")?;
    if !output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    host.root_cmd("mv").arg(&part).arg(tar).run()?;
    Ok(None)
}
