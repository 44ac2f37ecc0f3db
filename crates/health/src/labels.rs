//! AppArmor labels of live processes, from the kernel: what a file says is no proof of what holds.

use std::fs;
use std::path::Path;

/// Label of the processes in an agent's container.
const AGENT: &str = "aios-agent (enforce)";

/// Whether this kernel enforces AppArmor at all. Where it does not, the supervisor has said so, and the image does not start.
#[must_use]
pub fn enforced(securityfs: &Path) -> bool {
    fs::read_to_string(securityfs.join("lsm"))
        .is_ok_and(|list| list.split(',').any(|name| name.trim() == "apparmor"))
}

/// Label of a process; None when it is gone.
#[must_use]
pub fn of(proc: &Path, pid: u32) -> Option<String> {
    let path = proc.join(pid.to_string()).join("attr/current");
    fs::read_to_string(path)
        .ok()
        .map(|label| label.trim_end_matches(['\n', '\0']).to_owned())
}

/// Whether some process runs under the agents' label.
#[must_use]
pub fn agent(proc: &Path) -> bool {
    let pids = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| of(proc, pid)).any(|label| label == AGENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_counts_only_under_its_enforced_label() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, label, found) in [
            ("1", "unconfined\n", false),
            ("12", "aios-agent (complain)\n", false),
            ("self", "aios-agent (enforce)\n", false),
            ("13", "aios-agent (enforce)\n", true),
        ] {
            let attr = proc.path().join(pid).join("attr");
            fs::create_dir_all(&attr).unwrap();
            fs::write(attr.join("current"), label).unwrap();
            assert_eq!(agent(proc.path()), found, "{pid}");
        }
    }

    #[test]
    fn a_kernel_without_apparmor_enforces_nothing() {
        let security = tempfile::tempdir().unwrap();
        assert!(!enforced(security.path()));
        fs::write(security.path().join("lsm"), "lockdown,capability,landlock").unwrap();
        assert!(!enforced(security.path()));
        fs::write(security.path().join("lsm"), "lockdown,capability,apparmor\n").unwrap();
        assert!(enforced(security.path()));
    }
}
