//! The log of another Sunday, as its query API gives it out.
//!
//! Invariant: what may pass (nobody answers, somebody is starting or overloaded) is told apart from what will not; only
//! the first is tried again.

use crate::import::Token;
use bytes::Bytes;
use eventstore::{Digest, Lineage, LogOffset, Position, ReplicaError, SegmentPiece};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// How long the source waits for something new before it says that there is nothing, milliseconds.
const WAIT_MS: u64 = 2_000;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// No answer is longer: a frame has some 16 MiB at most, what a crash leaves behind one is not much more.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why the source gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It may be otherwise in a moment.
    #[error("{0}")]
    Passing(String),
    /// It is there, and cannot answer now.
    #[error("{0}")]
    Busy(String),
    /// It does not have this place; why is to be asked.
    #[error("{0}")]
    Misplaced(String),
    /// It is not what a standby can follow.
    #[error(transparent)]
    Refused(#[from] ReplicaError),
    /// It does not speak as a query API does.
    #[error("unexpected answer from {url}: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What is odd about it.
        reason: String,
    },
}

/// How a standby's place is seen by the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is one of its own; it ends at this position.
    Known(Position),
    /// The source does not reach that far.
    Behind,
    /// The source has another chain head there.
    Other(Digest),
}

/// A client of one query API.
#[derive(Debug)]
pub(super) struct Source {
    http: HttpClient<HttpConnector, Empty<Bytes>>,
    url: String,
    token: Option<Token>,
}

/// `/api/v1/log`, as far as it is needed.
#[derive(Deserialize)]
struct Place {
    store: Uuid,
    position: u64,
}

/// RFC 9457, as far as it is needed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    store: Option<Uuid>,
    chain: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Source {
    /// A client of the query API at `url`; `None` when that is no URL of the form `http://host:port`.
    pub(super) fn new(url: &str, token: Option<Token>) -> Option<Self> {
        let base = url.trim_end_matches('/');
        let uri: Uri = base.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return None;
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Some(Self { http, url: base.to_owned(), token })
    }

    /// Asks whether the source knows a place, or, without one, whether it is there.
    pub(super) async fn look(&self, own: Option<&Lineage>) -> Result<Seen, SourceError> {
        let path = match own {
            Some(Lineage { store, next, chain }) => {
                format!("/api/v1/log?store={store}&position={next}&chain={chain}")
            }
            None => "/api/v1/log".to_owned(),
        };
        let answer = self.get(&path).await?;
        if answer.status == StatusCode::OK {
            let place: Place =
                serde_json::from_slice(&answer.body).map_err(|error| self.unexpected(&error))?;
            return match own {
                Some(own) if own.store != place.store => {
                    Err(ReplicaError::OtherStore { expected: own.store, found: place.store }.into())
                }
                _ => Ok(Seen::Known(Position::new(place.position))),
            };
        }
        let problem = problem(&answer);
        match (problem.code.as_str(), problem.chain.as_deref().map(Digest::from_str), own) {
            ("beyond_end", ..) => Ok(Seen::Behind),
            ("diverged", Some(Ok(chain)), _) => Ok(Seen::Other(chain)),
            ("other_store", _, Some(own)) => {
                let found = problem.store.unwrap_or_default();
                Err(ReplicaError::OtherStore { expected: own.store, found }.into())
            }
            _ => Err(self.failed(&answer, &problem)),
        }
    }

    /// What comes at a place, with the position that the source has reached; waits a little when there is nothing yet.
    pub(super) async fn piece(&self, place: LogOffset) -> Result<(SegmentPiece, Position), SourceError> {
        let (segment, offset) = (place.segment(), place.offset());
        let path = format!("/api/v1/log/segments/{segment}?offset={offset}&waitMs={WAIT_MS}");
        let answer = self.get(&path).await?;
        if answer.status != StatusCode::OK {
            let problem = problem(&answer);
            return Err(match problem.code.as_str() {
                "not_a_frame" => SourceError::Misplaced(problem.detail),
                // A standby that is fed by the same leader may lack a mark that is here already.
                "no_such_segment" | "beyond_end" => SourceError::Passing(problem.detail),
                _ => self.failed(&answer, &problem),
            });
        }
        let piece = SegmentPiece {
            store: self.header(&answer, "sunday-store")?,
            segment,
            offset,
            ended: self.header(&answer, "sunday-segment-ended")?,
            is_tail: self.header(&answer, "sunday-segment-tail")?,
            bytes: answer.body.to_vec(),
        };
        Ok((piece, Position::new(self.header(&answer, "sunday-position")?)))
    }

    async fn get(&self, path: &str) -> Result<Answer, SourceError> {
        let uri = format!("{}{path}", self.url).parse::<Uri>().map_err(|error| self.unexpected(&error))?;
        let asked = async {
            let mut request = Request::get(uri).body(Empty::new())?;
            if let Some(token) = &self.token {
                request.headers_mut().insert(AUTHORIZATION, token.header());
            }
            let response = self.http.request(request).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, Box<dyn Error + Send + Sync>>(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        match tokio::time::timeout(ANSWER_TIME_MAX, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(SourceError::Passing(format!("{}: {}", self.url, innermost(&*error)))),
            Err(_) => {
                let seconds = ANSWER_TIME_MAX.as_secs();
                Err(SourceError::Passing(format!("{}: no answer within {seconds} s", self.url)))
            }
        }
    }

    fn header<T: FromStr>(&self, answer: &Answer, name: &str) -> Result<T, SourceError> {
        let value = answer.headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        value.ok_or_else(|| self.unexpected(&format_args!("it has no usable header {name}")))
    }

    fn failed(&self, answer: &Answer, problem: &Problem) -> SourceError {
        let Answer { status, .. } = answer;
        let reason = match (problem.code.as_str(), problem.detail.as_str()) {
            ("", _) => status.to_string(),
            ("no_such_route", detail) => format!("{detail}; is this the address of a query API?"),
            (code, detail) => format!("{code}: {detail}"),
        };
        if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS {
            SourceError::Busy(format!("{}: {reason}", self.url))
        } else {
            self.unexpected(&reason)
        }
    }

    fn unexpected(&self, reason: &dyn Display) -> SourceError {
        SourceError::Unexpected { url: self.url.clone(), reason: reason.to_string() }
    }
}

fn problem(answer: &Answer) -> Problem {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The innermost cause says what a person needs: "connection refused".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
