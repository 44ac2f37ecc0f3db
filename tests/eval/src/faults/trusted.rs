//! What others rely on: certificates that must not run out, and directories that must stay as they were.

use super::file;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use crate::run;
use crate::table::Row;
use aios_tests_e2e::ctl::string;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use time::{Duration, OffsetDateTime};

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(Certificate(Ends::Soon)),
        Box::new(Certificate(Ends::Past)),
        Box::new(Changed),
    ]
}

/// When a certificate ends, if something is wrong with that.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Soon,
    Past,
}

/// A certificate at its end, or beyond.
struct Certificate(Ends);

/// Writes a certificate, signed by itself, that is valid so many days from now, or ended so many days ago.
fn certificate(path: &Path, name: &str, days: i64) -> Result<()> {
    let now = OffsetDateTime::now_utc();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()])?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name.to_owned());
    params.not_before = now - Duration::days(400);
    // An hour more, for whole days are counted.
    params.not_after = now + Duration::days(days) + Duration::hours(1);
    let made = params.self_signed(&rcgen::KeyPair::generate()?)?;
    fs::create_dir_all(path.parent().context("a directory")?)?;
    fs::write(path, made.pem())?;
    Ok(())
}

impl Fault for Certificate {
    fn name(&self) -> &'static str {
        match self.0 {
            Ends::Soon => "certificate-expiring",
            Ends::Past => "certificate-expired",
        }
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let name = format!("{}.example", random.name()?);
        let ending = *random.one_of(&["crt", "pem", "cer"])?;
        let path = place
            .dir
            .join(random.name()?)
            .join(format!("{}.{ending}", random.name()?));
        let (cause, days) = match self.0 {
            Ends::Soon => ("cert_expiring", i64::try_from(random.between(2, 13))?),
            Ends::Past => ("cert_expired", -i64::try_from(random.between(3, 300))?),
        };
        let years = i64::try_from(random.between(1, 9))?;
        certificate(&path, &name, if broken { days } else { years * 365 })?;
        let text = path.display().to_string();
        let says = match self.0 {
            Ends::Soon => format!("{name} expires in {days} days"),
            Ends::Past => format!("{name} expired"),
        };
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("does the certificate {text} expire soon?"),
                    format!("check the certificate in {text}"),
                ])?
                .clone(),
            wanted: broken.then(|| Wanted {
                cause,
                subject: format!("{text}\n{says}"),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: Box::new(|| Ok(())),
            _held: Vec::new(),
        })
    }
}

/// Has aiOS make the baseline of a directory.
fn remember(place: &Place<'_>, dir: &str) -> Result<()> {
    let words = json!({"path": dir}).to_string();
    let call = ["tool", "call", "--detach", "sec.integrity_baseline", &words];
    let id = string(&place.instance.json(&call), "/goal_id");
    let ended = run::ended(place.instance, &id, dir, &mut Row::default())?;
    let state = string(&ended, "/goal/state");
    ensure!(state == "completed", "the baseline of {dir} is {state}: {ended}");
    Ok(())
}

/// A directory that is not what it was when somebody remembered it.
struct Changed;

impl Fault for Changed {
    fn name(&self) -> &'static str {
        "changed-since-baseline"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let dir = place.dir.join(random.name()?);
        let files = random.between(6, 12);
        let path = |number: u64| {
            dir.join(format!("part-{}", number % 3))
                .join(format!("f{number}"))
        };
        for number in 0..files {
            file(&path(number), random.between(1, 9_000), number)?;
        }
        let text = dir.display().to_string();
        remember(place, &text)?;
        let mut says = vec![text.clone()];
        if broken {
            let first = random.between(0, files - 1);
            let at = |step: u64| path((first + step) % files);
            // Of the same length and time: only its content tells.
            let other = at(0);
            let time = fs::metadata(&other)?.modified()?;
            let bytes = vec![b'y'; usize::try_from(fs::metadata(&other)?.len())?];
            fs::write(&other, bytes)?;
            fs::File::options().write(true).open(&other)?.set_modified(time)?;
            says.push(format!("{} changed (", other.display()));
            fs::remove_file(at(1))?;
            says.push(format!("{} removed", at(1).display()));
            fs::set_permissions(at(2), Permissions::from_mode(0o600))?;
            says.push(format!("{} changed (mode", at(2).display()));
            let new = dir.join(random.name()?);
            file(&new, 10, 0)?;
            says.push(format!("{} added", new.display()));
        }
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("what changed under {text} since the baseline?"),
                    format!("check the integrity of {text}"),
                ])?
                .clone(),
            wanted: broken.then(|| Wanted {
                cause: "changed_since_baseline",
                subject: says.join("\n"),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: Box::new(|| Ok(())),
            _held: Vec::new(),
        })
    }
}
