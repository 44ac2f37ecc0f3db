//! Linux capabilities as a set, by name.

use crate::error::{ConfineError, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names in the kernel's order: the position is the capability's number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Highest number that a kernel may know; above it `PR_CAPBSET_DROP` answers EINVAL.
pub(crate) const LAST: u32 = 63;

/// A set of capabilities; serialized as a list of names.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct CapSet(u64);

impl CapSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// The set of the named capabilities.
    ///
    /// # Errors
    /// A name does not exist.
    pub fn of<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let mut bits = 0;
        for name in names {
            let number = NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name.as_ref()))
                .ok_or_else(|| ConfineError::UnknownCapability(name.as_ref().to_owned()))?;
            bits |= 1 << number;
        }
        Ok(Self(bits))
    }

    /// What this process may have and give (capabilities(7), the bounding set). A container, or a machine that is one,
    /// may lack some that root has elsewhere.
    pub fn bounding() -> Self {
        // Without a status nobody says what is missing, and the kernel itself refuses what is.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bits = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        Self(bits.unwrap_or(u64::MAX))
    }

    /// This set, with those of `more` that `here` has.
    #[must_use]
    pub fn with_those_of(self, more: Self, here: Self) -> Self {
        Self(self.0 | (more.0 & here.0))
    }

    /// The bits, as the kernel prints them in `/proc/PID/status`.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Numbers in the set.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u32> {
        (0..=LAST).filter(move |number| self.0 & (1 << number) != 0)
    }

    /// Names in the set.
    pub fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(|(n, _)| self.0 & (1 << n) != 0)
            .map(|(_, name)| *name)
            .collect()
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl TryFrom<Vec<String>> for CapSet {
    type Error = ConfineError;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::of(&names)
    }
}

impl From<CapSet> for Vec<String> {
    fn from(set: CapSet) -> Self {
        set.names().into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_kernels_numbers() {
        let set = CapSet::of(&["CAP_CHOWN", "cap_fowner", "CAP_CHECKPOINT_RESTORE"]).unwrap();
        assert_eq!(set.bits(), 1 | 1 << 3 | 1 << 40);
        assert_eq!(set.names(), ["CAP_CHOWN", "CAP_FOWNER", "CAP_CHECKPOINT_RESTORE"]);
    }

    #[test]
    fn of_what_is_wanted_if_there_only_what_is_there_is_kept() {
        let [kill, chown, fowner] =
            ["CAP_KILL", "CAP_CHOWN", "CAP_FOWNER"].map(|name| CapSet::of(&[name]).unwrap());
        let here = CapSet(chown.bits() | kill.bits());
        let more = CapSet(chown.bits() | fowner.bits());
        assert_eq!(kill.with_those_of(more, here).names(), ["CAP_CHOWN", "CAP_KILL"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(
            matches!(CapSet::of(&["CAP_ROOT"]), Err(ConfineError::UnknownCapability(n)) if n == "CAP_ROOT")
        );
    }
}
