//! Views as text for people. Nothing here asks a service or prints: each function makes lines.

pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod goal;
pub(crate) mod os;
pub(crate) mod schedule;
pub(crate) mod system;
pub(crate) mod table;
pub(crate) mod text;
