//! Who may read what: the one place where a token's tenants meet what is stored.
//!
//! Invariant: what belongs to other tenants is as if it were not there, whether it is asked for by its id, listed, searched
//! for or read as an event. Events belong to the tenant that their tag `workspace:<uuid>` names; those without one, and
//! those of `sys-` streams, belong to whoever runs the store.
//!
//! Roles on workspaces and boards say who may change things; whoever holds a token of a tenant may read all of it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::{WorkspaceId, system, tags};
use eventstore::{EventView, Log, ReadError, StreamId, Version};
use http_kit::auth::{Principal, Scope, Tenants};
use http_kit::problem::Problem;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// Whoever asks, as a reader. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Audience {
    tenants: Tenants,
    is_auditor: bool,
    good_until: Option<SystemTime>,
}

impl Audience {
    pub(crate) fn of(principal: &Principal) -> Self {
        Self {
            tenants: principal.tenants().clone(),
            is_auditor: principal.may(Scope::Audit),
            good_until: principal.good_until(),
        }
    }

    /// The same, as far as one workspace goes.
    pub(crate) fn within(&self, workspace: WorkspaceId) -> Self {
        let tenants: &[Uuid] = if self.sees(workspace) { &[workspace.uuid()] } else { &[] };
        Self { tenants: Tenants::These(tenants.into()), ..self.clone() }
    }

    /// Whether everything of a workspace may be read.
    pub(crate) fn sees(&self, workspace: WorkspaceId) -> bool {
        self.tenants.contains(workspace.uuid())
    }

    /// The workspaces that may be read, where these are not all.
    pub(crate) fn workspaces(&self) -> Option<Vec<WorkspaceId>> {
        match &self.tenants {
            Tenants::All => None,
            Tenants::These(tenants) => Some(tenants.iter().copied().map(WorkspaceId::new).collect()),
        }
    }

    /// How long it may go on without being asked again who it is; for ever where nothing is said.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.good_until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Whether every event may be read.
    pub(crate) fn sees_all(&self) -> bool {
        self.tenants == Tenants::All && self.is_auditor
    }

    /// Whether an event may be read.
    pub(crate) fn sees_event(&self, event: &EventView<'_>) -> bool {
        match &self.tenants {
            Tenants::All => self.is_auditor || !event.stream().starts_with(system::STREAM_PREFIX),
            Tenants::These(tenants) => event
                .tags()
                .filter_map(|tag| Uuid::try_parse(tag.strip_prefix(tags::WORKSPACE)?).ok())
                .any(|tenant| tenants.contains(&tenant)),
        }
    }

    /// Whether a stream is there and may be read: all of it is whose its first event is.
    pub(crate) fn sees_stream(&self, log: &Log, stream: &StreamId) -> Result<bool, ReadError> {
        let first = log.read_stream(stream, Version::ZERO, eventstore::Direction::Forward, 1)?;
        let first = first.first().and_then(eventstore::RecordedEvent::get);
        Ok(first.is_some_and(|event| self.sees_event(&event)))
    }

    /// That the whole log may be read, byte by byte.
    ///
    /// # Errors
    /// 403 `insufficient_scope`, and 403 `tenant_mismatch` for a token of single tenants.
    pub(crate) fn reads_the_log(&self) -> Result<(), Problem> {
        if !self.is_auditor {
            return Err(http_kit::auth::insufficient_scope(Scope::Audit));
        }
        if self.tenants != Tenants::All {
            let detail = "the log holds the events of every tenant; the token is for some of them only";
            return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, "tenant_mismatch", detail));
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Audience {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Principal::from_request_parts(parts, state).await.map(|principal| Self::of(&principal))
    }
}
