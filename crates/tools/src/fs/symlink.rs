//! fs.symlink: makes a symbolic link. It follows none, and neither does any other tool out of what is granted.

use super::args::{SymlinkArgs, SymlinkResult};
use super::image::Image;
use super::plan::{Change, Plan, Step};
use super::resolve::{Place, normalize};
use super::{Fs, access, bad_input, risk_on, same_identities, tag, typed, value_of};
use crate::error::Result;
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.symlink";
/// Longest target that Linux stores.
const LONGEST: usize = 4095;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<SymlinkArgs, SymlinkResult>(About {
        name: NAME,
        summary: "Makes a symbolic link.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:symlink:PATH",
        timeout_ms: 10_000,
    })
}

pub(super) fn canonical(mut args: SymlinkArgs) -> Result<SymlinkArgs> {
    args.path = normalize(&args.path)?;
    let problem = if args.target.is_empty() {
        "is empty"
    } else if args.target.len() > LONGEST {
        "is longer than 4095 bytes"
    } else if args.target.chars().any(char::is_control) {
        "holds a NUL, a newline or another control character"
    } else {
        return Ok(args);
    };
    Err(bad_input(NAME, "target", problem))
}

/// Where the link leads by its text alone; `None` when it climbs above the root.
fn leads_to(directory: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let start = if target.starts_with('/') { "" } else { directory };
    for part in start.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

fn place(fs: &Fs, call: &Call<'_>) -> Result<(SymlinkArgs, Place)> {
    let args: SymlinkArgs = typed(NAME, call.args)?;
    let place = fs.free_name(call, "symlink", &args.path)?;
    Ok((args, place))
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let (args, place) = place(fs, call)?;
    // Other programs may follow it, so one that leads out of what is granted is not a small thing.
    let inside = leads_to(&place.anchor.parent, &args.target)
        .is_some_and(|target| fs.resolver.admit(call.caps, "symlink", &target, &target).is_ok());
    let risk = if inside { Risk::Low } else { Risk::High };
    Ok(Prepared {
        identities: vec![place.identity()],
        required: vec![access("symlink", &place.path)?],
        risk: risk_on([place.path.as_str()], risk),
        mutating: true,
        reversible: true,
        files: 1,
        bytes: 0,
        summary: format!("Make {}, a link to {}", place.path, args.target),
    })
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    let (args, place) = place(fs, call)?;
    same_identities(identities, &[place.identity()])?;
    let step = Step::MakeLink {
        target: args.target.clone(),
        meta: None,
    };
    let result = value_of(&SymlinkResult {
        path: place.path,
        target: args.target,
    })?;
    let change = Change::new(place.anchor, Image::Absent, step);
    Plan::new(tag(call), vec![change], result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_link_leads_is_read_from_its_text() {
        for (directory, target, wanted) in [
            ("/a/b", "c", Some("/a/b/c")),
            ("/a/b", "../c/./d", Some("/a/c/d")),
            ("/a/b", "/etc/x", Some("/etc/x")),
            ("/a/b", "../../..", None),
        ] {
            assert_eq!(
                leads_to(directory, target).as_deref(),
                wanted,
                "{directory} {target}"
            );
        }
    }
}
