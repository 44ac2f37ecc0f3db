//! Tests that need root: services have users of their own, and only root can start them.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! if !aios_tests_root::as_root()? {
//!     return Ok(()); // it passed, as root, in a process of its own
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

use std::io;
use std::process::Command;

/// What of the environment a test as root sees too.
const KEPT: &str = "--preserve-env=PATH,CARGO_TARGET_DIR,AIOS_SOAK,AIOS_SEQUENCES,AIOS_LOG,RUST_BACKTRACE";

/// Whether the caller is root. If not, runs this very test again under `sudo` and says `false` when it
/// passed there: the caller then has nothing left to do.
///
/// # Errors
/// There is no `sudo` without a password, or the test failed under it.
pub fn as_root() -> io::Result<bool> {
    if rustix::process::geteuid().is_root() {
        return Ok(true);
    }
    // A test runs on a thread of its own name, or on the main one; nextest says it in any case.
    let thread = || std::thread::current().name().unwrap_or_default().to_owned();
    let test = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| thread());
    // Programs of root are not on everybody's path.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let status = Command::new("sudo")
        .args(["-n", KEPT])
        .arg(std::env::current_exe()?)
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env("PATH", path)
        .status()?;
    if status.success() {
        return Ok(false);
    }
    Err(io::Error::other(format!("`{test}` under sudo: {status}")))
}
