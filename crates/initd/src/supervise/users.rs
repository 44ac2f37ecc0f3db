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
        user.gid
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
            uid: user.uid,
            gid,
            groups,
        },
        home: user.home,
    })
}

/// User id of `name`, or `default` for an empty name.
pub(crate) fn uid_or(service: &str, name: &str, default: u32) -> Result<u32> {
    if name.is_empty() {
        Ok(default)
    } else {
        user(service, name).map(|user| user.uid)
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
    let missing = || InitError::NoAccount {
        service: service.into(),
        what: "group",
        name: name.into(),
    };
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        found => number(name).map_or_else(
            || match found {
                Err(error) => Err(InitError::system("cannot read the group file")(error)),
                Ok(_) => Err(missing()),
            },
            Ok,
        ),
    }
}

/// An entry of the password file, or what stands for it.
struct Known {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// Without an entry, or a password file, a number stands for itself.
fn user(service: &str, name: &str) -> Result<Known> {
    let missing = || InitError::NoAccount {
        service: service.into(),
        what: "user",
        name: name.into(),
    };
    match User::from_name(name) {
        Ok(Some(user)) => Ok(Known {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        }),
        found => match (number(name), found) {
            (Some(uid), _) => Ok(Known {
                uid,
                gid: uid,
                home: "/".into(),
            }),
            (None, Err(error)) => Err(InitError::system("cannot read the password file")(error)),
            (None, Ok(_)) => Err(missing()),
        },
    }
}

/// The id that a name stands for by itself: a number, or root's.
fn number(name: &str) -> Option<u32> {
    match name {
        "root" => Some(0),
        // The highest one means "as before" to the kernel, so it is nobody's.
        _ => name.parse().ok().filter(|id| *id != u32::MAX),
    }
}
