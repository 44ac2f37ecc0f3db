//! Components from the files that name them. Nothing here reads a file.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

use super::document::Component;

/// Installed packages of dpkg's status file (deb-control(5)).
pub(super) fn debian(status: &str) -> Vec<Component> {
    status
        .split("\n\n")
        .filter_map(|stanza| {
            let field = |name: &str| {
                let value = |line: &&str| line.split_once(": ").is_some_and(|(key, _)| key == name);
                let line = stanza.lines().find(value)?;
                line.split_once(": ").map(|(_, value)| value.trim())
            };
            if field("Status")? != "install ok installed" {
                return None;
            }
            let (name, version) = (field("Package")?, field("Version")?);
            let architecture = field("Architecture")?;
            let source = field("Source").unwrap_or(name);
            Some(Component {
                name: name.to_owned(),
                version: Some(version.to_owned()),
                purl: Some(format!(
                    "pkg:deb/debian/{}@{}?arch={architecture}",
                    encoded(name),
                    encoded(version)
                )),
                licence: None,
                source: Some(format!("built from Debian's source package {source}")),
                sha256: None,
            })
        })
        .collect()
}

/// A package of the agent image, of which the name is all that is left.
pub(super) fn debian_of_agent(name: &str) -> Component {
    Component {
        name: name.to_owned(),
        version: None,
        purl: Some(format!("pkg:deb/debian/{}", encoded(name))),
        licence: None,
        source: Some("extracted from a Debian package, whose version is not recorded".to_owned()),
        sha256: None,
    }
}

/// Crates that the product's programs link, from `cargo metadata`: by normal dependencies, not by those of tests and
/// build scripts. Our own are not listed one by one.
pub(super) fn crates(metadata: &Value, is_product: fn(&Value) -> bool) -> Result<Vec<Component>> {
    let packages = list(metadata, "packages");
    let by_id: HashMap<&str, &Value> = packages
        .iter()
        .filter_map(|package| Some((text(package, "id")?, package)))
        .collect();
    let resolve = metadata
        .get("resolve")
        .context("cargo resolved no dependencies")?;
    let nodes: HashMap<&str, &Value> = list(resolve, "nodes")
        .iter()
        .filter_map(|node| Some((text(node, "id")?, node)))
        .collect();
    let members = list(metadata, "workspace_members")
        .iter()
        .filter_map(Value::as_str);
    let mut waiting: Vec<&str> = members
        .filter(|id| by_id.get(id).is_some_and(|package| is_product(package)))
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if reached.insert(id) {
            let node = nodes.get(id).with_context(|| format!("{id} is not resolved"))?;
            waiting.extend(
                list(node, "deps")
                    .iter()
                    .filter(|dep| is_linked(dep))
                    .filter_map(|dep| text(dep, "pkg")),
            );
        }
    }
    let found = reached.iter().filter_map(|id| by_id.get(id));
    Ok(found.filter_map(|package| krate(package)).collect())
}

fn is_linked(dependency: &Value) -> bool {
    list(dependency, "dep_kinds")
        .iter()
        .any(|kind| kind.get("kind").is_none_or(Value::is_null))
}

/// Nothing for a crate of this repository.
fn krate(package: &Value) -> Option<Component> {
    let registry = text(package, "source")?;
    let (name, version) = (text(package, "name")?, text(package, "version")?);
    Some(Component {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        purl: Some(format!("pkg:cargo/{}@{}", encoded(name), encoded(version))),
        // An old way to write a choice, which SPDX does not know.
        licence: text(package, "license").map(|licence| licence.replace('/', " OR ")),
        source: Some(format!("linked into the programs, from {registry}")),
        sha256: None,
    })
}

/// Pinned wheels of a requirements file.
pub(super) fn wheels(requirements: &str) -> Result<Vec<Component>> {
    requirements
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let pinned = words.next().and_then(|word| word.split_once("=="));
            let (name, version) = pinned.with_context(|| format!("no `name==version`: {line}"))?;
            let sha256 = words.find_map(|word| word.strip_prefix("--hash=sha256:"));
            Ok(Component {
                name: name.to_owned(),
                version: Some(version.to_owned()),
                purl: Some(format!("pkg:pypi/{}@{}", encoded(name), encoded(version))),
                licence: None,
                source: Some("a wheel of the Python package index".to_owned()),
                sha256: sha256.map(str::to_owned),
            })
        })
        .collect()
}

/// Packages of a package-lock.json, version 3, that are bundled: not those that only build.
pub(super) fn npm(lock: &Value) -> Vec<Component> {
    let packages = lock.get("packages").and_then(Value::as_object);
    packages
        .into_iter()
        .flatten()
        .filter(|(_, package)| package.get("dev") != Some(&Value::Bool(true)))
        .filter_map(|(path, package)| {
            let (_, name) = path.rsplit_once("node_modules/")?;
            let version = text(package, "version")?;
            Some(Component {
                name: name.to_owned(),
                version: Some(version.to_owned()),
                purl: Some(format!(
                    "pkg:npm/{}@{}",
                    encoded(name).replace("%2F", "/"),
                    encoded(version)
                )),
                licence: text(package, "license").map(str::to_owned),
                source: Some("bundled into the console's page".to_owned()),
                sha256: None,
            })
        })
        .collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Percent-encoded as package URLs want it: the colon of an epoch stays.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'.' | b'-' | b'_' | b'~' | b':' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{crates, debian, npm, wheels};
    use serde_json::json;

    #[test]
    fn installed_debian_packages_with_their_source() {
        let status = "Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\n\
            Source: gcc-16 (16.1-2)\nVersion: 16.1-2+b1\nConffiles:\n /etc/a 12\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: netbase\nStatus: install ok installed\nVersion: 1:6.5\nArchitecture: all\n";
        let found = debian(status);
        let purls: Vec<&str> = found
            .iter()
            .filter_map(|component| component.purl.as_deref())
            .collect();
        assert_eq!(
            purls,
            [
                "pkg:deb/debian/libstdc%2B%2B6@16.1-2%2Bb1?arch=amd64",
                "pkg:deb/debian/netbase@1:6.5?arch=all"
            ]
        );
        assert!(found[0].source.as_ref().unwrap().ends_with("gcc-16 (16.1-2)"));
        assert!(found[1].source.as_ref().unwrap().ends_with("package netbase"));
    }

    #[test]
    fn crates_that_are_linked_and_not_those_of_tests_build_scripts_or_tools() {
        let package = |name: &str, source: Option<&str>, licence: &str| json!({"id": name, "name": name, "version": "1.0.0+x", "source": source, "license": licence});
        let dep = |name: &str, kind: Option<&str>| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let registry = Some("registry+https://example.org/index");
        let metadata = json!({
            "workspace_members": ["init", "xtask"],
            "packages": [
                package("init", None, "Apache-2.0"),
                package("core", None, "Apache-2.0"),
                package("xtask", None, "Apache-2.0"),
                package("rustix", registry, "MIT/Apache-2.0"),
                package("libc", registry, "MIT"),
                package("cc", registry, "MIT"),
                package("xshell", registry, "MIT"),
            ],
            "resolve": {"nodes": [
                {"id": "init", "deps": [dep("core", None), dep("cc", Some("build")), dep("xshell", Some("dev"))]},
                {"id": "core", "deps": [dep("rustix", None)]},
                {"id": "rustix", "deps": [dep("libc", None), dep("core", None)]},
                {"id": "libc", "deps": []},
                {"id": "xtask", "deps": [dep("xshell", None)]},
            ]}
        });
        let found = crates(&metadata, |package| package["name"] != "xtask").unwrap();
        let names: Vec<&str> = found.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["libc", "rustix"]);
        assert_eq!(found[1].licence.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(found[1].purl.as_deref(), Some("pkg:cargo/rustix@1.0.0%2Bx"));
    }

    #[test]
    fn wheels_are_pinned_with_their_digest() {
        let found = wheels("# What agents need\ngrpcio==1.85.1 --hash=sha256:e0e6\n").unwrap();
        assert_eq!(found[0].purl.as_deref(), Some("pkg:pypi/grpcio@1.85.1"));
        assert_eq!(found[0].sha256.as_deref(), Some("e0e6"));
        let error = wheels("grpcio>=1\n").unwrap_err().to_string();
        assert!(error.contains("no `name==version`: grpcio>=1"), "{error}");
    }

    #[test]
    fn the_shipped_requirements_are_listed() {
        let found = wheels(include_str!("../../../../../bootc/agent/requirements.txt")).unwrap();
        assert!(
            found
                .iter()
                .any(|component| component.name == "grpcio" && component.sha256.is_some())
        );
    }

    #[test]
    fn bundled_packages_of_the_page() {
        let lock = json!({"packages": {
            "": {"name": "page", "version": "0.1.0"},
            "node_modules/react": {"version": "19.1.0", "license": "MIT"},
            "node_modules/@scope/part": {"version": "2.0.0"},
            "node_modules/vite": {"version": "7.0.0", "dev": true}
        }});
        let purls: Vec<String> = npm(&lock)
            .into_iter()
            .filter_map(|component| component.purl)
            .collect();
        assert_eq!(purls, ["pkg:npm/%40scope/part@2.0.0", "pkg:npm/react@19.1.0"]);
    }
}
