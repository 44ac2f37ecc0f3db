//! Settings of the kernel, of new files, and modes of the secrets that every machine has.

use super::Scan;
use crate::error::Result;
use crate::sec::tree::octal;
use crate::sec::types::{Check, Severity};
use rustix::fs::FileType;

/// A setting of the kernel and the values that are good, best first.
struct Kernel {
    name: &'static str,
    good: &'static [&'static str],
    severity: Severity,
    why: &'static str,
}

const fn kernel_setting(
    name: &'static str,
    good: &'static [&'static str],
    severity: Severity,
    why: &'static str,
) -> Kernel {
    Kernel {
        name,
        good,
        severity,
        why,
    }
}

const KERNEL: &[Kernel] = &[
    kernel_setting(
        "kernel/randomize_va_space",
        &["2"],
        Severity::High,
        "addresses of programs can be foretold",
    ),
    kernel_setting(
        "kernel/kptr_restrict",
        &["2", "1"],
        Severity::Medium,
        "everybody reads where the kernel's own functions lie",
    ),
    kernel_setting(
        "kernel/dmesg_restrict",
        &["1"],
        Severity::Low,
        "everybody reads the kernel's messages",
    ),
    kernel_setting(
        "kernel/yama/ptrace_scope",
        &["1", "2", "3"],
        Severity::Medium,
        "a program of a user reads the memory of all others of that user",
    ),
    kernel_setting(
        "kernel/unprivileged_bpf_disabled",
        &["1", "2"],
        Severity::Medium,
        "everybody loads programs into the kernel",
    ),
    kernel_setting(
        "kernel/perf_event_paranoid",
        &["2", "3", "4"],
        Severity::Low,
        "everybody measures what others' programs do",
    ),
    kernel_setting(
        "fs/protected_hardlinks",
        &["1"],
        Severity::Medium,
        "links to others' files can be made in shared directories",
    ),
    kernel_setting(
        "fs/protected_symlinks",
        &["1"],
        Severity::Medium,
        "links in shared directories lead others' programs astray",
    ),
    kernel_setting(
        "fs/protected_fifos",
        &["2", "1"],
        Severity::Low,
        "programs can be made to write into another's pipe in a shared directory",
    ),
    kernel_setting(
        "fs/protected_regular",
        &["2", "1"],
        Severity::Low,
        "programs can be made to write into another's file in a shared directory",
    ),
    kernel_setting(
        "fs/suid_dumpable",
        &["0", "2"],
        Severity::Medium,
        "set-uid programs leave their memory behind when they crash",
    ),
    kernel_setting(
        "net/ipv4/tcp_syncookies",
        &["1", "2"],
        Severity::Low,
        "a flood of half-open connections keeps everybody out",
    ),
    kernel_setting(
        "net/ipv4/conf/all/accept_redirects",
        &["0"],
        Severity::Low,
        "a neighbour can lead the traffic over itself",
    ),
    kernel_setting(
        "net/ipv4/conf/all/accept_source_route",
        &["0"],
        Severity::Low,
        "a sender can choose the way past a firewall",
    ),
];

/// Secrets and the most that their mode may allow: a path, or a directory and the end of names in it.
const SECRETS: &[(&str, &str, u32)] = &[
    ("/etc/shadow", "", 0o640),
    ("/etc/shadow-", "", 0o640),
    ("/etc/gshadow", "", 0o640),
    ("/etc/gshadow-", "", 0o640),
    ("/etc/sudoers", "", 0o440),
    ("/etc/ssh", "_key", 0o640),
    ("/etc/ssl/private", ".key", 0o640),
    ("/etc/ssl/private", ".pem", 0o640),
];
/// What decides who is who: everybody may read it, only root may change it.
const GROUND: &[&str] = &["/etc/passwd", "/etc/group", "/etc/ssh/sshd_config"];
/// Files that let others in without a password, by their mere existence.
const TRUSTING: &[&str] = &[
    "/etc/hosts.equiv",
    "/etc/shosts.equiv",
    "/root/.rhosts",
    "/root/.shosts",
];

pub(super) fn kernel(scan: &mut Scan<'_>) -> Result<()> {
    for it in KERNEL {
        // A kernel that does not have a setting does not have what it is about.
        let Some(value) = scan.machine.setting(it.name)? else {
            continue;
        };
        if it.good.contains(&value.as_str()) {
            continue;
        }
        let name = it.name.replace('/', ".");
        let best = it.good.first().copied().unwrap_or_default();
        scan.note(
            Check::Kernel,
            (&format!("kernel.{name}"), it.severity),
            name.as_str(),
            format!("it is {value}: {}", it.why),
            format!("set {name} = {best}"),
        );
    }
    Ok(())
}

pub(super) fn secrets(scan: &mut Scan<'_>) -> Result<()> {
    for (path, end, most) in SECRETS {
        let names = if end.is_empty() {
            vec![(*path).to_owned()]
        } else {
            let names = scan
                .machine
                .names(path)?
                .into_iter()
                .filter(|name| name.ends_with(end));
            names.map(|name| format!("{path}/{name}")).collect()
        };
        for name in names {
            secret(scan, &name, *most)?;
        }
    }
    for path in GROUND {
        if let Some(stat) = scan.machine.stat(path)?
            && (stat.st_mode & 0o022 != 0 || stat.st_uid != 0)
        {
            scan.note(
                Check::Secrets,
                ("secrets.ground_writable", Severity::High),
                scan.machine.outside(path),
                format!(
                    "mode {}, uid {}: others than root may change it",
                    octal(stat.st_mode),
                    stat.st_uid
                ),
                "give it owner root and mode 0644",
            );
        }
    }
    for path in TRUSTING {
        if scan.machine.stat(path)?.is_some() {
            scan.note(
                Check::Secrets,
                ("secrets.trusting_file", Severity::High),
                scan.machine.outside(path),
                "it lets whoever claims to be a named host in without a password",
                "remove it",
            );
        }
    }
    Ok(())
}

fn secret(scan: &mut Scan<'_>, path: &str, most: u32) -> Result<()> {
    let Some(stat) = scan.machine.stat(path)? else {
        return Ok(());
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let mode = stat.st_mode & 0o7777;
    let extra = mode & 0o077 & !most;
    if extra == 0 && stat.st_uid == 0 {
        return Ok(());
    }
    let severity = if extra & 0o007 != 0 || stat.st_uid != 0 {
        Severity::High
    } else {
        Severity::Medium
    };
    scan.note(
        Check::Secrets,
        ("secrets.open", severity),
        scan.machine.outside(path),
        format!("mode {}, uid {}, gid {}", octal(mode), stat.st_uid, stat.st_gid),
        format!("give it owner root and mode {}", octal(mode & most)),
    );
    Ok(())
}

pub(super) fn umask(scan: &mut Scan<'_>) -> Result<()> {
    for (path, keyword) in [
        ("/etc/login.defs", "UMASK"),
        ("/etc/profile", "umask"),
        ("/etc/bash.bashrc", "umask"),
    ] {
        let text = scan.machine.text(path)?.unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            if words.next() != Some(keyword) {
                continue;
            }
            let value = words.next().unwrap_or_default();
            if u32::from_str_radix(value, 8).is_ok_and(|mask| mask & 0o002 == 0) {
                scan.note(
                    Check::Umask,
                    ("umask.open", Severity::Medium),
                    scan.machine.outside(path),
                    format!(
                        "line {}: {keyword} {value}: everybody may change new files",
                        index + 1
                    ),
                    format!("set {keyword} 022, or 027"),
                );
            }
        }
    }
    Ok(())
}
