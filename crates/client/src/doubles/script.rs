//! What goals do in the scripted world.

use std::sync::Arc;

use aios_audit::Record;
use aios_proto::common::v1::{Autonomy, Error, Identity, Risk};
use aios_proto::guard::v1::{Approval, ApprovalState};
use aios_proto::orchestrator::v1::{
    Goal, GoalDetail, GoalEvent, GoalState, Step, StepState, Task, TaskState,
};
use tonic::Status;

use super::world::World;

const DIRECTORY: &str = "/var/tmp/logs";
const FILES: [&str; 3] = ["a.log", "b.log", "c.log"];

/// A goal as submitted.
pub(crate) struct Order {
    pub(crate) text: String,
    pub(crate) priority: u32,
    pub(crate) autonomy: Autonomy,
    pub(crate) dry_run: bool,
    pub(crate) person: String,
}

/// Stores a goal and plays its first act.
pub(crate) async fn submit(world: &Arc<World>, order: Order) -> Result<Goal, Status> {
    let goal_id = add_goal(world, &order, String::new());
    world
        .record(Record {
            goal_id: Some(goal_id.clone()),
            person: Some(order.person.clone()),
            ..Record::new("goal.submitted")
        })
        .await?;
    event(world, &goal_id, "goal.submitted", "Stored.", GoalState::Pending);
    if order.text.contains("free space") {
        plan(world, &goal_id, "maintenance", "maintenance_agent");
        list(world, &goal_id).await?;
        if order.dry_run {
            finish(
                world,
                &goal_id,
                "Dry run: 3 files (6.0 KiB) would be deleted.",
                false,
            );
        } else {
            ask(world, &goal_id).await?;
        }
    } else if order.text.contains("forbidden") {
        plan(world, &goal_id, "forbidden", "executor");
        deny(world, &goal_id).await?;
    } else {
        let said = "I cannot do this yet; I can free space under a directory.";
        event(world, &goal_id, "goal.state", said, GoalState::AwaitingInput);
    }
    goal(world, &goal_id)
}

/// Undoes a goal as a goal of its own.
pub(crate) async fn undo(world: &Arc<World>, target: &Goal, person: &str) -> Result<Goal, Status> {
    let order = Order {
        text: format!("undo: {}", target.text),
        priority: target.priority,
        autonomy: target.autonomy(),
        dry_run: false,
        person: person.to_owned(),
    };
    let goal_id = add_goal(world, &order, target.goal_id.clone());
    world
        .record(Record {
            goal_id: Some(goal_id.clone()),
            tool: Some("fs.delete".into()),
            ..Record::new("outcome")
        })
        .await?;
    event(world, &goal_id, "goal.submitted", "Stored.", GoalState::Pending);
    event(
        world,
        &goal_id,
        "step.ended",
        "Restored 3 files.",
        GoalState::InProgress,
    );
    event(
        world,
        &goal_id,
        "goal.state",
        "Restored 3 files exactly.",
        GoalState::Completed,
    );
    change(world, &target.goal_id, |detail| {
        if let Some(goal) = &mut detail.goal {
            goal.undone_by.clone_from(&goal_id);
            goal.undoable = false;
        }
    });
    goal(world, &goal_id)
}

/// One call by hand: reads answer, anything else is asked about.
pub(crate) async fn call(world: &Arc<World>, tool: &str, args_json: &str) -> Result<Goal, Status> {
    let order = Order {
        text: format!("call {tool}"),
        priority: 5,
        autonomy: Autonomy::Unspecified,
        dry_run: false,
        person: "person".to_owned(),
    };
    let goal_id = add_goal(world, &order, String::new());
    plan(world, &goal_id, "call", "executor");
    if let Some(result) = looked(tool) {
        let audit_seq = world
            .record(Record {
                tool: Some(tool.into()),
                ..Record::new("read")
            })
            .await?;
        step(
            world,
            &goal_id,
            Step {
                name: tool.to_owned(),
                args_json: args_json.to_owned(),
                state: StepState::Done.into(),
                result_json: result.to_owned(),
                audit_seq,
                ..blank(world, 1)
            },
        );
        finish(world, &goal_id, "Done.", false);
    } else {
        ask(world, &goal_id).await?;
    }
    goal(world, &goal_id)
}

/// What a tool answers that only looks.
fn looked(tool: &str) -> Option<&'static str> {
    Some(match tool {
        "fs.stat" => r#"{"kind":"file","size":2048}"#,
        "os.status" => {
            r#"{"running":{"id":"1111111111111111","image":"oci:/var/lib/images/os","digest":"sha256:aaaaaaaaaaaaaaaa","version":"1.0","made_at":"2026-11-20T09:00:00Z"},
            "staged":{"id":"2222222222222222","image":"oci:/var/lib/images/os","digest":"sha256:bbbbbbbbbbbbbbbb","version":"2.0","made_at":"2026-11-22T09:00:00Z"},
            "base":{"image":"docker://quay.io/org/os:1","digest":"sha256:dddd","version":"1.0"},
            "packages":[{"name":"htop","version":"3.4.1-5","wanted_version":null,"task_id":"t","asked_ms":1763889000000},
            {"name":"nginx","version":null,"wanted_version":null,"task_id":"t","asked_ms":1763889000000}],
            "rollback":null,"others":[],"next_boot":"staged","trial":null,"blessed":"1111111111111111","blessed_ms":1763889000000,
            "failed":[{"id":"3333333333333333","image":"oci:/var/lib/images/os","digest":"sha256:cccccccccccccccc","why":"aios-orchestrator is not ready","boots":3,"found_ms":1763889600000}],
            "fetching":null}"#
        }
        "os.check" => {
            r#"{"image":"oci:/var/lib/images/os","available":true,"digest":"sha256:dddddddddddddddd","version":"3.0","made_at":"2026-11-23T09:00:00Z",
            "size_bytes":536870912,"fetch_bytes":12582912,
            "room":{"needed_bytes":37748736,"free_bytes":12884901888,"boot_needed_bytes":41943040,"boot_free_bytes":943718400,"enough":true},
            "signed":false,"signature":"it has no aios.signature.json","failed_before":null,
            "blocked_by":["oci:/var/lib/images/os version 3.0 is not laid out: it has no aios.signature.json"]}"#
        }
        _ => return None,
    })
}

/// Plays the act after a person's decision.
pub(crate) async fn decided(world: &Arc<World>, approval: &Approval) -> Result<(), Status> {
    let kind = if approval.state() == ApprovalState::Approved {
        "outcome"
    } else {
        "denied"
    };
    let record = Record {
        goal_id: Some(approval.goal_id.clone()),
        tool: Some(approval.tool.clone()),
        rule: Some(approval.rule_id.clone()),
        approval_id: Some(approval.approval_id.clone()),
        approver: Some(approval.approver.clone()),
        agent_kind: Some(approval.agent_kind.clone()),
        capabilities: vec![format!("fs:delete:{DIRECTORY}/**")],
        ..Record::new(kind)
    };
    let audit_seq = world.record(record).await?;
    let approved = approval.state() == ApprovalState::Approved;
    change(world, &approval.goal_id, |detail| {
        let steps = detail.tasks.iter_mut().flat_map(|task| &mut task.steps);
        for step in steps.filter(|step| step.approval_id == approval.approval_id) {
            step.state = if approved {
                StepState::Done
            } else {
                StepState::Denied
            }
            .into();
            step.audit_seq = audit_seq;
            step.undoable = approved;
            step.ended_at_ms = step.started_at_ms + 40;
        }
    });
    if approved {
        event(
            world,
            &approval.goal_id,
            "step.ended",
            "fs.delete: deleted 3 files, 6144 bytes",
            GoalState::InProgress,
        );
        finish(
            world,
            &approval.goal_id,
            "Freed 6.0 KiB: deleted 3 files, verified.",
            true,
        );
    } else {
        refuse(
            world,
            &approval.goal_id,
            "AIOS-GUARD-0102",
            "a person declined the call",
        );
    }
    Ok(())
}

async fn list(world: &Arc<World>, goal_id: &str) -> Result<(), Status> {
    let record = Record {
        goal_id: Some(goal_id.to_owned()),
        tool: Some("fs.list".into()),
        rule: Some("reads".into()),
        ..Record::new("read")
    };
    let audit_seq = world.record(record).await?;
    let mut first = blank(world, 1);
    first.name = "fs.list".to_owned();
    first.args_json = format!("{{\"path\":\"{DIRECTORY}\"}}");
    first.state = StepState::Done.into();
    first.result_json = "{\"entries\":6}".to_owned();
    first.rule_id = "reads".to_owned();
    first.audit_seq = audit_seq;
    first.reason = "see which logs are there".to_owned();
    step(world, goal_id, first);
    event(
        world,
        goal_id,
        "step.started",
        "fs.list /var/tmp/logs",
        GoalState::InProgress,
    );
    event(
        world,
        goal_id,
        "step.ended",
        "fs.list: 6 entries",
        GoalState::InProgress,
    );
    Ok(())
}

async fn ask(world: &Arc<World>, goal_id: &str) -> Result<(), Status> {
    let now = world.clock.now_ms();
    let paths: Vec<String> = FILES.iter().map(|name| format!("{DIRECTORY}/{name}")).collect();
    let args_json = serde_json::json!({ "paths": paths }).to_string();
    let approval_id = world.state().id();
    let task_id = task_id(world, goal_id);
    let approval = Approval {
        approval_id: approval_id.clone(),
        state: ApprovalState::Pending.into(),
        goal_id: goal_id.to_owned(),
        task_id,
        step: 2,
        agent_id: "01930000-0000-7000-8000-0000000000aa".to_owned(),
        agent_kind: "maintenance_agent".to_owned(),
        tool: "fs.delete".to_owned(),
        args_json: args_json.clone(),
        identities: paths
            .iter()
            .zip(1000..)
            .map(|(path, ino)| Identity {
                path: path.clone(),
                dev: 1,
                ino,
                kind: "file".into(),
            })
            .collect(),
        call_digest: vec![0xab; 32],
        risk: Risk::Medium.into(),
        rule_id: "confirm-deletes".to_owned(),
        summary: format!("Delete 3 files (6144 bytes) under {DIRECTORY}"),
        created_at_ms: now,
        expires_at_ms: now + 600_000,
        decided_at_ms: 0,
        approver: String::new(),
        remembered_scope: String::new(),
        files: 3,
        bytes: 6144,
        reversible: true,
    };
    let record = Record {
        goal_id: Some(goal_id.to_owned()),
        approval_id: Some(approval_id.clone()),
        tool: Some("fs.delete".into()),
        ..Record::new("approval.requested")
    };
    world.record(record).await?;
    world.state().approvals.push(approval);
    let mut second = blank(world, 2);
    second.name = "fs.delete".to_owned();
    second.args_json = args_json;
    second.state = StepState::AwaitingApproval.into();
    second.approval_id = approval_id;
    second.rule_id = "confirm-deletes".to_owned();
    second.ended_at_ms = 0;
    second.reason = "older than 7 days and not among the newest 3".to_owned();
    step(world, goal_id, second);
    event(
        world,
        goal_id,
        "step.started",
        "fs.delete 3 files",
        GoalState::InProgress,
    );
    event(
        world,
        goal_id,
        "approval.required",
        "Delete 3 files (6144 bytes): a person must approve.",
        GoalState::AwaitingApproval,
    );
    Ok(())
}

async fn deny(world: &Arc<World>, goal_id: &str) -> Result<(), Status> {
    let record = Record {
        goal_id: Some(goal_id.to_owned()),
        tool: Some("fs.read".into()),
        rule: Some("protected".into()),
        ..Record::new("denied")
    };
    let audit_seq = world.record(record).await?;
    let mut only = blank(world, 1);
    only.name = "fs.read".to_owned();
    only.args_json = "{\"path\":\"/etc/shadow\"}".to_owned();
    only.state = StepState::Denied.into();
    only.rule_id = "protected".to_owned();
    only.audit_seq = audit_seq;
    step(world, goal_id, only);
    refuse(
        world,
        goal_id,
        "AIOS-GUARD-0101",
        "policy rule `protected` denies fs.read on /etc/shadow",
    );
    Ok(())
}

fn refuse(world: &World, goal_id: &str, code: &str, message: &str) {
    change(world, goal_id, |detail| {
        if let Some(goal) = &mut detail.goal {
            goal.error = Some(Error {
                code: code.to_owned(),
                message: message.to_owned(),
                next_step: "see `aiosctl policy explain` for the rule".to_owned(),
            });
        }
    });
    event(world, goal_id, "goal.state", message, GoalState::Failed);
}

fn finish(world: &World, goal_id: &str, said: &str, undoable: bool) {
    change(world, goal_id, |detail| {
        if let Some(goal) = &mut detail.goal {
            goal.undoable = undoable;
        }
        for task in &mut detail.tasks {
            task.state = TaskState::Completed.into();
            task.summary = said.to_owned();
        }
        detail.result_json = serde_json::json!({ "summary": said }).to_string();
    });
    event(world, goal_id, "goal.state", said, GoalState::Completed);
}

fn plan(world: &World, goal_id: &str, skill: &str, agent_kind: &str) {
    let task_id = world.state().id();
    change(world, goal_id, |detail| {
        detail.tasks.push(Task {
            task_id,
            name: "clean".to_owned(),
            state: TaskState::InProgress.into(),
            skill: skill.to_owned(),
            agent_kind: agent_kind.to_owned(),
            capabilities: vec![
                format!("fs:read:{DIRECTORY}/**"),
                format!("fs:delete:{DIRECTORY}/**"),
            ],
            ..Task::default()
        });
        if let Some(goal) = &mut detail.goal {
            goal.level = "reactive".to_owned();
        }
    });
    event(
        world,
        goal_id,
        "goal.planned",
        "Runbook free-space: 1 task.",
        GoalState::InProgress,
    );
}

fn add_goal(world: &World, order: &Order, undo_of: String) -> String {
    let now = world.clock.now_ms();
    let mut state = world.state();
    let goal_id = state.id();
    let goal = Goal {
        goal_id: goal_id.clone(),
        text: order.text.clone(),
        state: GoalState::Pending.into(),
        priority: order.priority,
        autonomy: order.autonomy.into(),
        dry_run: order.dry_run,
        submitted_by: order.person.clone(),
        created_at_ms: now,
        updated_at_ms: now,
        undo_of,
        ..Goal::default()
    };
    state.goals.push(GoalDetail {
        goal: Some(goal),
        ..GoalDetail::default()
    });
    goal_id
}

fn blank(world: &World, number: u64) -> Step {
    let now = world.clock.now_ms();
    Step {
        step: number,
        kind: "tool".to_owned(),
        started_at_ms: now,
        ended_at_ms: now + 3,
        ..Step::default()
    }
}

fn step(world: &World, goal_id: &str, step: Step) {
    change(world, goal_id, |detail| {
        if let Some(task) = detail.tasks.last_mut() {
            task.steps.push(step);
        }
    });
}

fn task_id(world: &World, goal_id: &str) -> String {
    let state = world.state();
    let found = state
        .goals
        .iter()
        .find(|detail| detail.goal.as_ref().is_some_and(|goal| goal.goal_id == goal_id));
    found
        .and_then(|detail| detail.tasks.last())
        .map(|task| task.task_id.clone())
        .unwrap_or_default()
}

/// Appends an event and sets the goal's state.
pub(crate) fn event(world: &World, goal_id: &str, kind: &str, message: &str, goal_state: GoalState) {
    let now = world.clock.now_ms();
    change(world, goal_id, |detail| {
        if let Some(goal) = &mut detail.goal {
            goal.state = goal_state.into();
            goal.status_line = message.to_owned();
            goal.updated_at_ms = now;
        }
    });
    let mut state = world.state();
    let seq = u64::try_from(state.events.len()).unwrap_or(u64::MAX) + 1;
    state.events.push(GoalEvent {
        seq,
        time_ms: now,
        goal_id: goal_id.to_owned(),
        kind: kind.to_owned(),
        message: message.to_owned(),
        details_json: "{}".to_owned(),
        goal_state: goal_state.into(),
        ..GoalEvent::default()
    });
    drop(state);
    world.announce();
}

/// Changes a goal.
pub(crate) fn change(world: &World, goal_id: &str, how: impl FnOnce(&mut GoalDetail)) {
    let mut state = world.state();
    let found = state
        .goals
        .iter_mut()
        .find(|detail| detail.goal.as_ref().is_some_and(|goal| goal.goal_id == goal_id));
    if let Some(detail) = found {
        how(detail);
    }
}

/// A goal by its id, or an abbreviation of at least 6 characters.
pub(crate) fn detail(world: &World, goal_id: &str) -> Result<GoalDetail, Status> {
    let state = world.state();
    let fits = |goal: &Goal| {
        goal.goal_id == goal_id
            || (goal_id.len() >= 6 && (goal.goal_id.ends_with(goal_id) || goal.goal_id.starts_with(goal_id)))
    };
    let found = state
        .goals
        .iter()
        .find(|detail| detail.goal.as_ref().is_some_and(&fits));
    found
        .cloned()
        .ok_or_else(|| super::not_found(&format!("goal {goal_id}")))
}

/// The goal alone.
pub(crate) fn goal(world: &World, goal_id: &str) -> Result<Goal, Status> {
    detail(world, goal_id)?
        .goal
        .ok_or_else(|| super::not_found(&format!("goal {goal_id}")))
}
