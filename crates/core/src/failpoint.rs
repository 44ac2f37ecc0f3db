//! Places where a crash test may kill the process, with SIGKILL, as a power cut would.
//!
//! A failpoint does nothing unless `AIOS_FAILPOINT_DIR` was set when the process started. Then, when
//! a file of the failpoint's name is in that directory, the process removes it and kills itself.
//! Removing it first makes each file one crash.
//!
//! ```
//! aios_core::failpoint::hit("example.before_commit"); // nothing happens: no directory is set
//! ```

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Kills this process if a crash test asked for it here.
pub fn hit(name: &str) {
    let directory = DIRECTORY.get_or_init(|| env::var_os("AIOS_FAILPOINT_DIR").map(PathBuf::from));
    if let Some(directory) = directory
        && fs::remove_file(directory.join(name)).is_ok()
    {
        die();
    }
}

fn die() {
    let me = nix::unistd::Pid::this();
    if nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL).is_ok() {
        // SIGKILL is delivered before this thread runs on; wait for it rather than continue past it.
        loop {
            std::thread::park();
        }
    }
}
