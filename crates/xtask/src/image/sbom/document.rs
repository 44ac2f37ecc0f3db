//! The document: fields and their order as SPDX 2.3 names them.

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Nobody looked, or nobody can say.
const UNKNOWN: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";

/// One thing that is in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Component {
    /// Its name where it comes from.
    pub(super) name: String,
    /// Its version there; unknown for what left no trace but its name.
    pub(super) version: Option<String>,
    /// Package URL (<https://github.com/package-url/purl-spec>); nothing for what no registry has.
    pub(super) purl: Option<String>,
    /// An SPDX licence expression, where its maker declared one.
    pub(super) licence: Option<String>,
    /// How it was made, in words.
    pub(super) source: Option<String>,
    /// SHA-256 of what was taken, in hexadecimal.
    pub(super) sha256: Option<String>,
}

impl Component {
    /// A file that no package brought.
    pub(super) fn of_file(name: &str, sha256: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            purl: None,
            licence: None,
            source: Some("given to the image's build as a directory of files".to_owned()),
            sha256: Some(sha256.to_owned()),
        }
    }
}

/// Components of one part of the image.
pub(super) struct Group {
    name: &'static str,
    components: Vec<Component>,
}

impl Group {
    /// Sorts them, and takes each once.
    pub(super) fn new(name: &'static str, mut components: Vec<Component>) -> Self {
        components.sort();
        components.dedup();
        Self { name, components }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'static str,
    document_namespace: String,
    creation_info: Creation,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct Creation {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Reference>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

impl Document {
    /// The document of an image. `created` is UTC in RFC 3339, whole seconds.
    pub(super) fn new(version: &str, created: &str, groups: &[Group]) -> Result<Self> {
        let mut packages = vec![own("aios", IMAGE.to_owned(), version)];
        let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
        for group in groups {
            let id = format!("SPDXRef-{}", group.name);
            relationships.push(relationship(IMAGE, "CONTAINS", &id));
            packages.push(own(&format!("aios-{}", group.name), id.clone(), version));
            for component in &group.components {
                let package = package(group.name, component);
                relationships.push(relationship(&id, "CONTAINS", &package.id));
                packages.push(package);
            }
        }
        let content = hex::encode(Sha256::digest(serde_json::to_vec(&packages)?));
        Ok(Self {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name: "aios",
            document_namespace: format!("{}/spdx/{content}", env!("CARGO_PKG_REPOSITORY")),
            creation_info: Creation {
                created: created.to_owned(),
                creators: vec![format!("Tool: aios-xtask-{}", env!("CARGO_PKG_VERSION"))],
            },
            packages,
            relationships,
        })
    }

    /// Components, without the image itself and its parts.
    pub(super) fn len(&self) -> usize {
        let parts = self
            .relationships
            .iter()
            .filter(|relation| relation.spdx_element_id == IMAGE);
        self.packages.len().saturating_sub(1 + parts.count())
    }
}

/// The image or a part of it: the licences are those of what it contains.
fn own(name: &str, id: String, version: &str) -> Package {
    Package {
        name: name.to_owned(),
        id,
        version_info: Some(version.to_owned()),
        download_location: UNKNOWN,
        files_analyzed: false,
        checksums: Vec::new(),
        source_info: None,
        license_concluded: UNKNOWN,
        license_declared: UNKNOWN.to_owned(),
        copyright_text: UNKNOWN,
        external_refs: Vec::new(),
    }
}

fn package(group: &str, component: &Component) -> Package {
    let purl = component.purl.clone().map(|purl| Reference {
        reference_category: "PACKAGE-MANAGER",
        reference_type: "purl",
        reference_locator: purl,
    });
    let checksum = component.sha256.clone().map(|checksum_value| Checksum {
        algorithm: "SHA256",
        checksum_value,
    });
    Package {
        name: component.name.clone(),
        id: identifier(group, component),
        version_info: component.version.clone(),
        download_location: UNKNOWN,
        files_analyzed: false,
        checksums: checksum.into_iter().collect(),
        source_info: component.source.clone(),
        license_concluded: UNKNOWN,
        license_declared: component.licence.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        copyright_text: UNKNOWN,
        external_refs: purl.into_iter().collect(),
    }
}

/// Letters, digits, dots and hyphens are all that an identifier may have; what they hide a digest tells apart.
fn identifier(group: &str, component: &Component) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    let name: String = component
        .name
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '-' })
        .collect();
    let exact = format!(
        "{}\0{:?}\0{:?}",
        component.name, component.version, component.purl
    );
    let digest: String = hex::encode(Sha256::digest(exact)).chars().take(8).collect();
    format!("SPDXRef-{group}-{name}-{digest}")
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Document, Group};
    use std::collections::HashSet;

    fn component(name: &str, version: &str) -> Component {
        Component {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            purl: Some(format!("pkg:cargo/{name}@{version}")),
            licence: Some("MIT".to_owned()),
            source: None,
            sha256: None,
        }
    }

    fn document(components: Vec<Component>) -> serde_json::Value {
        let groups = [
            Group::new("programs", components),
            Group::new("system", vec![Component::of_file("bootc", "ab12")]),
        ];
        let document = Document::new("0.1.0+x", "2026-11-23T10:00:00Z", &groups).unwrap();
        assert_eq!(
            document.len(),
            groups.iter().map(|group| group.components.len()).sum::<usize>()
        );
        serde_json::to_value(document).unwrap()
    }

    /// The fields that clauses 6 to 8 of the specification demand, and that every reference resolves.
    #[test]
    fn required_fields_are_there_and_references_resolve() {
        let document = document(vec![
            component("a_b", "1.0"),
            component("a-b", "1.0"),
            component("c", "2"),
        ]);
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["dataLicense"], "CC0-1.0");
        assert_eq!(document["SPDXID"], "SPDXRef-DOCUMENT");
        assert_eq!(document["creationInfo"]["created"], "2026-11-23T10:00:00Z");
        assert!(
            document["creationInfo"]["creators"][0]
                .as_str()
                .unwrap()
                .starts_with("Tool: ")
        );
        assert!(
            document["documentNamespace"]
                .as_str()
                .unwrap()
                .starts_with("https://")
        );
        let mut ids = HashSet::from(["SPDXRef-DOCUMENT"]);
        for package in document["packages"].as_array().unwrap() {
            for field in ["name", "SPDXID", "downloadLocation", "licenseDeclared"] {
                assert!(
                    !package[field].as_str().unwrap().is_empty(),
                    "{field} of {package}"
                );
            }
            assert_eq!(package["filesAnalyzed"], false);
            let id = package["SPDXID"].as_str().unwrap();
            let letters = id.strip_prefix("SPDXRef-").unwrap();
            assert!(
                letters
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter)),
                "{id}"
            );
            assert!(ids.insert(id), "{id} is there twice");
        }
        let mut contained = HashSet::new();
        for relation in document["relationships"].as_array().unwrap() {
            assert!(
                ids.contains(relation["spdxElementId"].as_str().unwrap()),
                "{relation}"
            );
            let to = relation["relatedSpdxElement"].as_str().unwrap();
            assert!(ids.contains(to) && contained.insert(to), "{relation}");
        }
        assert_eq!(contained.len(), ids.len() - 1, "something is in nothing");
    }

    #[test]
    fn the_same_components_in_any_order_give_the_same_bytes() {
        let one = document(vec![component("a", "1"), component("b", "2")]);
        let two = document(vec![
            component("b", "2"),
            component("a", "1"),
            component("a", "1"),
        ]);
        assert_eq!(one.to_string(), two.to_string());
        let other = document(vec![component("a", "1"), component("b", "3")]);
        assert_ne!(one["documentNamespace"], other["documentNamespace"]);
    }
}
