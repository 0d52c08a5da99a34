//! Who asks, as far as a verified token says: a subject, the tenants it may touch, and its scopes.
//!
//! Invariant: a [`Principal`] comes from a verified token, or is the development principal of a loopback
//! server; what somebody's role is on a board is not known here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Something that a token permits. On the wire they stand in the claim `scope`, separated by spaces (RFC 8693, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Scope {
    /// Create and change workspaces and their members.
    WorkspacesWrite,
    /// Create and change projects.
    ProjectsWrite,
    /// Create and change boards, their columns, members and fields.
    BoardsWrite,
    /// Create and change items.
    ItemsWrite,
    /// Add, edit and delete comments.
    CommentsWrite,
    /// Append to streams outside the domain.
    StreamsWrite,
    /// Register schemas.
    SchemasWrite,
    /// Ask for rebuilds, retries and repairs of projections.
    ProjectionsOperate,
    /// Say what became of them, and which events are dead letters: the projector's own.
    ProjectionsDecide,
    /// Create consumers, read what they are given, and say what became of it.
    ConsumersWrite,
    /// Say on whose behalf and when something happened: histories from elsewhere.
    Import,
    /// Read the whole log, the system's events included.
    Audit,
    /// Read the process's figures.
    Metrics,
    /// Act with an owner's rights in every workspace of the token's tenants, member or not.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::WorkspacesWrite,
        Self::ProjectsWrite,
        Self::BoardsWrite,
        Self::ItemsWrite,
        Self::CommentsWrite,
        Self::StreamsWrite,
        Self::SchemasWrite,
        Self::ProjectionsOperate,
        Self::ProjectionsDecide,
        Self::ConsumersWrite,
        Self::Import,
        Self::Audit,
        Self::Metrics,
        Self::Admin,
    ];

    /// Its name in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkspacesWrite => "workspaces:write",
            Self::ProjectsWrite => "projects:write",
            Self::BoardsWrite => "boards:write",
            Self::ItemsWrite => "items:write",
            Self::CommentsWrite => "comments:write",
            Self::StreamsWrite => "streams:write",
            Self::SchemasWrite => "schemas:write",
            Self::ProjectionsOperate => "projections:operate",
            Self::ProjectionsDecide => "projections:decide",
            Self::ConsumersWrite => "consumers:write",
            Self::Import => "import",
            Self::Audit => "audit",
            Self::Metrics => "metrics:read",
            Self::Admin => "admin",
        }
    }

    /// The scope of a name; scopes of other services are none of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// Every scope there is.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// The scopes of a claim such as `items:write comments:write`; unknown ones are passed over.
    #[must_use]
    pub fn parse(claim: &str) -> Self {
        claim.split(' ').filter_map(Scope::named).collect()
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one is among them.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | (1 << scope as u8)))
    }
}

/// The workspaces that a principal may touch at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// Every workspace of this store: the claim `*`.
    All,
    /// These.
    These(Arc<[Uuid]>),
}

impl Tenants {
    /// Whether a workspace is among them.
    #[must_use]
    pub fn contains(&self, workspace: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::These(tenants) => tenants.contains(&workspace),
        }
    }
}

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    subject: Arc<str>,
    tenants: Tenants,
    scopes: Scopes,
    /// Unix time, seconds.
    good_until_s: Option<u64>,
}

/// The subject of everything that is done with the development token.
pub const LOCAL_SUBJECT: &str = "local";

impl Principal {
    /// A principal as a verified token says it.
    #[must_use]
    pub fn new(subject: impl Into<Arc<str>>, tenants: Tenants, scopes: Scopes) -> Self {
        Self { subject: subject.into(), tenants, scopes, good_until_s: None }
    }

    /// Says when its token has to be looked at again, Unix time in seconds.
    #[must_use]
    pub fn until(self, good_until_s: u64) -> Self {
        Self { good_until_s: Some(good_until_s), ..self }
    }

    /// Whoever holds the development token: [`LOCAL_SUBJECT`], every tenant, every scope.
    #[must_use]
    pub fn local() -> Self {
        Self::new(LOCAL_SUBJECT, Tenants::All, Scopes::all())
    }

    /// The claim `sub`.
    #[must_use]
    pub fn subject(&self) -> &Arc<str> {
        &self.subject
    }

    /// The workspaces it may touch.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Whether its token permits something.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }

    /// Its scopes.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// When its token has to be looked at again: it may have expired by then, or lost its key. Whatever goes on for longer
    /// than a request ends then. Nothing for the development token, which lasts as long as the process.
    #[must_use]
    pub fn good_until(&self) -> Option<SystemTime> {
        self.good_until_s.and_then(|until_s| UNIX_EPOCH.checked_add(Duration::from_secs(until_s)))
    }

    /// What its idempotency keys are scoped to besides the subject: its tenants, in an order of their own.
    #[must_use]
    pub fn tenant_key(&self) -> Vec<u8> {
        match &self.tenants {
            // As it was before there were tokens: keys of older logs stay what they are.
            Tenants::All => Vec::new(),
            Tenants::These(tenants) => {
                let mut sorted = tenants.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                sorted.iter().flat_map(|tenant| *tenant.as_bytes()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_by_name_and_foreign_ones_passed_over() {
        let scopes = Scopes::parse("openid items:write  import");
        assert!(scopes.contains(Scope::ItemsWrite) && scopes.contains(Scope::Import));
        assert!(!scopes.contains(Scope::Admin) && !scopes.contains(Scope::CommentsWrite));
        assert!(Scope::ALL.iter().all(|scope| Scopes::all().contains(*scope)));
        assert!(Scope::ALL.iter().all(|scope| Scope::named(scope.name()) == Some(*scope)));
    }

    #[test]
    fn keys_are_scoped_to_the_tenants_whatever_their_order() {
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let key = |tenants: Vec<Uuid>| {
            Principal::new("s", Tenants::These(tenants.into()), Scopes::default()).tenant_key()
        };
        assert_eq!(key(vec![a, b]), key(vec![b, a, b]));
        assert_ne!(key(vec![a]), key(vec![b]));
        assert!(Principal::local().tenant_key().is_empty());
    }
}
