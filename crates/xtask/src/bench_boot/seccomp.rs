//! The filters of `crates/confine/filters`, in systemd's words.
//!
//! Both refuse the same calls with the same errors. Three rules look at arguments: socket families and namespaces have
//! words of their own (`RestrictAddressFamilies`, `RestrictNamespaces`). No word has: device nodes made by mknod(2), the
//! ioctls that write to a terminal, and one netlink protocol (`NETLINK_NETFILTER` for the DHCP client).

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;

const SERVICE: &str = include_str!("../../../confine/filters/service.json");
const WORKER: &str = include_str!("../../../confine/filters/worker.json");
const WORKER_NET: &str = include_str!("../../../confine/filters/worker-net.json");
const DHCP: &str = include_str!("../../../confine/filters/dhcp.json");
/// What `crates/confine/src/seccomp.rs` leaves out of `service` for the filters `time` and `images`.
const CLOCK: &[&str] = &["settimeofday", "clock_settime", "clock_adjtime", "adjtimex"];
const MOUNTS: &[&str] = &[
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "chroot",
    "unshare",
    "setns",
];

/// What a filter is made of.
struct Recipe {
    name: &'static str,
    /// Beside `service`.
    more: Option<&'static str>,
    /// Calls of `service` that it allows.
    but: &'static [&'static str],
    /// The only socket families; empty for all.
    families: &'static str,
}

const RECIPES: [Recipe; 6] = [
    Recipe {
        name: "service",
        more: None,
        but: &[],
        families: "",
    },
    Recipe {
        name: "worker",
        more: Some(WORKER),
        but: &[],
        families: "AF_UNIX",
    },
    Recipe {
        name: "worker-net",
        more: Some(WORKER_NET),
        but: &[],
        families: "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    },
    Recipe {
        name: "dhcp",
        more: Some(DHCP),
        but: &[],
        families: "AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
    },
    Recipe {
        name: "time",
        more: Some(WORKER_NET),
        but: CLOCK,
        families: "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    },
    Recipe {
        name: "images",
        more: None,
        but: MOUNTS,
        families: "",
    },
];

/// The lines of a unit's `[Service]` that stand for a filter; none for no filter.
pub(super) fn lines(name: &str) -> Result<Vec<String>> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) else {
        bail!("systemd cannot be told the seccomp filter `{name}`");
    };
    let mut refused = refused(SERVICE)?;
    if let Some(more) = recipe.more {
        refused.extend(self::refused(more)?);
    }
    refused.retain(|call| !recipe.but.contains(&call.as_str()));
    let calls: Vec<&str> = refused.iter().map(String::as_str).collect();
    let mut lines = vec![
        "SystemCallArchitectures=native".to_owned(),
        "SystemCallErrorNumber=EPERM".to_owned(),
        format!("SystemCallFilter=~{}", calls.join(" ")),
    ];
    // It makes clone3 answer ENOSYS, as our filters do.
    if !recipe.but.contains(&"unshare") {
        lines.push("RestrictNamespaces=yes".to_owned());
    }
    if !recipe.families.is_empty() {
        lines.push(format!("RestrictAddressFamilies={}", recipe.families));
    }
    Ok(lines)
}

/// Calls that a filter refuses whatever their arguments are.
fn refused(source: &str) -> Result<BTreeSet<String>> {
    let value: Value = serde_json::from_str(source)?;
    let rules = value
        .pointer("/1-refused/filter")
        .and_then(Value::as_array)
        .context("a seccomp filter without `1-refused`")?;
    let calls = rules.iter().filter(|rule| rule.get("args").is_none());
    calls
        .map(|rule| {
            let call = rule.get("syscall").and_then(Value::as_str);
            call.map(str::to_owned).context("a rule without `syscall`")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_refuses_what_ours_refuses() {
        for (name, refused, allowed, families) in [
            ("service", "mount", "io_uring_setup", None),
            ("worker", "io_uring_setup", "socket", Some("AF_UNIX")),
            (
                "time",
                "mount",
                "clock_settime",
                Some("AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
            ),
            ("images", "ptrace", "mount", None),
        ] {
            let lines = lines(name).unwrap();
            let calls = lines
                .iter()
                .find_map(|line| line.strip_prefix("SystemCallFilter=~"))
                .unwrap();
            let calls: Vec<&str> = calls.split(' ').collect();
            assert!(
                calls.contains(&refused) && !calls.contains(&allowed),
                "{name}: {calls:?}"
            );
            let said = lines
                .iter()
                .find_map(|line| line.strip_prefix("RestrictAddressFamilies="));
            assert_eq!(said, families, "{name}");
        }
        assert!(lines("").unwrap().is_empty());
        assert!(lines("other").unwrap_err().to_string().contains("`other`"));
    }
}
