//! Who asks, for routes that are no commands of the domain.

use crate::request::origin;
use crate::service::Origin;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use http_kit::auth::{Principal, Scope};
use http_kit::problem::Problem;

/// Who asks and how, before it is known what the token permits.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Origin);

impl Caller {
    /// The principal, whatever its token permits: for what everybody may read.
    pub(crate) fn any(self) -> Principal {
        self.0.principal
    }

    /// Who asks and how, if the token permits this.
    pub(crate) fn with(self, scope: Scope) -> Result<Origin, Problem> {
        self.0.principal.require(scope)?;
        Ok(self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        Ok(Self(origin(&parts.headers, principal)))
    }
}
