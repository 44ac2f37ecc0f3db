//! A package on a machine of images: made into an image by what the image itself brings, Podman, apt and dpkg, laid out by the
//! real bootc, started, and gone again with the image before.

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::time::Duration;

use super::Life;
use super::person::{ADMIN, approve, approved, restart, staged, words};
use super::update::blessed;
use crate::life::install::Bed;

/// What the package brings.
const PROGRAM: &str = "/usr/bin/life-hello";
/// A source of packages on this machine with the one package, served as one elsewhere would be.
const SOURCE: &str = r#"set -e
at=/var/lib/life-source deb=life-hello_1.0_all.deb
mkdir -p $at/tree/DEBIAN $at/tree/usr/bin
printf 'Package: life-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: life <life@example.org>\nDescription: says hello\n' >$at/tree/DEBIAN/control
printf '#!/bin/sh\necho hello from a package\n' >$at/tree/usr/bin/life-hello
chmod 755 $at/tree/usr/bin/life-hello
cd $at
dpkg-deb --build --root-owner-group tree $deb
{ cat tree/DEBIAN/control
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n' $deb "$(stat -c %s $deb)" "$(sha256sum $deb | cut -d' ' -f1)"; } >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] http://127.0.0.1:8765 ./' >/etc/apt/sources.list.d/life.list
setsid python3 -m http.server 8765 --bind 127.0.0.1 >/dev/null 2>&1 </dev/null &
"#;
/// What the tool may take, and a little more; emulated, a build takes some minutes.
const BUILD: Duration = Duration::from_mins(35);

pub(super) fn by_image(bed: &Bed, disk: PathBuf) -> Result<()> {
    let mut life = Life::begin(bed, disk)?;
    life.runs("1")?;
    life.healthy()?;
    life.done(&["aiosctl", "person", "enrol", "--user", "admin"])?;
    life.done(&["sh", "-c", SOURCE])?;
    until_the_next_start(&mut life)?;
    install(&mut life, r#"{"names": ["life-hello"]}"#)?;
    ensure!(staged(&mut life)?, "the image with the package is not staged");
    let missing = life.run(&[PROGRAM])?;
    ensure!(missing.code != 0, "what runs was changed");
    restart(&mut life)?;
    let said = life.done(&[PROGRAM])?;
    ensure!(said.trim() == "hello from a package", "{PROGRAM} says {said}");
    blessed(&mut life)?;
    let status = life.json(&words(&ADMIN, &["os", "status"]))?;
    let names = status
        .pointer("/packages")
        .map(ToString::to_string)
        .unwrap_or_default();
    ensure!(
        names.contains("life-hello"),
        "os.status does not name it: {status:#}"
    );
    approved(&mut life, &["os", "rollback"]).context("going back")?;
    restart(&mut life)?;
    life.runs("1")?;
    let gone = life.run(&[PROGRAM])?;
    ensure!(gone.code != 0, "the package is still there after going back");
    life.end()
}

/// Has a package installed, and waits for it.
fn install(life: &mut Life, args: &str) -> Result<String> {
    let goal = approve(life, &["tool", "call", "pkg.install", args])?;
    life.until("the package is there", BUILD, |life| {
        let detail = life.json(&words(&ADMIN, &["goal", "show", &goal]))?;
        match detail.pointer("/goal/state").and_then(|state| state.as_str()) {
            Some("completed") => Ok(true),
            Some("failed" | "cancelled") => bail!("{detail:#}"),
            _ => Ok(false),
        }
    })?;
    Ok(goal)
}

/// There at once, for services too, with `/usr` as read-only as before, and gone after an undo.
fn until_the_next_start(life: &mut Life) -> Result<()> {
    let goal = install(life, r#"{"names": ["life-hello"], "transient": true}"#)?;
    let said = life.done(&[PROGRAM])?;
    ensure!(said.trim() == "hello from a package", "{PROGRAM} says {said}");
    ensure!(!staged(life)?, "something was staged");
    let guard = life.done(&[
        "sh",
        "-c",
        &format!("nsenter -t $(pgrep -x aios-guard) -m -- ls {PROGRAM}"),
    ])?;
    ensure!(guard.trim() == PROGRAM, "services do not see it: {guard}");
    let written = life.run(&["touch", "/usr/bin/other"])?;
    ensure!(written.code != 0, "/usr can be written");
    let status = life.json(&words(&ADMIN, &["os", "status"]))?;
    let names = status.pointer("/transient").map(ToString::to_string);
    ensure!(
        names.is_some_and(|it| it.contains("life-hello")),
        "os.status does not name it: {status:#}"
    );
    approved(life, &["goal", "undo", &goal]).context("taking it off")?;
    let gone = life.run(&[PROGRAM])?;
    ensure!(gone.code != 0, "the package is still there after the undo");
    Ok(())
}
