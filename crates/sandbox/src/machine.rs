//! What this machine can enforce for agents, and what holds instead. Looked at once, at start.

use aios_confine::machine::Feature;
use aios_confine::{Degradation, Machine};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::SandboxError;

/// What is missing when limits are.
const NO_LIMITS: Degradation = Degradation {
    what: "delegated cgroup v2 subtree",
    instead: "agents run without limits on memory, cpu and processes; an emergency stop ends their containers instead of freezing them",
};

/// What agents' containers get here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// Where containers' cgroups are made, relative to the hierarchy's root; none without limits.
    pub cgroup_parent: Option<PathBuf>,
    /// AppArmor profile that agents enter; none without AppArmor.
    pub apparmor: Option<String>,
    /// Whether Landlock holds.
    pub landlock: bool,
    /// What is missing, and what holds instead.
    pub degradations: Vec<String>,
}

impl Enforced {
    /// Looks at the running machine.
    ///
    /// # Errors
    /// Something is missing and `allow_degraded` is false.
    pub fn probe(profile: &str, allow_degraded: bool) -> Result<Self, SandboxError> {
        let machine = Machine::probe();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let parent = machine
            .cgroup_root
            .as_deref()
            .and_then(|root| delegated(root, &own));
        Self::of(&machine, parent, profile, allow_degraded)
    }

    fn of(
        machine: &Machine,
        cgroup_parent: Option<PathBuf>,
        profile: &str,
        allow_degraded: bool,
    ) -> Result<Self, SandboxError> {
        let mut degradations: Vec<String> = [Feature::AppArmor, Feature::Landlock]
            .into_iter()
            .filter(|feature| !machine.has(*feature))
            .map(|feature| Degradation::of(feature).to_string())
            .collect();
        if cgroup_parent.is_none() {
            degradations.push(NO_LIMITS.to_string());
        }
        if !degradations.is_empty() && !allow_degraded {
            return Err(SandboxError::Degraded {
                missing: degradations.join("; "),
            });
        }
        let apparmor = machine.has(Feature::AppArmor).then(|| profile.to_owned());
        Ok(Self {
            cgroup_parent,
            apparmor,
            landlock: machine.has(Feature::Landlock),
            degradations,
        })
    }

    /// Whether limits and freezing work.
    pub fn limits(&self) -> bool {
        self.cgroup_parent.is_some()
    }
}

/// The subtree that was delegated to this service: it was started in a leaf of it, so the leaf's
/// parent is writable and has the controllers.
fn delegated(root: &Path, own: &str) -> Option<PathBuf> {
    let leaf = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let subtree = Path::new(leaf).parent().filter(|it| *it != Path::new("/"))?;
    let directory = root.join(subtree.strip_prefix("/").ok()?);
    let enabled = fs::read_to_string(directory.join("cgroup.subtree_control")).ok()?;
    let has = |name| enabled.split_whitespace().any(|it| it == name);
    let writable = rustix::fs::access(directory.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok();
    (writable && ["cpu", "memory", "pids"].into_iter().all(has)).then(|| subtree.join("pods"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degraded_machine_is_refused_unless_the_configuration_allows_it() {
        let bare = Machine::with(&[], None);
        let error = Enforced::of(&bare, None, "p", false).unwrap_err().to_string();
        for missing in ["AppArmor", "Landlock", "cgroup"] {
            assert!(error.contains(missing), "{error}");
        }
        let enforced = Enforced::of(&bare, None, "p", true).unwrap();
        assert_eq!(
            (enforced.degradations.len(), enforced.apparmor, enforced.landlock),
            (3, None, false)
        );
    }

    #[test]
    fn a_whole_machine_has_nothing_to_declare() {
        let whole = Machine::with(&[Feature::AppArmor, Feature::Landlock], None);
        let enforced = Enforced::of(&whole, Some("/agents/pods".into()), "p", false).unwrap();
        assert!(enforced.degradations.is_empty() && enforced.limits());
        assert_eq!(enforced.apparmor.as_deref(), Some("p"));
    }

    #[test]
    fn the_subtree_is_the_parent_of_our_own_leaf() {
        let root = tempfile::tempdir().unwrap();
        let agents = root.path().join("agents");
        fs::create_dir_all(agents.join("leaf")).unwrap();
        fs::write(agents.join("cgroup.procs"), "").unwrap();
        fs::write(agents.join("cgroup.subtree_control"), "cpu io memory pids\n").unwrap();
        assert_eq!(
            delegated(root.path(), "0::/agents/leaf\n"),
            Some("/agents/pods".into())
        );
        fs::write(agents.join("cgroup.subtree_control"), "memory\n").unwrap();
        assert_eq!(delegated(root.path(), "0::/agents/leaf\n"), None);
        assert_eq!(delegated(root.path(), "0::/\n"), None);
        assert_eq!(delegated(root.path(), "4:cpu:/x\n"), None);
    }
}
