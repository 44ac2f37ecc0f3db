//! Making an image of a base and packages, by Podman: a throwaway store, one layer on top of the base, and a look at what
//! came of it before anybody lays it out.
//!
//! The scripts of packages run as root in there, with fewer capabilities than the package worker has on an ordinary machine:
//! none that mounts, none that makes devices. They see apt's sources as they are on this machine, which they cannot
//! change, and nothing else of it.

use super::super::error::OsError;
use super::super::{Os, Patience};
use super::words::{package_in, telling};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use aios_deployment::bootc::Bootc;
use aios_deployment::derived::Added;
use aios_deployment::image::Layout;
use nix::mount::{MntFlags, umount2};
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What installs the packages within the build.
const SCRIPT: &str = include_str!("install.sh");
/// Where that lies within the build.
const INSIDE: &str = "/run/aios-build";
/// How the layout with the base is called there.
const BASE: &str = "base";
/// What the scripts of packages may do there.
const CAPABILITIES: &str = "chown,dac_override,dac_read_search,fowner,fsetid,kill,setfcap,setgid,setuid";
/// The date of every file that a build adds, as in the image's own build: the same packages make the same layer.
const EPOCH: &str = "1767225600";
/// Most open files and processes that Podman has for itself, and fewer processes where the kernel has fewer numbers for
/// them.
const PODMAN_MOST: u64 = 1_048_576;
/// Numbers for processes of a kernel that does not tell.
const LEAST_PIDS: u64 = 32_768;
/// Most of them that an error lists.
const SHOWN: usize = 5;

/// What came of a build.
#[derive(Debug)]
pub(in crate::os) struct Made {
    /// The image, in the throwaway directory.
    pub(in crate::os) layout: Layout,
    /// Packages that the base has not, with their versions.
    pub(in crate::os) brought: BTreeMap<String, String>,
}

/// A throwaway directory for builds.
pub(super) struct Workshop<'a> {
    os: &'a Os,
    dir: PathBuf,
}

impl<'a> Workshop<'a> {
    /// An empty one.
    ///
    /// # Errors
    /// What an earlier one left cannot be removed.
    pub(super) fn open(os: &'a Os) -> Result<Self> {
        let dir = os.workshop.clone();
        clear(&dir)?;
        for name in ["tmp", "work"] {
            let path = dir.join(name);
            fs::create_dir_all(&path).map_err(|error| io("make", &path, error))?;
        }
        // Podman makes a name of the path, for which a path may have letters that no name has.
        let (images, link) = (os.images.dir(), dir.join("tmp").join(BASE));
        symlink(images, &link).map_err(|error| io("make", &link, error))?;
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        put(&dir.join("policy.json"), policy)?;
        Ok(Self { os, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program that holds the lock of bootc's runs, so that none outlives this worker unseen.
    pub(super) fn program(&self, command: &[String], more: &[String]) -> Bootc {
        Bootc {
            command: [command, more].concat(),
            dir: Some(self.dir.join("tmp")),
            ..self.os.bootc.clone()
        }
    }

    /// Podman with a store of its own.
    fn podman(&self) -> Bootc {
        let at = |option: &str, name: &str| format!("--{option}={}", self.dir.join(name).display());
        let more = [
            at("root", "store"),
            at("runroot", "run"),
            at("tmpdir", "libpod"),
            "--events-backend=none".to_owned(),
            "--cgroup-manager=cgroupfs".to_owned(),
        ];
        self.program(&self.os.settings.podman, &more)
    }

    /// Has a program do something, whose failure is its own.
    pub(super) fn run(&self, program: &Bootc, args: &[&str], budget: &Budget) -> Result<String> {
        super::super::stopped(program.change(args, false, &Patience::of(budget)), budget)
    }

    /// Makes an image of the base of that tag and these packages.
    ///
    /// # Errors
    /// [`OsError::NotBuilt`] with apt's own sentence, or [`OsError::NotWhole`].
    pub(super) fn build(&self, base: &str, wanted: &[Added], budget: &Budget) -> Result<Made> {
        let podman = self.podman();
        let policy = format!("--signature-policy={}", self.dir.join("policy.json").display());
        let image = format!("oci:{BASE}:{base}");
        let pulled = self.run(&podman, &["pull", "--quiet", &policy, &image], budget)?;
        let id = pulled.lines().last().unwrap_or_default().trim();
        let work = self.dir.join("work");
        self.furnish(&work, id, wanted)?;
        let (ids, sources) = (self.dir.join("id"), self.os.settings.at("/etc/apt"));
        let args = [
            "build".to_owned(),
            "--isolation=chroot".to_owned(),
            "--layers=false".to_owned(),
            "--pull=never".to_owned(),
            "--http-proxy=false".to_owned(),
            "--cap-drop=all".to_owned(),
            format!("--cap-add={CAPABILITIES}"),
            format!("--timestamp={EPOCH}"),
            policy,
            format!("--volume={}:{INSIDE}", work.display()),
            format!("--volume={}:/etc/apt:O", sources.display()),
            format!("--iidfile={}", ids.display()),
            format!("--file={}", work.join("Containerfile").display()),
        ];
        let (limits, context) = (limits(), work.display().to_string());
        let args = args.iter().chain(&limits).chain([&context]);
        let args: Vec<&str> = args.map(String::as_str).collect();
        if let Err(error) = self.run(&podman, &args, budget) {
            return Err(self.why(&work, wanted, error));
        }
        let brought = whole(&work, wanted)?;
        let (id, out) = (read(&ids)?, self.dir.join("made"));
        let out_arg = format!("--output={}", out.display());
        let args = [
            "save",
            "--quiet",
            "--format=oci-dir",
            "--uncompressed",
            &out_arg,
            id.trim(),
        ];
        self.run(&podman, &args, budget)?;
        let layout = Layout::open(&out.display().to_string()).map_err(OsError::from)?;
        Ok(Made { layout, brought })
    }

    /// What the script reads.
    fn furnish(&self, work: &Path, base: &str, wanted: &[Added]) -> Result<()> {
        put(&work.join("install.sh"), SCRIPT)?;
        let file = format!("FROM {base}\nRUN [\"/bin/sh\", \"{INSIDE}/install.sh\"]\n");
        put(&work.join("Containerfile"), &file)?;
        put(&work.join("packages"), &arguments(wanted))?;
        for name in ["passwd", "group"] {
            let path = self.os.settings.at("/etc").join(name);
            let text = crate::pkg::root::text_or_empty(&path)?;
            put(&work.join(name), &text)?;
        }
        Ok(())
    }

    /// What apt said, which is what went wrong; what Podman says of it helps nobody. Time that is up says enough.
    fn why(&self, work: &Path, wanted: &[Added], error: ToolError) -> ToolError {
        if !matches!(error, ToolError::Os(OsError::Deployment(_))) {
            return error;
        }
        let said = |file: &str| read(&work.join(file)).unwrap_or_default();
        let (log, errors) = (said("log"), said("errors"));
        let words = match (telling(&log), errors.lines().next_back()) {
            (words, _) if !words.is_empty() => words,
            (_, Some(line)) => line.to_owned(),
            // It did not come as far as the script.
            (_, None) => return error,
        };
        OsError::NotBuilt {
            package: package_in(&log, wanted),
            said: words,
        }
        .into()
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.dir) {
            tracing::warn!(error = %error.report(), "what an image was made with still takes room");
        }
    }
}

/// The limits of a build, which Podman's own would raise above this service's. Podman also lowers its own to these bounds
/// before it starts anything, and what it runs cannot be above it either.
fn limits() -> Vec<String> {
    let pids = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let pids = pids
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(LEAST_PIDS);
    [
        ("nofile", Resource::Nofile, PODMAN_MOST),
        ("nproc", Resource::Nproc, PODMAN_MOST.min(pids)),
    ]
    .map(|(name, resource, most)| {
        let own = getrlimit(resource);
        let [soft, hard] = [own.current, own.maximum].map(|it| it.map_or(most, |own| own.min(most)));
        format!("--ulimit={name}={soft}:{hard}")
    })
    .into()
}

/// apt's arguments.
fn arguments(wanted: &[Added]) -> String {
    let recommends = if wanted.iter().any(|it| it.recommends) {
        "--install-recommends"
    } else {
        "--no-install-recommends"
    };
    let mut lines = vec![recommends.to_owned()];
    if wanted.iter().any(|it| it.version.is_some()) {
        lines.push("--allow-downgrades".to_owned());
    }
    lines.extend(wanted.iter().map(|it| match &it.version {
        Some(version) => format!("{}={version}", it.name),
        None => it.name.clone(),
    }));
    lines.join("\n") + "\n"
}

/// Whether the image is whole: every package of the base is there as it was, none is half done, no file of one is missing,
/// and there is the one kernel. Answers what came beside the base.
fn whole(work: &Path, wanted: &[Added]) -> Result<BTreeMap<String, String>> {
    let not = |why: String| ToolError::from(OsError::NotWhole { why });
    let half: Vec<String> = added(work, "packages")?
        .into_iter()
        .filter(|line| {
            !["\tinstalled", "\tconfig-files"]
                .iter()
                .any(|it| line.ends_with(it))
        })
        .map(|line| line.replace('\t', " "))
        .collect();
    if !half.is_empty() {
        return Err(not(format!("these packages are half done: {}", some(&half))));
    }
    let lost = added(work, "missing")?;
    if !lost.is_empty() {
        return Err(not(format!(
            "these files of packages are missing: {}",
            some(&lost)
        )));
    }
    let kernels = added(work, "kernels")?;
    if !kernels.is_empty() {
        let why = "a kernel comes with the base, and this image would have another one";
        return Err(not(format!("{why}: {}", some(&kernels))));
    }
    let (before, after) = (versions(work, "before")?, versions(work, "after")?);
    if let Some(name) = before.keys().find(|name| !after.contains_key(*name)) {
        return Err(not(format!("{name} of the base was removed")));
    }
    let named = |name: &String| wanted.iter().any(|it| it.name == *name);
    let replaced = |(name, version): &(&String, &String)| {
        after.get(*name).is_some_and(|now| now != *version) && !named(name)
    };
    let replaced: Vec<String> = before.iter().filter(replaced).map(|it| it.0.clone()).collect();
    if !replaced.is_empty() {
        let names = some(&replaced);
        return Err(not(format!(
            "packages of the base would be replaced that nobody named: {names}; name them too if that is meant"
        )));
    }
    if let Some(it) = wanted.iter().find(|it| !after.contains_key(&it.name)) {
        return Err(OsError::NotBuilt {
            package: Some(it.name.clone()),
            said: "apt installed something else under this name".to_owned(),
        }
        .into());
    }
    let new = after
        .into_iter()
        .filter(|(name, version)| before.get(name) != Some(version));
    Ok(new.collect())
}

fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

/// Lines that there are afterwards and were not before.
fn added(work: &Path, what: &str) -> Result<Vec<String>> {
    let (before, after) = (
        read(&work.join(format!("{what}.before")))?,
        read(&work.join(format!("{what}.after")))?,
    );
    let before: std::collections::BTreeSet<&str> = before.lines().collect();
    let new = after.lines().filter(|line| !before.contains(line));
    Ok(new.map(str::to_owned).collect())
}

/// Installed packages, by lines of name, version and state.
fn versions(work: &Path, when: &str) -> Result<BTreeMap<String, String>> {
    let text = read(&work.join(format!("packages.{when}")))?;
    let installed = text.lines().filter_map(|line| line.strip_suffix("\tinstalled"));
    let pairs = installed.filter_map(|line| line.split_once('\t'));
    Ok(pairs
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect())
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| io("read", path, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| io("write", path, error))
}

fn io(what: &'static str, path: &Path, error: std::io::Error) -> ToolError {
    ToolError::io(what, path.to_string_lossy(), error)
}

/// Removes a directory with what a program that was killed left mounted in it.
pub(super) fn clear(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| io("read", dir, error))?;
    let mut places: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|place| Path::new(place).starts_with(dir))
        .collect();
    // The last that was mounted lies above the others.
    places.reverse();
    for place in places {
        umount2(place, MntFlags::MNT_DETACH)
            .map_err(|errno| io("unmount", Path::new(place), errno.into()))?;
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", dir, error)),
        _ => Ok(()),
    }
}
