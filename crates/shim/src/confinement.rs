//! What the container's processes can never do, taken on before anything else runs.
//!
//! Podman and the runtime have dropped all capabilities, cut the network off and made the root
//! read-only by now. Rootless Podman applies no AppArmor profile (silently), so this process enters
//! it itself.

use crate::error::ShimError;
use crate::init::{NAME, SELF};
use aios_confine::plan::Landlock;
use aios_confine::{Machine, Plan};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// AppArmor profile to enter; unset or empty for none. Set by aios-sandbox where AppArmor is there.
const APPARMOR: &str = "AIOS_SHIM_APPARMOR";
/// `yes` leaves out what the machine lacks; else that is an error.
const DEGRADED: &str = "AIOS_SHIM_DEGRADED";

/// What the environment asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    apparmor: Option<String>,
    allow_degraded: bool,
}

impl Wanted {
    /// Reads the environment.
    pub(crate) fn from_env() -> Result<Self, ShimError> {
        Self::from_lookup(|name| env::var_os(name))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ShimError> {
        let text = |name| {
            lookup(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|it| !it.is_empty())
        };
        let allow_degraded = match text(DEGRADED).as_deref() {
            None | Some("no") => false,
            Some("yes") => true,
            Some(other) => {
                let value = other.to_owned();
                return Err(ShimError::Environment {
                    name: DEGRADED,
                    value,
                    wanted: "`yes` or `no`",
                });
            }
        };
        Ok(Self {
            apparmor: text(APPARMOR),
            allow_degraded,
        })
    }

    fn plan(&self) -> Plan {
        Plan {
            no_new_privs: true,
            apparmor: self.apparmor.clone(),
            landlock: Some(Landlock {
                read: vec!["/".into()],
                write: vec!["/tmp".into(), "/dev".into()],
                scoped: true,
            }),
            seccomp: Some("worker".to_owned()),
            ..Plan::default()
        }
    }
}

/// Confines this process for good; its descendants inherit it.
///
/// # Errors
/// Something that is wanted cannot be had; the process must end then.
pub(crate) fn enter(wanted: &Wanted) -> Result<(), ShimError> {
    wanted
        .plan()
        .prepare(&Machine::probe(), wanted.allow_degraded)?
        .apply_here()?;
    Ok(())
}

/// Executes this program again, which enters the AppArmor profile. Returns only when that fails.
pub(crate) fn execute_again(mark: &str, arguments: &[OsString]) -> ShimError {
    ShimError::Again(
        Command::new(SELF)
            .arg0(NAME)
            .arg(mark)
            .arg("--")
            .args(arguments)
            .exec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(apparmor: &str, degraded: &str) -> Result<Wanted, ShimError> {
        Wanted::from_lookup(|name| match name {
            APPARMOR => Some(apparmor.into()),
            DEGRADED => Some(degraded.into()),
            _ => None,
        })
    }

    #[test]
    fn nothing_may_be_missing_unless_the_environment_says_so() {
        assert!(!Wanted::from_lookup(|_| None).unwrap().allow_degraded);
        assert!(wanted("", "yes").unwrap().allow_degraded);
    }

    #[test]
    fn a_value_without_meaning_is_refused() {
        assert_eq!(wanted("", "true").unwrap_err().code(), "AIOS-SHIM-0002");
    }

    #[test]
    fn an_empty_profile_is_none() {
        assert_eq!(wanted("", "no").unwrap().apparmor, None);
        assert_eq!(
            wanted("aios-agent", "no").unwrap().apparmor.as_deref(),
            Some("aios-agent")
        );
    }
}
