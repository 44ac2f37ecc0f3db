//! The state machines under random events: no illegal state is reached, and what is stored is what the
//! events tell.

use aios_core::clock::ManualClock;
use aios_core::id::{GoalId, TaskId};
use aios_orchestrator::journal::{Store, Submission};
use aios_orchestrator::model::Goal;
use aios_orchestrator::model::cause::Cause;
use aios_orchestrator::model::event::{Autonomy, Decision, Event, Origin, StepEnd};
use aios_orchestrator::model::plan::{Operation, TaskPlan};
use aios_orchestrator::model::state::{GoalState, StepState, TaskState};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn tasks() -> [TaskId; 3] {
    [
        "01939f2e-0000-7000-8000-000000000001",
        "01939f2e-0000-7000-8000-000000000002",
        "01939f2e-0000-7000-8000-000000000003",
    ]
    .map(|id| TaskId::parse(id).unwrap())
}

fn plan() -> Vec<TaskPlan> {
    let [survey, clean, verify] = tasks();
    let task = |id, name: &str, needs: &[&str], verifies| TaskPlan {
        id,
        name: name.to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        skill: "a.b".to_owned(),
        agent_kind: "some_agent".to_owned(),
        capabilities: Vec::new(),
        input: json!({}),
        operations: Vec::new(),
        verifies,
        looks: false,
        tainted: false,
    };
    let look = TaskPlan {
        operations: vec![Operation::Analyze {
            analyzer: "old_files".to_owned(),
            evidence: std::collections::BTreeMap::new(),
            settings: serde_json::Map::new(),
        }],
        ..task(survey, "survey", &[], false)
    };
    vec![
        look,
        task(clean, "clean", &["survey"], false),
        task(verify, "verify", &["clean"], true),
    ]
}

/// A plan's extension by one task, after the analysis of a task.
fn extended(analysed: TaskId) -> Event {
    let more = TaskId::parse("01939f2e-0000-7000-8000-000000000004").unwrap();
    let [mut task, ..] = <[TaskPlan; 3]>::try_from(plan()).unwrap();
    task.id = more;
    task.name = "more".to_owned();
    Event::Extended {
        analysed: vec![analysed],
        answers: Vec::new(),
        tasks: vec![task],
    }
}

fn submitted(client_id: &str) -> Event {
    Event::Submitted {
        text: "free space".to_owned(),
        priority: 5,
        autonomy: Autonomy::Supervised,
        dry_run: false,
        submitted_by: "anna".to_owned(),
        uid: 1000,
        client_id: client_id.to_owned(),
        origin: Origin::Text,
        cause: Cause::Person,
    }
}

fn end(state: StepState) -> StepEnd {
    StepEnd {
        state,
        result: json!({"files": 1}),
        error: None,
        audit_seq: 1,
        rule_id: "r".to_owned(),
        approval_id: String::new(),
        undoable: true,
        tainted: true,
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let task = prop::sample::select(tasks().to_vec());
    let goal_state = prop::sample::select(GoalState::ALL.to_vec());
    let task_state = prop::sample::select(TaskState::ALL.to_vec());
    let step_state = prop::sample::select(StepState::ALL.to_vec());
    let line = || "a line".to_owned();
    prop_oneof![
        2 => goal_state.prop_map(move |state| Event::State { state, line: line(), error: None }),
        1 => Just(Event::Planned { level: "reactive".to_owned(), source: "x".to_owned(), tasks: plan(), book: None }),
        2 => task.clone().prop_map(extended),
        1 => Just(Event::Reply { text: "again".to_owned(), by: "anna".to_owned() }),
        1 => Just(Event::CancelRequested { by: "anna".to_owned() }),
        1 => Just(Event::Result { result: json!({"x": 1}) }),
        1 => Just(Event::UndoneBy { by: Some(GoalId::new()) }),
        1 => Just(submitted("")),
        4 => (task.clone(), task_state).prop_map(move |(task, state)| Event::Task {
            task, state, line: line(), output: Value::Null, error: None,
        }),
        1 => task.clone().prop_map(|task| Event::Routed {
            task, agent_kind: "some_agent".to_owned(), agent_id: "x".to_owned(), container_id: String::new(),
        }),
        6 => (task.clone(), 1..4_u64).prop_map(|(task, step)| Event::StepStarted {
            task, step, step_kind: "tool".to_owned(), name: "fs.stat".to_owned(), args: json!({}),
            reason: String::new(), dry_run: false,
        }),
        3 => (task.clone(), 1..4_u64).prop_map(|(task, step)| Event::ApprovalRequired {
            task, step, approval_id: "a".to_owned(), rule_id: "r".to_owned(), expires_at_ms: 1,
        }),
        3 => (task.clone(), 1..4_u64).prop_map(|(task, step)| Event::ApprovalDecided {
            task, step, approval_id: "a".to_owned(), outcome: "approved".to_owned(), approver: "anna".to_owned(),
        }),
        6 => (task.clone(), 1..4_u64, step_state).prop_map(|(task, step, state)| Event::StepEnded {
            task, step, end: end(state),
        }),
        1 => task.clone().prop_map(|task| Event::Progress { task, message: "on".to_owned(), percent: 3 }),
        1 => task.prop_map(|task| Event::Decided(Decision {
            subject: "route".to_owned(), options: vec![], choice: "x".to_owned(), reason: "y".to_owned(),
            level: "reactive".to_owned(), task: Some(task),
        })),
    ]
}

fn check(goal: &Goal) -> Result<(), TestCaseError> {
    let waiting = goal
        .tasks
        .iter()
        .any(|task| task.state == TaskState::AwaitingApproval);
    prop_assert_eq!(goal.state == GoalState::AwaitingApproval, waiting);
    if goal.state.is_final() {
        prop_assert!(goal.tasks.iter().all(|task| task.state.is_final()));
    }
    if goal.state == GoalState::Completed {
        prop_assert!(goal.tasks.iter().all(|task| task.state == TaskState::Completed));
        prop_assert!(goal.tasks.iter().any(|task| task.plan.verifies));
    }
    for task in &goal.tasks {
        let numbers: Vec<u64> = task.steps.iter().map(|step| step.step).collect();
        prop_assert_eq!(numbers, (1..task.next_step()).collect::<Vec<_>>());
        prop_assert!(task.steps.iter().filter(|step| step.end.is_none()).count() <= 1);
        for step in &task.steps {
            prop_assert_eq!(step.state.is_final(), step.end.is_some());
        }
        if task.state == TaskState::AwaitingApproval {
            prop_assert_eq!(
                task.in_flight().map(|step| step.state),
                Some(StepState::AwaitingApproval)
            );
        }
        if task.state == TaskState::Completed {
            prop_assert!(task.in_flight().is_none());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_events_lead_to_an_illegal_state_and_a_replay_equals_what_is_stored(
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let clock = Arc::new(ManualClock::at(1_000));
        let mut store = Store::in_memory(clock.clone()).unwrap();
        let id = GoalId::new();
        store.submit(id, &submitted("")).unwrap();
        // Planned most of the time, or few random events would mean anything.
        let planning = Event::State { state: GoalState::Planning, line: "planning".to_owned(), error: None };
        let begun = Event::State { state: GoalState::InProgress, line: "working".to_owned(), error: None };
        let planned = Event::Planned { level: "reactive".to_owned(), source: "x".to_owned(), tasks: plan(), book: None };
        if events.len() % 4 != 0 {
            store.append(id, &[planning, planned, begun]).unwrap();
        }
        for event in events {
            clock.advance(7);
            let before = store.goal(id).unwrap();
            let seq = store.last_seq();
            match store.append(id, std::slice::from_ref(&event)) {
                Ok(goal) => check(&goal)?,
                Err(_) => {
                    prop_assert_eq!(store.last_seq(), seq);
                    prop_assert_eq!(store.goal(id).unwrap(), before);
                }
            }
        }
        let live = store.goal(id).unwrap();
        let ended = live.state.is_final().then(|| live.clone());
        prop_assert_eq!(store.load(id).unwrap(), ended);
        prop_assert_eq!(store.replay(id).unwrap().unwrap(), live);
    }
}

#[test]
fn a_batch_with_one_wrong_event_is_not_stored_at_all() {
    let mut store = Store::in_memory(Arc::new(ManualClock::at(1))).unwrap();
    let id = GoalId::new();
    store.submit(id, &submitted("")).unwrap();
    let good = Event::State {
        state: GoalState::Planning,
        line: "planning".to_owned(),
        error: None,
    };
    let wrong = Event::State {
        state: GoalState::Completed,
        line: "done".to_owned(),
        error: None,
    };
    assert!(store.append(id, &[good, wrong]).is_err());
    assert_eq!(store.goal(id).unwrap().state, GoalState::Pending);
    assert_eq!(store.last_seq(), 1);
}

#[test]
fn goals_are_found_by_the_beginning_and_the_end_of_their_ids() {
    let mut store = Store::in_memory(Arc::new(ManualClock::at(1))).unwrap();
    let first = GoalId::parse("01939f2e-0000-7000-8000-aaaaaaaaaaaa").unwrap();
    let second = GoalId::parse("01939f2e-1111-7000-8000-bbbbbbbbbbbb").unwrap();
    for id in [first, second] {
        assert_eq!(store.submit(id, &submitted("")).unwrap().1, Submission::New);
    }
    assert_eq!(store.find("01939f2e-0000").unwrap(), first);
    assert_eq!(store.find("BBBBBB").unwrap(), second);
    assert!(store.find("01939f2e").is_err());
    assert!(store.find("bbb").is_err());
}
