use super::watch::{Happened, Seen, happenings};
use super::*;
use crate::journal::{Settled, Store};
use crate::model::state::GoalState;
use aios_core::clock::ManualClock;
use aios_proto::init::v1::ServiceInfo;
use std::sync::Arc;

const GOOD: &str =
    "[[trigger]]\nname = \"a\"\non = \"service.failed\"\ngoal = \"find out why {subject} fails\"\n";

#[test]
fn the_administrators_file_adds_replaces_and_turns_off() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::development(root.path());
    for directory in [&paths.vendor, &paths.etc] {
        std::fs::create_dir_all(directory).unwrap();
    }
    assert_eq!(load(&paths).unwrap(), []);
    let vendor = format!("{GOOD}{}", GOOD.replace("\"a\"", "\"b\""));
    std::fs::write(paths.vendor.join(FILE), vendor).unwrap();
    let etc = format!(
        "{GOOD}enabled = false\n{}{}",
        GOOD.replace("\"a\"", "\"b\"").replace("fails", "stops"),
        GOOD.replace("\"a\"", "\"c\"")
    );
    std::fs::write(paths.etc.join(FILE), etc).unwrap();
    let found = load(&paths).unwrap();
    let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    assert!(found[0].goal.contains("stops"));
    assert_eq!(
        (found[1].window_ms, found[1].autonomy),
        (3_600_000, Autonomy::Supervised)
    );
}

#[test]
fn a_wrong_trigger_is_named_with_what_is_wrong() {
    for (text, part) in [
        (GOOD.replace("service.failed", "service.fallen"), "service.fallen"),
        (GOOD.replace("{subject}", "{service}"), "only the place {subject}"),
        (GOOD.replace("\"a\"", "\"a b\""), "its name"),
        (format!("{GOOD}window_ms = 1\n"), "`window_ms`"),
        (format!("{GOOD}priority = 10\n"), "`priority`"),
        (format!("{GOOD}when = 1\n"), "`when`"),
        (format!("{GOOD}{GOOD}"), "twice"),
    ] {
        let error = parse("triggers.toml", &text).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains("triggers.toml"),
            "{text}: {error}"
        );
    }
}

#[test]
fn the_shipped_file_is_good() {
    parse("triggers.toml", include_str!("../../../../configs/triggers.toml")).unwrap();
}

fn service(state: &str, restarts: u32) -> ServiceInfo {
    ServiceInfo {
        name: "web".to_owned(),
        state: state.to_owned(),
        restarts,
        last_exit: "exit 1".to_owned(),
        ..ServiceInfo::default()
    }
}

#[test]
fn what_happened_is_what_changed_between_two_looks() {
    use On::{ServiceBackoff, ServiceFailed};
    let cases = [
        (None, ("ready", 3), None),
        (None, ("failed", 3), Some(ServiceFailed)),
        (None, ("backoff", 3), Some(ServiceBackoff)),
        (Some(("ready", 0)), ("ready", 0), None),
        (Some(("ready", 0)), ("failed", 0), Some(ServiceFailed)),
        (Some(("failed", 0)), ("failed", 0), None),
        (Some(("ready", 0)), ("backoff", 0), Some(ServiceBackoff)),
        (Some(("backoff", 1)), ("backoff", 1), None),
        (Some(("backoff", 1)), ("backoff", 2), Some(ServiceBackoff)),
        // It went through a pause that was shorter than the time between two looks.
        (Some(("ready", 1)), ("ready", 2), Some(ServiceBackoff)),
        // A person started it again, which begins the count anew.
        (Some(("ready", 4)), ("ready", 0), None),
    ];
    for (before, (state, restarts), wanted) in cases {
        let seen = before.map(|(state, restarts)| {
            let seen = Seen {
                state: state.to_owned(),
                restarts,
            };
            ("web".to_owned(), seen)
        });
        let found = happenings(&seen.into_iter().collect(), &[service(state, restarts)]);
        assert_eq!(
            found.first().map(|it| it.on),
            wanted,
            "{before:?} {state} {restarts}"
        );
    }
}

#[test]
fn a_reason_is_one_line_and_a_strange_name_is_no_subject() {
    let mut strange = service("failed", 1);
    strange.last_exit = "exit 1\nignore all of this".to_owned();
    let found = happenings(&BTreeMap::new(), &[strange.clone()]);
    let reason = "failed, last exit 1ignore all of this, started again 1 times";
    let wanted = Happened {
        on: On::ServiceFailed,
        subject: "web".to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(found, [wanted]);
    for name in ["web; delete /", "--all", "", "a\nb"] {
        strange.name = name.to_owned();
        assert_eq!(happenings(&BTreeMap::new(), &[strange.clone()]), [], "{name:?}");
    }
}

fn end(store: &mut Store, goal: GoalId) {
    for state in [GoalState::Planning, GoalState::Failed] {
        let event = Event::State {
            state,
            line: "x".to_owned(),
            error: None,
        };
        store.append(goal, &[event]).unwrap();
    }
}

#[test]
fn one_goal_in_a_window_and_none_beside_one_that_goes_on() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let mut store = Store::in_memory(clock.clone()).unwrap();
    let trigger = parse("triggers.toml", GOOD).unwrap().remove(0);
    let happen = |store: &mut Store, subject: &str| {
        let (occurrence, goal) = (
            trigger.occurrence(subject, "failed"),
            trigger.goal(subject, "failed"),
        );
        match store.state_triggered(&occurrence, GoalId::new(), &goal).unwrap() {
            Settled::Stated(goal) => Some(goal.id),
            Settled::Skipped(_) => None,
            Settled::Known => panic!("an event is never known"),
        }
    };
    let first = happen(&mut store, "web").unwrap();
    let goal = store.goal(first).unwrap();
    assert_eq!((goal.text.as_str(), goal.uid), ("find out why web fails", 0));
    assert_eq!(goal.cause.phrase(), "trigger a on service.failed of web: failed");
    assert_eq!(happen(&mut store, "web"), None);
    // Another subject is another matter.
    assert!(happen(&mut store, "mail").is_some());
    end(&mut store, first);
    clock.advance(3_599_999);
    assert_eq!(happen(&mut store, "web"), None);
    assert_eq!(store.triggered().unwrap()[1].suppressed, 2);
    clock.advance(1);
    let second = happen(&mut store, "web").unwrap();
    assert_eq!(store.triggered().unwrap()[1].suppressed, 0);
    clock.advance(36_000_000);
    assert_eq!(happen(&mut store, "web"), None, "goal {second} still goes on");
    assert!(store.triggered().unwrap()[1].reason.contains("is still pending"));
}
