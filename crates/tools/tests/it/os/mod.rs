//! Images of the operating system, with a double of bootc's command line.

mod bed;
mod changes;
mod crashes;
mod house;
mod init;
mod package_crashes;
mod packages;
mod refusals;
mod transient;
