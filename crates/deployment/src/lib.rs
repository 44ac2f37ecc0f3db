//! Deployments: images of the operating system that this machine can boot, and which of them it trusts.
//!
//! bootc lays images out and swaps them; it neither counts how often a new one is tried nor knows whether it works. That is
//! here:
//!
//! | module | for |
//! |---|---|
//! | [`id`] | which deployment runs, from the kernel command line |
//! | [`entry`] | boot entries: their names with a try counter, and what they say |
//! | [`loader`] | the entries of a boot partition: counting a staged one, blessing, finding a trial |
//! | [`esp`] | finding and mounting that partition |
//! | [`staged`] | what bootc says of a deployment: image reference, manifest digest |
//! | [`bootc`] | asking bootc what there is, and having it stage, roll back and collect |
//! | [`image`] | references, and images in directories before they are laid out |
//! | [`derived`] | images that were made here, of a base and packages that people added |
//! | [`overlay`] | packages that lie over `/usr` until the next start |
//! | [`signature`] | who stands for an image in a directory |
//! | [`policy`] | what skopeo asks of the signature of an image of a registry |
//! | [`history`] | what was tried, what was blessed, and what failed and must not be tried again |
//!
//! ```text
//! bootc upgrade      writes loader/entries.staged/X-1.conf
//! shutdown           X-1.conf → X-1+3.conf, the attempt is noted, bootc exchanges the directories
//! next boots         systemd-boot: X-1+2-1.conf, X-1+1-2.conf, X-1+0-3.conf; then the older entry
//! healthy            X-1+2-1.conf → X-1.conf: blessed
//! not healthy        the older image finds the noted attempt, and notes the failure
//! ```
//!
//! Nothing here decides what healthy is, or whether an image may be laid out.

pub mod bootc;
pub mod derived;
pub mod entry;
pub mod error;
pub mod esp;
pub mod history;
pub mod id;
pub mod image;
pub mod loader;
pub mod overlay;
pub mod policy;
pub mod signature;
pub mod staged;

pub use error::{DeploymentError, Result};
pub use id::DeploymentId;
