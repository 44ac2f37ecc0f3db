//! The first administrator: the user `admin`, enrolled as a person at the first boot of a machine that knows no
//! person yet. Who was given no key for SSH is shown a link, once, that signs a browser in.
//!
//! The kernel argument `aios.admin=none` leaves both to somebody else, and no disk is looked for that gives a key.

use super::{cmdline, ssh};
use crate::error::{InitError, Result};
use aios_core::paths::Paths;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The administrator's user; made by `sysusers.d/aios-admin.conf`.
pub(super) const USER: &str = "admin";
/// How long the link is shown; it works as long (`guard.sign_in_ms`).
const SHOWN: Duration = Duration::from_secs(300);
const SETPRIV: &str = "/usr/bin/setpriv";

/// Whether the kernel command line leaves the administrator to somebody else.
pub(super) fn is_left_out(root: &Path) -> bool {
    cmdline::value(root, "aios.admin").as_deref() == Some("none")
}

/// What is left to do for them.
#[derive(Debug)]
pub(super) struct Admin {
    aiosctl: PathBuf,
    shown: PathBuf,
    /// Whether nobody is enrolled, and it was not tried yet.
    to_enrol: bool,
    to_show: bool,
    link: Option<(String, Instant)>,
}

impl Admin {
    /// What this boot has to do.
    pub(super) fn of(root: &Path, paths: &Paths) -> Self {
        let shown = paths.state.join("init").join("sign-in-shown");
        let wanted = !is_left_out(root);
        let nobody = fs::read_dir(paths.state.join("persons")).is_ok_and(|mut list| list.next().is_none());
        let no_key = !ssh::has_key(root);
        Self {
            aiosctl: paths.vendor.join("bin/aiosctl"),
            to_enrol: wanted && nobody,
            to_show: wanted && nobody && no_key && !shown.exists(),
            shown,
            link: None,
        }
    }

    /// Enrols them, once the guard answers, and yields what is to be shown.
    pub(super) fn welcome(&mut self) -> Option<(String, String)> {
        if self.to_enrol {
            self.to_enrol = false;
            if let Err(error) = self.begin() {
                tracing::error!(%error, "nobody is enrolled: `aiosctl person enrol --user admin` does it");
                return Some(("admin".into(), format!("{USER} is not enrolled: {error}")));
            }
        }
        let (link, since) = self.link.as_ref()?;
        (since.elapsed() < SHOWN).then(|| {
            (
                "sign-in".into(),
                format!("sign in, once, within 5 minutes: {link}"),
            )
        })
    }

    /// How long what is shown stays so.
    pub(super) fn shown_for(&self) -> Option<Duration> {
        let (_, since) = self.link.as_ref()?;
        SHOWN
            .checked_sub(since.elapsed())
            .map(|left| left + Duration::from_secs(1))
    }

    fn begin(&mut self) -> Result<()> {
        run(Command::new(&self.aiosctl).args(["person", "enrol", "--user", USER]))?;
        tracing::info!(user = USER, "enrolled the first person");
        if !self.to_show {
            return Ok(());
        }
        let mut open = Command::new(SETPRIV);
        open.args(["--reuid", USER, "--regid", USER, "--init-groups"])
            .arg(&self.aiosctl)
            .args(["console", "open"]);
        let said = run(&mut open)?;
        let link = said.lines().next().unwrap_or_default().to_owned();
        fs::write(&self.shown, "").map_err(InitError::path("cannot write", &self.shown))?;
        self.link = Some((link, Instant::now()));
        Ok(())
    }
}

/// Runs a command to its end; what it printed. Its complaint is the error.
fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(InitError::path("cannot run", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().to_owned();
    let message = format!("{}: {}", output.status, said.lines().next().unwrap_or_default());
    Err(InitError::path("failed:", program)(std::io::Error::other(
        message,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A machine whose `aiosctl` notes how it was called.
    fn tree(cmdline: &str) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(&root.path().join("aios"));
        for directory in [
            paths.state.join("persons"),
            paths.state.join("init"),
            paths.vendor.join("bin"),
            root.path().join("proc"),
        ] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(root.path().join("proc/cmdline"), cmdline).unwrap();
        let script = format!("#!/bin/sh\necho \"$@\" >>{}/calls\n", root.path().display());
        let aiosctl = paths.vendor.join("bin/aiosctl");
        fs::write(&aiosctl, script).unwrap();
        fs::set_permissions(&aiosctl, fs::Permissions::from_mode(0o755)).unwrap();
        (root, paths)
    }

    fn calls(root: &tempfile::TempDir) -> String {
        fs::read_to_string(root.path().join("calls")).unwrap_or_default()
    }

    #[test]
    fn the_first_person_is_enrolled_once_and_who_has_a_key_is_shown_no_link() {
        let (root, paths) = tree("");
        let keys = root.path().join("etc/aios/ssh");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("admin.keys"), "ssh-ed25519 AAAA me\n").unwrap();
        let mut admin = Admin::of(root.path(), &paths);
        assert!(admin.welcome().is_none() && admin.welcome().is_none());
        assert_eq!(calls(&root), "person enrol --user admin\n");
        assert_eq!(admin.shown_for(), None);
    }

    #[test]
    fn a_machine_that_knows_a_person_or_is_told_not_to_enrols_nobody() {
        let (root, paths) = tree("quiet aios.admin=none");
        assert!(Admin::of(root.path(), &paths).welcome().is_none());
        let (other, known) = tree("");
        fs::create_dir(known.state.join("persons/1000")).unwrap();
        assert!(Admin::of(other.path(), &known).welcome().is_none());
        assert_eq!(calls(&root) + &calls(&other), "");
    }

    #[test]
    fn a_failure_is_shown() {
        let (root, paths) = tree("");
        fs::write(
            paths.vendor.join("bin/aiosctl"),
            "#!/bin/sh\necho no guard >&2; exit 5\n",
        )
        .unwrap();
        let mut admin = Admin::of(root.path(), &paths);
        let (_, text) = admin.welcome().unwrap();
        assert!(text.contains("no guard"), "{text}");
    }
}
