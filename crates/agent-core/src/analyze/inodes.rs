//! A file system that can hold no more files, however much space is free; and what made so many.

use super::words::{count, percent, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;
use std::collections::BTreeMap;

const FILES: &[(&str, Sample)] = &[
    ("path", Sample::Path),
    ("used_percent", Sample::Number),
    ("free_inodes", Sample::Number),
    ("crowded", Sample::Text),
    ("paths", Sample::Paths),
    ("files", Sample::Number),
    ("wanted_free_inodes", Sample::Number),
];

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[Analyzer {
    name: "inodes",
    summary: "whether a file system has room for more files, where most are, and which could go",
    evidence: &[
        Wanted {
            name: "usage",
            needed: true,
            says: "fs.disk_usage of the directory",
        },
        Wanted {
            name: "all",
            needed: false,
            says: "fs.search for every file",
        },
        Wanted {
            name: "old",
            needed: false,
            says: "fs.search for files that nobody has changed for long",
        },
    ],
    settings: &[
        ("full_percent", Sample::Number),
        ("filling_percent", Sample::Number),
        ("small_bytes", Sample::Number),
    ],
    causes: &[
        Cause {
            id: "inodes_full",
            says: "the file system can hold no more files",
            values: FILES,
        },
        Cause {
            id: "inodes_filling",
            says: "the file system will soon hold no more files",
            values: FILES,
        },
    ],
    tell: inodes,
}];

/// What of fs.disk_usage is read.
#[derive(Debug, Deserialize)]
struct Usage {
    path: String,
    fs_total_inodes: u64,
    fs_free_inodes: u64,
    #[serde(default)]
    keeps_snapshots: bool,
}

/// What of fs.search is read.
#[derive(Debug, Deserialize)]
struct Search {
    files: Vec<Hit>,
    /// Whether these are only the oldest.
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Hit {
    path: String,
    size: u64,
}

impl Hit {
    fn dir(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// Whether its name, or that of its directory, says that it was made for a while only.
    fn is_passing(&self) -> bool {
        const DIRECTORIES: [&str; 8] = [
            "tmp", "temp", "cache", "caches", "session", "sessions", ".cache", ".tmp",
        ];
        const BEGIN: [&str; 5] = ["sess_", "sess-", "session-", "session_", "tmp."];
        const END: [&str; 5] = [".tmp", ".temp", ".session", ".sess", ".cache"];
        let dir = self.dir().rsplit_once('/').map_or("", |(_, dir)| dir);
        DIRECTORIES.contains(&dir)
            || BEGIN.iter().any(|begin| self.name().starts_with(begin))
            || END.iter().any(|end| self.name().ends_with(end))
    }
}

/// The directories with most of the files, `/a (812 files), /b (90 files)`.
fn crowded(files: &[Hit]) -> String {
    let mut dirs: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        *dirs.entry(file.dir()).or_default() += 1;
    }
    let mut dirs: Vec<(&str, usize)> = dirs.into_iter().collect();
    dirs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let words: Vec<String> = dirs
        .iter()
        .map(|(dir, files)| format!("{dir} ({})", count(*files, "file")))
        .collect();
    some_of(words.iter().map(String::as_str), 3)
}

fn inodes(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let usage: Usage = evidence.need("usage")?;
    let fine = |seen: String| Found {
        seen,
        findings: Vec::new(),
    };
    if usage.fs_total_inodes == 0 {
        return Ok(fine(format!(
            "the file system of {} does not limit how many files it holds",
            usage.path
        )));
    }
    let used = usage.fs_total_inodes.saturating_sub(usage.fs_free_inodes);
    let share = percent(used, usage.fs_total_inodes);
    let seen = format!(
        "the file system of {} holds {used} of {} files that it can hold",
        usage.path, usage.fs_total_inodes
    );
    let (cause, severity, says) = match share {
        share if share >= evidence.number("full_percent", 95) => {
            ("inodes_full", Severity::Critical, "can hold no more files")
        }
        share if share >= evidence.number("filling_percent", 85) => (
            "inodes_filling",
            Severity::Warning,
            "will soon hold no more files",
        ),
        _ => return Ok(fine(seen)),
    };
    let title = format!(
        "the file system of {} {says}: {share}% of its inodes are used",
        usage.path
    );
    let free = format!("{} inodes free", usage.fs_free_inodes);
    let mut finding = Finding::new(cause, severity, &usage.path, title)
        .shown(evidence.shows("usage", "/fs_free_inodes", free))
        .value("path", usage.path.as_str())
        .value("used_percent", share)
        .value("free_inodes", usage.fs_free_inodes);
    if let Some(all) = evidence
        .maybe::<Search>("all")?
        .filter(|all| !all.files.is_empty())
    {
        let mut crowded = crowded(&all.files);
        if all.truncated {
            crowded = format!("{crowded} among the {} oldest, which is not all", all.files.len());
        }
        finding = finding
            .shown(evidence.shows("all", "/files", format!("most files are in {crowded}")))
            .value("crowded", crowded);
    }
    let small = evidence.number("small_bytes", 64 << 10);
    let may_go: Vec<String> = evidence
        .maybe::<Search>("old")?
        .into_iter()
        .flat_map(|old| old.files)
        .filter(|file| file.size <= small && file.is_passing())
        .map(|file| file.path)
        .collect();
    // Each deleted file is kept for undo as a file: where both are on one file system, nothing would be won.
    if !may_go.is_empty() && !usage.keeps_snapshots {
        let files = may_go.len() as u64;
        let shows = format!("{} may go", count(may_go.len(), "old temporary file"));
        finding = finding
            .shown(evidence.shows("old", "/files", shows))
            .value("paths", may_go)
            .value("files", files)
            // Others make files meanwhile: half of what is deleted must be seen as free.
            .value(
                "wanted_free_inodes",
                usage.fs_free_inodes.saturating_add(files / 2),
            );
    }
    Ok(Found {
        seen,
        findings: vec![finding],
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{causes, tell};
    use serde_json::{Value, json};

    fn usage(total: u64, free: u64) -> Value {
        json!({"path": "/srv", "fs_total_bytes": 100, "fs_free_bytes": 90,
            "fs_total_inodes": total, "fs_free_inodes": free})
    }

    fn found(paths: &[(&str, u64)]) -> Value {
        let files: Vec<Value> = paths
            .iter()
            .map(|(path, size)| json!({"path": path, "kind": "file", "size": size, "mtime_ms": 1}))
            .collect();
        json!({"root": "/srv", "files": files})
    }

    #[test]
    fn a_file_system_is_out_of_inodes_soon_or_never() {
        for (total, free, cause) in [
            (1000, 0, Some("inodes_full")),
            (1000, 50, Some("inodes_full")),
            (1000, 150, Some("inodes_filling")),
            (1000, 500, None),
            (0, 0, None),
        ] {
            let analysis = tell("inodes", &[("usage", usage(total, free))], json!({}));
            let found: Vec<&str> = causes(&analysis).iter().map(|(cause, _)| *cause).collect();
            assert_eq!(found, cause.into_iter().collect::<Vec<_>>(), "{free} of {total}");
        }
    }

    #[test]
    fn only_small_files_that_were_meant_to_pass_may_go() {
        let old = found(&[
            ("/srv/php/sess_1a", 10),
            ("/srv/x/tmp/a", 10),
            ("/srv/x/b.tmp", 10),
            ("/srv/mail/tmp.1", 1 << 20),
            ("/srv/mail/letter-7", 10),
            ("/srv/template/page", 10),
        ]);
        let parts = [("usage", usage(1000, 4)), ("all", old.clone()), ("old", old)];
        let values = tell("inodes", &parts, json!({})).findings.remove(0).values;
        assert_eq!(
            values["paths"],
            json!(["/srv/php/sess_1a", "/srv/x/tmp/a", "/srv/x/b.tmp"])
        );
        assert_eq!(values["wanted_free_inodes"], 5);
        assert_eq!(
            values["crowded"],
            "/srv/mail (2 files), /srv/php (1 file), /srv/template (1 file) and 2 more"
        );
        let none = found(&[("/srv/mail/letter-7", 10)]);
        let parts = [("usage", usage(1000, 4)), ("old", none)];
        let values = tell("inodes", &parts, json!({})).findings.remove(0).values;
        assert!(!values.contains_key("paths"), "{values:?}");
    }
}
