//! Dates that do not depend on when something is built (<https://reproducible-builds.org/specs/source-date-epoch/>).

use anyhow::{Context, Result};

use crate::host::Host;

/// Modification time of every file that the build adds, in seconds: 1 January 2026. It never changes, because a layer
/// whose files did not change must keep its digest from one commit to the next. Not 0, which some programs take for "unknown".
pub(crate) const OF_FILES: u64 = 1_767_225_600;

/// When what is built was written, in RFC 3339: `SOURCE_DATE_EPOCH`, else the commit's date.
pub(super) fn of_commit(host: &Host) -> Result<String> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => {
            let sh = &host.shell;
            xshell::cmd!(sh, "git log -1 --format=%ct")
                .quiet()
                .read()
                .context("a date for the image: set SOURCE_DATE_EPOCH where there is no git")?
        }
    };
    let seconds: i64 = seconds
        .trim()
        .parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {seconds}"))?;
    Ok(jiff::Timestamp::from_second(seconds)?.to_string())
}
