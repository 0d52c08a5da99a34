//! Who asks, and how that is known.
//!
//! ```text
//! settings ─▶ Plan ─┬─ tokens ──────▶ keys (JWKS: a file or a URL) ─▶ verify ─▶ cache ─┐
//!                   └─ development ─▶ development (one token, loopback only) ───────────┴─▶ Authenticator
//! request ─▶ layer: Authorization ─▶ Authenticator ─▶ Principal, or challenge (401, 403)
//! ```
//!
//! Invariant: a service says how its callers are known when it builds its [`crate::app::App`]; there is no default.
//! Invariant: tokens and keys stand in no log, no error and no answer.

mod cache;
mod challenge;
mod development;
mod door;
mod keys;
mod layer;
mod principal;
mod settings;
mod verify;

#[cfg(test)]
mod tests;

pub use challenge::insufficient_scope;
pub use development::{DevelopmentToken, TokenCopy, token_for};
pub use door::{AuthError, Door};
pub use keys::KeysError;
pub use layer::OPEN;
pub use principal::{LOCAL_SUBJECT, Principal, Scope, Scopes, Tenants};
pub use settings::{AuthSettings, Jwks, Plan, Rules, SettingsError};

pub(crate) use layer::{authenticate, knows};

use crate::metrics::Metrics;
use challenge::Refused;
use std::fmt;
use std::sync::Arc;
use verify::Verifier;

/// How a service knows who asks.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Every request carries a token, but for what is [`OPEN`].
    Required(Authenticator),
    /// Whoever can reach the port from this machine is [`Principal::local`]. Such a service must be bound to a loopback
    /// address ([`Protection::Development`]).
    SameMachineOnly,
}

impl Authentication {
    /// Whether requests under foreign names (`Host`, `Origin`) are to be refused: where the network's border is all that
    /// protects, or a token that lies about on this machine. With an issuer's tokens, a proxy with a name of
    /// its own in front is how it is meant to be.
    pub(crate) fn is_for_this_machine(&self) -> bool {
        match self {
            Self::Required(authenticator) => authenticator.is_development(),
            Self::SameMachineOnly => true,
        }
    }
}

/// What keeps strangers out, which decides where a service may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Tokens of a configured issuer: any address.
    Tokens,
    /// No issuer is configured; a development token, or nothing but the address: loopback.
    Development,
}

/// Makes principals of tokens. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Means>);

enum Means {
    Development(DevelopmentToken),
    Tokens(Verifier),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_development() {
            "Authenticator(development)"
        } else {
            "Authenticator(tokens)"
        })
    }
}

impl Authenticator {
    /// Takes one token, which is everybody.
    #[must_use]
    pub fn development(token: DevelopmentToken) -> Self {
        Self(Arc::new(Means::Development(token)))
    }

    /// Takes tokens of an issuer. Must be called within a tokio runtime: its keys are fetched, now and again later.
    ///
    /// # Errors
    /// When there are no usable keys: a server that would refuse everybody does not start.
    pub async fn tokens(rules: Rules) -> Result<Self, KeysError> {
        Ok(Self(Arc::new(Means::Tokens(Verifier::open(rules).await?))))
    }

    /// Whether it takes the development token.
    #[must_use]
    pub fn is_development(&self) -> bool {
        matches!(*self.0, Means::Development(_))
    }

    /// The development token, where that is what it takes.
    fn development_token(&self) -> Option<&DevelopmentToken> {
        match &*self.0 {
            Means::Development(token) => Some(token),
            Means::Tokens(_) => None,
        }
    }

    /// Who holds this token.
    pub(crate) async fn principal(&self, token: &str) -> Result<Principal, Refused> {
        match &*self.0 {
            Means::Development(development) if development.is(token) => Ok(Principal::local()),
            Means::Development(_) => Err(Refused::NotTheDevelopmentToken),
            Means::Tokens(verifier) => verifier.principal(token).await,
        }
    }

    /// Whether a token has been found to be good before, which costs next to nothing to say.
    fn knows(&self, token: &str) -> bool {
        match &*self.0 {
            Means::Development(development) => development.is(token),
            Means::Tokens(verifier) => verifier.knows(token),
        }
    }

    /// Adds its figures to a registry.
    pub(crate) fn figures(&self, metrics: &Metrics) {
        let Means::Tokens(verifier) = &*self.0 else { return };
        verifier.figures(metrics);
    }
}
