//! Certificates in files: what they say, whether they hold, and new ones. What a server presents over the
//! network is the net namespace's to fetch.

mod chain;
pub(super) mod files;
pub(super) mod generate;
pub(super) mod info;
mod key;
