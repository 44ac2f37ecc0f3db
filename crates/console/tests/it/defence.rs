//! What the console refuses, and with which code.

use crate::support::Bench;
use tokio::io::AsyncReadExt;

const ID: &str = "01930000-0000-7000-8000-000000000001";
/// Live streams that the console holds at once.
const MAX_STREAMS: usize = 64;

/// Every path of the interface with a method that it takes.
fn every_call() -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&aios_console::openapi_document()).unwrap();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            calls.push((method.to_uppercase(), path.replace("{id}", ID)));
        }
    }
    calls
}

#[tokio::test]
async fn unsigned_requests_are_refused_everywhere() {
    let bench = Bench::new().await;
    let open = ["/healthz", "/api/signin"];
    let calls = every_call();
    assert_eq!(calls.len(), 16);
    for (method, path) in calls.iter().filter(|(_, path)| !open.contains(&path.as_str())) {
        for cookie in [
            None,
            Some("aios_session=00"),
            Some("aios_session=zz"),
            Some("other=1"),
        ] {
            let answer = bench.call(method, path, cookie, "{}").await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "AIOS-CONSOLE-0010".to_owned()),
                "{method} {path} {cookie:?}"
            );
        }
        let unknown = format!("aios_session={}", "ab".repeat(32));
        let answer = bench.call(method, path, Some(&unknown), "{}").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "AIOS-DOUBLE-0003".to_owned()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_everywhere() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    for host in [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil:80",
    ] {
        for path in ["/", "/healthz", "/api/goals", "/assets/index-1.js"] {
            let mut headers = bench.own_headers(Some(&cookie));
            headers[0].1 = host.to_owned();
            let answer = bench.send("GET", path, &headers, "").await;
            assert_eq!(
                (answer.status, answer.code()),
                (421, "AIOS-CONSOLE-0013".to_owned()),
                "{host} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_change_from_another_page_is_refused() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let own = bench.own_headers(Some(&cookie));
    let without = |name: &str| {
        own.iter()
            .filter(|(known, _)| known != name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let with_origin = |origin: &str| {
        let mut headers = without("Origin");
        headers.push(("Origin".to_owned(), origin.to_owned()));
        headers
    };
    let foreign = [
        without("Origin"),
        without("X-Aios-Console"),
        with_origin("http://evil.example"),
        with_origin("null"),
        with_origin(&format!("https://{}", bench.address)),
        with_origin("http://127.0.0.1:1"),
    ];
    for headers in foreign {
        for (method, path) in every_call().iter().filter(|(method, _)| method != "GET") {
            let answer = bench.send(method, path, &headers, "{}").await;
            assert_eq!(
                (answer.status, answer.code()),
                (403, "AIOS-CONSOLE-0014".to_owned()),
                "{method} {path} {headers:?}"
            );
        }
    }
}

#[tokio::test]
async fn bad_input_is_answered_with_a_code() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(4097));
    let huge = format!("{{\"text\":\"{}\"}}", "x".repeat(20_000));
    let cases: &[(&str, String, &str, u16, &str)] = &[
        ("POST", "/api/signin".into(), "", 400, "AIOS-CONSOLE-0022"),
        (
            "POST",
            "/api/signin".into(),
            "{\"code\":5}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        (
            "POST",
            "/api/signin".into(),
            "{\"code\":\"x\"}",
            401,
            "AIOS-DOUBLE-0022",
        ),
        ("POST", "/api/goals".into(), "", 400, "AIOS-CONSOLE-0022"),
        ("POST", "/api/goals".into(), "[]", 400, "AIOS-CONSOLE-0022"),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"  \"}",
            400,
            "AIOS-CONSOLE-0030",
        ),
        ("POST", "/api/goals".into(), &long, 400, "AIOS-CONSOLE-0030"),
        ("POST", "/api/goals".into(), &huge, 413, "AIOS-CONSOLE-0021"),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"x\",\"priority\":10}",
            400,
            "AIOS-CONSOLE-0030",
        ),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"x\",\"priority\":-1}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"x\",\"autonomy\":\"wild\"}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"x\",\"client_id\":\"1\"}",
            400,
            "AIOS-CONSOLE-0030",
        ),
        (
            "POST",
            "/api/goals".into(),
            "{\"text\":\"x\",\"colour\":1}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        ("GET", "/api/goals?limit=0".into(), "", 400, "AIOS-CONSOLE-0030"),
        ("GET", "/api/goals?limit=x".into(), "", 400, "AIOS-CONSOLE-0024"),
        ("GET", "/api/goals?lmit=5".into(), "", 400, "AIOS-CONSOLE-0024"),
        ("GET", "/api/goals/nonsense".into(), "", 400, "AIOS-CONSOLE-0023"),
        ("GET", format!("/api/goals/{ID}"), "", 404, "AIOS-DOUBLE-0001"),
        (
            "GET",
            format!("/api/goals/{ID}/events"),
            "",
            404,
            "AIOS-DOUBLE-0001",
        ),
        (
            "GET",
            format!("/api/goals/{ID}/events?from=x"),
            "",
            400,
            "AIOS-CONSOLE-0024",
        ),
        (
            "POST",
            format!("/api/goals/{ID}/cancel"),
            "",
            404,
            "AIOS-DOUBLE-0001",
        ),
        (
            "POST",
            format!("/api/goals/{ID}/undo"),
            "",
            404,
            "AIOS-DOUBLE-0001",
        ),
        (
            "POST",
            format!("/api/goals/{ID}/reply"),
            "{}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        (
            "POST",
            format!("/api/goals/{ID}/reply"),
            "{\"text\":\"\"}",
            400,
            "AIOS-CONSOLE-0030",
        ),
        (
            "GET",
            "/api/approvals?all=perhaps".into(),
            "",
            400,
            "AIOS-CONSOLE-0024",
        ),
        (
            "POST",
            format!("/api/approvals/{ID}/approve"),
            "{}",
            400,
            "AIOS-CONSOLE-0022",
        ),
        (
            "POST",
            format!("/api/approvals/{ID}/approve"),
            "{\"call_digest\":\"ab\"}",
            400,
            "AIOS-CONSOLE-0031",
        ),
        (
            "POST",
            format!("/api/approvals/{ID}/deny"),
            "{\"call_digest\":\"zz\"}",
            400,
            "AIOS-CONSOLE-0031",
        ),
        (
            "GET",
            format!("/api/goals/{ID}/events?from=-1"),
            "",
            400,
            "AIOS-CONSOLE-0024",
        ),
        ("GET", "/api/nothing".into(), "", 404, "AIOS-CONSOLE-0011"),
        ("GET", "/nothing".into(), "", 404, "AIOS-CONSOLE-0011"),
        (
            "GET",
            "/assets/../../secret.toml".into(),
            "",
            404,
            "AIOS-CONSOLE-0011",
        ),
        (
            "GET",
            "/assets/%2e%2e/%2e%2e/secret.toml".into(),
            "",
            404,
            "AIOS-CONSOLE-0011",
        ),
        ("PUT", "/api/goals".into(), "", 405, "AIOS-CONSOLE-0012"),
        ("POST", "/healthz".into(), "", 405, "AIOS-CONSOLE-0012"),
    ];
    for (method, path, body, status, code) in cases {
        let answer = bench.call(method, path, Some(&cookie), body).await;
        assert_eq!(answer.status, *status, "{method} {path} {body}: {answer:?}");
        assert_eq!(answer.code(), *code, "{method} {path} {body}: {answer:?}");
    }
    let mut headers = bench.own_headers(Some(&cookie));
    headers.retain(|(name, _)| name != "Content-Type");
    let undeclared = bench
        .send("POST", "/api/goals", &headers, "{\"text\":\"x\"}")
        .await;
    assert_eq!(
        (undeclared.status, undeclared.code()),
        (415, "AIOS-CONSOLE-0020".to_owned())
    );
}

#[tokio::test]
async fn a_decision_about_another_call_than_the_one_shown_is_refused() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    bench
        .call("POST", "/api/goals", Some(&cookie), "{\"text\":\"free space\"}")
        .await;
    let waiting = bench
        .call("GET", "/api/approvals", Some(&cookie), "")
        .await
        .json();
    let path = format!(
        "/api/approvals/{}/approve",
        waiting[0]["approval"]["approval_id"].as_str().unwrap()
    );
    let other = format!("{{\"call_digest\":\"{}\"}}", "cd".repeat(32));
    let answer = bench.call("POST", &path, Some(&cookie), &other).await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "AIOS-DOUBLE-0021".to_owned())
    );
}

#[tokio::test]
async fn answers_are_sealed_against_framing_scripts_and_sniffing() {
    let bench = Bench::new().await;
    for path in ["/", "/signin", "/api/goals", "/assets/index-1.js"] {
        let answer = bench.call("GET", path, None, "").await;
        let policy = &answer.headers["content-security-policy"];
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
    let script = bench.call("GET", "/assets/index-1.js", None, "").await;
    assert!(
        script.headers["content-type"].contains("javascript"),
        "{script:?}"
    );
    assert!(
        script.headers["cache-control"].contains("immutable"),
        "{script:?}"
    );
    assert_eq!(
        bench.call("GET", "/api/goals", None, "").await.headers["cache-control"],
        "no-store"
    );
}

#[tokio::test]
async fn without_services_it_is_alive_and_says_what_does_not_answer() {
    let bench = Bench::alone().await;
    let health = bench.call("GET", "/healthz", None, "").await;
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (200, Some("ok"))
    );
    let unknown = format!("aios_session={}", "ab".repeat(32));
    let answer = bench.call("GET", "/api/goals", Some(&unknown), "").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "AIOS-CLIENT-0001".to_owned())
    );
    std::fs::remove_file(bench.root.path().join("vendor/console/index.html")).unwrap();
    assert_eq!(bench.call("GET", "/", None, "").await.code(), "AIOS-CONSOLE-0035");
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_before_anybody_is_asked() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let digest = format!("{{\"call_digest\":\"{}\"}}", "cd".repeat(32));
    let long = "a".repeat(5000);
    let shifted = &ID[1..];
    for id in [
        "nonsense",
        "0",
        "%00",
        "%ff",
        "..%2f..%2fstatus",
        "%27%20OR%201=1",
        shifted,
        long.as_str(),
    ] {
        for (path, body) in [
            (format!("/api/goals/{id}/cancel"), ""),
            (format!("/api/goals/{id}/undo"), ""),
            (format!("/api/goals/{id}/reply"), "{\"text\":\"x\"}"),
            (format!("/api/approvals/{id}/approve"), digest.as_str()),
            (format!("/api/approvals/{id}/deny"), digest.as_str()),
        ] {
            let answer = bench.call("POST", &path, Some(&cookie), body).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, "AIOS-CONSOLE-0023".to_owned()),
                "{path:.80}"
            );
        }
    }
}

#[tokio::test]
async fn one_verification_of_the_log_at_a_time() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    for _ in 0..20 {
        let goal = bench
            .call("POST", "/api/goals", Some(&cookie), "{\"text\":\"free space\"}")
            .await;
        assert_eq!(goal.status, 201, "{goal:?}");
    }
    let verify = || bench.call("GET", "/api/audit/verify", Some(&cookie), "");
    let answers = futures_util::future::join_all((0..20).map(|_| verify())).await;
    let (mut whole, mut refused) = (0, 0);
    for answer in answers {
        match answer.status {
            200 => whole += 1,
            status => {
                assert_eq!((status, answer.code()), (429, "AIOS-CONSOLE-0032".to_owned()));
                refused += 1;
            }
        }
    }
    assert!(whole > 0 && refused > 0, "{whole} whole, {refused} refused");
    assert_eq!(verify().await.status, 200);
}

#[tokio::test]
async fn live_streams_are_counted_and_a_closed_one_makes_room() {
    let bench = Bench::new().await;
    let cookie = bench.sign_in().await;
    let goal = bench
        .call("POST", "/api/goals", Some(&cookie), "{\"text\":\"free space\"}")
        .await
        .json();
    let path = format!("/api/goals/{}/events", goal["goal_id"].as_str().unwrap());
    let headers = bench.own_headers(Some(&cookie));
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = bench.open("GET", &path, &headers, "").await;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        open.push(stream);
    }
    let answer = bench.call("GET", &path, Some(&cookie), "").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "AIOS-CONSOLE-0033".to_owned())
    );
    assert_eq!(
        bench.call("GET", "/api/status", Some(&cookie), "").await.status,
        200
    );
    drop(open.pop());
    for _ in 0..500 {
        let mut stream = bench.open("GET", &path, &headers, "").await;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        if &begin == b"HTTP/1.1 200" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("a closed stream does not make room");
}
