//! The one door: every request passes here before anything is made of it.
//!
//! Invariant: closed by default. A path is open only if it stands in [`OPEN`]; what is no route is closed too, so that
//! nobody learns without a token which routes there are.
//! Invariant: behind the door every request has exactly one [`Principal`], and no `Authorization` any more.

use super::challenge::{Refused, unauthenticated};
use super::principal::{Principal, Scope};
use super::{Authentication, Authenticator};
use crate::problem::Problem;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

/// What anybody may ask: whether the process lives, whether it is ready, and what it can do.
pub const OPEN: [&str; 3] = ["/livez", "/readyz", "/openapi.json"];

/// The process's figures: [`Scope::Metrics`] where tokens are configured, open to the machine otherwise.
const METRICS: &str = "/metrics";

/// Begins the subprotocol that is a WebSocket's token.
const BEARER_PROTOCOL: &str = "bearer.";

/// Finds out who asks and says so in the request's extensions.
///
/// # Errors
/// 401 or 403 for whoever may not come in.
pub(crate) async fn authenticate(
    authentication: &Authentication,
    request: &mut Request,
) -> Result<(), Problem> {
    match authentication {
        Authentication::SameMachineOnly => {
            // Whoever calls the router within the process may say who asks; over HTTP nobody can.
            if request.extensions().get::<Principal>().is_none() {
                request.extensions_mut().insert(Principal::local());
            }
        }
        Authentication::Required(authenticator) => {
            let path = request.uri().path();
            let is_metrics = path == METRICS;
            if !(OPEN.contains(&path) || is_metrics && authenticator.is_development()) {
                let principal = identify(authenticator, request.headers()).await?;
                if is_metrics {
                    principal.require(Scope::Metrics)?;
                }
                request.extensions_mut().insert(principal);
            }
            // So that nothing behind this can write it into a log.
            request.headers_mut().remove(header::AUTHORIZATION);
            hide_bearer_of_socket(request.headers_mut());
        }
    }
    Ok(())
}

/// Whether a request carries a token that has been found to be good before.
pub(crate) fn knows(authenticator: &Authenticator, headers: &HeaderMap) -> bool {
    matches!(bearer(headers), Ok(Some(token)) if authenticator.knows(token))
}

async fn identify(authenticator: &Authenticator, headers: &HeaderMap) -> Result<Principal, Problem> {
    let Some(token) = bearer(headers)? else { return Err(unauthenticated()) };
    authenticator.principal(token).await.map_err(|refused| {
        tracing::debug!(%refused, "a token was refused");
        refused.into()
    })
}

/// The token of `Authorization: Bearer <token>`; `None` where the header is absent or has another scheme. Where it is absent,
/// a WebSocket may carry the token as `Sec-WebSocket-Protocol: bearer.<token>`: a browser lets a page say nothing else.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return bearer_of_socket(headers) };
    if values.next().is_some() {
        return Err(Refused::SeveralHeaders);
    }
    let value = value.to_str().map_err(|_| Refused::NotAToken)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_matches(' ');
    checked(token).map(Some)
}

/// The same, of the offered subprotocols of a WebSocket.
fn bearer_of_socket(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut tokens = offered.filter_map(|protocol| protocol.trim_matches(' ').strip_prefix(BEARER_PROTOCOL));
    match (tokens.next(), tokens.next()) {
        (None, _) => Ok(None),
        (Some(token), None) => checked(token).map(Some),
        (Some(_), Some(_)) => Err(Refused::SeveralHeaders),
    }
}

/// Takes the token out of the offered subprotocols; what is left is for the handler to choose from.
fn hide_bearer_of_socket(headers: &mut HeaderMap) {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<&str> = offered.filter_map(|value| value.to_str().ok()).collect();
    if !offered.iter().any(|value| value.contains(BEARER_PROTOCOL)) {
        return;
    }
    let offered =
        offered.iter().flat_map(|value| value.split(',')).map(|protocol| protocol.trim_matches(' '));
    let left: Vec<&str> = offered.filter(|protocol| !protocol.starts_with(BEARER_PROTOCOL)).collect();
    match HeaderValue::from_str(&left.join(", ")) {
        Ok(left) if !left.is_empty() => drop(headers.insert(header::SEC_WEBSOCKET_PROTOCOL, left)),
        _ => drop(headers.remove(header::SEC_WEBSOCKET_PROTOCOL)),
    }
}

fn checked(token: &str) -> Result<&str, Refused> {
    // `b64token` of RFC 6750, 2.1.
    let body = token.trim_end_matches('=');
    let is_token = !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    if is_token { Ok(token) } else { Err(Refused::NotAToken) }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            // A route that stands outside the frame, or is open and should not be: closed all the same.
            tracing::error!(path = parts.uri.path(), "a handler asks who asks, and nobody has looked");
            Problem::internal()
        })
    }
}
