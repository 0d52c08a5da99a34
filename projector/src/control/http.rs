//! Decisions written by the command API, over HTTP: for a projector that is a process of its own.
//!
//! Invariant: the token stands in no output. It is read anew for each decision, so it can be replaced at any time.

use super::decisions::{DecisionError, Decisions};
use bytes::Bytes;
use domain::system::projections::ControlEvent;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long the command API may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Where a token stands, if not in a file.
const VARIABLE: &str = "SUNDAY_TOKEN";

/// This is not where a command API is.
#[derive(Debug, thiserror::Error)]
#[error("{url} is not a URL of the form http://host:port")]
pub struct HttpDecisionsError {
    url: String,
}

/// Hands decisions to a command API.
pub struct HttpDecisions {
    url: String,
    token_file: Option<PathBuf>,
    /// Where the command API of this data directory leaves its development token.
    development_token: PathBuf,
}

impl fmt::Debug for HttpDecisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDecisions").field("url", &self.url).finish_non_exhaustive()
    }
}

/// RFC 9457, as far as it is needed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl HttpDecisions {
    /// To the command API at `url`. The token is in `token_file`, or else in `SUNDAY_TOKEN`, or else the development token
    /// of this data directory.
    ///
    /// # Errors
    /// When `url` is none of HTTP's.
    pub fn new(
        url: &str,
        token_file: Option<PathBuf>,
        data_dir: &std::path::Path,
    ) -> Result<Self, HttpDecisionsError> {
        let bad = || HttpDecisionsError { url: url.to_owned() };
        let url = url.trim_end_matches('/').to_owned();
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        Ok(Self { url, token_file, development_token: data_dir.join("keys").join("development.token") })
    }

    fn token(&self) -> Result<Option<HeaderValue>, DecisionError> {
        let text = match &self.token_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                DecisionError::Unavailable(format!(
                    "the token cannot be read from {}: {error}",
                    path.display()
                ))
            })?),
            None => std::env::var(VARIABLE)
                .ok()
                .filter(|text| !text.trim().is_empty())
                // Without one the command API says whether it wants one.
                .or_else(|| std::fs::read_to_string(&self.development_token).ok()),
        };
        let Some(text) = text else { return Ok(None) };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .map_err(|_| DecisionError::Unavailable("the token cannot stand in a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn send(&self, projection: &str, body: Vec<u8>) -> Result<(), DecisionError> {
        let unavailable = |reason: String| DecisionError::Unavailable(reason);
        let uri = format!("{}/api/v1/projections/{projection}/decisions", self.url);
        let mut request = Request::post(uri).header(CONTENT_TYPE, "application/json");
        if let Some(token) = self.token()? {
            request = request.header(AUTHORIZATION, token);
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| unavailable(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await;
        let answer = answer.map_err(|error| unavailable(format!("cannot reach {}: {error}", self.url)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let Problem { code, detail } = serde_json::from_slice(&body).unwrap_or_default();
        let reason = format!("{} says {status} {code}: {detail}", self.url);
        match status {
            // It has been judged, and will not be judged otherwise.
            StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Err(DecisionError::Refused(reason)),
            // A token may be replaced, a server too.
            _ => Err(unavailable(reason)),
        }
    }
}

impl Decisions for HttpDecisions {
    fn write(&self, projection: &'static str, event: &ControlEvent) -> Result<(), DecisionError> {
        let unavailable = |error: &dyn fmt::Display| DecisionError::Unavailable(error.to_string());
        let body = serde_json::to_vec(event).map_err(|error| DecisionError::Refused(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(&error))?;
        runtime.block_on(async {
            let sent = tokio::time::timeout(ANSWER_TIME_MAX, self.send(projection, body)).await;
            sent.unwrap_or_else(|_| Err(DecisionError::Unavailable(format!("{} does not answer", self.url))))
        })
    }
}
