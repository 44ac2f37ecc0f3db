//! Every fault. One file a family.

mod services;
mod storage;

use crate::fault::Fault;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Fault>> {
    storage::all().into_iter().chain(services::all()).collect()
}
