//! The machine as it should be: modes and owners, set-uid programs, certificates, what changed since a
//! baseline, packages, and the clock.

use super::words::{count, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "permissions",
        summary: "which files everybody may change, and which have a wrong owner",
        evidence: &[Wanted {
            name: "checked",
            needed: true,
            says: "sec.check_permissions",
        }],
        settings: &[],
        causes: &[
            Cause {
                id: "world_writable",
                says: "a mode lets everybody change, or read, what it should not",
                values: &[
                    ("path", Sample::Path),
                    ("mode", Sample::Name),
                    ("says", Sample::Text),
                ],
            },
            Cause {
                id: "wrong_file_owner",
                says: "a file belongs to somebody that it should not",
                values: &[
                    ("path", Sample::Path),
                    ("owner", Sample::Name),
                    ("group", Sample::Name),
                    ("says", Sample::Text),
                ],
            },
        ],
        tell: permissions,
    },
    Analyzer {
        name: "suid_surprise",
        summary: "which set-uid programs no package brought",
        evidence: &[Wanted {
            name: "found",
            needed: true,
            says: "sec.find_suid",
        }],
        settings: &[],
        causes: &[Cause {
            id: "suid_surprise",
            says: "a program runs with rights that nobody gave it",
            values: &[
                ("path", Sample::Path),
                ("mode", Sample::Name),
                ("says", Sample::Text),
            ],
        }],
        tell: suid_surprise,
    },
    Analyzer {
        name: "cert_expiring",
        summary: "whether a certificate expires, has expired, or does not fit",
        evidence: &[Wanted {
            name: "cert",
            needed: true,
            says: "sec.cert_info",
        }],
        settings: &[("days", Sample::Number)],
        causes: &[
            Cause {
                id: "cert_expired",
                says: "the certificate is not valid any more",
                values: CERT,
            },
            Cause {
                id: "cert_expiring",
                says: "the certificate will soon expire",
                values: CERT,
            },
            Cause {
                id: "cert_not_yet_valid",
                says: "the certificate is not valid yet",
                values: CERT,
            },
        ],
        tell: cert_expiring,
    },
    Analyzer {
        name: "changed_since_baseline",
        summary: "what changed since a baseline",
        evidence: &[Wanted {
            name: "compared",
            needed: true,
            says: "sec.integrity_check",
        }],
        settings: &[],
        causes: &[Cause {
            id: "changed_since_baseline",
            says: "files are others than they were",
            values: &[("says", Sample::Text), ("changes", Sample::Text)],
        }],
        tell: changed_since_baseline,
    },
    Analyzer {
        name: "half_configured",
        summary: "which packages are half installed or half configured",
        evidence: &[Wanted {
            name: "unsettled",
            needed: true,
            says: "pkg.list of unsettled packages",
        }],
        settings: &[],
        causes: &[Cause {
            id: "half_configured",
            says: "the installation of packages broke off",
            values: &[("packages", Sample::Text), ("says", Sample::Text)],
        }],
        tell: half_configured,
    },
    Analyzer {
        name: "package_updates",
        summary: "which packages can be updated",
        evidence: &[Wanted {
            name: "updates",
            needed: true,
            says: "pkg.check_updates",
        }],
        settings: &[],
        causes: &[
            Cause {
                id: "security_updates",
                says: "updates fix weaknesses",
                values: &[("packages", Sample::Text), ("says", Sample::Text)],
            },
            Cause {
                id: "updates_available",
                says: "there are newer packages",
                values: &[("packages", Sample::Text), ("says", Sample::Text)],
            },
        ],
        tell: package_updates,
    },
    Analyzer {
        name: "clock_skew",
        summary: "whether the clock differs from that of a server",
        evidence: &[
            Wanted {
                name: "before",
                needed: true,
                says: "hw.info before the server was asked",
            },
            Wanted {
                name: "answer",
                needed: true,
                says: "net.http_get of the server",
            },
        ],
        settings: &[("most_seconds", Sample::Number)],
        causes: &[Cause {
            id: "clock_skew",
            says: "the clock is wrong",
            values: &[("seconds", Sample::Number), ("says", Sample::Text)],
        }],
        tell: clock_skew,
    },
];

const CERT: &[(&str, Sample)] = &[
    ("path", Sample::Path),
    ("name", Sample::Text),
    ("says", Sample::Text),
];

fn found(seen: String, findings: Vec<Finding>) -> Result<Found, AnalyzeError> {
    Ok(Found { seen, findings })
}

#[derive(Debug, Deserialize)]
struct Checked {
    root: String,
    findings: Vec<Wrong>,
    total: u64,
    #[serde(default)]
    looked_at: u64,
}

#[derive(Debug, Deserialize)]
struct Wrong {
    path: String,
    mode: String,
    problem: String,
    why: String,
    #[serde(default)]
    suggested_mode: Option<String>,
    #[serde(default)]
    suggested_owner: Option<String>,
}

fn permissions(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let checked: Checked = evidence.need("checked")?;
    let of_owner = ["wrong_owner", "no_owner", "no_group"];
    let tell = |(index, wrong): (usize, &Wrong)| {
        let owner = of_owner.contains(&wrong.problem.as_str());
        let cause = if owner {
            "wrong_file_owner"
        } else {
            "world_writable"
        };
        let title = format!("{} (mode {}): {}", wrong.path, wrong.mode, wrong.why);
        let mended = wrong.suggested_owner.as_deref().and_then(|it| it.split_once(':'));
        let finding = Finding::new(cause, Severity::Warning, &wrong.path, title)
            .shown(evidence.shows("checked", &format!("/findings/{index}"), wrong.why.as_str()))
            .value("path", wrong.path.as_str())
            .value("says", wrong.why.as_str());
        if owner {
            finding
                .value_if("owner", mended.map(|(owner, _)| owner))
                .value_if("group", mended.map(|(_, group)| group))
        } else {
            finding.value_if("mode", wrong.suggested_mode.as_deref())
        }
    };
    let seen = format!(
        "{} things below {} looked at, {} with a wrong owner or mode",
        checked.looked_at, checked.root, checked.total
    );
    found(seen, checked.findings.iter().enumerate().map(tell).collect())
}

#[derive(Debug, Deserialize)]
struct Suid {
    root: String,
    files: Vec<SuidFile>,
    total: u64,
    compared_with: String,
}

#[derive(Debug, Deserialize)]
struct SuidFile {
    path: String,
    mode: String,
    known: bool,
    #[serde(default)]
    set_uid: bool,
    #[serde(default)]
    set_gid: bool,
    #[serde(default)]
    concerns: Vec<String>,
}

fn suid_surprise(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let all: Suid = evidence.need("found")?;
    let surprising = |file: &&(usize, &SuidFile)| !file.1.known || !file.1.concerns.is_empty();
    let numbered: Vec<(usize, &SuidFile)> = all.files.iter().enumerate().collect();
    let tell = |(index, file): &(usize, &SuidFile)| {
        let why = if file.concerns.is_empty() {
            format!("compared with {}, nobody brought it", all.compared_with)
        } else {
            file.concerns.join("; ")
        };
        let title = format!(
            "{} runs with others' rights (mode {}): {why}",
            file.path, file.mode
        );
        let bits = u32::from_str_radix(&file.mode, 8).unwrap_or(0);
        // Without set-uid and set-gid the rest of the mode stays as it is.
        let plain = (file.set_uid || file.set_gid).then(|| format!("{:04o}", bits & 0o1777));
        Finding::new("suid_surprise", Severity::Critical, &file.path, title)
            .shown(evidence.shows("found", &format!("/files/{index}"), why.clone()))
            .value("path", file.path.as_str())
            .value("says", why)
            .value_if("mode", plain)
    };
    let seen = format!("{} set-uid programs below {}", all.total, all.root);
    found(seen, numbered.iter().filter(surprising).map(tell).collect())
}

#[derive(Debug, Deserialize)]
struct CertFile {
    path: String,
    certificates: Vec<Certificate>,
}

#[derive(Debug, Deserialize)]
struct Certificate {
    subject: String,
    days_left: i64,
    valid_now: bool,
}

fn cert_expiring(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let file: CertFile = evidence.need("cert")?;
    let soon = i64::try_from(evidence.number("days", 30)).unwrap_or(i64::MAX);
    let mut findings = Vec::new();
    let mut least = i64::MAX;
    for (index, cert) in file.certificates.iter().enumerate() {
        least = least.min(cert.days_left);
        let (cause, severity, title) = match cert.days_left {
            left if left < 0 => (
                "cert_expired",
                Severity::Critical,
                format!("the certificate of {} expired {} ago", cert.subject, days(-left)),
            ),
            _ if !cert.valid_now => (
                "cert_not_yet_valid",
                Severity::Critical,
                format!("the certificate of {} is not valid yet", cert.subject),
            ),
            left if left <= soon => (
                "cert_expiring",
                Severity::Warning,
                format!("the certificate of {} expires in {}", cert.subject, days(left)),
            ),
            _ => continue,
        };
        let shows = format!("{} left", days(cert.days_left));
        findings.push(
            Finding::new(cause, severity, &file.path, title.clone())
                .shown(evidence.shows("cert", &format!("/certificates/{index}/days_left"), shows))
                .value("path", file.path.as_str())
                .value("name", cert.subject.as_str())
                .value("says", title),
        );
    }
    let certificates = count(file.certificates.len(), "certificate");
    found(
        format!(
            "{} has {certificates}, valid for {} at least",
            file.path,
            days(least)
        ),
        findings,
    )
}

fn days(days: i64) -> String {
    match days {
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[derive(Debug, Deserialize)]
struct Compared {
    path: String,
    name: String,
    changes: Vec<Change>,
    added: u64,
    removed: u64,
    changed: u64,
    unchanged: u64,
}

#[derive(Debug, Deserialize)]
struct Change {
    path: String,
    change: String,
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
}

fn changed_since_baseline(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let compared: Compared = evidence.need("compared")?;
    let seen = format!(
        "since the baseline `{}` of {}: {} added, {} removed, {} changed, {} as they were",
        compared.name, compared.path, compared.added, compared.removed, compared.changed, compared.unchanged
    );
    if compared.changes.is_empty() {
        return found(seen, Vec::new());
    }
    let words: Vec<String> = compared
        .changes
        .iter()
        .map(|change| {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.field.as_str()).collect();
            match fields.is_empty() {
                true => format!("{} {}", change.path, change.change),
                false => format!("{} {} ({})", change.path, change.change, fields.join(", ")),
            }
        })
        .collect();
    let listed = some_of(words.iter().map(String::as_str), 20);
    let finding = Finding::new(
        "changed_since_baseline",
        Severity::Warning,
        &compared.path,
        seen.clone(),
    )
    .shown(evidence.shows("compared", "/changes", listed.clone()))
    .value("says", seen.clone())
    .value("changes", listed);
    found(seen, vec![finding])
}

#[derive(Debug, Deserialize)]
struct Packages {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    state: String,
}

fn half_configured(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let list: Packages = evidence.need("unsettled")?;
    if list.packages.is_empty() {
        return found("every package is wholly installed".to_owned(), Vec::new());
    }
    let words: Vec<String> = list
        .packages
        .iter()
        .map(|package| format!("{} ({})", package.name, package.state))
        .collect();
    let named = some_of(words.iter().map(String::as_str), 10);
    let title = format!("the installation of {named} broke off");
    let finding = Finding::new("half_configured", Severity::Critical, "packages", title.clone())
        .shown(evidence.shows("unsettled", "/packages", named.clone()))
        .value("packages", named)
        .value("says", title.clone());
    found(title, vec![finding])
}

#[derive(Debug, Deserialize)]
struct Updates {
    updates: Vec<Update>,
    #[serde(default)]
    kept_back: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Update {
    name: String,
    candidate_version: String,
    #[serde(default)]
    security: bool,
}

fn package_updates(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let all: Updates = evidence.need("updates")?;
    let mut findings = Vec::new();
    for (cause, security, severity, what) in [
        ("security_updates", true, Severity::Warning, "fix weaknesses"),
        ("updates_available", false, Severity::Info, "are newer"),
    ] {
        let words: Vec<String> = all
            .updates
            .iter()
            .filter(|update| update.security == security)
            .map(|update| format!("{} {}", update.name, update.candidate_version))
            .collect();
        if words.is_empty() {
            continue;
        }
        let named = some_of(words.iter().map(String::as_str), 10);
        let title = format!("{} {what}: {named}", count(words.len(), "update"));
        findings.push(
            Finding::new(cause, severity, "packages", title.clone())
                .shown(evidence.shows("updates", "/updates", named.clone()))
                .value("packages", named)
                .value("says", title),
        );
    }
    let seen = format!(
        "{} can be had, {} kept back",
        count(all.updates.len(), "update"),
        all.kept_back.len()
    );
    found(seen, findings)
}

#[derive(Debug, Deserialize)]
struct Clock {
    booted_ms: i64,
    uptime_ms: i64,
}

#[derive(Debug, Deserialize)]
struct Answer {
    headers: Vec<Header>,
    #[serde(default)]
    elapsed_ms: i64,
}

#[derive(Debug, Deserialize)]
struct Header {
    name: String,
    value: String,
}

fn clock_skew(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let clock: Clock = evidence.need("before")?;
    let answer: Answer = evidence.need("answer")?;
    let date = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("date"))
        .and_then(|header| http_date_s(&header.value).map(|seconds| (seconds, header.value.as_str())));
    let Some((theirs, words)) = date else {
        return found("the server did not say what time it is".to_owned(), Vec::new());
    };
    let ours = (clock.booted_ms + clock.uptime_ms + answer.elapsed_ms / 2) / 1000;
    let off = ours - theirs;
    let seen = format!("this clock and that of the server differ by {} s", off.abs());
    let most = i64::try_from(evidence.number("most_seconds", 30)).unwrap_or(i64::MAX);
    if off.abs() <= most {
        return found(seen, Vec::new());
    }
    let direction = if off > 0 { "ahead of" } else { "behind" };
    let title = format!("the clock is {} s {direction} the server's", off.abs());
    let finding = Finding::new("clock_skew", Severity::Critical, "clock", title.clone())
        .shown(evidence.shows("answer", "/headers", format!("the server says {words}")))
        .shown(evidence.shows(
            "before",
            "/uptime_ms",
            format!("this clock says {ours} s since 1970"),
        ))
        .value("seconds", off.unsigned_abs())
        .value("says", title);
    found(seen, vec![finding])
}

/// Seconds since 1970 of a date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date_s(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|it| *it == month)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(|it| it.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days since 1970 in the Gregorian calendar, years counted from March.
    let (from_march, since) = ((month + 9) % 12, year - i64::from(month < 3));
    let days =
        365 * since + since / 4 - since / 100 + since / 400 + (153 * from_march + 2) / 5 + day - 719_469;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
