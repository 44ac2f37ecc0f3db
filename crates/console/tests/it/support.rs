//! A console on a loopback port with doubles behind it, and a small HTTP client without any help of
//! its own: every header is what a test sets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aios_auth::key::SecretKey;
use aios_auth::person::PersonKey;
use aios_client::Services;
use aios_client::doubles::{ALL, Doubles};
use aios_console::{Console, Settings};
use aios_core::clock::{Clock, SystemClock};
use aios_core::paths::Paths;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::{CreateSignInRequest, EnrolPersonRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code of an error answer, which must have all its parts.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(
            json["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{self:?}"
        );
        assert!(json["next_step"].is_string(), "{self:?}");
        json["code"].as_str().unwrap().to_owned()
    }
}

/// The console under test.
pub(crate) struct Bench {
    pub(crate) address: SocketAddr,
    pub(crate) root: tempfile::TempDir,
    person: Option<PersonKey>,
    _doubles: Option<Doubles>,
    _tasks: Tasks,
}

impl Bench {
    /// With all services and an enrolled person.
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let doubles = Doubles::start(
            &root.path().join("run"),
            &root.path().join("var"),
            Arc::new(SystemClock),
            &ALL,
        )
        .await
        .unwrap();
        let uid = rustix_uid(root.path());
        let key = PersonKey::new(uid, SecretKey::generate().unwrap());
        let request = EnrolPersonRequest {
            uid,
            name: "ada".into(),
            public_key: key.public().to_bytes().to_vec(),
            proof: None,
        };
        Services::new(doubles.run_dir())
            .guard()
            .await
            .unwrap()
            .enrol_person(request)
            .await
            .unwrap();
        Self {
            person: Some(key),
            _doubles: Some(doubles),
            ..Self::without_services(root).await
        }
    }

    /// With nobody behind it.
    pub(crate) async fn alone() -> Self {
        Self::without_services(tempfile::tempdir().unwrap()).await
    }

    async fn without_services(root: tempfile::TempDir) -> Self {
        let page = root.path().join("vendor/console/assets");
        std::fs::create_dir_all(&page).unwrap();
        std::fs::write(
            root.path().join("vendor/console/index.html"),
            "<!doctype html><title>aiOS</title>",
        )
        .unwrap();
        std::fs::write(page.join("index-1.js"), "export {}").unwrap();
        std::fs::write(root.path().join("vendor/secret.toml"), "key").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let console = Console::new(&Paths::development(root.path()), Settings::default());
        let tasks = Tasks::new();
        tasks.spawn("console", async move {
            aios_console::serve(listener, console).await.unwrap();
        });
        Self {
            address,
            root,
            person: None,
            _doubles: None,
            _tasks: tasks,
        }
    }

    /// A one-time code, as `aiosctl console open` makes it.
    pub(crate) async fn code(&self) -> String {
        let mut request = CreateSignInRequest { proof: None };
        self.person
            .as_ref()
            .unwrap()
            .prove(&mut request, SystemClock.now_ms())
            .unwrap();
        let services = Services::new(self.root.path().join("run"));
        services
            .guard()
            .await
            .unwrap()
            .create_sign_in(request)
            .await
            .unwrap()
            .into_inner()
            .code
    }

    /// Signs in; the cookie.
    pub(crate) async fn sign_in(&self) -> String {
        let body = format!("{{\"code\":\"{}\"}}", self.code().await);
        let answer = self
            .send("POST", "/api/signin", &self.own_headers(None), &body)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["set-cookie"].split(';').next().unwrap().to_owned()
    }

    /// The headers that the page's own requests have.
    pub(crate) fn own_headers(&self, cookie: Option<&str>) -> Vec<(String, String)> {
        let mut headers = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Origin".to_owned(), format!("http://{}", self.address)),
            ("X-Aios-Console".to_owned(), "1".to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(cookie.map(|cookie| ("Cookie".to_owned(), cookie.to_owned())));
        headers
    }

    /// A request as the page makes it.
    pub(crate) async fn call(&self, method: &str, path: &str, cookie: Option<&str>, body: &str) -> Answer {
        self.send(method, path, &self.own_headers(cookie), body).await
    }

    /// A request with exactly these headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Answer {
        let mut stream = self.open(method, path, headers, body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        parse(&String::from_utf8(bytes).unwrap())
    }

    /// A connection on which the request was sent.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

/// Our uid, which owns what we make.
fn rustix_uid(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().uid()
}

fn parse(text: &str) -> Answer {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked");
    Answer {
        status,
        headers,
        body: if chunked { unchunk(body) } else { body.to_owned() },
    }
}

fn unchunk(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    out
}
