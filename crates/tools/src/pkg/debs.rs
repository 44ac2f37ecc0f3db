//! Package files that are kept, so that what is replaced or removed can come back: a directory of the
//! worker's own. What is not kept yet comes from apt's cache, or from a source that still has it.

use super::error::PkgError;
use super::root::Root;
use super::status::stanzas;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    /// `libc6`, or `libc6:i386`.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
}

impl Version {
    pub(crate) fn new(name: &str, version: &str, architecture: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
        }
    }

    /// Its file's name, as apt writes it.
    fn file(&self) -> String {
        let name = self.name.split(':').next().unwrap_or(&self.name);
        let version = self.version.replace(':', "%3a");
        format!("{name}_{version}_{}.deb", self.architecture)
    }

    /// As apt wants it.
    fn wanted(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}

/// The directory of kept package files.
#[derive(Debug)]
pub(crate) struct Debs {
    dir: PathBuf,
}

impl Debs {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| ToolError::io("make", dir.to_string_lossy(), error))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where a version's file is, when it is kept.
    pub(crate) fn kept(&self, version: &Version) -> Option<PathBuf> {
        let path = self.dir.join(version.file());
        path.is_file().then_some(path)
    }

    /// The file of a version, which must be kept.
    pub(crate) fn file(&self, version: &Version) -> Result<PathBuf> {
        self.kept(version).ok_or_else(|| {
            PkgError::NotObtainable {
                package: version.wanted(),
                why: format!("it is not in {}", self.dir.display()),
            }
            .into()
        })
    }

    /// Which of the versions could not be kept: neither here, nor in apt's cache, nor in any source.
    pub(crate) fn missing(&self, root: &Root, versions: &[Version], budget: &Budget) -> Result<Vec<Version>> {
        let mut missing: Vec<Version> = versions
            .iter()
            .filter(|version| self.kept(version).is_none() && cached(root, version).is_none())
            .cloned()
            .collect();
        if !missing.is_empty() {
            let offered = offered(root, &missing, budget)?;
            missing.retain(|version| !offered.contains_key(version));
        }
        Ok(missing)
    }

    /// Keeps the files of all versions.
    ///
    /// # Errors
    /// [`PkgError::NotObtainable`], or the room for them is used up.
    pub(crate) fn keep(&self, root: &Root, versions: &[Version], budget: &Budget) -> Result<()> {
        let mut wanted = BTreeSet::new();
        for version in versions {
            if self.kept(version).is_none() {
                match cached(root, version) {
                    Some(path) => self.take(root, &path, version, budget)?,
                    None => {
                        wanted.insert(version.clone());
                    }
                }
            }
        }
        self.room(root)?;
        if !wanted.is_empty() {
            self.download(root, &wanted, budget)?;
            self.room(root)?;
        }
        Ok(())
    }

    /// Fetches into a directory of its own, so that what broke off is never taken for whole.
    fn download(&self, root: &Root, wanted: &BTreeSet<Version>, budget: &Budget) -> Result<()> {
        let place = self.dir.join("partial");
        let shown = place.to_string_lossy().into_owned();
        if place.exists() {
            fs::remove_dir_all(&place).map_err(|error| ToolError::io("clean", &shown, error))?;
        }
        fs::create_dir(&place).map_err(|error| ToolError::io("make", &shown, error))?;
        let names: Vec<String> = wanted.iter().map(Version::wanted).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let fetched = root
            .apt_get(&["download"])
            .args(&names)
            .directory(&place)
            .run(budget);
        if let Err(error) = fetched {
            if matches!(error, ToolError::TimedOut { .. } | ToolError::Cancelled) {
                return Err(error);
            }
            return Err(PkgError::NotObtainable {
                package: names.join(", "),
                why: error.to_string(),
            }
            .into());
        }
        for version in wanted {
            self.take(root, &place.join(version.file()), version, budget)?;
        }
        fs::remove_dir_all(&place).map_err(|error| ToolError::io("clean", &shown, error))
    }

    /// Copies a file that says of itself that it is this version, whole or not at all.
    fn take(&self, root: &Root, from: &Path, version: &Version, budget: &Budget) -> Result<()> {
        let shown = from.to_string_lossy().into_owned();
        let failed = |doing| {
            let shown = shown.clone();
            move |error: std::io::Error| ToolError::io(doing, shown, error)
        };
        let said = root
            .program("/usr/bin/dpkg-deb", &["--field", &shown])
            .args(&["Package", "Version", "Architecture"])
            .run(budget)?;
        let stanza = stanzas(&said.out).into_iter().next().unwrap_or_default();
        let says = |field: &str, wanted: &str| stanza.get(field).is_some_and(|it| it == wanted);
        let name = version.name.split(':').next().unwrap_or(&version.name);
        if !(says("Package", name)
            && says("Version", &version.version)
            && says("Architecture", &version.architecture))
        {
            return Err(PkgError::NotObtainable {
                package: version.wanted(),
                why: format!("{shown} holds another package"),
            }
            .into());
        }
        let temporary = self.dir.join(format!("{}.part", version.file()));
        fs::copy(from, &temporary).map_err(failed("copy"))?;
        let file = fs::File::open(&temporary).map_err(failed("open"))?;
        file.sync_all().map_err(failed("make durable"))?;
        fs::rename(&temporary, self.dir.join(version.file())).map_err(failed("keep"))?;
        let dir = fs::File::open(&self.dir).map_err(failed("open"))?;
        dir.sync_all().map_err(failed("make durable"))
    }

    /// Refuses when more is kept than allowed: a change that could not be undone later is not made.
    fn room(&self, root: &Root) -> Result<()> {
        let shown = self.dir.to_string_lossy().into_owned();
        let failed = |error| ToolError::io("list", &shown, error);
        let mut actual = 0;
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let meta = entry.map_err(failed)?.metadata().map_err(failed)?;
            actual += if meta.is_file() { meta.len() } else { 0 };
        }
        if actual <= root.archive_bytes {
            return Ok(());
        }
        Err(ToolError::TooLarge {
            what: "the size of the package files kept for undo, in bytes",
            actual,
            limit: root.archive_bytes,
        })
    }
}

/// The version's file in apt's own cache.
fn cached(root: &Root, version: &Version) -> Option<PathBuf> {
    let path = root.at("/var/cache/apt/archives").join(version.file());
    path.is_file().then_some(path)
}

/// Sizes in bytes of those versions that some source has.
pub(crate) fn offered(root: &Root, versions: &[Version], budget: &Budget) -> Result<BTreeMap<Version, u64>> {
    let mut found = BTreeMap::new();
    for version in versions {
        // One call each: apt-cache ends at the first version that no list has.
        let Some(stanzas) = shown(root, &version.wanted(), budget)? else {
            continue;
        };
        let stanza = stanzas
            .iter()
            .find(|it| it.contains_key("Filename") && it.get("Version") == Some(&version.version));
        if let Some(stanza) = stanza {
            let size = stanza.get("Size").and_then(|size| size.parse().ok());
            found.insert(version.clone(), size.unwrap_or(0));
        }
    }
    Ok(found)
}

/// What apt's lists say of a package, newest version first; `None` when they do not know it.
pub(crate) fn shown(
    root: &Root,
    name: &str,
    budget: &Budget,
) -> Result<Option<Vec<BTreeMap<String, String>>>> {
    let asked = root
        .program("/usr/bin/apt-cache", &["show", "--", name])
        .run(budget);
    match asked {
        Ok(output) => Ok(Some(stanzas(&output.out)).filter(|found| !found.is_empty())),
        Err(ToolError::Pkg(PkgError::Program { said, .. }))
            if said.contains("No packages found")
                || said.contains("was not found")
                || said.contains("Unable to locate") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Configuration files that a package file brings.
pub(crate) fn conffiles_of(root: &Root, deb: &Path, budget: &Budget) -> Result<Vec<String>> {
    let path = deb.to_string_lossy();
    let listed = root
        .program("/usr/bin/dpkg-deb", &["--info", &path, "conffiles"])
        .run(budget);
    let output = match listed {
        Ok(output) => output,
        // dpkg-deb has no other way to say that there are none.
        Err(ToolError::Pkg(PkgError::Program { said, .. })) if said.contains("control component") => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let paths = output.out.lines().filter_map(|line| {
        let at = line.find('/')?;
        line.get(at..).map(|path| path.trim_end().to_owned())
    });
    Ok(paths.collect())
}
