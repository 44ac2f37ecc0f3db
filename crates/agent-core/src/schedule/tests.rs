use super::cron::Cron;
use super::*;
use jiff::Timestamp;

fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(cron, zone).unwrap();
    let mut at = ms(from);
    let mut found = Vec::new();
    while found.len() < count {
        at = cron.next(at).unwrap();
        found.push(crate::model::cause::utc(at));
    }
    found
}

fn schedule(cron: &str, settled: &str) -> Schedule {
    let new = NewSchedule {
        cron: cron.to_owned(),
        time_zone: "UTC".to_owned(),
        window_ms: 0,
        text: "free space".to_owned(),
        autonomy: Autonomy::Supervised,
        priority: 5,
    };
    new.accept(ScheduleId::new(), 1000, "anna".to_owned(), ms(settled))
        .unwrap()
}

#[test]
fn next_times_are_those_of_cron() {
    let cases = [
        (
            "*/15 * * * *",
            "2026-11-23T00:07:30Z",
            ["2026-11-23T00:15:00Z", "2026-11-23T00:30:00Z"],
        ),
        (
            "0 0 1 * *",
            "2026-11-23T00:00:00Z",
            ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
        ),
        // Either day will do when both are restricted.
        (
            "0 9 1 * MON",
            "2026-11-29T00:00:00Z",
            ["2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z"],
        ),
        (
            "0 0 29 2 *",
            "2026-11-23T00:00:00Z",
            ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
        (
            "@daily",
            "2026-11-23T00:00:00Z",
            ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"],
        ),
    ];
    for (cron, from, wanted) in cases {
        assert_eq!(times(cron, "UTC", from, 2), wanted, "{cron}");
    }
}

#[test]
fn times_are_those_of_the_zone() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-01-10T00:00:00Z", 1),
        ["2026-01-10T01:30:00Z"]
    );
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-07-10T00:00:00Z", 1),
        ["2026-07-10T00:30:00Z"]
    );
}

#[test]
fn a_time_that_the_day_lacks_comes_once_after_the_gap() {
    // On 2026-03-29 the clocks of Berlin go from 2:00 to 3:00, which is 1:00 UTC.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_time_that_the_day_has_twice_comes_once_and_an_interval_goes_on() {
    // On 2026-10-25 they go from 3:00 back to 2:00.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4),
        [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
}

#[test]
fn the_second_of_a_repeated_hour_is_not_a_newest_time_of_its_own() {
    let cron = Cron::parse("30 2 * * *", "Europe/Berlin").unwrap();
    let served = ms("2026-10-25T00:30:00Z");
    for now in [
        "2026-10-25T01:30:00Z",
        "2026-10-25T01:45:00Z",
        "2026-10-25T12:00:00Z",
    ] {
        assert_eq!(cron.newest(served, ms(now)), None, "{now}");
    }
}

#[test]
fn what_is_no_expression_says_what_is_wrong() {
    for cron in [
        "",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "* * * * FUNDAY",
        "@sometimes",
        "a b c d e",
    ] {
        assert!(
            matches!(Cron::parse(cron, "UTC"), Err(ScheduleError::Cron { .. })),
            "{cron}"
        );
    }
    assert!(matches!(
        Cron::parse("* * * * *", "Mars/Olympus"),
        Err(ScheduleError::Zone(_))
    ));
    let never = NewSchedule {
        cron: "0 0 31 2 *".to_owned(),
        time_zone: "UTC".to_owned(),
        window_ms: 0,
        text: "x".to_owned(),
        autonomy: Autonomy::Manual,
        priority: 5,
    };
    let error = never
        .accept(ScheduleId::new(), 0, "root".to_owned(), 0)
        .unwrap_err();
    assert!(error.to_string().contains("never comes"), "{error}");
}

#[test]
fn the_machines_zone_is_one_that_can_be_named_again() {
    assert!(Cron::parse("* * * * *", &cron::machine_zone()).is_ok());
}

#[test]
fn a_planned_time_is_due_once_it_has_come() {
    let schedule = schedule("0 * * * *", "2026-11-23T00:10:00Z");
    assert_eq!(schedule.due(ms("2026-11-23T00:59:59Z")).unwrap(), None);
    let due = schedule.due(ms("2026-11-23T01:00:00Z")).unwrap().unwrap();
    assert_eq!(
        (due.planned_ms, due.remark.as_str()),
        (ms("2026-11-23T01:00:00Z"), "")
    );
    assert_eq!(
        schedule.next(ms("2026-11-23T01:00:00Z")).unwrap(),
        Some(ms("2026-11-23T02:00:00Z"))
    );
}

#[test]
fn of_what_was_missed_the_last_is_caught_up_on_and_said_so() {
    let one = schedule("0 * * * *", "2026-11-23T00:10:00Z");
    let due = one.due(ms("2026-11-23T01:30:00Z")).unwrap().unwrap();
    assert_eq!(
        (due.planned_ms, due.remark.as_str()),
        (ms("2026-11-23T01:00:00Z"), "caught up")
    );
    let due = one.due(ms("2027-11-23T05:30:00Z")).unwrap().unwrap();
    assert_eq!(due.planned_ms, ms("2027-11-23T05:00:00Z"));
    assert!(due.remark.contains("2026-11-23T01:00:00Z"), "{}", due.remark);
}

#[test]
fn a_window_is_begun_at_a_moment_of_its_first_half_that_stays() {
    const WINDOW_MS: i64 = 7_200_000;
    let planned = ms("2026-11-23T02:00:00Z");
    let mut moments = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let one = Schedule {
            window_ms: WINDOW_MS.unsigned_abs(),
            ..schedule("0 2 * * *", "2026-11-23T00:10:00Z")
        };
        let moment = one.next(ms("2026-11-23T00:10:00Z")).unwrap().unwrap();
        assert!((planned..=planned + WINDOW_MS / 2).contains(&moment), "{moment}");
        assert_eq!(one.next(moment - 1).unwrap(), Some(moment));
        assert_eq!(one.due(moment - 1000).unwrap(), None);
        let due = one.due(moment).unwrap().unwrap();
        assert_eq!((due.planned_ms, due.remark.as_str()), (planned, ""));
        assert_eq!(one.until_ms(due.planned_ms), Some(planned + WINDOW_MS));
        assert_eq!(one.next(moment).unwrap(), Some(moment + 86_400_000));
        moments.insert(moment);
    }
    assert!(moments.len() > 90, "hardly spread: {moments:?}");
}

#[test]
fn a_window_of_seconds_or_months_is_refused() {
    for window_ms in [1, 59_999, 604_800_001, u64::MAX] {
        let new = NewSchedule {
            cron: "0 2 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            window_ms,
            text: "x".to_owned(),
            autonomy: Autonomy::Manual,
            priority: 5,
        };
        let error = new
            .accept(ScheduleId::new(), 0, "root".to_owned(), 0)
            .unwrap_err();
        assert!(
            error.to_string().contains("between a minute and a week"),
            "{error}"
        );
    }
}

#[test]
fn a_schedule_that_a_wrong_clock_served_is_noticed() {
    let schedule = schedule("0 * * * *", "2030-01-01T00:00:00Z");
    assert!(schedule.is_ahead(ms("2026-11-23T00:00:00Z")));
    assert!(!schedule.is_ahead(ms("2029-12-31T23:59:00Z")));
}

#[test]
fn the_client_id_names_the_schedule_and_the_planned_time() {
    let (one, two) = (ScheduleId::new(), ScheduleId::new());
    assert_eq!(client_id(one, 60_000), client_id(one, 60_000));
    assert_ne!(client_id(one, 60_000), client_id(one, 120_000));
    assert_ne!(client_id(one, 60_000), client_id(two, 60_000));
    assert!(GoalId::parse(&client_id(one, 60_000)).is_ok());
}
