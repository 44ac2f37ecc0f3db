//! From a [`Plan`] to a list of ready-made steps in the one safe order.
//!
//! The order is: what needs root first (cgroup, AppArmor label while `/proc` is still writable,
//! limits, mounts), then the change of identity, then what can only take away (no_new_privs,
//! Landlock, seccomp). Everything that allocates or looks something up happens here.

use crate::caps::{self, CapSet};
use crate::error::{ConfineError, Result};
use crate::machine::{Degradation, Feature, Machine};
use crate::plan::{Capabilities, Limit, Plan};
use crate::sys::{Attribute, Sys};
use crate::view::{Bind, View, between};
use crate::{mounts, ruleset, seccomp};
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many paths can be put back; their descriptors live in a fixed array in the child.
pub const MAX_BINDS: usize = 64;

/// One ready-made step.
#[derive(Debug)]
pub(crate) enum Step {
    NewSession,
    Attribute(&'static str, Attribute),
    Write {
        name: &'static str,
        path: CString,
        data: Vec<u8>,
    },
    AppArmor {
        path: CString,
        command: Vec<u8>,
        profile: Vec<u8>,
    },
    Limit(Limit),
    PrivateMounts,
    OpenTree {
        slot: usize,
        path: CString,
        seal: bool,
    },
    Hide(CString),
    MakeDir(CString),
    MakeFile(CString),
    Attach {
        slot: usize,
        path: CString,
    },
    Seal(CString),
    Umask(u32),
    SetGroups(Vec<u32>),
    SetGid(u32),
    SetUid(u32),
    SetCaps(u64),
    ChangeDir(CString),
    Landlock(OwnedFd),
    Seccomp(BpfProgram),
}

/// A plan that needs no more allocation.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) steps: Vec<Step>,
    degradations: Vec<Degradation>,
}

impl Prepared {
    /// What the plan asked for and this machine does not have.
    pub fn degradations(&self) -> &[Degradation] {
        &self.degradations
    }

    /// Confines the calling process, which must have one thread, for good.
    ///
    /// # Errors
    /// The step that failed; the process may be partly confined then and must not go on.
    pub fn apply_here(&self) -> Result<()> {
        self.apply_to(&crate::linux::Linux)
    }

    /// Performs the steps on `sys`: the kernel, or a double.
    ///
    /// # Errors
    /// The step that failed.
    pub fn apply_to(&self, sys: &dyn Sys) -> Result<()> {
        crate::apply::apply(&self.steps, sys).map_err(|failure| failure.into_error(&self.steps))
    }
}

impl Plan {
    /// Looks everything up. With `allow_degraded`, what `machine` lacks is left out and listed;
    /// without, it is an error.
    ///
    /// # Errors
    /// A path, name or filter that does not exist, or something missing.
    pub fn prepare(&self, machine: &Machine, allow_degraded: bool) -> Result<Prepared> {
        let mut builder = Builder {
            steps: Vec::new(),
            degradations: Vec::new(),
            machine,
            allow_degraded,
        };
        builder.outer(self)?;
        if let Some(view) = &self.view {
            builder.view(view)?;
        }
        builder.identity(self)?;
        builder.inner(self)?;
        Ok(Prepared {
            steps: builder.steps,
            degradations: builder.degradations,
        })
    }
}

struct Builder<'a> {
    steps: Vec<Step>,
    degradations: Vec<Degradation>,
    machine: &'a Machine,
    allow_degraded: bool,
}

impl Builder<'_> {
    /// Whether the machine has `feature`; if not, notes it or fails.
    fn has(&mut self, feature: Feature) -> Result<bool> {
        if self.machine.has(feature) {
            return Ok(true);
        }
        if !self.allow_degraded {
            return Err(ConfineError::Missing { what: feature.name() });
        }
        self.degradations.push(Degradation::of(feature));
        Ok(false)
    }

    /// What needs the caller's privileges and the caller's view of the file system.
    fn outer(&mut self, plan: &Plan) -> Result<()> {
        if plan.new_session {
            self.steps.push(Step::NewSession);
        }
        if let Some(group) = &plan.cgroup
            && self.has(Feature::Cgroup2)?
        {
            let path = c_path("cgroup", &group.join("cgroup.procs"))?;
            self.steps.push(Step::Write {
                name: "cgroup",
                path,
                data: b"0".to_vec(),
            });
        }
        if let Some(score) = plan.oom_score_adj {
            let path = c"/proc/self/oom_score_adj".to_owned();
            self.steps.push(Step::Write {
                name: "oom_score_adj",
                path,
                data: score.to_string().into_bytes(),
            });
        }
        self.steps.extend(plan.limits.iter().cloned().map(Step::Limit));
        if let Some(profile) = &plan.apparmor
            && self.has(Feature::AppArmor)?
        {
            self.steps.push(Step::AppArmor {
                path: c"/proc/self/attr/apparmor/exec".to_owned(),
                command: format!("exec {profile}").into_bytes(),
                profile: profile.clone().into_bytes(),
            });
        }
        Ok(())
    }

    /// Private mounts: copy what is put back, hide, put back, seal.
    fn view(&mut self, view: &View) -> Result<()> {
        let table = mounts::read()
            .map_err(|source| path_error("mount table", Path::new("/proc/self/mountinfo"), source))?;
        let binds: Vec<Bind> = view
            .bind
            .iter()
            .map(|b| {
                Ok(Bind {
                    path: real("bind", &b.path)?,
                    read_only: b.read_only,
                })
            })
            .collect::<Result<_>>()?;
        let sealed: Vec<PathBuf> = view
            .read_only
            .iter()
            .map(|p| real("read_only", p))
            .collect::<Result<_>>()?;
        if binds.len() + sealed.len() > MAX_BINDS {
            let count = binds.len() + sealed.len();
            return Err(ConfineError::TooMany {
                what: "bound paths",
                count,
                limit: MAX_BINDS,
            });
        }
        let hidden = hidden_dirs(view, &table)?;
        // A directory below one that is put back is hidden after it was put back.
        let (inner, hidden): (Vec<PathBuf>, Vec<PathBuf>) = hidden
            .into_iter()
            .partition(|h| binds.iter().any(|b| h.starts_with(&b.path)));
        let hidden = outermost(hidden);
        self.steps.push(Step::PrivateMounts);
        let all = binds
            .iter()
            .map(|b| (&b.path, b.read_only))
            .chain(sealed.iter().map(|p| (p, true)));
        for (slot, (path, seal)) in all.clone().enumerate() {
            self.steps.push(Step::OpenTree {
                slot,
                path: c_path("bind", path)?,
                seal,
            });
        }
        // What is sealed whole goes first, so that hidden directories inside it lie on top.
        for (slot, path) in (binds.len()..).zip(&sealed) {
            self.steps.push(Step::Attach {
                slot,
                path: c_path("read_only", path)?,
            });
        }
        for directory in &hidden {
            self.steps.push(Step::Hide(c_path("hide", directory)?));
        }
        for (slot, bind) in binds.iter().enumerate() {
            self.put_back(slot, &bind.path, &hidden)?;
        }
        for directory in &inner {
            self.steps.push(Step::Hide(c_path("hide", directory)?));
        }
        for directory in hidden.iter().chain(&inner) {
            self.steps.push(Step::Seal(c_path("hide", directory)?));
        }
        Ok(())
    }

    fn put_back(&mut self, slot: usize, path: &Path, hidden: &[PathBuf]) -> Result<()> {
        // Hidden directories are sorted, so the last match is the innermost.
        if let Some(above) = hidden.iter().rev().find(|h| path.starts_with(h)) {
            for directory in between(above, path) {
                self.steps.push(Step::MakeDir(c_path("bind", directory)?));
            }
            let target = c_path("bind", path)?;
            self.steps.push(if path.is_dir() {
                Step::MakeDir(target)
            } else {
                Step::MakeFile(target)
            });
        }
        self.steps.push(Step::Attach {
            slot,
            path: c_path("bind", path)?,
        });
        Ok(())
    }

    /// The change of user, with or without capabilities that survive it.
    fn identity(&mut self, plan: &Plan) -> Result<()> {
        if let Some(mask) = plan.umask {
            self.steps.push(Step::Umask(mask));
        }
        let keep = match plan.capabilities {
            Capabilities::Untouched => None,
            Capabilities::Keep(set) => Some(set),
        };
        if let Some(set) = keep {
            self.drop_bounding(set);
        }
        if let Some(identity) = &plan.identity {
            if keep.is_some_and(|set| !set.is_empty()) {
                self.attribute("keep capabilities", Attribute::KeepCaps(true));
            }
            self.steps.push(Step::SetGroups(identity.groups.clone()));
            self.steps.push(Step::SetGid(identity.gid));
            self.steps.push(Step::SetUid(identity.uid));
        }
        if let Some(set) = keep {
            self.steps.push(Step::SetCaps(set.bits()));
            self.attribute("clear ambient capabilities", Attribute::ClearAmbient);
            for number in set.numbers() {
                self.attribute("raise ambient capability", Attribute::RaiseAmbient(number));
            }
        }
        Ok(())
    }

    fn drop_bounding(&mut self, keep: CapSet) {
        for number in (0..=caps::LAST).filter(|n| keep.bits() & (1 << n) == 0) {
            self.attribute("drop bounding capability", Attribute::DropBounding(number));
        }
    }

    /// What only takes away, last.
    fn inner(&mut self, plan: &Plan) -> Result<()> {
        if let Some(directory) = &plan.directory {
            self.steps.push(Step::ChangeDir(c_path("directory", directory)?));
        }
        // A change of user clears the signal, so it is set after it.
        if plan.parent_death_signal != 0 {
            self.attribute(
                "parent death signal",
                Attribute::ParentDeathSignal(plan.parent_death_signal),
            );
        }
        if plan.no_new_privs {
            self.attribute("no_new_privs", Attribute::NoNewPrivs);
        }
        if let Some(rules) = &plan.landlock
            && self.has(Feature::Landlock)?
        {
            self.steps.push(Step::Landlock(ruleset::build(rules)?));
        }
        if let Some(name) = &plan.seccomp {
            for program in seccomp::programs(name)? {
                self.steps.push(Step::Seccomp(program));
            }
        }
        Ok(())
    }

    fn attribute(&mut self, name: &'static str, attribute: Attribute) {
        self.steps.push(Step::Attribute(name, attribute));
    }
}

/// Real paths of everything hidden, with aliases, outermost first.
fn hidden_dirs(view: &View, table: &[mounts::Mount]) -> Result<Vec<PathBuf>> {
    let mut list = Vec::new();
    for path in &view.hide {
        list.push(real("hide", path)?);
    }
    for path in view.hide_if_there.iter().filter(|p| p.exists()) {
        list.push(real("hide", path)?);
    }
    let aliases: Vec<PathBuf> = list
        .iter()
        .flat_map(|path| mounts::aliases(table, path))
        .collect();
    list.extend(aliases);
    list.sort();
    list.dedup();
    Ok(list)
}

/// Without what lies below another of the list.
fn outermost(list: Vec<PathBuf>) -> Vec<PathBuf> {
    let all = list.clone();
    list.into_iter()
        .filter(|path| !all.iter().any(|o| o != path && path.starts_with(o)))
        .collect()
}

fn real(what: &'static str, path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|source| path_error(what, path, source))
}

fn path_error(what: &'static str, path: &Path, source: std::io::Error) -> ConfineError {
    ConfineError::Path {
        what,
        path: path.to_path_buf(),
        source,
    }
}

fn c_path(what: &'static str, path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| ConfineError::Nul(what))
}
