//! Another user's process that passes bytes on: whoever speaks through it is, for the service at the other
//! end, that process.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::Who;

/// Listens on the first path, says so, and passes each connection on to the second.
const PROGRAM: &str = r#"
import socket, sys, threading
at, to = sys.argv[1:3]
listener = socket.socket(socket.AF_UNIX)
listener.bind(at)
listener.listen(16)
print("listening", flush=True)
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
while True:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(to)
    except OSError:
        client.close()
        continue
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"#;

/// The process; killed when dropped.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    directory: TempDir,
}

impl Relay {
    /// Starts a relay to the socket `to` as `who`; `confined` sets no-new-privileges, as for everything
    /// that agents, tools and workers start. Only root can.
    ///
    /// # Errors
    /// It cannot be started, or does not come up.
    pub fn start(who: Who, confined: bool, to: &Path) -> Result<Self> {
        let ids = who.ids()?;
        let directory = tempfile::Builder::new()
            .prefix("aios-relay-")
            .tempdir_in("/tmp")?;
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700))?;
        chown(directory.path(), Some(ids.uid), Some(ids.gid))?;
        let groups: Vec<String> = ids.groups.iter().map(ToString::to_string).collect();
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={}", ids.uid), format!("--regid={}", ids.gid)]);
        if groups.is_empty() {
            command.arg("--clear-groups");
        } else {
            command.arg(format!("--groups={}", groups.join(",")));
        }
        if confined {
            command.arg("--no-new-privs");
        }
        let mut child = command
            .args(["--pdeathsig", "KILL", "python3", "-c", PROGRAM])
            .arg(directory.path().join("socket"))
            .arg(to)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("setpriv … python3")?;
        let said = child.stdout.take();
        let relay = Self { child, directory };
        let mut line = String::new();
        BufReader::new(said.context("its output")?).read_line(&mut line)?;
        anyhow::ensure!(line == "listening\n", "the relay did not come up: {line:?}");
        Ok(relay)
    }

    /// Its socket, which only root and `who` can reach.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A channel through it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        aios_core::rpc::channel(&self.socket())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // One that has ended already needs no signal, and nobody can be told of a failure here.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
