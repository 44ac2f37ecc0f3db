//! `aiosctl approval …`

use aios_client::Failure;
use aios_client::approval::ApprovalView;
use aios_proto::guard::v1::{
    Approval as Wire, DecideApprovalRequest, GetApprovalRequest, ListApprovalsRequest,
};

use super::{Ended, goal as goals};
use crate::args::{Approval, Decide};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::person;
use crate::render;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Approval, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Approval::List { all, goal } => list(all, goal, instance, terminal).await,
        Approval::Show { id } => {
            let view = ApprovalView::from(get(&id, instance).await?);
            let reason = reason(&view, instance).await;
            show(&view, reason.as_deref(), terminal)
        }
        Approval::Approve(decision) => answer(decision, true, instance, terminal).await,
        Approval::Notify(notify) => super::notify::run(notify, instance, terminal).await,
        Approval::Deny(decision) => answer(decision, false, instance, terminal).await,
    }
}

async fn list(all: bool, goal: Option<String>, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let goal_id = match goal {
        Some(id) => goals::full_id(&id, instance).await?,
        None => String::new(),
    };
    let request = ListApprovalsRequest {
        pending_only: !all,
        goal_id,
        limit: 0,
    };
    let approvals = instance
        .services
        .guard()
        .await?
        .list_approvals(request)
        .await?
        .into_inner()
        .approvals;
    let views: Vec<ApprovalView> = approvals.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&views);
    } else {
        render::approval::list(terminal, &views);
    }
    Ok(Exit::Done)
}

fn show(view: &ApprovalView, reason: Option<&str>, terminal: &mut Terminal) -> Ended {
    if terminal.json() {
        terminal.document(view);
    } else {
        render::approval::detail(terminal, view, reason);
    }
    Ok(Exit::Done)
}

async fn answer(decision: Decide, approve: bool, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let wire = get(&decision.id, instance).await?;
    let scope = decision.remember.unwrap_or_default();
    let decided = ApprovalView::from(decide(&wire, approve, scope, instance).await?);
    if terminal.json() {
        terminal.document(&decided);
    } else {
        terminal.line(format!(
            "{}: {}",
            decided.state.word(),
            render::text::one_line(&decided.summary)
        ));
        if !decided.remembered_scope.is_empty() {
            terminal.line(format!(
                "remembered for {}",
                render::text::one_line(&decided.remembered_scope)
            ));
        }
    }
    Ok(Exit::Done)
}

async fn get(id: &str, instance: &Instance) -> Result<Wire, Failure> {
    let request = GetApprovalRequest {
        approval_id: id.to_owned(),
    };
    Ok(instance
        .services
        .guard()
        .await?
        .get_approval(request)
        .await?
        .into_inner())
}

/// Decides with this person's proof, bound to the call that was shown.
pub(crate) async fn decide(
    shown: &Wire,
    approve: bool,
    scope: String,
    instance: &Instance,
) -> Result<Wire, Failure> {
    let request = DecideApprovalRequest {
        approval_id: shown.approval_id.clone(),
        approve,
        call_digest: shown.call_digest.clone(),
        remember_scope: scope,
        proof: None,
    };
    let request = person::prove(request, instance)?;
    Ok(instance
        .services
        .guard()
        .await?
        .decide_approval(request)
        .await?
        .into_inner())
}

/// What the agent said when it asked; the guard never sees that, so it comes from the journal. A
/// journal that cannot be asked just now must not keep a person from deciding.
pub(crate) async fn reason(approval: &ApprovalView, instance: &Instance) -> Option<String> {
    let detail = match goals::get(&approval.goal_id, instance).await {
        Ok(detail) => detail,
        Err(failure) => return Some(format!("(not known: {failure})")),
    };
    let steps = detail
        .tasks
        .into_iter()
        .filter(|task| task.task_id == approval.task_id)
        .flat_map(|task| task.steps);
    steps
        .filter(|step| step.step == approval.step)
        .map(|step| step.reason)
        .find(|reason| !reason.is_empty())
}
