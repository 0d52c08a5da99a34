//! Who asks, and how that is known.

mod principal;

pub use principal::{LOCAL_SUBJECT, Principal, Scope, Scopes, Tenants};
