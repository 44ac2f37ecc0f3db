//! Telling programs and addresses of approvals that wait.

use crate::support::{Bench, id_after};
use aiosctl::Exit;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An instance with one approval that waits, and its id.
async fn waiting() -> (Bench, String) {
    let bench = Bench::enrolled().await;
    let ran = bench
        .run(&["goal", "run", "free space under /var/tmp/logs"])
        .await;
    assert_eq!(ran.exit, Exit::NeedsApproval, "{ran:?}");
    let listed = bench.run(&["--json", "approval", "list"]).await.json();
    let id = listed[0]["approval_id"].as_str().unwrap().to_owned();
    (bench, id)
}

fn shell(script: &str) -> [String; 3] {
    ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]
}

async fn once(bench: &Bench, command: &[String]) -> crate::support::Ran {
    let mut words = vec!["approval", "notify", "--once", "--"];
    words.extend(command.iter().map(String::as_str));
    bench.run(&words).await
}

#[tokio::test]
async fn a_program_gets_the_approval_as_json_and_nothing_of_its_arguments() {
    let (bench, id) = waiting().await;
    let out = bench.path("told");
    let ran = once(
        &bench,
        &shell(&format!("cat > {}; env >> {}.env", out.display(), out.display())),
    )
    .await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    assert_eq!(id_after(&ran.out, "approval "), id);
    let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(
        (&told["kind"], &told["approval_id"]),
        (&"approval.pending".into(), &id.as_str().into())
    );
    assert!(!told["summary"].as_str().unwrap().is_empty() && told.get("args").is_none());
    let environment = std::fs::read_to_string(bench.path("told.env")).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn a_program_that_fails_or_is_not_there_is_named() {
    let (bench, id) = waiting().await;
    for (command, part) in [
        (shell("exit 3"), "exit status: 3"),
        (
            ["/nonexistent/x".to_owned(), String::new(), String::new()],
            "cannot be run",
        ),
    ] {
        let ran = once(&bench, &command).await;
        assert_eq!(ran.exit, Exit::Failed, "{ran:?}");
        assert!(ran.err.contains(part) && ran.err.contains(&id), "{ran:?}");
    }
    let relative = once(&bench, &["sh".to_owned()]).await;
    assert!(relative.err.contains("AIOS-CLI-0018"), "{relative:?}");
}

#[tokio::test]
async fn who_could_not_be_told_is_tried_again_and_who_was_is_not() {
    let (bench, _) = waiting().await;
    let (tried, out) = (bench.path("tried"), bench.path("out"));
    let script = format!(
        "echo x >> {tried}; test $(wc -l < {tried}) -gt 1 && cat >> {out}",
        tried = tried.display(),
        out = out.display()
    );
    let script = shell(&script);
    let mut words = vec!["approval", "notify", "--every-ms", "50", "--"];
    words.extend(script.iter().map(String::as_str));
    let forever = tokio::time::timeout(Duration::from_millis(2500), bench.run(&words)).await;
    assert!(forever.is_err(), "it ends only when it is interrupted");
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 1);
    assert_eq!(std::fs::read_to_string(&tried).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn nobody_is_told_of_what_was_decided() {
    let (bench, id) = waiting().await;
    bench.run(&["approval", "deny", &id]).await;
    let ran = once(&bench, &shell("exit 1")).await;
    assert!(ran.exit == Exit::Done && ran.out.is_empty(), "{ran:?}");
}

/// Answers each connection with the next status line; gives back what was sent.
async fn server(statuses: &'static [&'static str]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    let serving = tokio::spawn(async move {
        let mut sent = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            while !text.contains("\r\n\r\n") || !text.ends_with('}') {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).await.unwrap();
                assert!(read > 0, "cut off after {text}");
                text.push_str(std::str::from_utf8(&part[..read]).unwrap());
            }
            sent.push(text);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        sent
    });
    (url, serving)
}

#[tokio::test]
async fn an_address_gets_a_post_and_must_answer_well() {
    let (bench, id) = waiting().await;
    let (url, serving) = server(&["500 No", "302 Found", "204 Good"]).await;
    let words = ["approval", "notify", "--once", "--post", &url];
    for problem in ["answered 500", "answered 302"] {
        let ran = bench.run(&words).await;
        assert!(ran.exit == Exit::Failed && ran.err.contains(problem), "{ran:?}");
    }
    assert_eq!(bench.run(&words).await.exit, Exit::Done);
    for sent in serving.await.unwrap() {
        assert!(sent.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{sent}");
        let body = sent.split_once("\r\n\r\n").unwrap().1;
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["approval_id"], id.as_str());
    }
    let gone = bench.run(&words).await;
    assert!(
        gone.exit == Exit::Failed && gone.err.contains("cannot be reached"),
        "{gone:?}"
    );
}
