//! sec.check_permissions: whose hands can reach what, where they should not.

use super::machine::{Accounts, Machine};
use super::tree::{Seen, Thing, Tree, is_file, octal};
use super::types::{PermissionFinding, PermissionsArgs, PermissionsResult, Problem, Severity};
use super::{Sec, check_limit, looking};
use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use crate::fs::resolve::{Follow, kind_of, normalize, open_inode};
use crate::registry::{About, ToolSpec};
use crate::typed::typed;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fd::AsFd;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

pub(super) const NAME: &str = "sec.check_permissions";
const ACTION: &str = "check_permissions";

/// Directories that root's PATH names.
const ON_PATH: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// Directories whose files no ordinary user owns.
const SYSTEM: &[&str] = &[
    "/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt",
];
/// Directories that everybody is meant to write into, one beside the other.
const SHARED: &[&str] = &[
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/var/crash",
    "/var/mail",
    "/var/spool",
];
/// Directories whose content came with packages, and their exception. A key in there is an example that
/// everybody has.
const PACKAGED: (&[&str], &[&str]) = (&["/usr"], &["/usr/local"]);
/// Uids below are the system's own, by Debian's policy.
const FIRST_PERSON: u32 = 1000;
/// A private key is no longer, bytes.
const LONGEST_KEY: i64 = 64 << 10;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<PermissionsArgs, PermissionsResult>(About {
        name: NAME,
        summary: "Finds what everybody may change, what belongs to nobody or the wrong one, and keys that everybody may read.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:check_permissions:PATH",
        timeout_ms: 120_000,
    })
}

pub(super) fn canonical(mut args: PermissionsArgs) -> Result<PermissionsArgs> {
    args.root = normalize(&args.root)?;
    check_limit(NAME, args.limit)?;
    Ok(args)
}

pub(super) fn prepare(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let args: PermissionsArgs = typed(NAME, call.args)?;
    let place = sec.resolver.resolve(call.caps, ACTION, &args.root, Follow::Yes)?;
    place.open_dir()?;
    looking(
        ACTION,
        &[&place],
        format!("Check owners and modes below {}", place.path),
    )
}

pub(super) fn run(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<PermissionsResult> {
    let args: PermissionsArgs = typed(NAME, call.args)?;
    let place = sec.target(call, identities, ACTION, &args.root)?;
    let root = place.open_dir()?;
    let tree = Tree {
        root: &root,
        path: &place.path,
        budget: call.budget,
        granted: &sec.granted(call, ACTION),
    };
    let (mut findings, seen) = look(&tree, &sec.machine)?;
    let total = findings.len() as u64;
    findings.sort_by(|a, b| (a.severity, &a.path, a.problem).cmp(&(b.severity, &b.path, b.problem)));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let truncated = findings.len() > limit;
    findings.truncate(limit);
    Ok(PermissionsResult {
        findings,
        total,
        truncated,
        looked_at: seen.looked_at,
        skipped: seen.skipped,
        root: place.path,
    })
}

/// Everything wrong in a tree, in the order of the file system.
pub(super) fn look(tree: &Tree<'_>, machine: &Machine) -> Result<(Vec<PermissionFinding>, Seen)> {
    let accounts = machine.accounts()?;
    let mut findings = Vec::new();
    let seen = tree.each(|thing| {
        let judge = Judge {
            inside: machine.inside(thing.path),
            thing,
            accounts: &accounts,
        };
        judge.all(&mut findings)
    })?;
    Ok((findings, seen))
}

struct Judge<'a> {
    thing: &'a Thing<'a>,
    inside: &'a str,
    accounts: &'a Accounts,
}

/// What is wrong, how bad, why, and what mends it.
struct Verdict {
    problem: Problem,
    severity: Severity,
    why: String,
    mode: Option<u32>,
    owner: Option<String>,
}

impl Judge<'_> {
    fn all(&self, findings: &mut Vec<PermissionFinding>) -> Result<()> {
        let verdicts = [
            self.writable(),
            self.on_path(),
            self.key()?,
            self.owner(),
            self.nobody(),
        ];
        let mut verdicts: Vec<Verdict> = verdicts.into_iter().flatten().collect();
        // One mode mends both; what leads into root's hands is the worse of the two.
        if verdicts.iter().any(|it| it.problem == Problem::WritableOnPath) {
            verdicts.retain(|it| it.problem != Problem::WorldWritableFile);
        }
        findings.extend(verdicts.into_iter().map(|verdict| self.finding(verdict)));
        Ok(())
    }

    fn finding(&self, verdict: Verdict) -> PermissionFinding {
        let stat = self.thing.stat;
        PermissionFinding {
            path: self.thing.path.to_owned(),
            kind: kind_of(stat),
            mode: octal(stat.st_mode),
            uid: stat.st_uid,
            gid: stat.st_gid,
            owner: self.accounts.users.get(&stat.st_uid).cloned(),
            group: self.accounts.groups.get(&stat.st_gid).cloned(),
            problem: verdict.problem,
            severity: verdict.severity,
            why: verdict.why,
            suggested_mode: verdict.mode.map(octal),
            suggested_owner: verdict.owner,
        }
    }

    fn writable(&self) -> Option<Verdict> {
        let mode = self.thing.stat.st_mode & 0o7777;
        let system = lies_in(self.inside, SYSTEM);
        match kind_of(self.thing.stat) {
            Kind::File if mode & 0o002 != 0 => Some(Verdict {
                problem: Problem::WorldWritableFile,
                severity: if system { Severity::High } else { Severity::Medium },
                why: "everybody on the machine may change its content".to_owned(),
                mode: Some(mode & !0o002),
                owner: None,
            }),
            Kind::Dir if mode & 0o002 != 0 && mode & 0o1000 == 0 => Some(Verdict {
                problem: Problem::WorldWritableDirectory,
                severity: if system { Severity::High } else { Severity::Medium },
                why: "everybody may remove and replace what others put there: it has no sticky bit"
                    .to_owned(),
                mode: Some(if lies_in(self.inside, SHARED) {
                    mode | 0o1000
                } else {
                    mode & !0o002
                }),
                owner: None,
            }),
            _ => None,
        }
    }

    /// Directories of root's PATH and the programs in them.
    fn on_path(&self) -> Option<Verdict> {
        let stat = self.thing.stat;
        let parent = self.inside.rsplit_once('/').map_or("", |(parent, _)| parent);
        let program = is_file(stat) && ON_PATH.contains(&parent);
        let directory = kind_of(stat) == Kind::Dir && ON_PATH.contains(&self.inside);
        if !program && !directory {
            return None;
        }
        let mode = stat.st_mode & 0o7777;
        let others = mode & 0o002 != 0;
        // A group without members opens nothing to anybody.
        let group = mode & 0o020 != 0 && stat.st_gid != 0 && self.accounts.peopled.contains(&stat.st_gid);
        if !others && !group {
            return None;
        }
        let who = if others { "everybody" } else { "a group" };
        Some(Verdict {
            problem: Problem::WritableOnPath,
            severity: if others { Severity::High } else { Severity::Medium },
            why: format!("{who} may change what runs when root calls a program by its name"),
            mode: Some(mode & !if others { 0o022 } else { 0o020 }),
            owner: None,
        })
    }

    /// A private key where everybody may read it. Only what is named like a key is opened, and only its
    /// beginning is read.
    fn key(&self) -> Result<Option<Verdict>> {
        let stat = self.thing.stat;
        let readable = stat.st_mode & 0o004 != 0;
        let sized = (1..=LONGEST_KEY).contains(&stat.st_size);
        let example = lies_in(self.inside, PACKAGED.0) && !lies_in(self.inside, PACKAGED.1);
        if example || !is_file(stat) || !readable || !sized || !named_like_a_key(self.thing.path) {
            return Ok(None);
        }
        let Some(fd) = self.thing.handle()? else {
            return Ok(None);
        };
        let file = open_inode(fd.as_fd(), OFlags::RDONLY, self.thing.path)?;
        let mut head = vec![0; usize::try_from(LONGEST_KEY).unwrap_or_default()];
        let count = file
            .read_at(&mut head, 0)
            .map_err(|error| ToolError::io("read", self.thing.path, error))?;
        head.truncate(count);
        if !String::from_utf8_lossy(&head).contains("PRIVATE KEY-----") {
            return Ok(None);
        }
        Ok(Some(Verdict {
            problem: Problem::ReadablePrivateKey,
            severity: Severity::High,
            why: "everybody on the machine may read this private key: take it as known, and replace it"
                .to_owned(),
            mode: Some(stat.st_mode & 0o7700),
            owner: None,
        }))
    }

    fn owner(&self) -> Option<Verdict> {
        let stat = self.thing.stat;
        if stat.st_uid < FIRST_PERSON
            || !lies_in(self.inside, SYSTEM)
            || !self.accounts.users.contains_key(&stat.st_uid)
        {
            return None;
        }
        Some(Verdict {
            problem: Problem::WrongOwner,
            severity: if lies_in(self.inside, &["/opt"]) {
                Severity::Low
            } else {
                Severity::High
            },
            why: "it is part of the system, and an ordinary user may change it as its owner".to_owned(),
            mode: None,
            owner: Some("root:root".to_owned()),
        })
    }

    fn nobody(&self) -> Option<Verdict> {
        let stat = self.thing.stat;
        let user = self.accounts.users.contains_key(&stat.st_uid);
        let group = self.accounts.groups.contains_key(&stat.st_gid);
        let (problem, what) = match (user, group) {
            (true, true) => return None,
            (false, _) => (
                Problem::NoOwner,
                format!("no account has the number {}", stat.st_uid),
            ),
            (true, false) => (
                Problem::NoGroup,
                format!("no group has the number {}", stat.st_gid),
            ),
        };
        let system = lies_in(self.inside, SYSTEM);
        Some(Verdict {
            problem,
            severity: if system { Severity::Medium } else { Severity::Low },
            why: format!("{what}: whoever gets it next owns this"),
            mode: None,
            owner: system.then(|| "root:root".to_owned()),
        })
    }
}

/// Whether a path is one of the directories or lies in one.
pub(super) fn lies_in(path: &str, dirs: &[&str]) -> bool {
    dirs.iter().any(|dir| {
        path.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn named_like_a_key(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let ends = [".key", ".pem", ".p8", "_key", ".priv"];
    name.starts_with("id_") && !name.ends_with(".pub") || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_usual_names() {
        for name in ["server.key", "id_ed25519", "privkey.pem", "ssh_host_rsa_key"] {
            assert!(named_like_a_key(&format!("/x/{name}")), "{name}");
        }
        for name in ["id_ed25519.pub", "server.crt", "keyboard", "x"] {
            assert!(!named_like_a_key(&format!("/x/{name}")), "{name}");
        }
    }

    #[test]
    fn a_directory_holds_itself_and_what_is_below_and_no_namesake() {
        assert!(lies_in("/usr", SYSTEM));
        assert!(lies_in("/usr/bin/x", SYSTEM));
        assert!(!lies_in("/usrlocal", SYSTEM));
    }
}
