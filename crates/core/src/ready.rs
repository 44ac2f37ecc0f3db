//! Telling the supervisor how a service is, by the protocol of `sd_notify(3)`.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that the service is ready. Without `$NOTIFY_SOCKET` nothing happens.
///
/// # Errors
/// The socket that the environment names cannot be reached.
pub fn notify() -> io::Result<()> {
    send("READY=1")
}

/// Says that the service is ending.
///
/// # Errors
/// As [`notify`].
pub fn stopping() -> io::Result<()> {
    send("STOPPING=1")
}

/// One sentence about what the service is doing, for `aiosctl service status`.
///
/// # Errors
/// As [`notify`].
pub fn status(sentence: &str) -> io::Result<()> {
    send(&format!("STATUS={}", sentence.replace('\n', " ")))
}

/// Feeds the service's watchdog.
///
/// # Errors
/// As [`notify`].
pub fn watchdog() -> io::Result<()> {
    send("WATCHDOG=1")
}

fn send(message: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(rest) => SocketAddr::from_abstract_name(rest)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(|_| ())
}
