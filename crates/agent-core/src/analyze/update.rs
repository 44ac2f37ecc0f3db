//! Updates of the operating system that failed, from what the machine kept of them.

use super::words::count;
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[Analyzer {
    name: "failed_update",
    summary: "which image of the operating system failed last, why, and what runs instead",
    evidence: &[Wanted {
        name: "status",
        needed: true,
        says: "os.status",
    }],
    settings: &[],
    causes: &[Cause {
        id: "update_failed",
        says: "an image of the operating system was tried and given up",
        values: &[
            ("image", Sample::Text),
            ("why", Sample::Text),
            ("boots", Sample::Number),
            ("running", Sample::Text),
        ],
    }],
    tell: failed_update,
}];

/// What of os.status is read.
#[derive(Debug, Deserialize)]
struct Status {
    running: Image,
    #[serde(default)]
    failed: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
struct Image {
    image: String,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    image: String,
    digest: String,
    why: String,
    boots: u64,
}

fn failed_update(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let status: Status = evidence.need("status")?;
    let running = match &status.running.version {
        Some(version) => format!("{} ({version})", status.running.image),
        None => status.running.image.clone(),
    };
    let Some((index, last)) = status.failed.iter().enumerate().next_back() else {
        return Ok(Found {
            seen: format!("{running} runs, and no update is known to have failed"),
            findings: Vec::new(),
        });
    };
    let title = format!("the update to {} failed: {}", last.image, last.why);
    let shown = format!(
        "{} came as far as aiOS; {running} runs instead, and {} is not tried again",
        count(usize::try_from(last.boots).unwrap_or(usize::MAX), "boot of it"),
        last.digest
    );
    let finding = Finding::new("update_failed", Severity::Warning, &last.image, title)
        .shown(evidence.shows("status", &format!("/failed/{index}"), shown))
        .value("image", last.image.clone())
        .value("why", last.why.clone())
        .value("boots", last.boots)
        .value("running", running.clone());
    Ok(Found {
        seen: format!(
            "{running} runs, and {} failed",
            count(status.failed.len(), "update")
        ),
        findings: vec![finding],
    })
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use serde_json::{Value, json};

    fn tell(failed: &Value) -> crate::model::finding::Analysis {
        let status = json!({
            "running": {"id": "11", "image": "oci:/images/v1", "digest": "sha256:1", "version": "1"},
            "failed": failed,
        });
        let outputs = json!({"look": {"results": [status]}});
        let evidence = [("status".to_owned(), "/look/results/0".to_owned())].into();
        analyze::run("failed_update", &evidence, &serde_json::Map::new(), &outputs).unwrap()
    }

    #[test]
    fn the_last_failure_is_told_with_its_reason_and_nothing_where_none_is_known() {
        let failed = |image: &str, why: &str| json!({"id": "3", "image": image, "digest": "sha256:3", "why": why, "boots": 3, "found_ms": 1});
        let analysis = tell(&json!([
            failed("oci:/images/v2", "old"),
            failed("oci:/images/v3", "no orchestrator")
        ]));
        let [finding] = analysis.findings.as_slice() else {
            panic!("{analysis:?}");
        };
        assert_eq!(finding.subject, "oci:/images/v3");
        assert_eq!(
            finding.title,
            "the update to oci:/images/v3 failed: no orchestrator"
        );
        assert_eq!(finding.evidence[0].at, "/look/results/0/failed/1");
        assert!(
            finding.evidence[0].shows.contains("sha256:3 is not tried again"),
            "{finding:?}"
        );
        let none = tell(&json!([]));
        assert!(
            none.findings.is_empty() && none.seen.contains("no update"),
            "{none:?}"
        );
    }
}
