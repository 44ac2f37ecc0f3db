//! The package tools, with real apt and dpkg on a throwaway root and a source of packages made by hand.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::{Scene, options, photo_of};
use super::silence::Late;
use aios_harness::{Instance, Options, Service};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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

/// Directories that apt and dpkg want to find.
const DIRECTORIES: [&str; 11] = [
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "var/lib/dpkg/info",
    "var/lib/dpkg/updates",
    "var/lib/dpkg/triggers",
    "var/log/apt",
    "tmp",
];

/// A root and a source of packages.
struct Bed {
    home: TempDir,
}

impl Bed {
    fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("aios-bed-").tempdir_in("/tmp")?;
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755))?;
        let bed = Self { home };
        for dir in DIRECTORIES {
            fs::create_dir_all(bed.root().join(dir))?;
        }
        fs::create_dir(bed.at("repo"))?;
        fs::write(bed.root().join("var/lib/dpkg/status"), "")?;
        let source = format!("deb [trusted=yes] file:{} ./\n", bed.at("repo").display());
        fs::write(bed.root().join("etc/apt/sources.list"), source)?;
        let root = bed.root().display().to_string();
        let options: String = bed
            .dpkg_options()
            .iter()
            .map(|it| format!("\"{it}\"; "))
            .collect();
        let conf = format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nDPkg::Options {{ {options}}};\n"
        );
        fs::write(bed.at("apt.conf"), conf)?;
        Ok(bed)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.at("root")
    }

    fn dpkg_options(&self) -> Vec<String> {
        let root = self.root().display().to_string();
        vec![
            format!("--root={root}"),
            format!("--log={root}/var/log/dpkg.log"),
            "--force-script-chrootless".to_owned(),
        ]
    }

    /// Section `[pkg]` that leads the worker here.
    fn config(&self) -> String {
        format!(
            "[pkg]\nroot = {:?}\napt_config = {:?}\ndpkg_options = {:?}\n",
            self.root(),
            self.at("apt.conf"),
            self.dpkg_options()
        )
    }

    /// Makes a package and puts it into the source; answers its file.
    fn publish(&self, name: &str, control: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
        let tree = self.at("tree");
        let text = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.org>\n{control}Description: the {name} of the test\n"
        );
        write(&tree.join("DEBIAN/control"), &text)?;
        for (path, content) in files {
            write(&tree.join(path), content)?;
            fs::set_permissions(tree.join(path), PermissionsExt::from_mode(0o755))?;
        }
        let file = self.at("repo").join(format!("{name}_1.0_all.deb"));
        let mut build = Command::new("dpkg-deb");
        run(build
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file))?;
        fs::remove_dir_all(tree)?;
        Ok(file)
    }

    /// Writes the source's list, and lets apt read it.
    fn index(&self) -> Result<()> {
        let mut text = String::new();
        for entry in fs::read_dir(self.at("repo"))? {
            let path = entry?.path();
            let control = run(Command::new("dpkg-deb").arg("-f").arg(&path))?;
            let sum = run(Command::new("sha256sum").arg(&path))?;
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            let sum = sum.split(' ').next().unwrap_or_default();
            let size = path.metadata()?.len();
            text.push_str(&format!(
                "{control}Filename: ./{name}\nSize: {size}\nSHA256: {sum}\n\n"
            ));
        }
        fs::write(self.at("repo/Packages"), text)?;
        let mut update = Command::new("apt-get");
        run(update.arg("update").env("APT_CONFIG", self.at("apt.conf")))?;
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a directory")?)?;
    Ok(fs::write(path, text)?)
}

fn run(command: &mut Command) -> Result<String> {
    let done = command.output()?;
    ensure!(done.status.success(), "{command:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// An instance whose package worker works on a bed.
pub(super) struct Packages {
    aios: Instance,
    bed: Bed,
}

impl Packages {
    pub(super) fn new() -> Result<Self> {
        let bed = Bed::new()?;
        let fine = bed.publish("fine", "", &[("usr/share/fine/index", "fine")])?;
        bed.publish("libweb", "", &[])?;
        bed.publish("web", "Depends: libweb\n", &[("usr/share/web/index", "web")])?;
        // Its script fails until a person has made a file.
        let script = "#!/bin/sh\ntest -e \"$DPKG_ROOT/etc/ready\"\n";
        bed.publish("half", "", &[("DEBIAN/postinst", script)])?;
        bed.publish("slow", "", &[("DEBIAN/postinst", "#!/bin/sh\nexec sleep 60\n")])?;
        bed.index()?;
        run(Command::new("dpkg").args(bed.dpkg_options()).arg("-i").arg(fine))?;
        let base = options(Service::WorkerPkg);
        let aios = Instance::start(Options {
            config: format!("{}{}", base.config, bed.config()),
            ..base
        })?;
        Ok(Self { aios, bed })
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
            let half = self.bed.at("repo/half_1.0_all.deb");
            let mut install = Command::new("dpkg");
            let done = install
                .args(self.bed.dpkg_options())
                .arg("-i")
                .arg(half)
                .output()?;
            ensure!(!done.status.success(), "it should be half done: {done:?}");
            fs::write(self.bed.root().join("etc/ready"), "")?;
        }
        Ok(())
    }

    /// The packages with version, state and mark, and all that they brought and that is configured.
    async fn photo(&mut self) -> Result<Value> {
        let mut query = Command::new("dpkg-query");
        query.arg(format!("--admindir={}/var/lib/dpkg", self.bed.root().display()));
        let packages = run(query.args(["--showformat", "${Package} ${Version} ${Status}\n", "--show"]))?;
        let mut marked = Command::new("apt-mark");
        let automatic = run(marked.arg("showauto").env("APT_CONFIG", self.bed.at("apt.conf")))?;
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
