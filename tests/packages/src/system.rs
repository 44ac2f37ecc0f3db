//! The smallest system in which apt and dpkg work, as one archive: programs of this machine with their libraries. An image
//! of it takes packages as the product's own image does, in a second and without a network.

use crate::run;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What package scripts and those who install packages call.
const PROGRAMS: [&str; 42] = [
    "/usr/bin/apt-get",
    "/usr/bin/apt-mark",
    "/usr/bin/awk",
    "/usr/bin/cat",
    "/usr/bin/chmod",
    "/usr/bin/chown",
    "/usr/bin/comm",
    "/usr/bin/cp",
    "/usr/bin/diff",
    "/usr/bin/dpkg",
    "/usr/bin/dpkg-deb",
    "/usr/bin/dpkg-divert",
    "/usr/bin/dpkg-query",
    "/usr/bin/dpkg-split",
    "/usr/bin/env",
    "/usr/bin/find",
    "/usr/bin/grep",
    "/usr/bin/head",
    "/usr/bin/id",
    "/usr/bin/ln",
    "/usr/bin/ls",
    "/usr/bin/mkdir",
    "/usr/bin/mv",
    "/usr/bin/readlink",
    "/usr/bin/rm",
    "/usr/bin/rmdir",
    "/usr/bin/sed",
    "/usr/bin/sh",
    "/usr/bin/sleep",
    "/usr/bin/sort",
    "/usr/bin/tar",
    "/usr/bin/touch",
    "/usr/bin/tr",
    "/usr/bin/wc",
    "/usr/bin/xargs",
    "/usr/sbin/ldconfig",
    "/usr/sbin/start-stop-daemon",
    "/usr/lib/apt/apt-helper",
    "/usr/lib/apt/methods/copy",
    "/usr/lib/apt/methods/file",
    "/usr/lib/apt/methods/store",
    "/usr/bin/mktemp",
];
/// Directories that are there and empty, with their modes.
const DIRECTORIES: [(&str, u32); 9] = [
    ("etc/apt", 0o755),
    ("tmp", 0o1777),
    ("run", 0o755),
    ("var", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("dev", 0o755),
    ("usr/lib/sysimage/dpkg/updates", 0o755),
    ("usr/lib/sysimage/dpkg/triggers", 0o755),
];

/// The archive. `packages` stand in its database as installed: name and version.
///
/// # Errors
/// This machine lacks one of the programs.
pub fn archive(packages: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (link, target) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
    ] {
        let mut header = header(0o777, 0);
        header.set_entry_type(tar::EntryType::Symlink);
        tar.append_link(&mut header, link, target)?;
    }
    for (dir, mode) in DIRECTORIES {
        let mut header = header(mode, 0);
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, format!("{dir}/"), std::io::empty())?;
    }
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    for program in PROGRAMS {
        files.extend(libraries(program)?);
        add(
            &mut tar,
            program,
            &fs::read(program).with_context(|| program.to_owned())?,
        )?;
    }
    for table in ["cputable", "ostable", "tupletable"] {
        files.insert(Path::new("/usr/share/dpkg").join(table));
    }
    for file in files {
        let text = file.to_string_lossy().into_owned();
        let place = if text.starts_with("/lib") {
            format!("/usr{text}")
        } else {
            text
        };
        add(&mut tar, &place, &fs::read(&file)?)?;
    }
    let status: String = packages
        .iter()
        .map(|(name, version)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nMaintainer: a <a@example.org>\nArchitecture: all\n\
                 Version: {version}\nDescription: of the base\n\n"
            )
        })
        .collect();
    let database = "/usr/lib/sysimage/dpkg";
    add(&mut tar, &format!("{database}/status"), status.as_bytes())?;
    add(&mut tar, &format!("{database}/info/format"), b"1\n")?;
    for (name, _) in packages {
        let path = format!("/usr/share/{name}");
        add(&mut tar, &path, name.as_bytes())?;
        add(
            &mut tar,
            &format!("{database}/info/{name}.list"),
            format!("/.\n{path}\n").as_bytes(),
        )?;
    }
    add(&mut tar, "/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")?;
    add(&mut tar, "/etc/group", b"root:x:0:\n")?;
    Ok(tar.into_inner()?)
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

fn add(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = header(0o755, content.len() as u64);
    tar.append_data(&mut header, path.trim_start_matches('/'), content)?;
    Ok(())
}

/// Shared libraries of a program, and the loader.
fn libraries(program: &str) -> Result<Vec<PathBuf>> {
    let said = run(Command::new("ldd").arg(program))?;
    let words = said.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}
