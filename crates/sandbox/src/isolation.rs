//! What holds for a live container, read from the kernel and not from what was asked for.

use std::fs;
use std::io;

use crate::kind::Kind;
use crate::machine::Enforced;

/// What the kernel says about a container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its user on the host.
    pub uid: u32,
    /// no_new_privs.
    pub no_new_privs: bool,
    /// Seccomp filters.
    pub seccomp: bool,
    /// Effective, permitted, inheritable, bounding and ambient capabilities are all empty.
    pub no_capabilities: bool,
    /// Whether its root is mounted read-only.
    pub read_only: bool,
    /// Whether it sees no network interface but loopback.
    pub no_network: bool,
    /// AppArmor label; `unconfined` or empty without.
    pub apparmor: String,
    /// Limits of its cgroup: bytes and processes; 0 for none.
    pub limits: (u64, u64),
}

impl Observed {
    /// Looks at a process.
    ///
    /// # Errors
    /// It is gone, or the kernel does not tell.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let missing = |name: &str| io::Error::other(format!("/proc/{pid}/status has no {name}"));
        let uid = field("Uid")
            .and_then(|it| it.split_whitespace().nth(1))
            .and_then(|it| it.parse().ok());
        let capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        Ok(Self {
            uid: uid.ok_or_else(|| missing("Uid"))?,
            no_new_privs: field("NoNewPrivs") == Some("1"),
            seccomp: field("Seccomp") == Some("2"),
            no_capabilities: capabilities.iter().all(|name| field(name).is_some_and(is_zero)),
            read_only: root_is_read_only(pid)?,
            no_network: only_loopback(pid)?,
            apparmor: label(pid)?,
            limits: limits(pid)?,
        })
    }

    /// What holds, as `AgentContainer.isolation` names it, or everything that must hold and does not.
    ///
    /// # Errors
    /// The list of what is missing.
    pub fn check(&self, kind: &Kind, enforced: &Enforced) -> Result<Vec<String>, String> {
        let mut held = Vec::new();
        let mut missing = Vec::new();
        let mut want = |holds: bool, name: String| {
            if holds {
                held.push(name)
            } else {
                missing.push(name)
            }
        };
        want(self.read_only, "read-only".to_owned());
        want(self.no_network, "network-none".to_owned());
        want(self.no_new_privs, "no-new-privileges".to_owned());
        want(self.no_capabilities, "caps-dropped".to_owned());
        want(self.seccomp, "seccomp".to_owned());
        if let Some(profile) = &enforced.apparmor {
            let inside = self.apparmor.split_whitespace().next() == Some(profile.as_str());
            want(inside, format!("apparmor:{profile}"));
        }
        if enforced.landlock {
            // Not visible from outside: PID 1 ends when it cannot take it on, and this one runs.
            want(true, "landlock".to_owned());
        }
        if enforced.limits() {
            want(
                self.limits.0 == kind.memory_max_bytes,
                format!("memory:{}", kind.memory_max_bytes),
            );
            want(
                self.limits.1 == u64::from(kind.pids_max),
                format!("pids:{}", kind.pids_max),
            );
        }
        if missing.is_empty() {
            Ok(held)
        } else {
            Err(missing.join(", "))
        }
    }
}

fn is_zero(mask: &str) -> bool {
    !mask.is_empty() && mask.bytes().all(|b| b == b'0')
}

/// Whether what the process sees as `/` is mounted read-only: the last mount there (proc_pid_mountinfo(5),
/// fields 5 and 6).
fn root_is_read_only(pid: u32) -> io::Result<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let options = text.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next() == Some("/")).then(|| fields.next().unwrap_or_default())
    });
    Ok(options.is_some_and(|options| options.split(',').any(|option| option == "ro")))
}

/// Whether the process sees no network interface but loopback.
fn only_loopback(pid: u32) -> io::Result<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
    // Two lines of headings, then `NAME: counters`.
    let mut names = text
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next())
        .map(str::trim);
    Ok(names.all(|name| name == "lo"))
}

fn label(pid: u32) -> io::Result<String> {
    match fs::read_to_string(format!("/proc/{pid}/attr/current")) {
        Ok(text) => Ok(text.trim_end_matches(['\n', '\0']).to_owned()),
        // Without a security module the file answers EINVAL.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
            ) =>
        {
            Ok(String::new())
        }
        Err(error) => Err(error),
    }
}

fn limits(pid: u32) -> io::Result<(u64, u64)> {
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let (Some(group), Some(root)) = (
        own.lines().find_map(|line| line.strip_prefix("0::/")),
        aios_confine::Machine::probe().cgroup_root,
    ) else {
        return Ok((0, 0));
    };
    let read = |name: &str| -> u64 {
        let text = fs::read_to_string(root.join(group).join(name)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    Ok((read("memory.max"), read("pids.max")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Kind {
        crate::kind::parse("a.toml", "kind = \"a\"\ncommand = [\"/x\"]\n").unwrap()
    }

    fn confined() -> Observed {
        Observed {
            uid: 1,
            no_new_privs: true,
            seccomp: true,
            no_capabilities: true,
            read_only: true,
            no_network: true,
            apparmor: "aios-agent (enforce)".to_owned(),
            limits: (128 << 20, 64),
        }
    }

    fn whole() -> Enforced {
        Enforced {
            cgroup_parent: Some("/agents/pods".into()),
            apparmor: Some("aios-agent".to_owned()),
            landlock: true,
            degradations: Vec::new(),
        }
    }

    #[test]
    fn each_missing_wall_is_named() {
        type Spoil = fn(&mut Observed);
        let cases: [(Spoil, &str); 8] = [
            (|o| o.no_new_privs = false, "no-new-privileges"),
            (|o| o.seccomp = false, "seccomp"),
            (|o| o.no_capabilities = false, "caps-dropped"),
            (|o| o.read_only = false, "read-only"),
            (|o| o.no_network = false, "network-none"),
            (|o| o.apparmor = "unconfined".to_owned(), "apparmor:aios-agent"),
            (|o| o.limits.0 = 0, "memory:134217728"),
            (|o| o.limits.1 = 0, "pids:64"),
        ];
        for (spoil, wanted) in cases {
            let mut observed = confined();
            spoil(&mut observed);
            assert_eq!(observed.check(&kind(), &whole()).unwrap_err(), wanted);
        }
    }

    #[test]
    fn what_the_machine_lacks_is_not_claimed() {
        let degraded = Enforced {
            cgroup_parent: None,
            apparmor: None,
            landlock: false,
            degradations: Vec::new(),
        };
        let mut observed = confined();
        observed.apparmor = String::new();
        let held = observed.check(&kind(), &degraded).unwrap();
        assert!(
            !held
                .iter()
                .any(|it| it.contains("apparmor") || it.contains("memory") || it.contains("landlock"))
        );
    }

    #[test]
    fn our_own_process_is_seen_as_it_is() {
        let observed = Observed::of(std::process::id()).unwrap();
        assert_eq!(observed.uid, nix::unistd::geteuid().as_raw());
    }
}
