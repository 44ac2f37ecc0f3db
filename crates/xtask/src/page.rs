//! `cargo xtask page`: the console's web page, built by npm from its lock file.

use anyhow::Result;

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::node;

/// The page's sources.
const WEB: &str = "crates/console/web";
/// What the page is made of.
const SOURCES: &[&str] = &[
    "package-lock.json",
    "package.json",
    "index.html",
    "src",
    "public",
    "vite.config.ts",
    "tsconfig.json",
];

/// Arguments of `page`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run its unit tests instead.
    #[arg(long)]
    test: bool,
}

/// Builds the page when a source changed, or tests it.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let web = host.root.join(WEB);
    if args.test {
        node::install(host, &web)?;
        return node::npm(host, &web, &["test", "--silent"]);
    }
    let mut inputs = Inputs::default();
    for source in SOURCES
        .iter()
        .map(|name| web.join(name))
        .filter(|path| path.exists())
    {
        inputs = inputs.path(&source)?;
    }
    let digest = inputs.digest();
    let stamp = web.join("dist/.digest");
    if std::fs::read_to_string(&stamp).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    node::install(host, &web)?;
    node::npm(host, &web, &["run", "--silent", "build"])?;
    std::fs::write(&stamp, digest)?;
    say("page: built");
    Ok(())
}
