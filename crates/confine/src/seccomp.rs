//! Seccomp filters: data in `filters/*.json`, compiled when a plan is prepared.
//!
//! * `service`: what no service of aiOS ever does (mounting, loading modules, kexec, bpf, tracing,
//!   keyrings, clocks, raw I/O, namespaces).
//! * `worker`: the same, and no new programs' debugging interfaces, no io_uring, no userfaultfd, no device nodes, no
//!   network sockets but Unix ones.
//! * `worker-net`: the same with sockets for IPv4, IPv6 and the kernel's tables (netlink), and no others: no packet
//!   sockets, which would see everybody's traffic.
//! * `dhcp`: as `worker-net`, with packet sockets, which are needed before there is an address, and without the kernel's firewall:
//!   whoever takes a network client over with CAP_NET_ADMIN cannot open it.
//! * `time`: as `worker-net`, and the clock may be set.
//! * `images`: as `service`, and file systems may be mounted, in a mount namespace of its own: what bootc, skopeo and podman do
//!   to lay an image out.
//!
//! A refused call answers EPERM; `clone3` answers ENOSYS, because its flags lie in memory where a
//! filter cannot look, and the C library then falls back to `clone`. Calls through the x32 table,
//! which a list of numbers would miss, are refused as a whole.

use crate::error::{ConfineError, Result};
use seccompiler::{BpfProgram, TargetArch, sock_filter};

/// The filters that exist.
pub const NAMES: [&str; 6] = ["service", "worker", "worker-net", "dhcp", "time", "images"];

const SERVICE: &str = include_str!("../filters/service.json");
/// What the clock is set by.
const CLOCK: [&str; 4] = ["settimeofday", "clock_settime", "clock_adjtime", "adjtimex"];

/// What mounts are made by.
const MOUNTS: [&str; 13] = [
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

const ARCH: TargetArch = if cfg!(target_arch = "aarch64") {
    TargetArch::aarch64
} else {
    TargetArch::x86_64
};

/// Programs to install for a filter, in order; the kernel applies the strictest answer of all.
///
/// # Errors
/// No filter of that name, or data that do not compile.
pub fn programs(name: &str) -> Result<Vec<BpfProgram>> {
    let service = SERVICE.to_owned();
    let sources: Vec<String> = match name {
        "service" => vec![service],
        "worker" => vec![service, include_str!("../filters/worker.json").into()],
        "worker-net" => vec![service, include_str!("../filters/worker-net.json").into()],
        "dhcp" => vec![service, include_str!("../filters/dhcp.json").into()],
        "time" => vec![
            without(SERVICE, &CLOCK),
            include_str!("../filters/worker-net.json").into(),
        ],
        "images" => vec![without(SERVICE, &MOUNTS)],
        _ => return Err(ConfineError::UnknownFilter(name.to_owned())),
    };
    let mut programs = Vec::new();
    for source in sources {
        let compiled = seccompiler::compile_from_json(source.as_bytes(), ARCH).map_err(|error| {
            ConfineError::Filter {
                name: name.to_owned(),
                reason: error.to_string(),
            }
        })?;
        let mut parts: Vec<(String, BpfProgram)> = compiled.into_iter().collect();
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        programs.extend(parts.into_iter().map(|(_, program)| program));
    }
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

/// A filter without some of its calls; each stands on a line of its own.
fn without(source: &str, calls: &[&str]) -> String {
    let named = |line: &str| {
        calls
            .iter()
            .any(|call| line.contains(&format!("{{\"syscall\": \"{call}\"}}")))
    };
    source
        .lines()
        .filter(|line| !named(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Refuses every call whose number has the x32 bit.
fn no_x32() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_GE: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD, 0, 0, 0),
        line(JUMP_GE, 0, 1, 0x4000_0000),
        line(RETURN, 0, 0, EPERM),
        line(RETURN, 0, 0, ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_compiles() {
        for name in NAMES {
            let programs = programs(name).unwrap();
            assert!(programs.len() >= 2, "{name}");
            assert!(programs.iter().all(|p| !p.is_empty() && p.len() < 4096));
        }
    }

    #[test]
    fn the_clock_is_the_only_difference_between_what_services_and_the_time_client_may_do() {
        let time = without(SERVICE, &CLOCK);
        let gone: Vec<&str> = SERVICE.lines().filter(|line| !time.contains(line)).collect();
        assert_eq!(gone.len(), CLOCK.len(), "{gone:?}");
        for (line, call) in gone.iter().zip(CLOCK) {
            assert!(line.contains(call), "{line}");
        }
    }

    #[test]
    fn mounts_are_the_only_difference_between_what_services_and_the_worker_of_images_may_do() {
        let images = without(SERVICE, &MOUNTS);
        let gone: Vec<&str> = SERVICE.lines().filter(|line| !images.contains(line)).collect();
        assert_eq!(gone.len(), MOUNTS.len(), "{gone:?}");
        for refused in [
            "ptrace",
            "init_module",
            "kexec_load",
            "bpf",
            "reboot",
            "open_by_handle_at",
        ] {
            assert!(images.contains(&format!("\"{refused}\"")), "{refused}");
        }
    }

    #[test]
    fn an_unknown_filter_is_refused() {
        assert!(matches!(programs("none"), Err(ConfineError::UnknownFilter(_))));
    }
}
