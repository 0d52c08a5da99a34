//! Refusals of those who are not known, or may not: RFC 6750 says how they look.
//!
//! Invariant: what is said of a token never repeats any of it, and whoever sent none is not told why one would fail.

use super::principal::{Principal, Scope};
use crate::problem::Problem;
use axum::http::{HeaderValue, StatusCode, header};

/// Why a token does not count. The words go to the client, inside a quoted string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// More than one `Authorization`.
    #[error("the Authorization header stands more than once")]
    SeveralHeaders,
    /// `Bearer` and then nothing, or what no token has.
    #[error("what stands behind Bearer is no token")]
    NotAToken,
    /// It is too long to be looked at.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// It is not the development token, and no other is taken.
    #[error("it is not the development token of this server")]
    NotTheDevelopmentToken,
    /// No JWT, or one with a header that cannot be read.
    #[error("it is not a JWT signed with EdDSA or ES256")]
    Malformed,
    /// `typ` says that it is something else.
    #[error("its typ is neither JWT nor at+jwt")]
    ForeignType,
    /// `crit` asks for something that is not understood here.
    #[error("it has critical headers, and none are understood here")]
    Critical,
    /// No key of the issuer has this name.
    #[error("it is signed with a key that is not known")]
    UnknownKey,
    /// It says another algorithm than its key has.
    #[error("its alg is not the one of its key")]
    ForeignAlgorithm,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing, or is not what it has to be.
    #[error("a claim is missing or has the wrong form: exp, iss, aud and sub are required")]
    Claims,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("it is not valid yet")]
    NotYetValid,
    /// `iss` is somebody else.
    #[error("it is from another issuer")]
    ForeignIssuer,
    /// `aud` is somebody else.
    #[error("it is for another audience")]
    ForeignAudience,
    /// `sub` is empty, or too long, or has control characters.
    #[error("its sub is not one to 200 visible characters")]
    Subject,
    /// It lives longer than tokens may here.
    #[error("it is valid for longer than tokens may be here")]
    LivesTooLong,
    /// `tenant` is neither `*` nor a UUID nor a list of them.
    #[error("its tenant is neither * nor a UUID nor a list of UUIDs")]
    Tenant,
}

impl From<Refused> for Problem {
    /// 401 `invalid_token`.
    fn from(refused: Refused) -> Self {
        let said = refused.to_string();
        let challenge =
            format!("Bearer realm=\"sunday\", error=\"invalid_token\", error_description=\"{said}\"");
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            format!("the token of the header Authorization is not taken: {said}"),
        );
        challenged(problem, &challenge)
    }
}

/// 401 `unauthenticated`: no token at all.
pub(crate) fn unauthenticated() -> Problem {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "this takes a token, in the header Authorization: Bearer <token>",
    );
    challenged(problem, "Bearer realm=\"sunday\"")
}

/// 403 `insufficient_scope`: the token is good, but does not permit this.
#[must_use]
pub fn insufficient_scope(scope: Scope) -> Problem {
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "insufficient_scope",
        format!("the token does not have the scope {scope}"),
    );
    let challenge = format!("Bearer realm=\"sunday\", error=\"insufficient_scope\", scope=\"{scope}\"");
    challenged(problem.with("scope", scope.name()), &challenge)
}

impl Principal {
    /// Demands a scope.
    ///
    /// # Errors
    /// 403 `insufficient_scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.may(scope) { Ok(()) } else { Err(insufficient_scope(scope)) }
    }
}

fn challenged(problem: Problem, challenge: &str) -> Problem {
    match HeaderValue::from_str(challenge) {
        Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
        // All of it are words of ours, without control characters.
        Err(_) => problem,
    }
}
