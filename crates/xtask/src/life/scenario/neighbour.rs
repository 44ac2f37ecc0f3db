//! What others can reach and change: `/usr` is read-only also for root, and a second machine on the same cable tries every port.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

use super::{Fittings, Life};
use crate::life::install::Bed;
use crate::life::machine::{Cable, Network};

const ADDRESS: &str = "10.77.0.1";
/// Both have somebody who listens on every address; policy opens one of them.
const OPENED: u16 = 5555;
const CLOSED: u16 = 5556;

pub(super) fn scan(bed: &Bed, disk: PathBuf) -> Result<()> {
    let socket = bed.dir().join("cable.sock");
    let _old = std::fs::remove_file(&socket);
    let end = |first| Fittings {
        images: Some(bed.images()),
        network: Some(Network::Cable(Cable {
            socket: socket.clone(),
            first,
        })),
        ..Fittings::default()
    };
    let mut life = Life::begin_with(disk, end(true))?;
    nothing_to_write(&mut life)?;
    let other = bed.disk("neighbour-other")?;
    let mut other = Life::begin_with(other, end(false))?;
    addressed(&mut life, ADDRESS)?;
    addressed(&mut other, "10.77.0.2")?;
    for port in [OPENED, CLOSED] {
        let listen =
            format!("setsid python3 -m http.server {port} --bind 0.0.0.0 >/dev/null 2>&1 </dev/null &");
        life.done(&["sh", "-c", &listen])?;
    }
    let rule = ["tcp", "dport", &OPENED.to_string(), "accept"].join(" ");
    life.done(&["sh", "-c", &format!("nft add rule inet aios opened {rule}")])?;
    let seen = scanned(&mut other)?;
    ensure!(
        seen == [OPENED],
        "only port {OPENED} is opened, and these answer: {seen:?}"
    );
    // The scan sees what there is: without rules both answer, and nothing else, because everybody else listens on loopback.
    life.done(&["nft", "flush", "ruleset"])?;
    let seen = scanned(&mut other)?;
    ensure!(
        seen == [OPENED, CLOSED],
        "without a firewall two ports answer, and not {seen:?}"
    );
    other.end()?;
    life.end()
}

/// Every mount below `/usr` refuses root, and so does `/`.
fn nothing_to_write(life: &mut Life) -> Result<()> {
    // Asked by access(2) of every directory and file; the kernel answers for read-only file systems too.
    let found = life.done(&["sh", "-c", "find /usr -writable ! -type l | head -20"])?;
    ensure!(found.trim().is_empty(), "root can write below /usr:\n{found}");
    for path in ["/usr/x", "/usr/bin/x", "/usr/lib/aios/x"] {
        let done = life.run(&["touch", path])?;
        ensure!(
            done.code != 0 && done.err.contains("Read-only file system"),
            "touch {path} ended with {}: {}",
            done.code,
            done.err
        );
    }
    Ok(())
}

/// Gives its only card an address.
fn addressed(life: &mut Life, address: &str) -> Result<()> {
    let script = format!(
        "card=$(ls /sys/class/net | grep -v '^lo$') && ip link set $card up && ip address add {address}/24 dev $card"
    );
    life.done(&["sh", "-c", &script]).map(drop)
}

/// Ports of the other machine that answer a connection, of all there are.
fn scanned(life: &mut Life) -> Result<Vec<u16>> {
    let said = life.done(&["python3", "/usr/lib/aios-life/scan.py", ADDRESS])?;
    serde_json::from_str(&said).with_context(|| format!("no list of ports: {said}"))
}
