//! One request and its answer, JSON both, for commands that ask those who are at work.

use crate::failure::Failure;
use crate::import::Token;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::fmt::Display;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Somebody who is asked over plain HTTP.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    base: &'a str,
    token: Option<&'a Token>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl<'a> Asking<'a> {
    /// Asks at a URL, with a token if there is one.
    ///
    /// # Errors
    /// When it is no URL of the kind.
    pub(crate) fn new(url: &'a str, token: Option<&'a Token>) -> Result<Self, Failure> {
        if !url.starts_with("http://") {
            return Err(Failure::Usage(format!("{url} is not a URL of the form http://host:port")));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { base: url.trim_end_matches('/'), token, client })
    }

    /// Status and body of an answer, whatever they are.
    ///
    /// # Errors
    /// When there is no answer, or it is no JSON.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Value), Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default()));
        let request = request.map_err(|error| self.failed(&error))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| self.failed(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| self.failed(&error))?.to_bytes()))
        };
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await;
        let (status, body): (StatusCode, Bytes) =
            answered.unwrap_or_else(|_| Err(self.failed(&"it does not answer")))?;
        let answer = serde_json::from_slice(&body).map_err(|error| self.failed(&error))?;
        Ok((status, answer))
    }

    /// What a refusal says.
    pub(crate) fn refused(&self, status: StatusCode, answer: &Value) -> Failure {
        let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
        self.failed(&format_args!("{status} {}: {}", text("code"), text("detail")))
    }

    fn failed(&self, reason: &dyn Display) -> Failure {
        Failure::Part(format!("{}: {reason}", self.base))
    }
}
