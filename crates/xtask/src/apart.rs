//! Goes on in namespaces of its own: mounts, processes, network. What is broken there is not this machine's: a fault
//! on a mount, a route, the list of name servers; and who looks for processes that run away does not find, and end,
//! those of the person who started this.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

use crate::host::Host;

/// Set for the program that goes on there.
const APART: &str = "AIOS_APART";

/// The first process there. It takes in processes whose parents have ended, as every machine's first does; faults are
/// mounted while services run, who see only what is passed on to them, and systemd makes `/` so at boot; pings are
/// open to everybody, as `aios-init` makes it at boot; and the list of name servers is a file of its own, which can be
/// written to.
const FIRST: &str = "\
mount --make-rshared / && ip link set lo up && echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range || exit 1
mount -t tmpfs -o mode=755 resolv /mnt && echo > /mnt/resolv.conf && mount --bind /mnt/resolv.conf /etc/resolv.conf || exit 1
umount /mnt || exit 1
\"$@\"
exit $?";

/// Whether this program runs there.
pub(crate) fn is_apart() -> bool {
    std::env::var_os(APART).is_some()
}

/// Starts this program again, with the same words, in namespaces of its own, as root; what runs there ends with it.
///
/// # Errors
/// It failed, and said why.
pub(crate) fn again(host: &Host, state: &Path) -> Result<()> {
    let program = std::env::current_exe().context("the path of this program")?;
    let kept = ["AIOS_CACHE", "AIOS_LOG", "HOME", "PATH"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let mut command = Command::new(if host.is_root() { "unshare" } else { "sudo" });
    if !host.is_root() {
        command.arg("unshare");
    }
    let status = command
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        // Who approves there is root, as whom everything there runs.
        .args(["sh", "-c", FIRST, "sh", "env", "-u", "SUDO_USER", "USER=root"])
        .args(kept)
        .arg(format!("AIOS_STATE={}", state.display()))
        .arg(format!("{APART}=1"))
        .arg(program)
        .args(std::env::args_os().skip(1))
        .status()
        .context("start unshare, of util-linux")?;
    ensure!(status.success(), "not everything was as it should be: {status}");
    Ok(())
}
