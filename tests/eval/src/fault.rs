//! What a fault is: a way to make it, what is to be found, and how to see from outside that it is gone.

use crate::random::Random;
use anyhow::Result;
use std::any::Any;
use std::path::{Path, PathBuf};

/// A place for one fault, and the instance whose configuration it may add to.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// An empty directory that goes away with the fault.
    pub(crate) dir: &'a Path,
    /// The running instance.
    pub(crate) instance: &'a aios_tests_e2e::ctl::Instance,
}

/// What was made.
pub(crate) struct Made {
    /// What a person says about it.
    pub(crate) goal: String,
    /// What must be found; nothing in a control.
    pub(crate) wanted: Option<Wanted>,
    /// Paths that a repair must change; any other change below the place is beyond need.
    pub(crate) needed: Vec<PathBuf>,
    /// Whether the fault is gone; an error says what is still wrong.
    pub(crate) healthy: Box<dyn Fn() -> Result<()>>,
    /// What must live as long as the fault: processes, mounts.
    pub(crate) _held: Vec<Box<dyn Any>>,
}

/// A cause and what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Stable id of the cause.
    pub(crate) cause: &'static str,
    /// What its subject must name; each further line is something that the finding must say.
    pub(crate) subject: String,
    /// Whether aiOS repairs it; otherwise it advises and changes nothing.
    pub(crate) repairs: bool,
}

/// A fault.
pub(crate) trait Fault {
    /// `disk-full`.
    fn name(&self) -> &'static str;

    /// Makes it, or with `broken` false its healthy twin: the same in everything but the fault.
    ///
    /// # Errors
    /// The machine refuses.
    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made>;
}
