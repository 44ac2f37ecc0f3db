//! Who is signed in: the session cookie, and the person behind it as the guard says.

use aios_proto::common::v1::{PersonProof, SessionProof, person_proof::Credential};
use aios_proto::guard::v1::CheckSessionRequest;
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;

use crate::Console;
use crate::error::ApiError;

const COOKIE_NAME: &str = "aios_session";
/// Length of a session's secret, bytes.
const SECRET_LEN: usize = 32;

/// A signed-in person. As an argument of a handler it makes the handler refuse everyone else.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) expires_at_ms: i64,
    pub(crate) secret: Secret,
}

/// A session's secret; prints `***`.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// The header that puts it into the browser, where no script can read it.
    pub(crate) fn cookie(&self, max_age_s: i64) -> Option<HeaderValue> {
        let secret = hex::encode(&self.0);
        let text = format!("{COOKIE_NAME}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}");
        HeaderValue::from_str(&text).ok()
    }
}

impl Person {
    /// The proof that a request is this person's.
    pub(crate) fn proof(&self) -> Option<PersonProof> {
        Some(PersonProof {
            credential: Some(Credential::Session(SessionProof {
                secret: self.secret.bytes(),
            })),
        })
    }
}

impl FromRequestParts<Console> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, ApiError> {
        let secret = secret_of(parts).ok_or_else(ApiError::unsigned)?;
        let request = CheckSessionRequest {
            secret: secret.bytes(),
        };
        let session = console
            .services
            .guard()
            .await?
            .check_session(request)
            .await?
            .into_inner();
        Ok(Self {
            name: session.person,
            expires_at_ms: session.expires_at_ms,
            secret,
        })
    }
}

fn secret_of(parts: &Parts) -> Option<Secret> {
    let headers = parts
        .headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = headers
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let text = pairs.find(|(name, _)| *name == COOKIE_NAME)?.1;
    hex::decode(text)
        .ok()
        .filter(|bytes| bytes.len() == SECRET_LEN)
        .map(Secret)
}
