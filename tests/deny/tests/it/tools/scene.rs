//! Where a namespace's tools are called: an instance with its worker, what there is to work on, and a picture of it.

use aios_harness::{Instance, Options, Service};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the walk needs of a namespace.
pub(super) trait Scene {
    /// The instance.
    fn aios(&mut self) -> &mut Instance;

    /// What names in the table's texts stand for.
    fn names(&self) -> Vec<(&'static str, String)>;

    /// Before a tool's turn: puts back what the calls before have used up.
    async fn renew(&mut self, _tool: &str) -> Result<()> {
        Ok(())
    }

    /// All that a call might change and an undo must give back.
    async fn photo(&mut self) -> Result<Value>;
}

/// Guard, tool service and a worker; the guard may mint whatever a row asks for.
pub(super) fn options(worker: Service) -> Options {
    let namespaces = [
        "firewall", "fs", "hw", "monitor", "net", "os", "pkg", "process", "sec", "service",
    ];
    let all = namespaces.iter().flat_map(|namespace| {
        let names = (*namespace != "fs").then(|| format!("\"{namespace}:*:**\""));
        names.into_iter().chain([format!("\"{namespace}:*:/**\"")])
    });
    let all: Vec<String> = all.collect();
    let config = format!(
        "[guard]\nmax_autonomy = \"full\"\nexecutor_capabilities = [{}]\n",
        all.join(", ")
    );
    Options {
        services: vec![Service::Guard, worker, Service::Tools],
        config,
        ..Options::default()
    }
}

/// A scene whose instance has a tree of files.
pub(super) struct Tree(pub(super) Instance);

impl Tree {
    pub(super) fn new(aios: Instance, files: &[(&str, &str)]) -> Result<Self> {
        for (name, content) in files {
            aios.file(name, content.as_bytes())?;
        }
        Ok(Self(aios))
    }
}

impl Scene for Tree {
    fn aios(&mut self) -> &mut Instance {
        &mut self.0
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        vec![("tree", self.0.tree().display().to_string())]
    }

    async fn photo(&mut self) -> Result<Value> {
        photo_of(&self.0.tree())
    }
}

/// Every entry below a directory, and itself: kind and mode, owner, time of change, content.
pub(super) fn photo_of(root: &Path) -> Result<Value> {
    let (mut seen, mut waiting) = (serde_json::Map::new(), vec![root.to_owned()]);
    while let Some(path) = waiting.pop() {
        let meta = path
            .symlink_metadata()
            .with_context(|| path.display().to_string())?;
        let content = if meta.is_symlink() {
            path.read_link()?.display().to_string()
        } else if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
            String::new()
        } else {
            hex::encode(fs::read(&path)?)
        };
        let look = json!([
            format!("{:o}", meta.mode()),
            meta.uid(),
            meta.gid(),
            format!("{}.{}", meta.mtime(), meta.mtime_nsec()),
            content
        ]);
        seen.insert(path.display().to_string(), look);
    }
    Ok(Value::Object(seen))
}

/// What differs between two pictures, in few words.
pub(super) fn difference(then: &Value, now: &Value) -> String {
    let (Some(old), Some(new)) = (then.as_object(), now.as_object()) else {
        return format!("{then} became {now}");
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let show = |it: Option<&Value>| it.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let lines = differs.map(|name| format!("{name}: {} became {}", show(old.get(name)), show(new.get(name))));
    lines.collect::<Vec<_>>().join("; ")
}
