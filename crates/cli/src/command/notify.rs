//! `aiosctl approval notify`: tells a program or an address of each approval that waits for a person.
//!
//! The guard and the orchestrator run no program and open no connection, by what confines them; so this does, as
//! whatever user runs it, with no right but to read. Who is told once is not told again; who could not be told is tried
//! again, later and later, for as long as the approval waits. Started anew, it tells again of what still waits: a
//! receiver knows it by the approval's id.

use std::collections::BTreeMap;
use std::time::Duration;

use aios_client::approval::ApprovalView;
use aios_client::{Failure, Kind};
use aios_core::tasks::termination;
use aios_proto::guard::v1::ListApprovalsRequest;
use serde_json::json;
use tokio::time::Instant;

use super::Ended;
use crate::args::Notify;
use crate::exit::Exit;
use crate::hook::Hook;
use crate::instance::Instance;
use crate::render::text::one_line;
use crate::terminal::Terminal;

/// Most approvals looked at; the guard lets no more wait.
const MOST: u32 = 1000;
/// First pause after a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How far a hook is about an approval.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// It knows.
    Yes,
    /// It is tried at that time; the pause after that.
    Next(Instant, Duration),
}

/// By approval and number of the hook.
type Progress = BTreeMap<(String, usize), Told>;

/// Tells until it is interrupted, or once.
pub(crate) async fn run(notify: Notify, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let hooks = hooks(&notify)?;
    let mut progress = Progress::new();
    if notify.once {
        let failed = look(&hooks, &mut progress, instance, terminal).await?;
        return Ok(if failed == 0 { Exit::Done } else { Exit::Failed });
    }
    let mut away = false;
    let ended = termination();
    tokio::pin!(ended);
    loop {
        match look(&hooks, &mut progress, instance, terminal).await {
            Ok(_) => away = false,
            // Said once, and not at every look.
            Err(failure) => {
                if !away {
                    terminal.note(format!("{failure}; trying on"));
                }
                away = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(notify.every_ms)) => {}
            _ = &mut ended => return Ok(Exit::Done),
        }
    }
}

fn hooks(notify: &Notify) -> Result<Vec<Hook>, Failure> {
    let mut hooks = Vec::new();
    if let Some(program) = notify.command.first() {
        if !program.starts_with('/') {
            return Err(wrong(format!(
                "the program {program} is not named by an absolute path"
            )));
        }
        hooks.push(Hook::Program(notify.command.clone()));
    }
    if let Some(url) = &notify.post {
        let uri = url.parse().map_err(|error| wrong(format!("{url}: {error}")))?;
        hooks.push(Hook::Post(uri));
    }
    Ok(hooks)
}

fn wrong(what: String) -> Failure {
    Failure::new(
        Kind::Failed,
        "AIOS-CLI-0018",
        what,
        "see `aiosctl approval notify --help`",
    )
}

/// Tells of what waits and is not known; answers how many attempts failed.
async fn look(
    hooks: &[Hook],
    progress: &mut Progress,
    instance: &Instance,
    terminal: &mut Terminal,
) -> Result<usize, Failure> {
    let request = ListApprovalsRequest {
        pending_only: true,
        goal_id: String::new(),
        limit: MOST,
    };
    let waiting = instance
        .services
        .guard()
        .await?
        .list_approvals(request)
        .await?
        .into_inner()
        .approvals;
    let waiting: Vec<ApprovalView> = waiting.into_iter().map(Into::into).collect();
    // What was decided or has lapsed is told to nobody any more.
    progress.retain(|(id, _), _| waiting.iter().any(|approval| approval.approval_id == *id));
    let mut failed = 0;
    // Oldest first.
    for approval in waiting.iter().rev() {
        for (number, hook) in hooks.iter().enumerate() {
            let entry = progress
                .entry((approval.approval_id.clone(), number))
                .or_insert_with(|| Told::Next(Instant::now(), FIRST_PAUSE));
            let Told::Next(at, pause) = *entry else { continue };
            if at > Instant::now() {
                continue;
            }
            *entry = match hook.tell(&message(approval).to_string()).await {
                Ok(()) => Told::Yes,
                Err(problem) => {
                    failed += 1;
                    terminal.note(format!(
                        "{} was not told of approval {}: {}; again in {} s",
                        one_line(&hook.name()),
                        approval.approval_id,
                        one_line(&problem),
                        pause.as_secs()
                    ));
                    Told::Next(Instant::now() + pause, (pause * 2).min(LONGEST_PAUSE))
                }
            };
            if matches!(entry, Told::Yes) {
                let id = &approval.approval_id;
                terminal.line(format!("told {} of approval {id}", one_line(&hook.name())));
            }
        }
    }
    Ok(failed)
}

/// What a receiver needs to decide whether to look; not the arguments, which may be nobody else's business.
fn message(approval: &ApprovalView) -> serde_json::Value {
    json!({
        "kind": "approval.pending",
        "approval_id": approval.approval_id,
        "goal_id": approval.goal_id,
        "tool": approval.tool,
        "risk": approval.risk,
        "summary": approval.summary,
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
        "show": format!("aiosctl approval show {}", approval.approval_id),
    })
}
