//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use http_kit::auth::{Principal, Scope};
use http_kit::problem::Problem;

/// The principal of a request, before it is known what its token permits.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Principal);

impl Caller {
    /// The principal, if its token permits this.
    pub(crate) fn with(self, scope: Scope) -> Result<Principal, Problem> {
        if self.0.may(scope) {
            return Ok(self.0);
        }
        let detail = format!("the token lacks the scope {scope}");
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).with("scope", scope.name()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get().cloned().unwrap_or_else(Principal::local)))
    }
}
