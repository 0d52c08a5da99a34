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
use axum::http::{HeaderMap, header};

/// What anybody may ask: whether the process lives, whether it is ready, and what it can do.
pub const OPEN: [&str; 3] = ["/livez", "/readyz", "/openapi.json"];

/// The process's figures: [`Scope::Metrics`] where tokens are configured, open to the machine otherwise.
const METRICS: &str = "/metrics";

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

/// The token of `Authorization: Bearer <token>`; `None` where the header is absent or has another scheme.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::SeveralHeaders);
    }
    let value = value.to_str().map_err(|_| Refused::NotAToken)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_matches(' ');
    // `b64token` of RFC 6750, 2.1.
    let body = token.trim_end_matches('=');
    let is_token = !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    if is_token { Ok(Some(token)) } else { Err(Refused::NotAToken) }
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
