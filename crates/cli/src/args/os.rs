//! `aiosctl os …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Follow, sentence};

/// `aiosctl os …`
#[derive(Debug, Subcommand)]
pub enum Os {
    /// What runs, what starts next, and what failed and why
    Status,
    /// What an upgrade would bring, and what stands in its way
    Check,
    /// Fetch the newer image of the same name, and stage it for the next start
    Upgrade {
        /// What else counts
        #[command(flatten)]
        change: OsChange,
    },
    /// Fetch another image, and stage it for the next start
    Switch {
        /// The image: `quay.io/org/os:7`, `oci:/DIR:TAG`, `containers-storage:NAME`
        #[arg(value_parser = sentence)]
        image: String,
        /// Its transport, when IMAGE is the name alone: registry, oci, containers-storage
        #[arg(long, value_name = "NAME", value_parser = sentence)]
        transport: Option<String>,
        /// What else counts
        #[command(flatten)]
        change: OsChange,
    },
    /// Have the image before this one start the next time; once more takes that back
    Rollback {
        /// What else counts
        #[command(flatten)]
        change: OsChange,
    },
    /// Stage the image that this machine came with, without packages added since; /etc and /var stay
    Reset {
        /// What else counts
        #[command(flatten)]
        change: OsChange,
    },
    /// Start the machine again
    Reboot {
        /// How to follow
        #[command(flatten)]
        follow: Follow,
    },
    /// Sign an image in a directory, after reading all of it
    Sign {
        /// The directory, an OCI layout; with `:TAG` when it holds several images
        dir: String,
        /// The private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Make a key to sign images with: FILE, and FILE.pub for those who are to trust it
    Key {
        /// The private key's file; must not exist
        file: PathBuf,
    },
}

/// What commands that change the next start have in common.
#[derive(Args, Clone, Copy, Debug)]
pub struct OsChange {
    /// Also an image that failed on this machine before
    #[arg(long)]
    pub force: bool,
    /// How to follow
    #[command(flatten)]
    pub follow: Follow,
}
