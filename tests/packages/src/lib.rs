//! Packages for tests to change: a root with dpkg and apt of its own, and a source of packages made by hand. The
//! packages of this machine are never touched.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub mod system;

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

/// What a package holds beside its name and version.
#[derive(Debug, Default, Clone)]
pub struct Deb<'a> {
    /// More lines of the control file.
    pub control: &'a str,
    /// Path and content; those below `/etc` are configuration files.
    pub files: &'a [(&'a str, &'a str)],
    /// Name and text of scripts, which the shell runs until a command fails.
    pub scripts: &'a [(&'a str, &'a str)],
}

/// A root and a source of packages, both empty at first.
#[derive(Debug, Clone)]
pub struct Bed {
    home: PathBuf,
}

impl Bed {
    /// Furnishes a directory that is there, and is whoever's who asks.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn furnish(home: &Path) -> Result<Self> {
        let bed = Self {
            home: home.canonicalize()?,
        };
        for dir in DIRECTORIES {
            fs::create_dir_all(bed.root().join(dir))?;
        }
        write(&bed.root().join("var/lib/dpkg/status"), "")?;
        write(&bed.source().join("Packages"), "")?;
        let source = format!("deb [trusted=yes] file:{} ./\n", bed.source().display());
        write(&bed.root().join("etc/apt/sources.list"), &source)?;
        let root = bed.root().display().to_string();
        let options: String = bed
            .dpkg_options()
            .iter()
            .map(|it| format!("\"{it}\"; "))
            .collect();
        let config = format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nDPkg::Options {{ {options}}};\n"
        );
        write(&bed.apt_config(), &config)?;
        Ok(bed)
    }

    /// Where packages are installed.
    pub fn root(&self) -> PathBuf {
        self.home.join("root")
    }

    /// Where they come from.
    pub fn source(&self) -> PathBuf {
        self.home.join("repo")
    }

    /// File for `APT_CONFIG`.
    pub fn apt_config(&self) -> PathBuf {
        self.home.join("apt.conf")
    }

    /// What leads dpkg here.
    pub fn dpkg_options(&self) -> Vec<String> {
        let root = self.root().display().to_string();
        vec![
            format!("--root={root}"),
            format!("--log={root}/var/log/dpkg.log"),
            "--force-script-chrootless".to_owned(),
        ]
    }

    /// Section `[pkg]` that leads the package worker here.
    pub fn section(&self) -> String {
        format!(
            "[pkg]\nroot = {:?}\napt_config = {:?}\ndpkg_options = {:?}\n",
            self.root(),
            self.apt_config(),
            self.dpkg_options()
        )
    }

    /// Makes a package, puts it into the source and lets apt read that; answers its file.
    ///
    /// # Errors
    /// The programs of dpkg or apt fail.
    pub fn publish(&self, name: &str, version: &str, deb: &Deb<'_>) -> Result<PathBuf> {
        let tree = tempfile::tempdir_in(&self.home)?;
        let tree = tree.path();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example.org>\n{}\
             Description: the {name} of a test\n long text\n",
            deb.control
        );
        write(&tree.join("DEBIAN/control"), &control)?;
        let mut settings = String::new();
        for (path, text) in deb.files {
            write(&tree.join(path.trim_start_matches('/')), text)?;
            if path.starts_with("/etc/") {
                settings.push_str(path);
                settings.push('\n');
            }
        }
        if !settings.is_empty() {
            write(&tree.join("DEBIAN/conffiles"), &settings)?;
        }
        for (script, text) in deb.scripts {
            let path = tree.join("DEBIAN").join(script);
            write(&path, &format!("#!/bin/sh\nset -e\n{text}\n"))?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        fs::set_permissions(tree, Permissions::from_mode(0o755))?;
        let file = self.source().join(format!("{name}_{version}_all.deb"));
        let mut build = Command::new("dpkg-deb");
        run(build.args(["--root-owner-group", "--build"]).arg(tree).arg(&file))?;
        self.index()?;
        Ok(file)
    }

    /// Takes a package file out of the source.
    ///
    /// # Errors
    /// It is not there, or apt fails.
    pub fn withdraw(&self, file: &str) -> Result<()> {
        fs::remove_file(self.source().join(file))?;
        self.index()
    }

    /// Writes the source's list, and lets apt read it.
    fn index(&self) -> Result<()> {
        let mut text = String::new();
        for entry in fs::read_dir(self.source())? {
            let path = entry?.path();
            if path.extension().is_none_or(|end| end != "deb") {
                continue;
            }
            let control = run(Command::new("dpkg-deb").arg("-f").arg(&path))?;
            let sum = run(Command::new("sha256sum").arg(&path))?;
            let name = path.file_name().context("a name")?.to_string_lossy();
            let (size, sum) = (path.metadata()?.len(), sum.split(' ').next().unwrap_or_default());
            text += &format!("{control}Filename: ./{name}\nSize: {size}\nSHA256: {sum}\n\n");
        }
        write(&self.source().join("Packages"), &text)?;
        let mut update = Command::new("apt-get");
        run(update.arg("update").env("APT_CONFIG", self.apt_config()))?;
        Ok(())
    }

    /// dpkg on the root, as a person would run it.
    pub fn dpkg(&self) -> Command {
        let mut command = Command::new("dpkg");
        command
            .args(self.dpkg_options())
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// dpkg-query on the root.
    pub fn query(&self) -> Command {
        let mut command = Command::new("dpkg-query");
        command.arg(format!("--admindir={}/var/lib/dpkg", self.root().display()));
        command
    }
}

/// Runs a command that must succeed; what it says.
///
/// # Errors
/// It does not, with what it says about that.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a directory")?)?;
    Ok(fs::write(path, text)?)
}
