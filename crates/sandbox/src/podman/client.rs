//! The endpoints of Podman's REST API that aiOS uses. One connection a request.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

use super::logs::LogStream;
use super::spec::Spec;
use aios_core::error::{Class, Coded};

/// Served by Podman 4 and 5.
const API: &str = "/v4.0.0/libpod";
/// Podman's database locks can hold a request up, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer that is longer is not one of ours.
const LONGEST_ANSWER: usize = 16 << 20;

/// Podman did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// The service does not answer.
    #[error("Podman does not answer on {}: {why}", socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("Podman did not finish `{request}` within {} s", PATIENCE.as_secs())]
    Slow {
        /// Method and path.
        request: String,
    },
    /// It refused.
    #[error("Podman refused `{request}` with {status}: {message}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The answer is not what the API promises.
    #[error("Podman answered `{request}` with something else: {why}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        why: String,
    },
    /// The service process could not be started or ended at once.
    #[error("Podman's service could not be started: {0}")]
    Start(String),
    /// A podman command failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command.
        command: String,
        /// Its last words.
        output: String,
    },
}

impl Coded for PodmanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "AIOS-SANDBOX-0030",
            Self::Slow { .. } => "AIOS-SANDBOX-0031",
            Self::Refused { .. } => "AIOS-SANDBOX-0032",
            Self::Answer { .. } => "AIOS-SANDBOX-0033",
            Self::Start(_) => "AIOS-SANDBOX-0034",
            Self::Command { .. } => "AIOS-SANDBOX-0035",
        }
    }
    fn next_step(&self) -> String {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => {
                "it is started again by itself; ask again".to_owned()
            }
            Self::Refused { .. } | Self::Answer { .. } | Self::Command { .. } => {
                "see `aiosctl service logs aios-sandbox`".to_owned()
            }
            Self::Start(_) => {
                "see that podman, a runtime and subordinate ids are set up: `cargo xtask setup`".to_owned()
            }
        }
    }
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Start(_) => Class::Unavailable,
            Self::Refused { .. } | Self::Answer { .. } | Self::Command { .. } => Class::Internal,
        }
    }
}

/// A client of one Podman socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// A container in a listing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Container id.
    pub id: String,
    /// Labels.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// An image in a listing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// Image id: the digest of its configuration, hex.
    pub id: String,
}

/// A container in full, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Container id.
    pub id: String,
    /// State.
    pub state: State,
}

/// Where a container stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// First process on the host, 0 when it does not run.
    pub pid: u32,
    /// Exit code of the last run.
    pub exit_code: i32,
    /// Whether the kernel killed it for memory.
    #[serde(default, rename = "OOMKilled")]
    pub oom_killed: bool,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

impl Client {
    /// A client of the service at `socket`, which need not run yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Podman's version, `4.3.1`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> Result<String, PodmanError> {
        self.get::<Version>("/version").await.map(|it| it.version)
    }

    /// Creates a container; gives its id and Podman's warnings.
    ///
    /// # Errors
    /// Podman refuses or does not answer.
    pub async fn create(&self, spec: &Spec) -> Result<(String, Vec<String>), PodmanError> {
        let body = serde_json::to_vec(spec).map_err(|error| PodmanError::Answer {
            request: "POST /containers/create".to_owned(),
            why: error.to_string(),
        })?;
        let bytes = self.send(Method::POST, "/containers/create", Some(body)).await?;
        let created: Created = decode("POST /containers/create", &bytes)?;
        Ok((created.id, created.warnings.unwrap_or_default()))
    }

    /// Starts a created or ended container.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn start(&self, id: &str) -> Result<(), PodmanError> {
        self.post(&format!("/containers/{id}/start")).await
    }

    /// Ends a container: SIGTERM, then SIGKILL after `grace`.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), PodmanError> {
        self.post(&format!(
            "/containers/{id}/stop?timeout={}",
            grace.as_secs().max(1)
        ))
        .await
    }

    /// Freezes a container (cgroup v2).
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn pause(&self, id: &str) -> Result<(), PodmanError> {
        self.post(&format!("/containers/{id}/pause")).await
    }

    /// Thaws a frozen container.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn unpause(&self, id: &str) -> Result<(), PodmanError> {
        self.post(&format!("/containers/{id}/unpause")).await
    }

    /// Kills and removes a container; one that is not there is removed already.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn remove(&self, id: &str) -> Result<(), PodmanError> {
        match self
            .send(
                Method::DELETE,
                &format!("/containers/{id}?force=true&timeout=0"),
                None,
            )
            .await
        {
            Ok(_) | Err(PodmanError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One container.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn inspect(&self, id: &str) -> Result<Container, PodmanError> {
        self.get(&format!("/containers/{id}/json")).await
    }

    /// Every container that has `label`, running or not.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn list(&self, label: &str) -> Result<Vec<Summary>, PodmanError> {
        // {"label":["NAME"]}, percent-encoded.
        let path = format!("/containers/json?all=true&filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D");
        self.get(&path).await
    }

    /// Every image.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn images(&self) -> Result<Vec<Image>, PodmanError> {
        self.get("/images/json").await
    }

    /// The container's output: its last `last` lines, then what comes when `follow`.
    ///
    /// Podman 4 reads the tail of a log backwards, and hangs a line that was written in several pieces on the
    /// line before it, pieces reversed. Forwards they come in order; so the lines are counted first, and those
    /// before the last ones left out here. A log is never longer than [`Spec`] allows, which keeps that cheap.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn logs(&self, id: &str, last: u32, follow: bool) -> Result<LogStream, PodmanError> {
        let path = format!("/containers/{id}/logs?stdout=true&stderr=true&follow=");
        let request = || format!("GET {path}false");
        let count = async {
            let answer = self.open(Method::GET, &format!("{path}false"), None).await?;
            let lines = LogStream::new(answer.into_body(), 0).count().await;
            lines.map_err(|why| PodmanError::Answer {
                request: request(),
                why,
            })
        };
        let lines = tokio::time::timeout(PATIENCE, count)
            .await
            .map_err(|_| PodmanError::Slow { request: request() })??;
        let before = lines.saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
        let answer = self.open(Method::GET, &format!("{path}{follow}"), None).await?;
        Ok(LogStream::new(answer.into_body(), before))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PodmanError> {
        decode(&format!("GET {path}"), &self.send(Method::GET, path, None).await?)
    }

    async fn post(&self, path: &str) -> Result<(), PodmanError> {
        self.send(Method::POST, path, None).await.map(|_| ())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Bytes, PodmanError> {
        let request = format!("{method} {path}");
        let exchange = async {
            let response = self.open(method, path, body).await?;
            collect(&request, response.into_body()).await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(result) => result,
            Err(_) => Err(PodmanError::Slow { request }),
        }
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, PodmanError> {
        let name = format!("{method} {path}");
        let mut sender = self.connect().await?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{API}{path}"))
            .header("host", "podman")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| PodmanError::Answer {
                request: name.clone(),
                why: error.to_string(),
            })?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        // "Not modified" says that a container is already started or stopped.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let bytes = collect(&name, response.into_body()).await?;
        let message = serde_json::from_slice::<Fault>(&bytes).map_or_else(
            |_| String::from_utf8_lossy(&bytes).into_owned(),
            |fault| fault.message,
        );
        Err(PodmanError::Refused {
            request: name,
            status: status.as_u16(),
            message,
        })
    }

    async fn connect(&self) -> Result<hyper::client::conn::http1::SendRequest<Full<Bytes>>, PodmanError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the sender or the body, whose drop closes the connection"
        )]
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to Podman ended");
            }
        });
        Ok(sender)
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> PodmanError {
        PodmanError::Unreachable {
            socket: self.socket.clone(),
            why: error.to_string(),
        }
    }
}

async fn collect(request: &str, body: Incoming) -> Result<Bytes, PodmanError> {
    let limited = Limited::new(body, LONGEST_ANSWER);
    limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| PodmanError::Answer {
            request: request.to_owned(),
            why: error.to_string(),
        })
}

fn decode<T: DeserializeOwned>(request: &str, bytes: &[u8]) -> Result<T, PodmanError> {
    serde_json::from_slice(bytes).map_err(|error| PodmanError::Answer {
        request: request.to_owned(),
        why: error.to_string(),
    })
}
