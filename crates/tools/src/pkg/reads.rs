//! The tools that only look: pkg.list, pkg.search, pkg.info, pkg.files, pkg.check_updates.

use super::Pkg;
use super::args::{
    ConfigFile, Files, FilesArgs, Hit, Hits, Info, List, ListArgs, Listed, NameArgs, SearchArgs, Update,
    Updates, Which,
};
use super::debs;
use super::error::PkgError;
use super::root::{Root, text_or_empty};
use super::simulate::simulate;
use super::status::{Conffile, Package, State, known};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::typed::bad_input;
use globset::GlobBuilder;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Cuts a list to what was asked for; how many there were, and whether some are left out.
pub(crate) fn cut<T>(list: &mut Vec<T>, limit: u64) -> (u64, bool) {
    let total = list.len();
    list.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    (total as u64, list.len() < total)
}

pub(crate) fn list(pkg: &Pkg, args: &ListArgs) -> Result<List> {
    let glob = match &args.name_glob {
        Some(glob) => Some(
            GlobBuilder::new(glob)
                .build()
                .map_err(|error| bad_input("pkg.list", "name_glob", error.to_string()))?
                .compile_matcher(),
        ),
        None => None,
    };
    let wanted = |package: &Package| match args.which {
        Which::Installed => package.state.is_there(),
        Which::Unsettled => package.state.is_unsettled() || package.reinstall,
        Which::ConfigFiles => package.state == State::ConfigFiles,
        Which::Held => package.hold,
        Which::Automatic => package.automatic && package.state.is_there(),
        Which::All => true,
    };
    let mut packages: Vec<Listed> = known(&pkg.root)?
        .into_iter()
        .filter(|(name, package)| wanted(package) && glob.as_ref().is_none_or(|glob| glob.is_match(name)))
        .map(|(name, package)| Listed {
            summary: package.summary(),
            installed_bytes: package.installed_bytes(),
            name,
            version: package.version,
            architecture: package.architecture,
            state: package.state,
            needs_reinstall: package.reinstall,
            held: package.hold,
            automatic: package.automatic,
            essential: package.essential,
        })
        .collect();
    let (total, truncated) = cut(&mut packages, args.limit);
    Ok(List {
        packages,
        total,
        truncated,
    })
}

/// A word that matches only itself in a POSIX extended expression.
fn literal(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        if ".[]()*+?{}|^$\\".contains(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

pub(crate) fn search(pkg: &Pkg, args: &SearchArgs, budget: &Budget) -> Result<Hits> {
    let words: Vec<String> = args.text.split_whitespace().map(literal).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let names_only: &[&str] = if args.names_only { &["--names-only"] } else { &[] };
    let output = pkg
        .root
        .program("/usr/bin/apt-cache", &["search"])
        .args(names_only)
        .args(&["--"])
        .args(&words)
        .run(budget)?;
    let known = known(&pkg.root)?;
    let mut packages: Vec<Hit> = output
        .out
        .lines()
        .filter_map(|line| line.split_once(" - "))
        .map(|(name, summary)| Hit {
            name: name.to_owned(),
            summary: summary.to_owned(),
            installed_version: known
                .get(name)
                .filter(|it| it.state.is_there())
                .map(|it| it.version.clone()),
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let (total, truncated) = cut(&mut packages, args.limit);
    Ok(Hits {
        packages,
        total,
        truncated,
    })
}

/// What `apt-cache policy` says of the version that would be installed: the version, and where it comes from.
fn policy(root: &Root, name: &str, budget: &Budget) -> Result<(Option<String>, Vec<String>)> {
    let output = root
        .program("/usr/bin/apt-cache", &["policy", "--", name])
        .run(budget)?;
    Ok(read_policy(&output.out))
}

fn read_policy(text: &str) -> (Option<String>, Vec<String>) {
    let candidate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned);
    let Some(version) = &candidate else {
        return (None, Vec::new());
    };
    let of_version = |line: &str| {
        let line = line.trim_start().trim_start_matches("*** ");
        line.split(' ').next() == Some(version)
    };
    let table = text
        .lines()
        .skip_while(|line| !line.contains("Version table:"))
        .skip(1);
    let mut origins = Vec::new();
    let mut inside = false;
    for line in table {
        // A version is indented by 1 or 5 columns, what offers it by 8 or more.
        if line.starts_with("        ") {
            if let Some((_, origin)) = line.trim().split_once(' ').filter(|_| inside) {
                origins.push(origin.trim().to_owned());
            }
        } else {
            inside = of_version(line);
        }
    }
    (candidate, origins)
}

/// What is known of a package: by dpkg when it is there, and by apt's lists of the version that can be had.
struct Told {
    here: Option<Package>,
    offered: BTreeMap<String, String>,
}

impl Told {
    /// A field as dpkg has it, else as the lists have it.
    fn field(&self, name: &str) -> String {
        let own = self.here.as_ref().map_or("", |package| package.field(name));
        if own.is_empty() {
            self.offered.get(name).cloned().unwrap_or_default()
        } else {
            own.to_owned()
        }
    }

    /// The first of the fields that says something.
    fn first(&self, names: &[&str]) -> String {
        let told = names.iter().map(|name| self.field(name));
        told.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn is(&self, mark: impl Fn(&Package) -> bool) -> bool {
        self.here.as_ref().is_some_and(mark)
    }
}

pub(crate) fn info(pkg: &Pkg, args: &NameArgs, budget: &Budget) -> Result<Info> {
    let here = known(&pkg.root)?.remove(&args.name);
    let offered = debs::shown(&pkg.root, &args.name, budget)?;
    let (candidate, origins) = policy(&pkg.root, &args.name, budget)?;
    let offered = offered
        .into_iter()
        .flatten()
        .find(|stanza| stanza.get("Version") == candidate.as_ref())
        .unwrap_or_default();
    if here.is_none() && offered.is_empty() {
        return Err(PkgError::NoSuchPackage {
            name: args.name.clone(),
            problem: "neither installed nor in any list of packages",
        }
        .into());
    }
    let conffiles = match &here {
        Some(package) => changed(&pkg.root, &package.conffiles, budget)?,
        None => Vec::new(),
    };
    let told = Told { here, offered };
    Ok(Info {
        candidate_version: candidate,
        origins,
        conffiles,
        ..described(&args.name, &told)
    })
}

/// What both sources say of a package.
fn described(name: &str, told: &Told) -> Info {
    let text = told.first(&["Description", "Description-en"]);
    let (summary, description) = text.split_once('\n').unwrap_or((&text, ""));
    let there = told.here.as_ref().filter(|package| package.state.is_there());
    let needs = [told.field("Pre-Depends"), told.field("Depends")];
    let source = told.field("Source");
    Info {
        name: name.to_owned(),
        state: told
            .here
            .as_ref()
            .map_or(State::NotInstalled, |package| package.state),
        installed_version: there.map(|package| package.version.clone()),
        candidate_version: None,
        origins: Vec::new(),
        architecture: match &told.here {
            Some(package) => package.architecture.clone(),
            None => told.field("Architecture"),
        },
        summary: summary.to_owned(),
        description: description.to_owned(),
        depends: needs
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
        recommends: told.field("Recommends"),
        conflicts: told.field("Conflicts"),
        source: if source.is_empty() {
            name.to_owned()
        } else {
            source
        },
        section: told.field("Section"),
        homepage: told.field("Homepage"),
        download_bytes: told.offered.get("Size").and_then(|size| size.parse().ok()),
        installed_bytes: told
            .field("Installed-Size")
            .parse::<u64>()
            .map_or(0, |kib| kib * 1024),
        held: told.is(|package| package.hold),
        automatic: told.is(|package| package.automatic),
        essential: told.is(|package| package.essential),
        conffiles: Vec::new(),
    }
}

/// Each configuration file, and whether its MD5 is still the one that dpkg noted.
fn changed(root: &Root, conffiles: &[Conffile], budget: &Budget) -> Result<Vec<ConfigFile>> {
    let places: Vec<_> = conffiles.iter().map(|it| root.at(&it.path)).collect();
    let there: Vec<_> = places.iter().filter(|place| place.is_file()).collect();
    let mut sums = BTreeMap::new();
    if !there.is_empty() {
        let names: Vec<_> = there.iter().map(|place| place.to_string_lossy()).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let output = root
            .program("/usr/bin/md5sum", &["--zero", "--"])
            .args(&names)
            .run(budget)?;
        for line in output.out.split('\0') {
            if let Some((sum, path)) = line.split_once("  ") {
                sums.insert(path.to_owned(), sum.to_owned());
            }
        }
    }
    let pairs = conffiles.iter().zip(&places);
    Ok(pairs
        .map(|(conffile, place)| ConfigFile {
            path: conffile.path.clone(),
            exists: place.exists(),
            // dpkg writes `newconffile` where it has no sum yet.
            changed: (conffile.md5.len() == 32).then(|| {
                sums.get(place.to_string_lossy().as_ref())
                    .is_none_or(|sum| *sum != conffile.md5)
            }),
        })
        .collect())
}

pub(crate) fn files(pkg: &Pkg, args: &FilesArgs) -> Result<Files> {
    let known = known(&pkg.root)?;
    let package = known.get(&args.name).filter(|package| package.state.is_there());
    let Some(package) = package else {
        return Err(not_installed(&args.name));
    };
    // A package of which several architectures can be there has its architecture in the list's name.
    let name = args.name.split(':').next().unwrap_or(&args.name);
    let info = "/var/lib/dpkg/info";
    let mut text = pkg
        .root
        .text(&format!("{info}/{name}:{}.list", package.architecture))?;
    if text.is_empty() {
        text = pkg.root.text(&format!("{info}/{name}.list"))?;
    }
    let mut paths: Vec<String> = text
        .lines()
        .filter(|path| path.starts_with('/') && *path != "/.")
        .map(str::to_owned)
        .collect();
    let (total, truncated) = cut(&mut paths, args.limit);
    Ok(Files {
        name: args.name.clone(),
        paths,
        total,
        truncated,
    })
}

pub(crate) fn not_installed(name: &str) -> ToolError {
    PkgError::NoSuchPackage {
        name: name.to_owned(),
        problem: "not installed",
    }
    .into()
}

pub(crate) fn check_updates(pkg: &Pkg, budget: &Budget) -> Result<Updates> {
    let simulation = simulate(&pkg.root, &["--with-new-pkgs", "upgrade"], budget)?;
    let (mut updates, mut new_packages) = (Vec::new(), Vec::new());
    for it in simulation.coming {
        match it.installed {
            Some(installed_version) => updates.push(Update {
                name: it.name,
                installed_version,
                candidate_version: it.version,
                security: it.origin.to_lowercase().contains("security"),
                origin: it.origin,
            }),
            None => new_packages.push(it.name),
        }
    }
    updates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Updates {
        security: updates.iter().filter(|it| it.security).count() as u64,
        updates,
        new_packages,
        kept_back: simulation.kept_back,
        lists_fetched_ms: fetched_ms(&pkg.root)?,
    })
}

/// When apt last touched its lists. The lists themselves carry the time of the server.
fn fetched_ms(root: &Root) -> Result<Option<i64>> {
    let newest = ["/var/lib/apt/lists", "/var/lib/apt/lists/partial"]
        .iter()
        .filter_map(|path| touched_ms(&root.at(path)))
        .max();
    // Fresh directories say nothing while no list is in them.
    let has_lists = match std::fs::read_dir(root.at("/var/lib/apt/lists")) {
        Ok(mut entries) => entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_Packages"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(ToolError::io("list", "/var/lib/apt/lists", error)),
    };
    Ok(newest.filter(|_| has_lists))
}

fn touched_ms(path: &Path) -> Option<i64> {
    let time = path.metadata().ok()?.modified().ok()?;
    let passed = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(passed.as_millis()).ok()
}

/// dpkg's and apt's own logs as text.
pub(crate) fn log(root: &Root, path: &str) -> Result<String> {
    text_or_empty(&root.at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidates_sources_are_read_from_the_policy() {
        let text = "foo:\n  Installed: 1.0\n  Candidate: 2.0\n  Version table:\n     2.0 500\n        500 http://a stable/main\n        \
                    500 http://b stable-security/main\n *** 1.0 100\n        100 /var/lib/dpkg/status\n";
        let (candidate, origins) = read_policy(text);
        assert_eq!(candidate.as_deref(), Some("2.0"));
        assert_eq!(origins, ["http://a stable/main", "http://b stable-security/main"]);
        assert_eq!(read_policy("x:\n  Candidate: (none)\n"), (None, Vec::new()));
        assert_eq!(read_policy(""), (None, Vec::new()));
    }

    #[test]
    fn what_is_searched_for_is_no_expression() {
        assert_eq!(literal("g++.*"), "g\\+\\+\\.\\*");
    }
}
