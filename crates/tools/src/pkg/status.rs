//! What dpkg and apt say is there: `/var/lib/dpkg/status` with what is not merged into it yet, and apt's
//! marks of packages that came as dependencies. Reading only.

use super::root::Root;
use crate::error::{Result, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

/// How far a package is installed, in dpkg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing of it is there.
    NotInstalled,
    /// Only its configuration files are there.
    ConfigFiles,
    /// Its installation or removal was begun and broke off.
    HalfInstalled,
    /// Its files are there, it is not configured.
    Unpacked,
    /// Its configuration was begun and broke off.
    HalfConfigured,
    /// It waits for what another package has to do.
    TriggersAwaited,
    /// It has something to do for another package.
    TriggersPending,
    /// It is there.
    Installed,
}

impl State {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "not-installed" => Self::NotInstalled,
            "config-files" => Self::ConfigFiles,
            "half-installed" => Self::HalfInstalled,
            "unpacked" => Self::Unpacked,
            "half-configured" => Self::HalfConfigured,
            "triggers-awaited" => Self::TriggersAwaited,
            "triggers-pending" => Self::TriggersPending,
            "installed" => Self::Installed,
            _ => return None,
        })
    }

    /// Whether something is still to be done for it.
    pub(crate) fn is_unsettled(self) -> bool {
        !matches!(self, Self::NotInstalled | Self::ConfigFiles | Self::Installed)
    }

    /// Whether a version of it is there, if only in part.
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::NotInstalled | Self::ConfigFiles)
    }

    /// dpkg's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotInstalled => "not-installed",
            Self::ConfigFiles => "config-files",
            Self::HalfInstalled => "half-installed",
            Self::Unpacked => "unpacked",
            Self::HalfConfigured => "half-configured",
            Self::TriggersAwaited => "triggers-awaited",
            Self::TriggersPending => "triggers-pending",
            Self::Installed => "installed",
        }
    }
}

/// A configuration file as dpkg knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conffile {
    pub(crate) path: String,
    /// MD5 of the content that the package brought.
    pub(crate) md5: String,
}

/// A package that dpkg knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) state: State,
    pub(crate) hold: bool,
    pub(crate) reinstall: bool,
    pub(crate) essential: bool,
    pub(crate) automatic: bool,
    pub(crate) conffiles: Vec<Conffile>,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Package {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The first line of its description.
    pub(crate) fn summary(&self) -> String {
        self.field("Description").lines().next().unwrap_or("").to_owned()
    }

    pub(crate) fn installed_bytes(&self) -> u64 {
        self.field("Installed-Size")
            .parse::<u64>()
            .map_or(0, |kib| kib * 1024)
    }
}

/// Every package that dpkg knows, by name; one of another architecture as `name:arch`.
pub(crate) type Known = BTreeMap<String, Package>;

/// Paragraphs of `Field: value` lines, as dpkg and apt write them.
pub(crate) fn stanzas(text: &str) -> Vec<BTreeMap<String, String>> {
    let (mut all, mut stanza) = (Vec::new(), BTreeMap::<String, String>::new());
    let mut last = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !stanza.is_empty() {
                all.push(std::mem::take(&mut stanza));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = stanza.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            name.clone_into(&mut last);
            stanza.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    if !stanza.is_empty() {
        all.push(stanza);
    }
    all
}

/// What is known now.
///
/// # Errors
/// A file cannot be read, or says what no dpkg writes.
pub(crate) fn known(root: &Root) -> Result<Known> {
    let native = root.text("/var/lib/dpkg/arch")?;
    let native = native.lines().next().map(str::to_owned);
    let automatic = automatic(root, native.as_deref())?;
    let mut known = Known::new();
    for text in texts(root)? {
        for stanza in stanzas(&text) {
            let (name, mut package) = package(stanza)?;
            let key = key(&name, &package.architecture, native.as_deref());
            package.automatic = automatic.contains(&key);
            if package.state == State::NotInstalled {
                known.remove(&key);
            } else {
                known.insert(key, package);
            }
        }
    }
    Ok(known)
}

/// The status file, then what dpkg noted since it wrote that: numbered files, each newer than the one
/// before. A dpkg that was killed leaves them.
fn texts(root: &Root) -> Result<Vec<String>> {
    let mut texts = vec![root.text("/var/lib/dpkg/status")?];
    let dir = root.at("/var/lib/dpkg/updates");
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(texts),
        Err(error) => return Err(ToolError::io("list", dir.to_string_lossy(), error)),
    };
    let mut newer = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ToolError::io("list", dir.to_string_lossy(), error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            newer.push(name);
        }
    }
    newer.sort_unstable();
    for name in newer {
        texts.push(root.text(&format!("/var/lib/dpkg/updates/{name}"))?);
    }
    Ok(texts)
}

/// The name under which a package is known: its architecture belongs to it only when it is another one
/// than the machine's.
fn key(name: &str, arch: &str, native: Option<&str>) -> String {
    if arch == "all" || arch.is_empty() || native.is_none_or(|native| native == arch) {
        name.to_owned()
    } else {
        format!("{name}:{arch}")
    }
}

fn package(mut fields: BTreeMap<String, String>) -> Result<(String, Package)> {
    let name = fields.remove("Package").unwrap_or_default();
    let corrupt = || ToolError::Corrupt {
        what: format!("dpkg's status of package `{name}`"),
    };
    let status = fields.get("Status").cloned().unwrap_or_default();
    let words: Vec<&str> = status.split_whitespace().collect();
    let &[want, flag, state] = words.as_slice() else {
        return Err(corrupt());
    };
    let package = Package {
        state: State::parse(state).ok_or_else(corrupt)?,
        hold: want == "hold",
        reinstall: flag == "reinstreq",
        version: fields.remove("Version").unwrap_or_default(),
        architecture: fields.remove("Architecture").unwrap_or_default(),
        essential: ["Essential", "Protected", "Important"]
            .iter()
            .any(|field| fields.get(*field).is_some_and(|value| value == "yes")),
        automatic: false,
        conffiles: conffiles(fields.get("Conffiles").map_or("", String::as_str)),
        fields,
    };
    Ok((name, package))
}

/// Lines of `PATH MD5 [obsolete]`.
fn conffiles(text: &str) -> Vec<Conffile> {
    let lines = text.lines().filter_map(|line| {
        let (path, rest) = line.trim().split_once(' ')?;
        let md5 = rest.split(' ').next()?;
        path.starts_with('/').then(|| Conffile {
            path: path.to_owned(),
            md5: md5.to_owned(),
        })
    });
    lines.collect()
}

/// Packages that came as dependencies of others.
fn automatic(root: &Root, native: Option<&str>) -> Result<BTreeSet<String>> {
    let text = root.text("/var/lib/apt/extended_states")?;
    let marked = stanzas(&text)
        .into_iter()
        .filter(|stanza| stanza.get("Auto-Installed").is_some_and(|mark| mark == "1"));
    Ok(marked
        .filter_map(|stanza| {
            let arch = stanza.get("Architecture").map_or("", String::as_str);
            Some(key(stanza.get("Package")?, arch, native))
        })
        .collect())
}

/// Packages that are half done, with their states.
pub(crate) fn unsettled(known: &Known) -> Vec<(&String, &Package)> {
    let half = |package: &Package| package.state.is_unsettled() || package.reinstall;
    known.iter().filter(|(_, package)| half(package)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_status_file_is_read_with_what_is_not_merged_yet() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root {
            root: dir.path().to_owned(),
            ..Root::default()
        };
        assert_eq!(known(&root).unwrap(), Known::new());
        fs::create_dir_all(dir.path().join("var/lib/dpkg/updates")).unwrap();
        fs::create_dir_all(dir.path().join("var/lib/apt")).unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("var/lib/dpkg/arch", "amd64\ni386\n");
        put(
            "var/lib/dpkg/status",
            "Package: one\nStatus: hold ok installed\nVersion: 1:1\nArchitecture: amd64\nEssential: yes\nInstalled-Size: 3\n\
             Conffiles:\n /etc/one d41d8cd98f00b204e9800998ecf8427e\n /etc/old abc obsolete\nDescription: first\n more\n\n\
             Package: two\nStatus: install ok installed\nVersion: 2\nArchitecture: i386\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 3\nArchitecture: all\n",
        );
        put(
            "var/lib/dpkg/updates/0000",
            "Package: two\nStatus: install reinstreq half-installed\nVersion: 3\nArchitecture: i386\n#padding\n#padding\n",
        );
        put("var/lib/dpkg/updates/tmp.i", "garbage");
        put(
            "var/lib/apt/extended_states",
            "Package: one\nArchitecture: amd64\nAuto-Installed: 1\n",
        );
        let known = known(&root).unwrap();
        let one = &known["one"];
        assert!(one.hold && one.essential && one.automatic);
        assert_eq!((one.version.as_str(), one.installed_bytes()), ("1:1", 3072));
        assert_eq!(one.summary(), "first");
        assert_eq!(one.conffiles.len(), 2);
        let two = &known["two:i386"];
        assert_eq!((two.state, two.version.as_str()), (State::HalfInstalled, "3"));
        assert!(two.reinstall);
        assert_eq!(known["gone"].state, State::ConfigFiles);
        assert_eq!(unsettled(&known).len(), 1);
    }

    #[test]
    fn a_status_that_no_dpkg_writes_is_an_error_and_no_empty_list() {
        for text in ["Package: x\n", "Package: x\nStatus: install ok installed-not\n"] {
            let stanza = stanzas(text).remove(0);
            assert!(
                matches!(package(stanza), Err(ToolError::Corrupt { .. })),
                "{text}"
            );
        }
    }
}
