//! The package tools, with real apt and dpkg on a throwaway root and a source of packages made by hand.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::{Scene, options, photo_of};
use super::silence::Late;
use aios_harness::{Instance, Options, Service};
use aios_tests_packages::{Bed, Deb, run};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

const INSTALL: (&str, &str) = ("pkg.install", r#"{"names": ["web"]}"#);
const OF_LAST: &str = r#"{"task_id": "{task}", "step": {step}}"#;

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "pkg.install",
    args: r#"{"names": ["slow"]}"#,
    timeout_ms: 4000,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("pkg.check_updates", "{}", &["pkg:check_updates:host"]),
    looks("pkg.files", r#"{"name": "fine"}"#, &["pkg:files:fine"]),
    looks("pkg.history", "{}", &["pkg:history:host"]),
    looks("pkg.info", r#"{"name": "fine"}"#, &["pkg:info:fine"]),
    looks("pkg.list", "{}", &["pkg:list:host"]),
    looks("pkg.search", r#"{"text": "web"}"#, &["pkg:search:host"]),
    // What it needs comes along.
    changes(INSTALL.0, INSTALL.1, &["pkg:install:web"]),
    changes("pkg.remove", r#"{"names": ["fine"]}"#, &["pkg:remove:fine"]),
    changes("pkg.undo", OF_LAST, &["pkg:install:web"]).after(&[INSTALL]),
    changes("pkg.rollback", OF_LAST, &["pkg:rollback:host"]).after(&[INSTALL]),
    // Scripts of packages run, and nobody can call them back.
    changes("pkg.configure", "{}", &["pkg:configure:host"]).ends(Ends::Final),
];

/// An instance whose package worker works on a bed.
pub(super) struct Packages {
    aios: Instance,
    bed: Bed,
    _home: TempDir,
}

impl Packages {
    pub(super) fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("aios-bed-").tempdir_in("/tmp")?;
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755))?;
        let bed = Bed::furnish(home.path())?;
        let publish = |name, deb: Deb<'_>| bed.publish(name, "1.0", &deb);
        let files = |files| Deb {
            files,
            ..Deb::default()
        };
        let scripts = |scripts| Deb {
            scripts,
            ..Deb::default()
        };
        let fine = publish("fine", files(&[("/usr/share/fine/index", "fine")]))?;
        publish("libweb", Deb::default())?;
        let web = Deb {
            control: "Depends: libweb\n",
            ..files(&[("/usr/share/web/index", "web")])
        };
        publish("web", web)?;
        // Its script fails until a person has made a file.
        publish(
            "half",
            scripts(&[("postinst", "test -e \"$DPKG_ROOT/etc/ready\"")]),
        )?;
        publish("slow", scripts(&[("postinst", "exec sleep 60")]))?;
        run(bed.dpkg().arg("-i").arg(fine))?;
        let base = options(Service::WorkerPkg);
        let aios = Instance::start(Options {
            config: format!("{}{}", base.config, bed.section()),
            ..base
        })?;
        Ok(Self {
            aios,
            bed,
            _home: home,
        })
    }
}

impl Scene for Packages {
    fn aios(&mut self) -> &mut Instance {
        &mut self.aios
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// There is something to configure.
    async fn renew(&mut self, tool: &str) -> Result<()> {
        if tool == "pkg.configure" {
            let half = self.bed.source().join("half_1.0_all.deb");
            let done = self.bed.dpkg().arg("-i").arg(half).output()?;
            ensure!(!done.status.success(), "it should be half done: {done:?}");
            fs::write(self.bed.root().join("etc/ready"), "")?;
        }
        Ok(())
    }

    /// The packages with version, state and mark, and all that they brought and that is configured.
    async fn photo(&mut self) -> Result<Value> {
        let query = ["--showformat", "${Package} ${Version} ${Status}\n", "--show"];
        let packages = run(self.bed.query().args(query))?;
        let mut marked = Command::new("apt-mark");
        let automatic = run(marked.arg("showauto").env("APT_CONFIG", self.bed.apt_config()))?;
        let index = |name: &str| self.bed.root().join(format!("usr/share/{name}/index")).exists();
        Ok(json!({
            "packages": packages,
            "automatic": automatic,
            "etc": photo_of(&self.bed.root().join("etc"))?,
            "web": index("web"),
            "fine": index("fine"),
        }))
    }
}
