//! What is registered, in memory.
//!
//! Invariant: a set is never changed once it is shared; a registration makes a new one, which shares everything else.

use super::compat::Compatibility;
use super::record::Record;
use super::schema::{Usable, compile};
use crate::streams::is_reserved_type;
use eventstore::{Position, Version};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// One version of a schema.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) event_type: Box<str>,
    pub(super) version: u16,
    pub(super) schema: Value,
    /// Length of its text.
    pub(super) bytes: usize,
    pub(super) compatibility: Compatibility,
    /// The tenant whose streams it binds; all if none.
    pub(super) tenant: Option<Uuid>,
    /// Where it stands in the log; the code's own may not stand there.
    pub(super) position: Option<Position>,
    /// Made when it is needed first: most schemas are only looked at.
    usable: OnceLock<Option<Usable>>,
}

impl Entry {
    pub(super) fn recorded(record: Record, position: Position) -> Self {
        Self {
            event_type: record.event_type.into(),
            version: record.version,
            bytes: text_len(&record.schema),
            schema: record.schema,
            compatibility: record.compatibility,
            tenant: record.workspace_id,
            position: Some(position),
            usable: OnceLock::new(),
        }
    }

    /// `domain` or `registered`.
    pub(super) fn origin(&self) -> &'static str {
        if is_reserved_type(&self.event_type) { "domain" } else { "registered" }
    }

    /// What it costs to validate with, if it is ready for use.
    pub(super) fn parts(&self) -> Option<usize> {
        self.usable.get()?.as_ref().map(|usable| usable.parts)
    }

    /// The schema, ready for use; `None` if this build cannot use it.
    pub(super) fn usable(&self) -> Option<&Usable> {
        let usable = self.usable.get_or_init(|| match compile(&self.schema) {
            Ok(usable) => Some(usable),
            Err(unusable) => {
                tracing::error!(
                    event_type = &*self.event_type,
                    version = self.version,
                    pointer = unusable.pointer,
                    reason = unusable.reason,
                    "a registered schema cannot be used"
                );
                None
            }
        });
        usable.as_ref()
    }
}

/// Length of a schema as text.
pub(super) fn text_len(schema: &Value) -> usize {
    serde_json::to_vec(schema).map_or(0, |text| text.len())
}

/// All versions of a type, oldest first.
pub(super) type Versions = Vec<Arc<Entry>>;

/// What is registered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schemas {
    types: BTreeMap<Box<str>, Arc<BTreeMap<Option<Uuid>, Versions>>>,
    /// Types that bind streams; as long as there are none, nothing has to be looked up.
    pub(super) registered: usize,
    /// Last version of the stream.
    pub(super) last: Option<Version>,
}

impl Schemas {
    /// The domain's own, from the code.
    pub(super) fn of_domain() -> Self {
        let mut schemas = Self::default();
        for (event_type, version, schema) in domain::schema::all() {
            schemas.add(Entry {
                event_type: event_type.into(),
                version,
                bytes: text_len(&schema),
                schema,
                compatibility: Compatibility::Backward,
                tenant: None,
                position: None,
                usable: OnceLock::new(),
            });
        }
        schemas
    }

    /// Adds a version. Of the domain's own the code knows better than the log, which only says where it stands.
    pub(super) fn add(&mut self, mut entry: Entry) {
        let by_tenant = self.types.entry(entry.event_type.clone()).or_default();
        let versions = Arc::make_mut(by_tenant).entry(entry.tenant).or_default();
        match versions.binary_search_by_key(&entry.version, |known| known.version) {
            Ok(at) => {
                if let Some(known) = versions.get_mut(at) {
                    if entry.origin() == "domain" {
                        entry.schema = known.schema.clone();
                    }
                    *known = Arc::new(entry);
                }
            }
            Err(at) => {
                self.registered += usize::from(entry.origin() == "registered");
                versions.insert(at, Arc::new(entry));
            }
        }
    }

    /// Exactly these versions: of a tenant, or those for all.
    pub(super) fn exactly(&self, tenant: Option<Uuid>, event_type: &str) -> &[Arc<Entry>] {
        self.types.get(event_type).and_then(|by_tenant| by_tenant.get(&tenant)).map_or(&[], Vec::as_slice)
    }

    /// The versions that bind a tenant's streams.
    pub(super) fn of(&self, tenant: Option<Uuid>, event_type: &str) -> &[Arc<Entry>] {
        match self.exactly(tenant, event_type) {
            [] => self.exactly(None, event_type),
            own => own,
        }
    }

    /// Types after one, with the versions that somebody may see.
    pub(super) fn after<'s>(
        &'s self,
        after: &'s str,
        may_see: impl Fn(Option<Uuid>) -> bool + 's,
    ) -> impl Iterator<Item = &'s [Arc<Entry>]> {
        self.types
            .range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .flat_map(|(_, by_tenant)| by_tenant.iter())
            .filter(move |(tenant, _)| may_see(**tenant))
            .map(|(_, versions)| versions.as_slice())
    }

    /// How many schemas of callers a tenant has, and the length of their texts.
    pub(super) fn size(&self, tenant: Option<Uuid>) -> (usize, usize) {
        self.types
            .iter()
            .filter(|(event_type, _)| !is_reserved_type(event_type))
            .filter_map(|(_, by_tenant)| by_tenant.get(&tenant))
            .flatten()
            .fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.bytes))
    }

    /// The domain's own versions that do not stand in the log yet.
    pub(super) fn domain_unrecorded(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.types
            .values()
            .flat_map(|by_tenant| by_tenant.values())
            .flatten()
            .filter(|entry| entry.position.is_none())
    }
}
