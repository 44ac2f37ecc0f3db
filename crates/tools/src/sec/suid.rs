//! sec.find_suid: files that run with other rights than those of whoever starts them, and which of them are
//! surprises.

use super::baseline::Baseline;
use super::machine::Machine;
use super::packages;
use super::permissions::lies_in;
use super::tree::{Seen, Thing, Tree, attribute, is_file, octal};
use super::types::{SuidArgs, SuidFile, SuidResult};
use super::{Sec, check_limit, looking};
use crate::budget::Budget;
use crate::error::Result;
use crate::fs::resolve::{Follow, normalize};
use crate::registry::{About, ToolSpec};
use crate::typed::{plain_name, typed};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fd::AsFd;

pub(super) const NAME: &str = "sec.find_suid";
const ACTION: &str = "find_suid";

/// Where nobody installs a program that needs rights.
const UNUSUAL: &[&str] = &[
    "/tmp", "/var/tmp", "/dev/shm", "/home", "/root", "/srv", "/run", "/mnt", "/media",
];

/// Names of the kernel's capabilities by number.
const CAPABILITIES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<SuidArgs, SuidResult>(About {
        name: NAME,
        summary: "Finds set-uid and set-gid files and files with capabilities, and which of them no package or baseline knows.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:find_suid:PATH",
        timeout_ms: 120_000,
    })
}

pub(super) fn canonical(mut args: SuidArgs) -> Result<SuidArgs> {
    args.root = normalize(&args.root)?;
    check_limit(NAME, args.limit)?;
    if let Some(name) = &args.baseline {
        plain_name(NAME, "baseline", name)?;
    }
    Ok(args)
}

pub(super) fn prepare(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let args: SuidArgs = typed(NAME, call.args)?;
    let place = sec.resolver.resolve(call.caps, ACTION, &args.root, Follow::Yes)?;
    place.open_dir()?;
    looking(
        ACTION,
        &[&place],
        format!("Find set-uid and set-gid files below {}", place.path),
    )
}

pub(super) fn run(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<SuidResult> {
    let args: SuidArgs = typed(NAME, call.args)?;
    let place = sec.target(call, identities, ACTION, &args.root)?;
    let baseline = match &args.baseline {
        None => None,
        Some(name) => Some((name, sec.baselines.load(&place.path, name)?.1)),
    };
    let root = place.open_dir()?;
    let tree = Tree {
        root: &root,
        path: &place.path,
        budget: call.budget,
        granted: &sec.granted(call, ACTION),
    };
    let known = match &baseline {
        Some((_, baseline)) => Known::Baseline(baseline),
        None => Known::Packages,
    };
    let mut found = look(&tree, &sec.machine, &known)?;
    found
        .files
        .sort_by(|a, b| (!surprising(a), &a.path).cmp(&(!surprising(b), &b.path)));
    let total = found.files.len() as u64;
    let surprises = found.files.iter().filter(|file| surprising(file)).count() as u64;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let truncated = found.files.len() > limit;
    found.files.truncate(limit);
    Ok(SuidResult {
        compared_with: match &baseline {
            Some((name, _)) => format!("baseline {name}"),
            None if found.packages => "packages".to_owned(),
            None => "nothing".to_owned(),
        },
        root: place.path,
        files: found.files,
        total,
        surprises,
        truncated,
        looked_at: found.seen.looked_at,
        skipped: found.seen.skipped,
    })
}

/// What says whether a file is known.
pub(super) enum Known<'a> {
    Packages,
    Baseline(&'a Baseline),
}

/// What a look through a tree found.
pub(super) struct Found {
    pub(super) files: Vec<SuidFile>,
    pub(super) seen: Seen,
    /// Whether the machine has a package database.
    pub(super) packages: bool,
}

/// Whether a person should look at it.
pub(super) fn surprising(file: &SuidFile) -> bool {
    !file.known || !file.concerns.is_empty()
}

/// Every such file in a tree, in the order of the file system.
pub(super) fn look(tree: &Tree<'_>, machine: &Machine, known: &Known<'_>) -> Result<Found> {
    let mut files = Vec::new();
    let seen = tree.each(|thing| {
        if let Some(mut file) = examine(thing)? {
            if let Known::Baseline(baseline) = known {
                file.known = baseline.has(thing)?;
            }
            file.concerns = concerns(&file, machine.inside(thing.path));
            files.push(file);
        }
        Ok(())
    })?;
    let mut packages = false;
    if matches!(known, Known::Packages) {
        packages = name_packages(&mut files, machine, tree.budget)?;
    }
    Ok(Found {
        files,
        seen,
        packages,
    })
}

fn name_packages(files: &mut [SuidFile], machine: &Machine, budget: &Budget) -> Result<bool> {
    let wanted = files
        .iter()
        .map(|file| machine.inside(&file.path).to_owned())
        .collect();
    let Some(owners) = packages::owners(machine, &wanted, budget)? else {
        return Ok(false);
    };
    for file in files {
        file.package = owners.get(machine.inside(&file.path)).cloned();
        file.known = file.package.is_some();
    }
    Ok(true)
}

fn examine(thing: &Thing<'_>) -> Result<Option<SuidFile>> {
    let stat = thing.stat;
    if !is_file(stat) {
        return Ok(None);
    }
    let set_uid = stat.st_mode & 0o4000 != 0;
    // Set-gid without the right to run it once meant locking, and gives nobody any right.
    let set_gid = stat.st_mode & 0o2000 != 0 && stat.st_mode & 0o010 != 0;
    let mut capabilities = Vec::new();
    if stat.st_mode & 0o111 != 0
        && let Some(fd) = thing.handle()?
        && let Some(value) = attribute(fd.as_fd(), "security.capability", thing.path)?
    {
        capabilities = capability_names(&value);
    }
    if !set_uid && !set_gid && capabilities.is_empty() {
        return Ok(None);
    }
    Ok(Some(SuidFile {
        path: thing.path.to_owned(),
        mode: octal(stat.st_mode),
        uid: stat.st_uid,
        gid: stat.st_gid,
        set_uid,
        set_gid,
        capabilities,
        package: None,
        known: false,
        concerns: Vec::new(),
    }))
}

fn concerns(file: &SuidFile, inside: &str) -> Vec<String> {
    let mode = u32::from_str_radix(&file.mode, 8).unwrap_or_default();
    let mut all = Vec::new();
    if mode & 0o002 != 0 || mode & 0o020 != 0 && file.gid != 0 {
        all.push("others than its owner may change it".to_owned());
    }
    if lies_in(inside, UNUSUAL) {
        all.push("no program that needs rights belongs there".to_owned());
    }
    let name = inside.rsplit_once('/').map_or(inside, |(_, name)| name);
    if name.starts_with('.') {
        all.push("its name is hidden".to_owned());
    }
    let shells = [
        "sh", "bash", "dash", "zsh", "ksh", "busybox", "env", "python3", "perl", "find", "vim", "cp",
    ];
    if file.set_uid && shells.contains(&name) {
        all.push("it runs whatever it is told, as its owner".to_owned());
    }
    all
}

/// Names of the capabilities in a `security.capability` attribute (`struct vfs_cap_data`): the permitted and
/// inheritable sets, low words first.
fn capability_names(value: &[u8]) -> Vec<String> {
    let word = |index: usize| {
        let bytes = value.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    // Word 0 is revision and flags; then permitted and inheritable, and from revision 2 on both again.
    let low = word(1).unwrap_or_default() | word(2).unwrap_or_default();
    let high = word(3).unwrap_or_default() | word(4).unwrap_or_default();
    let all = u64::from(low) | u64::from(high) << 32;
    (0..64_u32)
        .filter(|bit| all >> bit & 1 == 1)
        .map(|bit| {
            let name = usize::try_from(bit).ok().and_then(|bit| CAPABILITIES.get(bit));
            name.map_or_else(|| format!("cap_{bit}"), |name| (*name).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_kernels_own_layout() {
        let net_raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(capability_names(&net_raw), ["cap_net_raw"]);
        let both = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(capability_names(&both), ["cap_chown", "cap_checkpoint_restore"]);
        assert!(capability_names(&[1, 0]).is_empty());
    }
}
