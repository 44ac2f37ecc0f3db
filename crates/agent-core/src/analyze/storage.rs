//! Space: full file systems, what takes the space, what is old enough to go.

use super::words::{count, percent, size, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "disk_full",
        summary: "whether the file system of a directory is full or filling, and what could go",
        evidence: &[
            Wanted {
                name: "usage",
                needed: true,
                says: "fs.disk_usage of the directory",
            },
            Wanted {
                name: "old",
                needed: false,
                says: "fs.search for files that may go",
            },
            Wanted {
                name: "large",
                needed: false,
                says: "fs.search for large files",
            },
        ],
        settings: &[
            ("full_percent", Sample::Number),
            ("filling_percent", Sample::Number),
        ],
        causes: &[
            Cause {
                id: "disk_full",
                says: "the file system is full",
                values: SPACE,
            },
            Cause {
                id: "disk_filling",
                says: "the file system will soon be full",
                values: SPACE,
            },
        ],
        tell: disk_full,
    },
    Analyzer {
        name: "subdirectories",
        summary: "which directories to measure to see what takes the space",
        evidence: &[Wanted {
            name: "entries",
            needed: true,
            says: "fs.list of the directory",
        }],
        settings: &[],
        causes: &[Cause {
            id: "has_subdirectories",
            says: "the space is below several directories",
            values: &[("paths", Sample::Paths)],
        }],
        tell: subdirectories,
    },
    Analyzer {
        name: "biggest_consumers",
        summary: "which directories and files take most of the space",
        evidence: &[
            Wanted {
                name: "usages",
                needed: true,
                says: "a list of fs.disk_usage results",
            },
            Wanted {
                name: "whole",
                needed: true,
                says: "fs.disk_usage of the directory above them",
            },
            Wanted {
                name: "large",
                needed: false,
                says: "fs.search for large files",
            },
        ],
        settings: &[("share_percent", Sample::Number)],
        causes: &[Cause {
            id: "biggest_consumers",
            says: "these take most of the space",
            values: &[("consumers", Sample::Text), ("paths", Sample::Paths)],
        }],
        tell: biggest_consumers,
    },
    Analyzer {
        name: "old_files",
        summary: "whether there are files old enough to go",
        evidence: &[Wanted {
            name: "found",
            needed: true,
            says: "fs.search with an age",
        }],
        settings: &[],
        causes: &[Cause {
            id: "old_files",
            says: "files that nobody has changed for long take space",
            values: &[
                ("paths", Sample::Paths),
                ("files", Sample::Number),
                ("bytes", Sample::Number),
                ("size", Sample::Text),
            ],
        }],
        tell: old_files,
    },
];

const SPACE: &[(&str, Sample)] = &[
    ("path", Sample::Path),
    ("used_percent", Sample::Number),
    ("free_bytes", Sample::Number),
    ("free", Sample::Text),
    ("paths", Sample::Paths),
    ("files", Sample::Number),
    ("size", Sample::Text),
    ("wanted_free_bytes", Sample::Number),
    ("biggest", Sample::Text),
];

/// What of fs.disk_usage is read.
#[derive(Debug, Clone, Deserialize)]
struct Usage {
    path: String,
    #[serde(default)]
    bytes: u64,
    fs_total_bytes: u64,
    fs_free_bytes: u64,
}

/// What of fs.search is read.
#[derive(Debug, Clone, Deserialize)]
struct Search {
    files: Vec<Hit>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct Hit {
    path: String,
    size: u64,
}

impl Search {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// The largest, `/a (2.0 GiB), /b (1.0 GiB)`.
    fn largest(&self, most: usize) -> String {
        let mut files: Vec<&Hit> = self.files.iter().collect();
        files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
        let named: Vec<String> = files
            .iter()
            .map(|file| format!("{} ({})", file.path, size(file.size)))
            .collect();
        some_of(named.iter().map(String::as_str), most)
    }
}

fn disk_full(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let usage: Usage = evidence.need("usage")?;
    let used = usage.fs_total_bytes.saturating_sub(usage.fs_free_bytes);
    let share = percent(used, usage.fs_total_bytes);
    let free = size(usage.fs_free_bytes);
    let seen = format!(
        "the file system of {} is {share}% full, {free} of {} are free",
        usage.path,
        size(usage.fs_total_bytes)
    );
    let full = evidence.number("full_percent", 95);
    let filling = evidence.number("filling_percent", 85);
    let (cause, severity, says) = match share {
        share if share >= full => ("disk_full", Severity::Critical, "full"),
        share if share >= filling => ("disk_filling", Severity::Warning, "nearly full"),
        _ => {
            return Ok(Found {
                seen,
                findings: Vec::new(),
            });
        }
    };
    let title = format!(
        "the file system of {} is {says}: {share}% used, {free} free",
        usage.path
    );
    let mut finding = Finding::new(cause, severity, &usage.path, title)
        .shown(evidence.shows("usage", "/fs_free_bytes", format!("{free} free, {share}% used")))
        .value("path", usage.path.as_str())
        .value("used_percent", share)
        .value("free_bytes", usage.fs_free_bytes)
        .value("free", free);
    if let Some(large) = evidence
        .maybe::<Search>("large")?
        .filter(|large| !large.files.is_empty())
    {
        let biggest = large.largest(5);
        finding = finding
            .shown(evidence.shows("large", "/files", format!("the largest files: {biggest}")))
            .value("biggest", biggest);
    }
    if let Some(old) = evidence
        .maybe::<Search>("old")?
        .filter(|old| !old.files.is_empty())
    {
        let (bytes, files) = (old.bytes(), old.files.len());
        let says = format!("{} of {} may go", count(files, "old file"), size(bytes));
        finding = finding
            .shown(evidence.shows("old", "/files", says))
            .value("paths", old.paths())
            .value("files", files as u64)
            .value("size", size(bytes))
            // Others write meanwhile: half of what is deleted must be seen as free.
            .value("wanted_free_bytes", usage.fs_free_bytes.saturating_add(bytes / 2));
    }
    Ok(Found {
        seen,
        findings: vec![finding],
    })
}

/// What of fs.list is read.
#[derive(Debug, Deserialize)]
struct Listing {
    path: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    kind: String,
}

/// Most directories that one closer look measures.
const MAX_DIRECTORIES: usize = 60;

fn subdirectories(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let listing: Listing = evidence.need("entries")?;
    let above = listing.path.trim_end_matches('/');
    // The kernel's own trees take no space of a disk.
    let unreal = ["/proc", "/sys", "/dev", "/run"];
    let paths: Vec<String> = listing
        .entries
        .iter()
        .filter(|entry| entry.kind == "dir")
        .map(|entry| format!("{above}/{}", entry.name))
        .filter(|path| !unreal.contains(&path.as_str()))
        .take(MAX_DIRECTORIES)
        .collect();
    let seen = format!("{} below {}", count(paths.len(), "directory"), listing.path);
    let findings = if paths.is_empty() {
        Vec::new()
    } else {
        let finding = Finding::new("has_subdirectories", Severity::Info, &listing.path, seen.clone())
            .shown(evidence.shows("entries", "/entries", seen.clone()))
            .value("paths", paths);
        vec![finding]
    };
    Ok(Found { seen, findings })
}

fn biggest_consumers(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let whole: Usage = evidence.need("whole")?;
    let usages: Vec<serde_json::Value> = evidence.need("usages")?;
    let least = evidence.number("share_percent", 10);
    // The list also holds what failed and the analysis itself; only measured directories count.
    let mut usages: Vec<Usage> = usages
        .into_iter()
        .filter_map(|usage| serde_json::from_value(usage).ok())
        .collect();
    usages.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    let consumers: Vec<&Usage> = usages
        .iter()
        .filter(|usage| usage.bytes > 0 && percent(usage.bytes, whole.bytes) >= least)
        .take(5)
        .collect();
    let large = evidence.maybe::<Search>("large")?;
    let seen = format!("{} takes {}", whole.path, size(whole.bytes));
    if consumers.is_empty() {
        return Ok(Found {
            seen: format!("{seen}, and no directory in it takes {least}% of that"),
            findings: Vec::new(),
        });
    }
    let named: Vec<String> = consumers
        .iter()
        .map(|usage| {
            let share = percent(usage.bytes, whole.bytes);
            format!("{} {} ({share}%)", usage.path, size(usage.bytes))
        })
        .collect();
    let words = named.join(", ");
    let title = format!("of {} in {}: {words}", size(whole.bytes), whole.path);
    let paths: Vec<String> = consumers.iter().map(|usage| usage.path.clone()).collect();
    let mut finding = Finding::new("biggest_consumers", Severity::Info, &whole.path, title)
        .shown(evidence.shows("usages", "", words))
        .value("paths", paths);
    let mut consumers = named.join(", ");
    if let Some(large) = large.filter(|large| !large.files.is_empty()) {
        let files = large.largest(5);
        finding = finding.shown(evidence.shows("large", "/files", format!("the largest files: {files}")));
        consumers = format!("{consumers}; the largest files: {files}");
    }
    Ok(Found {
        seen,
        findings: vec![finding.value("consumers", consumers)],
    })
}

fn old_files(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let found: Search = evidence.need("found")?;
    if found.files.is_empty() {
        return Ok(Found {
            seen: "no file is that old".to_owned(),
            findings: Vec::new(),
        });
    }
    let (files, bytes) = (found.files.len(), found.bytes());
    let more = if found.truncated {
        " (and there are more)"
    } else {
        ""
    };
    let title = format!(
        "{} of {} in all may go{more}",
        count(files, "old file"),
        size(bytes)
    );
    let first = found.files.first().map_or("", |file| file.path.as_str());
    let finding = Finding::new("old_files", Severity::Warning, first, title.clone())
        .shown(evidence.shows("found", "/files", format!("{title}: {}", found.largest(3))))
        .value("paths", found.paths())
        .value("files", files as u64)
        .value("bytes", bytes)
        .value("size", size(bytes));
    Ok(Found {
        seen: title,
        findings: vec![finding],
    })
}

#[cfg(test)]
mod tests;
