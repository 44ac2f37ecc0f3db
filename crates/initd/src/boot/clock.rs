//! The clock, before anything compares times: a machine without a hardware clock, or with an empty battery, starts
//! years ago, and certificates, tokens and logs would not hold. So it is never earlier than the image was built, or
//! than this machine last knew. From then on the service `aios-time` keeps it.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_core::paths::Paths;
use rustix::time::{ClockId, Timespec};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The service that keeps the clock.
const SERVICE: &str = "aios-time";
const CLIENT: &str = "/usr/sbin/chronyd";

/// Sets the clock forward where it is earlier than it can be.
pub(super) fn start(world: &mut World, setup: &mut Setup) -> Result<Outcome> {
    let now = SystemTime::now();
    let behind = behind(&signs(Path::new("/"), &world.paths), now);
    if Path::new(CLIENT).exists() {
        setup.start(SERVICE);
    }
    let Some(behind) = behind else {
        return Ok(Outcome::Done(String::new()));
    };
    let since = (now + behind).duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timespec {
        tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: since.subsec_nanos().into(),
    };
    rustix::time::clock_settime(ClockId::Realtime, time)
        .map_err(InitError::system("cannot set the clock"))?;
    Ok(Outcome::Done(format!("was {} s behind", behind.as_secs())))
}

/// Remembers the time, for a machine without a hardware clock.
pub(crate) fn save(paths: &Paths) -> Result<()> {
    let path = saved(paths);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(InitError::path("cannot make", directory))?;
    }
    // What counts is when it was written.
    fs::write(&path, "").map_err(InitError::path("cannot write", &path))
}

fn saved(paths: &Paths) -> PathBuf {
    paths.state.join("init").join("clock")
}

/// Files that were written before now, whatever the clock says: with the image (`clock-epoch` as systemd-timesyncd(8) has it),
/// at the last shutdown, and each hour by the time client.
fn signs(root: &Path, paths: &Paths) -> [PathBuf; 5] {
    [
        root.join("usr/lib/clock-epoch"),
        root.join("usr/lib/os-release"),
        paths.vendor.join("bin/aios-init"),
        saved(paths),
        paths.state.join("time/drift"),
    ]
}

/// How far the clock is behind the latest sign; none where it is not.
fn behind(signs: &[PathBuf], now: SystemTime) -> Option<Duration> {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let latest = signs.iter().filter_map(written).max()?;
    latest.duration_since(now).ok().filter(|behind| !behind.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_clock_is_behind_the_latest_sign_or_right() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        let signs = signs(root.path(), &paths);
        let now = SystemTime::now();
        assert_eq!(behind(&signs, now), None, "no sign at all");
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        let release = fs::File::create(root.path().join("usr/lib/os-release")).unwrap();
        release.set_modified(now - HOUR).unwrap();
        assert_eq!(behind(&signs, now), None);
        assert_eq!(behind(&signs, now - 2 * HOUR), Some(HOUR));
        save(&paths).unwrap();
        let saved = fs::File::options().write(true).open(saved(&paths)).unwrap();
        saved.set_modified(now + HOUR).unwrap();
        assert_eq!(behind(&signs, now), Some(HOUR), "the last shutdown was later");
    }

    #[test]
    fn saving_again_moves_the_time_on() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        save(&paths).unwrap();
        let file = fs::File::options().write(true).open(saved(&paths)).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        save(&paths).unwrap();
        let modified = fs::metadata(saved(&paths)).unwrap().modified().unwrap();
        assert!(modified > UNIX_EPOCH + HOUR);
    }
}
