//! Images of the operating system, with a double of bootc's command line.

mod bed;
mod changes;
mod crashes;
mod init;
mod packages;
mod refusals;
