//! What a person must see before saying yes.

use aios_client::approval::{ApprovalStateView, ApprovalView};

use super::table::{Table, fields};
use super::text::{count, json, one_line, shorten, size};
use crate::terminal::{Terminal, Tone};

/// How many of the touched things are listed by name.
const SHOWN: usize = 20;

/// The list of approvals.
pub(crate) fn list(terminal: &mut Terminal, approvals: &[ApprovalView]) {
    let mut table = Table::new(&["APPROVAL", "STATE", "RISK", "TOOL", "WHAT"]);
    for approval in approvals {
        table.row([
            approval.approval_id.clone(),
            approval.state.word().to_owned(),
            approval.risk.word().to_owned(),
            one_line(&approval.tool),
            shorten(&approval.summary, 60),
        ]);
    }
    table.print(terminal, "nothing waits for a person");
}

/// One approval in full; `reason` is what the agent said, which proves nothing.
pub(crate) fn detail(terminal: &mut Terminal, approval: &ApprovalView, reason: Option<&str>) {
    let heading = terminal.tone(Tone::Strong, &one_line(&approval.summary));
    terminal.line(heading);
    let undo = if approval.reversible {
        "restores it exactly"
    } else {
        "CANNOT restore it exactly"
    };
    let decided = if approval.state == ApprovalStateView::Pending || approval.approver.is_empty() {
        String::new()
    } else {
        format!(
            "{} at {}",
            one_line(&approval.approver),
            terminal.date(approval.decided_at.as_deref())
        )
    };
    let expires = if approval.state == ApprovalStateView::Pending {
        terminal.date(approval.expires_at.as_deref())
    } else {
        String::new()
    };
    fields(
        terminal,
        &[
            ("approval", approval.approval_id.clone()),
            ("state", approval.state.word().to_owned()),
            ("goal", format!("{}, step {}", approval.goal_id, approval.step)),
            (
                "asked by",
                format!("{} {}", one_line(&approval.agent_kind), approval.agent_id),
            ),
            (
                "tool",
                format!(
                    "{} {}",
                    one_line(&approval.tool),
                    shorten(&json(&approval.args), 300)
                ),
            ),
            (
                "touches",
                format!("{}, {}", count(approval.files, "file"), size(approval.bytes)),
            ),
            ("risk", approval.risk.word().to_owned()),
            ("undo", undo.to_owned()),
            ("rule", one_line(&approval.rule_id)),
            ("digest", approval.call_digest.clone()),
            ("lapses", expires),
            ("decided by", decided),
            ("remembered", one_line(&approval.remembered_scope)),
            (
                "agent says",
                reason.map(|reason| shorten(reason, 300)).unwrap_or_default(),
            ),
        ],
    );
    for identity in approval.identities.iter().take(SHOWN) {
        terminal.line(format!("  {} {}", identity.kind, one_line(&identity.path)));
    }
    if approval.identities.len() > SHOWN {
        terminal.line(format!(
            "  … and {} more; --json shows all",
            approval.identities.len() - SHOWN
        ));
    }
}
