//! Creates the system users of `bootc/sysusers.d/aios.conf` on a development machine, and what rootless Podman needs
//! for the one that owns the containers.

use anyhow::{Context, Result, ensure};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use xshell::cmd;

use crate::host::{Host, say};
use crate::sysusers::{self, Entry};

/// The user that owns all containers.
pub(crate) const SANDBOX: &str = "aios-sandbox";
/// Set for a program that was started again for its groups.
const AGAIN: &str = "AIOS_XTASK_AGAIN";
const SUBIDS: u32 = 65_536;
const FIRST_SUBID: u32 = 524_288;

/// Creates what is missing.
pub(crate) fn create(host: &Host) -> Result<()> {
    let path = host.root.join("bootc/sysusers.d/aios.conf");
    let entries =
        sysusers::parse(&host.shell.read_file(&path)?).with_context(|| path.display().to_string())?;
    for entry in &entries {
        apply(host, entry)?;
    }
    if let Some(person) = host.person().filter(|person| person != "root") {
        add_member(host, &person, "aios")?;
    }
    subids(host, "/etc/subuid", "--add-subuids")?;
    subids(host, "/etc/subgid", "--add-subgids")?;
    container_config(host)
}

/// Starts this program again with the groups that its user has by now. Set-up has just made the person a member
/// of `aios`; a login from before does not know that, and without it no socket opens.
pub(crate) fn with_new_groups(host: &Host) -> Result<()> {
    let Some(person) = host.person().filter(|_| !host.is_root()) else {
        return Ok(());
    };
    let sh = &host.shell;
    let entry = cmd!(sh, "getent group aios").quiet().read()?;
    let mut fields = entry.split(':').skip(2);
    let gid: u32 = fields
        .next()
        .unwrap_or_default()
        .parse()
        .context("the id of group aios")?;
    let member = fields
        .next()
        .unwrap_or_default()
        .split(',')
        .any(|name| name == person);
    let known = rustix::process::getgroups()?
        .iter()
        .any(|group| group.as_raw() == gid);
    if known || !member {
        return Ok(());
    }
    ensure!(
        std::env::var_os(AGAIN).is_none(),
        "this login does not know of group aios; log in again, and run the same command"
    );
    say("you are a member of group aios now: log in again (or `newgrp aios`) before you use aiosctl by hand");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let error = Command::new("sudo")
        .args(["--preserve-env", "-u", &person, "env"])
        .arg([OsStr::new("PATH="), &path].into_iter().collect::<OsString>())
        .arg(format!("{AGAIN}=1"))
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("start again through sudo")
}

fn apply(host: &Host, entry: &Entry) -> Result<()> {
    match entry {
        Entry::Group { name, id } => {
            if !exists(host, "group", name)? {
                let id = id.to_string();
                let free = !exists(host, "group", &id)?;
                let fixed = if free { vec!["--gid", &id] } else { Vec::new() };
                host.root_cmd("groupadd")
                    .arg("--system")
                    .args(fixed)
                    .arg(name)
                    .run()?;
                say(&format!("group {name}: created"));
            }
        }
        Entry::User {
            name,
            id,
            comment,
            home,
            shell,
        } => {
            if !exists(host, "passwd", name)? {
                let id = id.to_string();
                let free = !exists(host, "passwd", &id)? && !exists(host, "group", &id)?;
                // On a machine that uses the number otherwise any other will do: only an image's state outlives it.
                let fixed = if free { vec!["--uid", &id] } else { Vec::new() };
                host.root_cmd("useradd")
                    .args([
                        "--system",
                        "--user-group",
                        "--no-create-home",
                        "--comment",
                        comment,
                    ])
                    .args(["--home-dir", home, "--shell", shell])
                    .args(fixed)
                    .arg(name)
                    .run()?;
                say(&format!("user {name}: created"));
            }
        }
        Entry::Member { user, group } => add_member(host, user, group)?,
    }
    Ok(())
}

fn exists(host: &Host, database: &str, key: &str) -> Result<bool> {
    let sh = &host.shell;
    let output = xshell::cmd!(sh, "getent {database} {key}")
        .quiet()
        .ignore_status()
        .output()?;
    Ok(output.status.success())
}

fn add_member(host: &Host, user: &str, group: &str) -> Result<()> {
    let sh = &host.shell;
    let groups = xshell::cmd!(sh, "id -nG {user}").quiet().read()?;
    if !groups.split_whitespace().any(|name| name == group) {
        host.root_cmd("usermod")
            .args(["--append", "--groups", group, user])
            .run()?;
        say(&format!("user {user}: added to group {group}"));
    }
    Ok(())
}

/// A system user gets no subordinate ids by itself: take the first free range.
fn subids(host: &Host, file: &str, option: &str) -> Result<()> {
    let text = if Path::new(file).exists() {
        host.shell.read_file(file)?
    } else {
        String::new()
    };
    if let Some(range) = free_range(&text, SANDBOX) {
        host.root_cmd("usermod").args([option, &range, SANDBOX]).run()?;
        say(&format!("user {SANDBOX}: {file} range {range}"));
    }
    Ok(())
}

/// The range to add for the user, or nothing when it has one.
fn free_range(text: &str, user: &str) -> Option<String> {
    let mut start = FIRST_SUBID;
    for line in text.lines() {
        let mut fields = line.split(':');
        if fields.next() == Some(user) {
            return None;
        }
        let mut number = || fields.next().and_then(|field| field.trim().parse::<u32>().ok());
        if let (Some(first), Some(count)) = (number(), number()) {
            start = start.max(first.saturating_add(count));
        }
    }
    Some(format!("{start}-{}", start.saturating_add(SUBIDS - 1)))
}

/// Podman reads these from the owner's home. The image has the like under /etc, for crun and cgroup v2.
fn container_config(host: &Host) -> Result<()> {
    let sh = &host.shell;
    let passwd = xshell::cmd!(sh, "getent passwd {SANDBOX}").quiet().read()?;
    let fields: Vec<&str> = passwd.trim().split(':').collect();
    let (Some(uid), Some(gid), Some(home)) = (fields.get(2), fields.get(3), fields.get(5)) else {
        anyhow::bail!("getent passwd {SANDBOX} answered `{passwd}`");
    };
    let owner = format!("{uid}:{gid}");
    let mut changed = false;
    changed |= directory(host, "/var/lib/aios", "root:root", "0755")?;
    changed |= directory(host, home, &owner, "0700")?;
    changed |= directory(host, &format!("{home}/.config"), &owner, "0700")?;
    changed |= directory(host, &format!("{home}/.config/containers"), &owner, "0700")?;
    changed |= directory(host, &format!("/run/user/{uid}"), &owner, "0700")?;
    // World-readable like any configuration: the owner must read what root wrote.
    let containers = host
        .shell
        .read_file(host.root.join("bootc/containers/development.conf"))?;
    let storage = host
        .shell
        .read_file(host.root.join("bootc/containers/storage.conf"))?;
    changed |= host.install_file(
        &format!("{home}/.config/containers/containers.conf"),
        &containers,
        "0644",
    )?;
    changed |= host.install_file(
        &format!("{home}/.config/containers/storage.conf"),
        &storage,
        "0644",
    )?;
    if changed {
        say(&format!(
            "user {SANDBOX}: Podman configured in {home}, runtime directory /run/user/{uid}"
        ));
    }
    Ok(())
}

/// Makes a directory with this owner and mode; answers whether it was missing or different.
fn directory(host: &Host, path: &str, owner: &str, mode: &str) -> Result<bool> {
    let output = host
        .root_cmd("stat")
        .args(["--format", "%u:%g 0%a", path])
        .ignore_status()
        .ignore_stderr()
        .output()?;
    let wanted = format!("{} {mode}", if owner == "root:root" { "0:0" } else { owner });
    if String::from_utf8_lossy(&output.stdout).trim() == wanted {
        return Ok(false);
    }
    let (user, group) = owner.split_once(':').context("an owner is USER:GROUP")?;
    host.root_cmd("install")
        .args(["-d", "-o", user, "-g", group, "-m", mode, path])
        .run()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::free_range;

    #[test]
    fn the_range_starts_after_every_other_and_is_given_once() {
        for (text, expected) in [
            ("", Some("524288-589823")),
            ("ann:100000:65536\n", Some("524288-589823")),
            ("ann:589824:65536\nbob:1000000:65536\n", Some("1065536-1131071")),
            ("aios-sandbox:1:2\n", None),
            ("garbage\n", Some("524288-589823")),
        ] {
            assert_eq!(free_range(text, "aios-sandbox").as_deref(), expected, "{text:?}");
        }
    }
}
