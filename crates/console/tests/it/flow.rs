//! What a person does in the page, as HTTP.

use tokio::io::AsyncReadExt;

use crate::support::Bench;

const FREE: &str = "{\"text\":\"free space under /var/tmp/logs\"}";

#[tokio::test]
async fn a_goal_is_stated_approved_followed_and_undone() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let me = bench.call("GET", "/api/session", Some(&cookie), "").await;
    assert_eq!(me.json()["person"], "ada");

    let stated = bench.call("POST", "/api/goals", Some(&cookie), FREE).await;
    assert_eq!(stated.status, 201, "{stated:?}");
    assert_eq!(stated.json()["submitted_by"], "ada");
    let goal = stated.json()["goal_id"].as_str().unwrap().to_owned();

    let waiting = bench
        .call("GET", &format!("/api/approvals?goal={goal}"), Some(&cookie), "")
        .await
        .json();
    let approval = &waiting[0]["approval"];
    assert_eq!(approval["files"], 3);
    assert_eq!(
        waiting[0]["agent_reason"],
        "older than 7 days and not among the newest 3"
    );
    let decision = format!("{{\"call_digest\":{}}}", approval["call_digest"]);
    let path = format!(
        "/api/approvals/{}/approve",
        approval["approval_id"].as_str().unwrap()
    );
    let approved = bench.call("POST", &path, Some(&cookie), &decision).await;
    assert_eq!(approved.json()["approver"], "ada", "{approved:?}");
    let again = bench.call("POST", &path, Some(&cookie), &decision).await;
    assert_eq!((again.status, again.code()), (409, "AIOS-DOUBLE-0020".to_owned()));

    let detail = bench
        .call("GET", &format!("/api/goals/{goal}"), Some(&cookie), "")
        .await
        .json();
    assert_eq!(detail["goal"]["state"], "completed");
    let undone = bench
        .call("POST", &format!("/api/goals/{goal}/undo"), Some(&cookie), "")
        .await;
    assert_eq!(undone.status, 201, "{undone:?}");
    assert_eq!(undone.json()["undo_of"], goal.as_str());
    let list = bench.call("GET", "/api/goals", Some(&cookie), "").await.json();
    assert_eq!(list.as_array().unwrap().len(), 2);

    let verified = bench.call("GET", "/api/audit/verify", Some(&cookie), "").await;
    assert_eq!(verified.json()["ok"], true, "{verified:?}");
    let status = bench.call("GET", "/api/status", Some(&cookie), "").await.json();
    assert_eq!(status["services"].as_array().unwrap().len(), 3);
    assert_eq!(status["problems"], serde_json::json!({}));
}

#[tokio::test]
async fn live_events_carry_journal_numbers_and_resume_after_the_last_one_seen() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let stated = bench
        .call("POST", "/api/goals", Some(&cookie), "{\"text\":\"forbidden\"}")
        .await;
    let path = format!("/api/goals/{}/events", stated.json()["goal_id"].as_str().unwrap());
    let all = bench.call("GET", &path, Some(&cookie), "").await;
    assert_eq!(all.headers["content-type"], "text/event-stream");
    assert_eq!(ids(&all.body), [1, 2, 3]);
    assert!(
        all.body.trim_end().ends_with("event: end\ndata: failed"),
        "{all:?}"
    );

    let mut headers = bench.own_headers(Some(&cookie));
    headers.push(("Last-Event-ID".to_owned(), "2".to_owned()));
    let rest = bench.send("GET", &path, &headers, "").await;
    assert_eq!(ids(&rest.body), [3]);
    let from = bench
        .call("GET", &format!("{path}?from=2"), Some(&cookie), "")
        .await;
    assert_eq!(ids(&from.body), [2, 3]);
    headers.last_mut().unwrap().1 = "two".to_owned();
    assert_eq!(
        bench.send("GET", &path, &headers, "").await.code(),
        "AIOS-CONSOLE-0034"
    );
}

#[tokio::test]
async fn an_event_arrives_while_the_goal_still_runs() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let goal = bench.call("POST", "/api/goals", Some(&cookie), FREE).await.json()["goal_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut stream = bench
        .open(
            "GET",
            &format!("/api/goals/{goal}/events"),
            &bench.own_headers(Some(&cookie)),
            "",
        )
        .await;
    let mut text = String::new();
    while !text.contains("approval.required") {
        read_more(&mut stream, &mut text).await;
    }
    assert!(!text.contains("event: end"));
    bench
        .call("POST", &format!("/api/goals/{goal}/cancel"), Some(&cookie), "")
        .await;
    while !text.contains("event: end") {
        read_more(&mut stream, &mut text).await;
    }
    assert!(text.contains("data: cancelled"), "{text}");
}

async fn read_more(stream: &mut tokio::net::TcpStream, text: &mut String) {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(read > 0, "the stream ended: {text}");
    text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
}

fn ids(body: &str) -> Vec<u64> {
    body.lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .map(|id| id.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_code_works_once_and_the_cookie_is_out_of_reach_of_scripts() {
    let bench = Bench::new().await;
    let body = format!("{{\"code\":\"{}\"}}", bench.code().await);
    let first = bench.call("POST", "/api/signin", None, &body).await;
    let cookie = &first.headers["set-cookie"];
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=3"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let second = bench.call("POST", "/api/signin", None, &body).await;
    assert_eq!(
        (second.status, second.code()),
        (401, "AIOS-DOUBLE-0022".to_owned())
    );
    let out = bench
        .call(
            "DELETE",
            "/api/session",
            Some(cookie.split(';').next().unwrap()),
            "",
        )
        .await;
    assert_eq!(out.status, 204);
    let after = bench
        .call("GET", "/api/goals", Some(cookie.split(';').next().unwrap()), "")
        .await;
    assert_eq!(after.status, 401, "{after:?}");
}

#[tokio::test]
async fn a_goal_that_waits_for_words_takes_a_reply() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let goal = bench
        .call("POST", "/api/goals", Some(&cookie), "{\"text\":\"make coffee\"}")
        .await
        .json();
    assert_eq!(goal["state"], "awaiting_input");
    let path = format!("/api/goals/{}/reply", goal["goal_id"].as_str().unwrap());
    let replied = bench
        .call("POST", &path, Some(&cookie), "{\"text\":\"never mind\"}")
        .await;
    assert_eq!(replied.json()["state"], "completed");
}
