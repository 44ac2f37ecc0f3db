//! The sec tools, on this machine and on a tree of the person's.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::{Scene, photo_of};
use super::silence::Late;
use aios_harness::{Instance, Service, Who};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

const FILES: &[(&str, &str)] = &[("in/a", "a"), ("in/sub/b", "b")];

const CERTIFICATE: (&str, &str) = (
    "sec.cert_generate",
    r#"{"directory": "{tree}/certs", "name": "web", "what": "self_signed", "common_name": "example.org"}"#,
);

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "sec.find_suid",
    args: r#"{"root": "/usr"}"#,
    timeout_ms: 20,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("sec.audit_query", r#"{"limit": 5}"#, &["sec:audit_query:log"]),
    looks(
        "sec.cert_info",
        r#"{"path": "{tree}/site.pem"}"#,
        &["sec:cert_info:{tree}/site.pem"],
    ),
    looks(
        "sec.check_permissions",
        r#"{"root": "{tree}/in"}"#,
        &["sec:check_permissions:{tree}/in/**"],
    ),
    looks(
        "sec.find_suid",
        r#"{"root": "{tree}/in"}"#,
        &["sec:find_suid:{tree}/in/**"],
    ),
    looks("sec.open_ports", "{}", &["sec:open_ports:host"]),
    // The checks that walk the whole disk take as long as the disk is large.
    looks(
        "sec.scan",
        r#"{"checks": ["sshd", "accounts", "kernel", "umask", "ports"]}"#,
        &["sec:scan:host"],
    ),
    changes(
        CERTIFICATE.0,
        CERTIFICATE.1,
        &["sec:cert_generate:{tree}/certs/**"],
    ),
    changes(
        "sec.integrity_baseline",
        r#"{"path": "{tree}/in"}"#,
        &["sec:integrity_baseline:{tree}/in/**"],
    ),
    looks(
        "sec.integrity_check",
        r#"{"path": "{tree}/in"}"#,
        &["sec:integrity_check:{tree}/in/**"],
    )
    .after(&[("sec.integrity_baseline", r#"{"path": "{tree}/in"}"#)]),
    // Nobody has the key any more afterwards.
    changes(
        "sec.undo",
        r#"{"task_id": "{task}", "step": {step}}"#,
        &["sec:cert_generate:{tree}/certs/**"],
    )
    .after(&[CERTIFICATE])
    .ends(Ends::Final),
];

/// An instance with a tree, a certificate, and a directory in which the worker may write.
pub(super) struct Watched(Instance);

impl Watched {
    pub(super) fn new(aios: Instance) -> Result<Self> {
        for (name, content) in FILES {
            aios.file(name, content.as_bytes())?;
        }
        let (certificate, key) = (aios.tree().join("site.pem"), aios.root().join("site.key"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ed25519",
                "-nodes",
                "-subj",
                "/CN=example.org",
            ])
            .args(["-days", "30", "-keyout"])
            .arg(key)
            .arg("-out")
            .arg(certificate)
            .output()
            .context("openssl")?;
        ensure!(made.status.success(), "{made:?}");
        let certs = aios.tree().join("certs");
        std::fs::create_dir(&certs)?;
        chown(&certs, Some(Who::Of(Service::WorkerSec).uid()?), None)?;
        Ok(Self(aios))
    }
}

impl Scene for Watched {
    fn aios(&mut self) -> &mut Instance {
        &mut self.0
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        vec![("tree", self.0.tree().display().to_string())]
    }

    /// The tree, and the baselines that the worker keeps. Not when the directory with certificates was last written
    /// to: the worker writes files there and sets nobody's times.
    async fn photo(&mut self) -> Result<Value> {
        let state = Service::WorkerSec.state(self.0.paths());
        let certs = self.0.tree().join("certs").display().to_string();
        let mut tree = photo_of(&self.0.tree())?;
        if let Some(look) = tree.get_mut(certs).and_then(Value::as_array_mut) {
            look.truncate(3);
        }
        Ok(json!({"tree": tree, "baselines": names_in(&state.join("baselines"))?}))
    }
}

/// The names in a directory, none where there is none.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let photo = photo_of(directory)?;
    let names = photo.as_object().into_iter().flat_map(|files| files.keys());
    Ok(names.cloned().collect())
}
