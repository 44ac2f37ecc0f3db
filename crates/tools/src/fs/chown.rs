//! fs.chown: gives files and directories another owner or group. As the kernel does it, that takes set-id
//! bits and capabilities of programs away; the undo gives them back.

use super::args::{ChownArgs, MetaResult};
use super::bits::{Bits, Found, Order, find};
use super::plan::Plan;
use super::resolve::normalize;
use super::tree::Leaf;
use super::{Fs, bad_input, risk_on, typed};
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::typed::plain_name;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use nix::unistd::{Group, User};

const NAME: &str = "fs.chown";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<ChownArgs, MetaResult>(About {
        name: NAME,
        summary: "Sets owner and group of a file or directory, with `recursive` of everything in it.",
        risk: Risk::High,
        idempotent: true,
        reversible: true,
        capability: "fs:chown:PATH",
        timeout_ms: 120_000,
    })
}

pub(super) fn canonical(mut args: ChownArgs) -> Result<ChownArgs> {
    args.path = normalize(&args.path)?;
    if args.owner.is_none() && args.group.is_none() {
        return Err(bad_input(NAME, "owner", "or `group` is wanted"));
    }
    for (field, name) in [("owner", &args.owner), ("group", &args.group)] {
        if let Some(name) = name {
            plain_name(NAME, field, name)?;
        }
    }
    Ok(args)
}

fn number(
    field: &str,
    name: Option<&String>,
    look_up: impl Fn(&str) -> nix::Result<Option<u32>>,
) -> Result<Option<u32>> {
    let Some(name) = name else {
        return Ok(None);
    };
    if let Ok(number) = name.parse::<u32>() {
        // The highest number means "leave it" to the system call.
        return if number == u32::MAX {
            Err(bad_input(NAME, field, "is no id"))
        } else {
            Ok(Some(number))
        };
    }
    match look_up(name) {
        Ok(Some(number)) => Ok(Some(number)),
        Ok(None) => Err(bad_input(
            NAME,
            field,
            format!("there is no `{name}` on this machine"),
        )),
        Err(errno) => Err(ToolError::io(
            "look up",
            name.as_str(),
            std::io::Error::from_raw_os_error(errno as i32),
        )),
    }
}

fn found(fs: &Fs, call: &Call<'_>) -> Result<(ChownArgs, Found)> {
    let args: ChownArgs = typed(NAME, call.args)?;
    let uid = number("owner", args.owner.as_ref(), |name| {
        Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
    })?;
    let gid = number("group", args.group.as_ref(), |name| {
        Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
    })?;
    let wish = |leaf: &Leaf| {
        let bits = Bits {
            mode: None,
            uid: uid.filter(|uid| *uid != leaf.stat.st_uid),
            gid: gid.filter(|gid| *gid != leaf.stat.st_gid),
        };
        (bits != Bits::default()).then_some(bits)
    };
    let found = find(fs, call, &order(&args), &wish)?;
    Ok((args, found))
}

fn order(args: &ChownArgs) -> Order<'_> {
    Order {
        action: "chown",
        path: &args.path,
        recursive: args.recursive,
        links: true,
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let (args, found) = found(fs, call)?;
    let what = format!(
        "Set the owner to {}:{}",
        args.owner.as_deref().unwrap_or(""),
        args.group.as_deref().unwrap_or("")
    );
    let paths = found.changing.iter().map(|(leaf, _)| leaf.path.as_str());
    found.prepared(&order(&args), &what, risk_on(paths, Risk::Medium))
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    found(fs, call)?.1.plan(call, identities)
}
