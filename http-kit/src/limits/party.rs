//! Whose share something comes out of.
//!
//! Invariant: it follows from the verified token alone, so no request can choose it.

use crate::auth::{Principal, Tenants};
use std::sync::Arc;
use uuid::Uuid;

/// A tenant; where a token has none of its own, its subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Party {
    /// The tenant of a token that has one.
    Tenant(Uuid),
    /// The tenants of a token that has several: which of them a request touches is known too late.
    Tenants(Arc<[u8]>),
    /// The subject of a token that has all of them, or none.
    Subject(Arc<str>),
}

impl Party {
    /// The party of a principal.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        match principal.tenants() {
            Tenants::These(tenants) => match &tenants[..] {
                [] => Self::Subject(Arc::clone(principal.subject())),
                [tenant] => Self::Tenant(*tenant),
                _ => Self::Tenants(principal.tenant_key().into()),
            },
            Tenants::All => Self::Subject(Arc::clone(principal.subject())),
        }
    }
}
