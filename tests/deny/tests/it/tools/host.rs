//! The tools that only look at the machine: `hw` and `monitor`, on this machine as it is.

use super::entry::{Entry, looks};
use super::silence::Late;

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "monitor.cpu",
    args: r#"{"interval_ms": 5000}"#,
    timeout_ms: 200,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("hw.cpu", "{}", &["hw:cpu:host"]),
    looks("hw.info", "{}", &["hw:info:host"]),
    looks("hw.memory", "{}", &["hw:memory:host"]),
    looks("hw.network", "{}", &["hw:network:host"]),
    looks("hw.pci", "{}", &["hw:pci:host"]),
    looks("hw.sensors", "{}", &["hw:sensors:host"]),
    looks("hw.storage", "{}", &["hw:storage:host"]),
    looks("monitor.cpu", r#"{"interval_ms": 50}"#, &["monitor:cpu:host"]),
    looks("monitor.disk", r#"{"interval_ms": 50}"#, &["monitor:disk:host"]),
    looks("monitor.load", "{}", &["monitor:load:host"]),
    looks(
        "monitor.logs",
        r#"{"path": "/var/log", "name_glob": "*.log", "limit": 5}"#,
        &["monitor:logs:/var/log/**"],
    ),
    looks("monitor.memory", "{}", &["monitor:memory:host"]),
    looks(
        "monitor.network",
        r#"{"interval_ms": 50}"#,
        &["monitor:network:host"],
    ),
    looks("monitor.pressure", "{}", &["monitor:pressure:host"]),
    looks(
        "monitor.top",
        r#"{"interval_ms": 50, "limit": 3, "sort_by": "memory"}"#,
        &["monitor:top:host"],
    ),
    looks(
        "monitor.watch",
        r#"{"metric": "memory", "samples": 2, "interval_ms": 50}"#,
        &["monitor:watch:host"],
    ),
];
