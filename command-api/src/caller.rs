//! Who asks, for routes that are no commands of the domain.

use crate::problems::problem;
use crate::request::origin;
use crate::service::{Origin, Refusal};
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
        if self.0.principal.may(scope) {
            Ok(self.0)
        } else {
            Err(problem(&Refusal::InsufficientScope { needs: scope }))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        origin(&parts.headers, &parts.extensions).map(Self)
    }
}
