//! Names of users and groups to numbers.

use crate::error::{InitError, Result};
use crate::spec::Spec;
use aios_confine::plan::Identity;
use nix::unistd::{Group, User};
use std::path::PathBuf;

/// A user as the password file has it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) identity: Identity,
    pub(crate) home: PathBuf,
}

/// The account that a service runs as.
pub(crate) fn account(spec: &Spec) -> Result<Account> {
    let user = user(&spec.name, &spec.user)?;
    let gid = if spec.group.is_empty() {
        user.gid.as_raw()
    } else {
        gid(&spec.name, &spec.group)?
    };
    let groups = spec
        .groups
        .iter()
        .map(|name| gid_of(&spec.name, name))
        .collect::<Result<_>>()?;
    Ok(Account {
        identity: Identity {
            uid: user.uid.as_raw(),
            gid,
            groups,
        },
        home: user.dir,
    })
}

/// User id of `name`, or `default` for an empty name.
pub(crate) fn uid_or(service: &str, name: &str, default: u32) -> Result<u32> {
    if name.is_empty() {
        Ok(default)
    } else {
        user(service, name).map(|user| user.uid.as_raw())
    }
}

/// Group id of `name`, or `default` for an empty name.
pub(crate) fn gid_or(service: &str, name: &str, default: u32) -> Result<u32> {
    if name.is_empty() {
        Ok(default)
    } else {
        gid_of(service, name)
    }
}

pub(crate) fn gid_of(service: &str, name: &str) -> Result<u32> {
    gid(service, name)
}

fn gid(service: &str, name: &str) -> Result<u32> {
    let found = Group::from_name(name).map_err(InitError::system("cannot read the group file"))?;
    let missing = || InitError::NoAccount {
        service: service.into(),
        what: "group",
        name: name.into(),
    };
    found.map(|group| group.gid.as_raw()).ok_or_else(missing)
}

fn user(service: &str, name: &str) -> Result<User> {
    let found = User::from_name(name).map_err(InitError::system("cannot read the password file"))?;
    found.ok_or_else(|| InitError::NoAccount {
        service: service.into(),
        what: "user",
        name: name.into(),
    })
}
