//! The data of an event against the schema of its type and version.

use super::entry::{Entry, Schemas};
use super::schema::violations;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// Most violations that one answer tells.
pub(crate) const VIOLATIONS_MAX: usize = 10;

/// Parts of the schema times bytes of data that are gone through without a thread of their own.
const COST_INLINE: usize = 16 << 20;

/// What there is to check an event by.
#[derive(Debug, Clone)]
pub(crate) enum Checked {
    /// Nothing is registered for its type.
    Free,
    /// Its type has schemas, and none of this version; the newest one is told.
    NoSuchVersion(u16),
    /// This.
    By(Arc<Entry>),
}

/// Where data breaks a schema: path in the data, path in the schema, and why.
pub(crate) type Violation = (String, String, String);

impl Schemas {
    /// Whether any stream is bound at all.
    pub(crate) fn bind_nothing(&self) -> bool {
        self.registered == 0
    }

    /// What binds an event of a tenant.
    pub(crate) fn check(&self, tenant: Option<Uuid>, event_type: &str, version: u16) -> Checked {
        let versions = self.of(tenant, event_type);
        let Some(newest) = versions.last() else { return Checked::Free };
        match versions.iter().rev().find(|entry| entry.version == version) {
            Some(entry) => Checked::By(Arc::clone(entry)),
            None => Checked::NoSuchVersion(newest.version),
        }
    }
}

impl Entry {
    /// Whether checking this much data takes so long that others would wait.
    pub(crate) fn is_slow(&self, bytes: usize) -> bool {
        // What has not been compiled yet has that before it, too.
        self.parts().is_none_or(|parts| parts.saturating_mul(bytes) > COST_INLINE)
    }

    /// What is wrong with data, at most so many things. `None` if the schema cannot be used.
    pub(crate) fn violations(&self, data: &Value, max: usize) -> Option<Vec<Violation>> {
        let validator = &self.usable()?.validator;
        // Nearly always nothing is wrong, and asking only that is faster.
        if validator.is_valid(data) {
            return Some(Vec::new());
        }
        Some(violations(validator, data, max))
    }
}
