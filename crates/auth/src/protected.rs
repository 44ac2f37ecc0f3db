//! The one list of paths that no grant opens, not even `fs:*:/**`: keys, policy, secrets, the audit
//! log, sockets. The guard refuses calls that resolve into it, the fs worker refuses to resolve them.

use std::path::{Component, Path, PathBuf};

use aios_core::exchange;
use aios_core::paths::Paths;

/// Outside aiOS: secrets, and views of other processes, that nothing may read or change.
const SECRET: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/ssh",
    "/root/.ssh",
    "/root/.gnupg",
    "/proc",
    "/sys",
    "/dev",
    "/run/user",
    "/run/credentials",
];

/// Outside aiOS: what decides who is who and what runs first. It may be read, never changed.
const GROUND: &[&str] = &[
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/group",
    "/etc/group-",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/pam.d",
    "/etc/security",
    "/etc/ld.so.preload",
    "/etc/apparmor.d",
    "/boot",
    "/efi",
];

/// Names that are protected wherever they stand: private keys and agents' sockets in homes.
const NAMES: &[&str] = &[".ssh", ".gnupg", ".netrc", ".pgpass"];

/// The list, resolved for one layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    secret: Vec<PathBuf>,
    ground: Vec<PathBuf>,
}

impl Protected {
    /// The list for a layout. Each of its own directories is held both as configured and with symbolic
    /// links resolved, because calls name resolved paths.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        let own = [&paths.state, &paths.run, &paths.etc, &paths.vendor].map(PathBuf::as_path);
        let installed = Paths::installed();
        let fixed = [
            &installed.state,
            &installed.run,
            &installed.etc,
            &installed.vendor,
        ]
        .map(PathBuf::as_path);
        // What a restore of a backup puts aside is as secret as what it takes the place of.
        let aside =
            [&paths.state, &paths.etc, &installed.state, &installed.etc].map(|own| exchange::aside(own));
        let secret = aside
            .iter()
            .map(PathBuf::as_path)
            .chain(SECRET.iter().map(Path::new));
        Self {
            secret: resolved(own.into_iter().chain(fixed).chain(secret)),
            ground: resolved(GROUND.iter().map(Path::new)),
        }
    }

    /// The protected prefix that keeps a resolved path from being read (`mutating` false) or changed
    /// (true), if any. A path that is not plainly absolute counts as protected.
    #[must_use]
    pub fn covering(&self, path: &str, mutating: bool) -> Option<&Path> {
        let path = Path::new(path);
        let plain = path.is_absolute()
            && path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let by_name = path.components().any(|part| {
            let name = part.as_os_str().as_encoded_bytes();
            NAMES.iter().any(|known| known.as_bytes() == name)
        });
        if !plain || by_name {
            return Some(Path::new("/"));
        }
        let ground = self.ground.iter().filter(|_| mutating);
        self.secret
            .iter()
            .chain(ground)
            .find(|prefix| path.starts_with(prefix))
            .map(PathBuf::as_path)
    }

    /// Whether a resolved path may not be read (`mutating` false) or changed (true).
    #[must_use]
    pub fn covers(&self, path: &str, mutating: bool) -> bool {
        self.covering(path, mutating).is_some()
    }

    /// Whether a protected path lies at or below `path`: such a directory must not be removed, moved or
    /// changed as a whole, and a walk below it must skip what is protected.
    #[must_use]
    pub fn is_above(&self, path: &str) -> bool {
        self.secret
            .iter()
            .chain(&self.ground)
            .any(|prefix| prefix.starts_with(path))
    }

    /// The prefixes that may not even be read, sorted.
    #[must_use]
    pub fn secret(&self) -> &[PathBuf] {
        &self.secret
    }
}

/// Each path as configured and with symbolic links resolved, sorted. A path that is not there (yet) has
/// no other name that could be meant.
fn resolved<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for path in paths {
        all.push(path.to_owned());
        all.extend(path.canonicalize().ok());
    }
    all.sort();
    all.dedup();
    all
}
