//! Types of the tools that look at the machine as a whole, and at the audit log.

use super::{Severity, default_limit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the checks of sec.scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Weak settings of the SSH server.
    Sshd,
    /// Accounts without password, with uid 0 or with another's number.
    Accounts,
    /// Secrets that everybody can read or change.
    Secrets,
    /// Files of the system that everybody can change.
    Permissions,
    /// Set-uid, set-gid and capabilities of files that no package brought. The layers of container images
    /// are left out: their packages are not this machine's.
    Suid,
    /// What listens on all addresses.
    Ports,
    /// Settings of the kernel that leave a lock open.
    Kernel,
    /// The umask that new files are made with.
    Umask,
}

/// Every check, in the order in which they run: the quick ones first.
pub const ALL_CHECKS: [Check; 8] = [
    Check::Sshd,
    Check::Accounts,
    Check::Secrets,
    Check::Kernel,
    Check::Umask,
    Check::Ports,
    Check::Permissions,
    Check::Suid,
];

/// Arguments of sec.scan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanArgs {
    /// Checks to run; empty for all.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Most findings wanted, 1 to 1000; the worst come first.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

/// One weakness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weakness {
    /// The check that found it.
    pub check: Check,
    /// Stable name of the weakness, `sshd.permit_root_login`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a path, an account, an address with port.
    pub subject: String,
    /// What was found there, as it is written.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
}

/// A check that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotChecked {
    /// The check.
    pub check: Check,
    /// Why not.
    pub why: String,
}

/// Result of sec.scan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanResult {
    /// Weaknesses, the worst first.
    pub findings: Vec<Weakness>,
    /// Findings of high severity, also those beyond `limit`.
    pub high: u64,
    /// Findings of medium severity.
    pub medium: u64,
    /// Findings of low severity.
    pub low: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Checks that were done to their end.
    pub checked: Vec<Check>,
    /// Checks that were not: what is not named in `findings` may still be there.
    pub not_checked: Vec<NotChecked>,
}

/// Arguments of sec.open_ports.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenPortsArgs {
    /// Leave out what only this machine itself can reach.
    #[serde(default)]
    pub reachable_only: bool,
}

/// Protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How the process of a socket was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerProof {
    /// The process has the socket open.
    Descriptor,
    /// It is the only process of the socket's user: nobody else can have it.
    OnlyOfUser,
}

/// A process with an open port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortOwner {
    /// Process id.
    pub pid: u32,
    /// Name of the program.
    pub name: String,
    /// How it was found.
    pub known_by: OwnerProof,
}

/// A socket that takes what others send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenPort {
    /// Protocol.
    pub protocol: Protocol,
    /// Address that it listens on; `0.0.0.0` and `::` are all addresses.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User id of whoever opened it.
    pub uid: u32,
    /// The user's name; absent when no account has the number.
    pub user: Option<String>,
    /// The process; absent where the kernel does not let this worker see it.
    pub process: Option<PortOwner>,
    /// Whether other machines can reach the address. A firewall may still stand before it.
    pub reachable: bool,
}

/// Result of sec.open_ports.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenPortsResult {
    /// Sockets, by protocol, port and address.
    pub ports: Vec<OpenPort>,
    /// Sockets whose process is not known.
    pub without_process: u64,
}

/// Arguments of sec.audit_query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditArgs {
    /// Only records of this goal, a UUID.
    #[serde(default)]
    pub goal_id: Option<String>,
    /// Only records of this tool, `fs.delete`; `fs.*` for a whole namespace.
    #[serde(default)]
    pub tool: Option<String>,
    /// Only records of this kind: `intent`, `outcome`, `read`, `denied`, `approval.requested` …
    #[serde(default)]
    pub kind: Option<String>,
    /// Only records of this person or approver, by user name.
    #[serde(default)]
    pub person: Option<String>,
    /// Only records at or after this time, milliseconds since 1970, UTC.
    #[serde(default)]
    pub since_ms: Option<i64>,
    /// Only records before this time, milliseconds since 1970, UTC.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// How many of the newest records are looked through, 1 to 20000.
    #[serde(default = "default_scan")]
    #[schemars(range(min = 1, max = 20000))]
    pub scan_last: u64,
    /// Most records wanted, 1 to 1000; the newest that match.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

fn default_scan() -> u64 {
    5000
}

/// One record of the audit log, without its payloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Sequence number.
    pub seq: u64,
    /// When, milliseconds since 1970, UTC.
    pub time_ms: i64,
    /// Kind.
    pub kind: String,
    /// The goal.
    pub goal_id: Option<String>,
    /// The task.
    pub task_id: Option<String>,
    /// Step within the task.
    pub step: Option<u64>,
    /// Kind of the agent.
    pub agent_kind: Option<String>,
    /// The person who asked.
    pub person: Option<String>,
    /// The person who approved.
    pub approver: Option<String>,
    /// Tool.
    pub tool: Option<String>,
    /// Rule or check that decided.
    pub rule: Option<String>,
    /// What else stands in the record, JSON text; never arguments or results.
    pub details_json: String,
}

/// Result of sec.audit_query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditResult {
    /// Records, oldest first.
    pub records: Vec<AuditEntry>,
    /// Records that match, also those beyond `limit`.
    pub matched: u64,
    /// Records looked through.
    pub scanned: u64,
    /// True when more match than `limit`.
    pub truncated: bool,
}
