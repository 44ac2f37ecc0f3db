//! Finalizing what bootc staged, at shutdown: the last moment at which `/etc` is what the next boot shall find.
//!
//! Order counts. The staged entry gets its counter and the attempt is noted *before* bootc exchanges the entries: cut off
//! anywhere, the machine boots either the old image or the new one on trial, never the new one unwatched.

use super::{Places, Running, note, now_ms};
use crate::error::{InitError, Result};
use aios_deployment::esp::Mounted;
use aios_deployment::loader::Loader;
use aios_deployment::staged::{DEPLOYMENTS, Deployment, STAGED, staged};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The program that knows how.
const BOOTC: &str = "/usr/bin/bootc";
/// Merging `/etc` and exchanging entries takes seconds; a slow disk may need minutes.
const LIMIT: Duration = Duration::from_mins(10);
/// Between two words to whoever waits.
const WORD: Duration = Duration::from_secs(10);

/// Finalizes the staged deployment, if there is one, with `tries` tries. `tell` is called now and then with a line for a
/// person, so that nobody takes a slow disk for a hang.
pub(crate) async fn finalize(
    running: &Running,
    places: &Places,
    tries: u32,
    tell: impl Fn(&str),
) -> Result<Option<Deployment>> {
    let Some(id) = staged(Path::new(STAGED))? else {
        return Ok(None);
    };
    let next = Deployment::of(Path::new(DEPLOYMENTS), id);
    tell(&format!("finalizing the staged image {}", next.id.short()));
    {
        let esp = Mounted::open(&places.esp, false)?;
        Loader::of_partition(esp.path()).count_staged(&next.id, tries)?;
    }
    note(places, |history| {
        history.begin(running.deployment.clone(), next.clone(), now_ms());
    })?;
    if let Err(error) = bootc(&tell).await {
        // The old image boots again, and this is no fault of the new one.
        note(places, aios_deployment::history::History::call_off)?;
        return Err(error);
    }
    Ok(Some(next))
}

async fn bootc(tell: &impl Fn(&str)) -> Result<()> {
    let mut child = tokio::process::Command::new(BOOTC)
        .arg("composefs-finalize-staged")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(InitError::path("cannot run", BOOTC))?;
    let mut words = child.stderr.take();
    let said = async {
        let mut text = Vec::new();
        if let Some(stderr) = &mut words {
            // What cannot be read is not told.
            let _unread = tokio::io::AsyncReadExt::read_to_end(stderr, &mut text).await;
        }
        text
    };
    let ended = async { tokio::join!(child.wait(), said) };
    tokio::pin!(ended);
    let begun = tokio::time::Instant::now();
    let (status, said) = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            () = tokio::time::sleep(WORD) => {
                let waited = begun.elapsed();
                if waited >= LIMIT {
                    return Err(failed("it did not end in time"));
                }
                tell(&format!("still finalizing the staged image ({} s)", waited.as_secs()));
            }
        }
    };
    let status = status.map_err(InitError::path("cannot wait for", BOOTC))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let last = said
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(failed(&format!("{status}: {last}")))
}

fn failed(why: &str) -> InitError {
    InitError::path("the staged image was not finalized by", BOOTC)(std::io::Error::other(why.to_owned()))
}
