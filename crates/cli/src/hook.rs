//! Telling somebody outside of aiOS: a program that gets JSON on its standard input, or an address that gets it as a
//! POST. One attempt with a deadline; trying again is the caller's.

use std::process::Stdio;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

/// Longest time of one attempt.
const DEADLINE: Duration = Duration::from_secs(20);

/// Whom to tell.
#[derive(Debug, Clone)]
pub(crate) enum Hook {
    /// A program with its arguments, by absolute path.
    Program(Vec<String>),
    /// An address.
    Post(Uri),
}

impl Hook {
    /// Its name for a person.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Program(command) => command.first().cloned().unwrap_or_default(),
            Self::Post(uri) => uri.to_string(),
        }
    }

    /// Tells it once.
    ///
    /// # Errors
    /// Why it does not know, in words.
    pub(crate) async fn tell(&self, json: &str) -> Result<(), String> {
        let told = async {
            match self {
                Self::Program(command) => run(command, json).await,
                Self::Post(uri) => post(uri, json).await,
            }
        };
        tokio::time::timeout(DEADLINE, told)
            .await
            .unwrap_or_else(|_| Err(format!("no end within {} s", DEADLINE.as_secs())))
    }
}

/// No shell, and nothing of this process's environment. A program that is given up on is killed.
async fn run(command: &[String], json: &str) -> Result<(), String> {
    let [program, arguments @ ..] = command else {
        return Err("no program is named".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read is judged by how it ends.
        let _closed = stdin.write_all(format!("{json}\n").as_bytes()).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    Err(format!("ended with {status}"))
}

/// One connection for one request; a redirect is no answer.
async fn post(uri: &Uri, json: &str) -> Result<(), String> {
    let host = uri.host().unwrap_or_default();
    let address = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("cannot be reached: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json.to_owned())))
        .map_err(|error| error.to_string())?;
    let answer = async { sender.send_request(request).await };
    tokio::pin!(answer, connection);
    // The connection moves only while somebody waits for it.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => return Err(error.to_string()),
        },
    };
    let status = answer.map_err(|error| error.to_string())?.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("answered {status}"))
}
