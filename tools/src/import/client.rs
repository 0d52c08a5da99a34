//! The command API as an import sees it: one resource, `/api/v1/batch`, over kept-alive HTTP/1.1 connections.
//!
//! Invariant: a batch is sent again only because every command in it has an idempotency key; how often is bounded.

use super::Token;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

/// Times that a batch is sent before its import is given up.
pub(super) const ATTEMPTS_MAX: u32 = 9;
/// The first pause between two attempts; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest pause, and the longest `Retry-After` that is obeyed.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the server may take for one batch.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not the address of a command API.
    #[error("{url} is not a URL of the form http://host:port")]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody answers there.
    #[error("cannot reach the command API at {url}: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the operating system said.
        reason: String,
    },
    /// The server does not recover.
    #[error("the command API at {url} is not able to take more: {reason}")]
    Unable {
        /// Where.
        url: String,
        /// What it said last.
        reason: String,
    },
    /// It does not know who asks, or does not permit it.
    #[error(
        "the command API at {url} does not take this: {reason}; a token with the scope import is read from --token-file, \
         SUNDAY_TOKEN_FILE or SUNDAY_TOKEN"
    )]
    Denied {
        /// Where.
        url: String,
        /// What it said.
        reason: String,
    },
    /// An answer that no command API gives.
    #[error("unexpected answer from {url}: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What is odd about it.
        reason: String,
    },
}

/// What the server said of a whole batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// It judged every command; the body says how.
    Judged(Bytes),
    /// It could not read the batch, or would not take it: the code and the detail of the problem.
    Refused(String),
}

/// A body with results; borrowed from the answer.
#[derive(Debug, Deserialize)]
pub(super) struct Judgement<'a> {
    /// The highest position of the batch, exclusive.
    pub position: u64,
    /// One per command, in order.
    #[serde(borrow)]
    pub results: Vec<Verdict<'a>>,
}

/// What became of one command.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict<'a> {
    /// `applied`, `unchanged`, `duplicate` or `rejected`.
    pub status: &'a str,
    /// Why it was rejected.
    #[serde(borrow)]
    pub problem: Option<Problem<'a>>,
}

/// RFC 9457, as far as an import needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Problem<'a> {
    /// HTTP's.
    #[serde(default)]
    pub status: u16,
    /// The stable name.
    #[serde(borrow, default)]
    pub code: Cow<'a, str>,
    /// For people.
    #[serde(borrow, default)]
    pub detail: Cow<'a, str>,
}

impl Problem<'_> {
    /// Whether the command may be judged otherwise when it is sent again.
    pub(super) fn is_passing(&self) -> bool {
        self.status >= 500 || self.status == 429 || self.is_conflict()
    }

    /// Whether others were quicker every time that the server tried: an import demands no versions of its own.
    pub(super) fn is_conflict(&self) -> bool {
        self.code == "version_conflict"
    }

    /// As one line.
    pub(super) fn reason(&self) -> String {
        match (&*self.code, &*self.detail) {
            ("", "") => format!("status {}", self.status),
            (code, "") => code.to_owned(),
            (code, detail) => format!("{code}: {detail}"),
        }
    }
}

/// A client of one command API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    url: String,
    batch: Uri,
    alive: Uri,
    token: Option<Token>,
}

impl Client {
    /// A client of the command API at `url`, with this token; a path is kept.
    ///
    /// # Errors
    /// When `url` is none of HTTP's.
    pub(super) fn new(url: &str, token: Option<Token>) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/');
        let bad = || ClientError::Url { url: url.to_owned() };
        if !base.starts_with("http://") {
            return Err(bad());
        }
        let uri = |path: &str| format!("{base}{path}").parse::<Uri>().map_err(|_| bad());
        let (batch, alive) = (uri("/api/v1/batch")?, uri("/livez")?);
        if batch.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, url: base.to_owned(), batch, alive, token })
    }

    /// Whether somebody answers.
    ///
    /// # Errors
    /// When nobody does.
    pub(super) async fn reach(&self) -> Result<(), ClientError> {
        match self.http.get(self.alive.clone()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Sends a batch until it is judged or refused.
    ///
    /// # Errors
    /// When the server stays away or unable for [`ATTEMPTS_MAX`] attempts.
    pub(super) async fn send(&self, body: Bytes) -> Result<Answer, ClientError> {
        let mut failed = None;
        for attempt in 0..ATTEMPTS_MAX {
            let sent = tokio::time::timeout(ANSWER_TIME_MAX, self.post(body.clone())).await;
            let (error, after) = match sent {
                Ok(Ok((status, _, bytes))) if status == StatusCode::OK => return Ok(Answer::Judged(bytes)),
                Ok(Ok((status, after, bytes))) => {
                    let reason = refusal(status, &bytes);
                    match status {
                        StatusCode::BAD_REQUEST
                        | StatusCode::PAYLOAD_TOO_LARGE
                        | StatusCode::UNPROCESSABLE_ENTITY => return Ok(Answer::Refused(reason)),
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                            return Err(ClientError::Denied { url: self.url.clone(), reason });
                        }
                        // Not about what was sent: this is no command API, or not one for us.
                        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                            return Err(
                                self.unexpected(format!("{reason}; is this the address of a command API?"))
                            );
                        }
                        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                            return Err(self.unexpected(reason));
                        }
                        _ => (self.unable(reason), after),
                    }
                }
                Ok(Err(error)) => (self.unreachable(&*error), None),
                Err(_) => {
                    let reason = format!("no answer within {} s", ANSWER_TIME_MAX.as_secs());
                    (ClientError::Unreachable { url: self.url.clone(), reason }, None)
                }
            };
            tracing::debug!(attempt, %error, "a batch is sent again");
            failed = Some(error);
            tokio::time::sleep(after.unwrap_or_else(|| pause(attempt)).min(PAUSE_MAX)).await;
        }
        let url = self.url.clone();
        Err(failed.unwrap_or(ClientError::Unreachable { url, reason: "no attempt was made".to_owned() }))
    }

    /// An error about an answer of this server.
    pub(super) fn unexpected(&self, reason: impl Into<String>) -> ClientError {
        ClientError::Unexpected { url: self.url.clone(), reason: reason.into() }
    }

    /// An error about what this server says of itself.
    pub(super) fn unable(&self, reason: impl Into<String>) -> ClientError {
        ClientError::Unable { url: self.url.clone(), reason: reason.into() }
    }

    async fn post(
        &self,
        body: Bytes,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), Box<dyn Error + Send + Sync>> {
        let mut request = Request::post(self.batch.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        let request = request.body(Full::new(body))?;
        let response = self.http.request(request).await?;
        let (status, after) = (response.status(), retry_after(&response));
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, after, bytes))
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> ClientError {
        // The innermost cause says what a person needs: "connection refused".
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        ClientError::Unreachable { url: self.url.clone(), reason: cause.to_string() }
    }
}

/// The pause after this attempt, from 0.
pub(super) fn pause(attempt: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX)
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Problem<'_>>(body) {
        Ok(problem) => problem.reason(),
        Err(_) => status.to_string(),
    }
}
