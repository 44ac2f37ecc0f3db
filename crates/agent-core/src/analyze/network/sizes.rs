//! The size of packets. That a way takes smaller packets than the link is no fault as long as it says so: every program
//! then sends smaller ones. A fault is a way that swallows them.

use super::{Ping, find, one};
use crate::analyze::{AnalyzeError, Evidence, Finding, Found};

/// Smallest size that every IPv4 host takes, bytes; what a way names below that is no answer.
const LEAST: u64 = 68;

/// Whether large packets get to a host that answers small ones.
pub(super) fn sizes(evidence: &Evidence<'_>) -> Result<Option<Finding>, AnalyzeError> {
    let Some(small) = evidence.maybe::<Ping>("ping")?.filter(|ping| ping.received > 0) else {
        return Ok(None);
    };
    let Some(large) = evidence.maybe::<Ping>("large")? else {
        return Ok(None);
    };
    if large.received > 0 && !large.too_large {
        return Ok(None);
    }
    let named = large
        .path_mtu_bytes
        .filter(|it| large.too_large && (LEAST..large.packet_bytes).contains(it));
    let (cause, title) = match named {
        Some(named) => (
            "narrow_path",
            format!(
                "the way to {} says that it takes packets of {named} bytes",
                small.address
            ),
        ),
        None => (
            "mtu",
            format!(
                "packets of {} bytes do not get to {}, and nothing on the way says so",
                large.packet_bytes, small.address
            ),
        ),
    };
    let finding = find(cause, &small.address, title)
        .shown(evidence.shows(
            "ping",
            "/received",
            format!("{} small ones were answered", small.received),
        ))
        .shown(evidence.shows(
            "large",
            "/received",
            format!("{} large ones were", large.received),
        ))
        .value_if("mtu_bytes", named);
    Ok(match (cause, evidence.text("asked")) {
        // A closer look at what was already looked at closer would need another grant.
        ("narrow_path", Some(_)) => None,
        _ => Some(finding),
    })
}

/// Whether packets of the size that the way named get through.
pub(super) fn narrow_path(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let fitting: Ping = evidence.need("fitting")?;
    if fitting.received > 0 {
        return Ok(Found {
            seen: format!(
                "the host answers; the way takes packets of {} bytes, and says so",
                fitting.packet_bytes
            ),
            findings: Vec::new(),
        });
    }
    let title = format!(
        "packets of {} bytes do not get to {}, though the way says that they do",
        fitting.packet_bytes, fitting.address
    );
    let shown = evidence.shows("fitting", "/received", "none was answered");
    Ok(one(find("mtu", &fitting.address, title).shown(shown)))
}
