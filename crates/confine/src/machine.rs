//! What this machine offers, and what is lost where it does not.
//!
//! Degradation is declared, never silent: each missing feature becomes a [`Degradation`] that says
//! what holds instead, and only configuration may accept it.

use crate::mounts;
use std::fs;
use std::path::{Path, PathBuf};

/// A mechanism that a kernel may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// AppArmor is on.
    AppArmor,
    /// Landlock is on.
    Landlock,
    /// A cgroup v2 hierarchy is mounted: processes can be tracked and killed by group.
    Cgroup2,
    /// That hierarchy has the cpu, memory and pids controllers: limits hold.
    Controllers,
}

impl Feature {
    /// Name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppArmor => "AppArmor",
            Self::Landlock => "Landlock",
            Self::Cgroup2 => "cgroup v2",
            Self::Controllers => "cgroup v2 controllers",
        }
    }

    fn instead(self) -> &'static str {
        match self {
            Self::AppArmor => "users, capabilities, mount views and seccomp still hold",
            Self::Landlock => "users, mount views and seccomp still hold",
            Self::Cgroup2 => "services are tracked by session and process group only",
            Self::Controllers => {
                "services are tracked, but limits on memory, cpu and processes are not enforced"
            }
        }
    }
}

/// Something that the machine lacks, and what holds instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Degradation {
    /// What is missing.
    pub what: &'static str,
    /// What still holds.
    pub instead: &'static str,
}

impl Degradation {
    /// The degradation that the lack of `feature` means.
    pub fn of(feature: Feature) -> Self {
        Self {
            what: feature.name(),
            instead: feature.instead(),
        }
    }
}

impl std::fmt::Display for Degradation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no {}: {}", self.what, self.instead)
    }
}

/// What the machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    features: Vec<Feature>,
    /// Where the cgroup v2 hierarchy is mounted.
    pub cgroup_root: Option<PathBuf>,
}

impl Machine {
    /// A machine with these features, for tests and for double-checking a configuration.
    pub fn with(features: &[Feature], cgroup_root: Option<PathBuf>) -> Self {
        Self {
            features: features.to_vec(),
            cgroup_root,
        }
    }

    /// Looks at the running kernel.
    pub fn probe() -> Self {
        let cgroup_root = cgroup_root();
        let mut features = Vec::new();
        if let Some(root) = &cgroup_root {
            features.push(Feature::Cgroup2);
            if has_controllers(root) {
                features.push(Feature::Controllers);
            }
        }
        if fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
        {
            features.push(Feature::AppArmor);
        }
        if crate::ruleset::supported() {
            features.push(Feature::Landlock);
        }
        Self {
            features,
            cgroup_root,
        }
    }

    /// Whether it has `feature`.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Everything that it lacks.
    pub fn degradations(&self) -> Vec<Degradation> {
        [
            Feature::AppArmor,
            Feature::Landlock,
            Feature::Cgroup2,
            Feature::Controllers,
        ]
        .into_iter()
        .filter(|feature| !self.has(*feature))
        .map(Degradation::of)
        .collect()
    }
}

fn cgroup_root() -> Option<PathBuf> {
    let table = mounts::read().ok()?;
    table
        .into_iter()
        .find(|m| m.kind == "cgroup2" && m.root == Path::new("/"))
        .map(|m| m.target)
}

fn has_controllers(root: &Path) -> bool {
    fs::read_to_string(root.join("cgroup.controllers")).is_ok_and(|text| {
        let have: Vec<&str> = text.split_whitespace().collect();
        ["cpu", "memory", "pids"].iter().all(|want| have.contains(want))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_holds_instead() {
        let machine = Machine::with(&[Feature::Landlock, Feature::Cgroup2], None);
        let missing: Vec<String> = machine.degradations().iter().map(ToString::to_string).collect();
        assert_eq!(missing.len(), 2);
        assert!(missing[0].starts_with("no AppArmor: "));
    }
}
