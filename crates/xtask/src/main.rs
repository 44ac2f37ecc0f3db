//! `cargo xtask`: sets a machine up, builds the images and boots them.
//!
//! For: work on the repository that needs more than a line of shell. Not for: anything that runs on a user's
//! machine; nothing here is installed.
//!
//! ```text
//! cargo xtask setup          # packages, system users, Podman's configuration for the containers' owner
//! cargo xtask image && cargo xtask vm --test
//! ```

mod agent_image;
mod apart;
mod base;
mod bench_boot;
mod cached;
mod closed;
mod container;
mod deny;
mod docs;
mod first_goal;
mod host;
mod image;
mod instance;
mod iso;
mod life;
mod node;
mod oci_pack;
mod page;
mod process;
mod python;
mod readiness;
mod setup;
mod stage;
mod system_test;
mod sysusers;
mod users;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

use host::Host;

/// Builds, stages and boots aiOS.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs packages, system users and Podman's configuration; does nothing where all is there.
    Setup(setup::Args),
    /// Makes both base images from Debian packages.
    Base(base::Args),
    /// Builds the agent image and writes it as an OCI layout.
    AgentImage(agent_image::Args),
    /// Copies the built binaries, configuration, agent image and page into an install tree.
    Stage(stage::Args),
    /// Builds the OS image, or checks one.
    Image(image::Args),
    /// Packs a directory as an OCI layout, the same way each time.
    OciPack(oci_pack::Args),
    /// Prints the names of the product's programs.
    Programs,
    /// Runs the OS image as a container for development, and does a first goal in it.
    Container(container::Args),
    /// Writes a medium that boots the OS image and installs it.
    Iso(iso::Args),
    /// Boots the OS image in a virtual machine.
    Vm(vm::Args),
    /// Has the OS image live in virtual machines: installed, updated, broken, rolled back.
    Life(life::Args),
    /// Boots the image by aios-init and by systemd in turn, and prints both sides' figures.
    BenchBoot(bench_boot::Args),
    /// Builds the console's web page.
    Page(page::Args),
    /// Checks the dependencies' licences and sources.
    Deny,
    /// Writes the reference pages, man pages and completions from the code.
    Docs(docs::Args),
    /// Starts aiOS here, does a first goal, and stays until Ctrl-C.
    Run(instance::RunArgs),
    /// Starts aiOS here in the background.
    Up,
    /// Runs the end-to-end tests on an instance of their own.
    TestSystem {
        /// Only this file of tests, `kills`
        only: Option<String>,
    },
    /// Makes faults on an instance of its own, has them found and mended, and prints what came of it.
    Eval {
        /// Arguments of `aios-eval`: parts of faults' names, `--seed N`, `--times N`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Stops it; fails when a process, container, mount or socket is left.
    Down,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            host::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let host = Host::new()?;
    if matches!(
        command,
        Command::Run(_) | Command::Up | Command::Down | Command::TestSystem { .. } | Command::Eval { .. }
    ) {
        users::with_new_groups(&host)?;
    }
    match command {
        Command::Setup(args) => setup::run(&host, &args)?,
        Command::Base(args) => base::run(&host, &args)?,
        Command::AgentImage(args) => agent_image::run(&host, &args)?,
        Command::Stage(args) => stage::run(&host, &args)?,
        Command::Image(args) => return image::run(&host, &args),
        Command::OciPack(args) => oci_pack::run(&args)?,
        Command::Programs => stage::names(&host)?.iter().for_each(|name| host::say(name)),
        Command::Container(args) => container::run(&host, &args)?,
        Command::Iso(args) => iso::run(&host, &args)?,
        Command::Vm(args) => return vm::run(&host, &args),
        Command::Life(args) => return life::run(&host, &args),
        Command::BenchBoot(args) => return bench_boot::run(&host, &args),
        Command::Page(args) => page::run(&host, &args)?,
        Command::Deny => deny::run(&host)?,
        Command::Docs(args) => docs::run(&host, &args)?,
        Command::Run(args) => instance::run(&host, &args)?,
        Command::Up => instance::up(&host)?,
        Command::TestSystem { only } => system_test::run(&host, only.as_deref())?,
        Command::Eval { words } => system_test::eval(&host, &words)?,
        Command::Down => instance::down(&host)?,
    }
    Ok(ExitCode::SUCCESS)
}
