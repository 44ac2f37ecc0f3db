//! `aiosctl backup …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `aiosctl backup …`
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Copy the whole state of aiOS and /etc/aios into one file, while everything works; needs root
    Create {
        /// The file; must not exist
        file: PathBuf,
        /// Encrypt to the public keys in this file; may be repeated [default: /etc/aios/backup.pub, where it is there]
        #[arg(long, value_name = "FILE", conflicts_with = "plain")]
        key: Vec<PathBuf>,
        /// Do not encrypt, although /etc/aios/backup.pub is there
        #[arg(long)]
        plain: bool,
    },
    /// Make a pair of keys: FILE is secret and restores, FILE.pub encrypts
    Key {
        /// The secret key's file; must not exist
        file: PathBuf,
    },
    /// What a backup says of itself: machine, time, versions, files
    Inspect {
        /// Which backup
        #[command(flatten)]
        archive: Archive,
        /// List every file
        #[arg(long)]
        files: bool,
    },
    /// Read all of a backup, and check that nothing is missing or altered
    Verify {
        /// Which backup
        #[command(flatten)]
        archive: Archive,
    },
    /// Put a backup in the place of the state; aiOS must be stopped, the old state stays beside it; needs root
    Restore {
        /// Which backup
        #[command(flatten)]
        archive: Archive,
        /// Unpack and check everything, then put nothing in place
        #[arg(long)]
        dry_run: bool,
        /// Restore another machine's backup: this machine takes its place
        #[arg(long)]
        other_machine: bool,
    },
}

/// A backup and its key.
#[derive(Debug, Args)]
pub struct Archive {
    /// The backup
    pub file: PathBuf,
    /// The secret key, for an encrypted one
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}
