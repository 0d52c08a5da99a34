//! What two models at the same checkpoint do not have alike.

use crate::read_model::ReadModel;
use domain::system::projections::{Built, DIFFERENCES_MAX, Difference, ENTITY_BYTES_MAX};
use eventstore::Digest;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// In what two sides differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// By name, the digest on each side where it is there.
    by_entity: BTreeMap<String, (Option<Digest>, Option<Digest>)>,
}

impl Differences {
    /// Of what each side tells of its entities.
    pub(crate) fn of(mut old: HashMap<String, Digest>, new: impl Iterator<Item = (String, Digest)>) -> Self {
        let mut by_entity = BTreeMap::new();
        for (entity, digest) in new {
            match old.remove(&entity) {
                Some(before) if before == digest => {}
                before => {
                    by_entity.insert(entity, (before, Some(digest)));
                }
            }
        }
        by_entity.extend(old.into_iter().map(|(entity, digest)| (entity, (Some(digest), None))));
        Self { by_entity }
    }

    /// How many entities differ.
    pub(crate) fn len(&self) -> usize {
        self.by_entity.len()
    }

    /// Their names.
    pub(crate) fn into_entities(self) -> Vec<String> {
        self.by_entity.into_keys().collect()
    }

    /// The first of them, as the log tells them.
    pub(crate) fn listed(&self) -> Vec<Difference> {
        let text = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
        let first = self.by_entity.iter().filter(|(entity, _)| entity.len() <= ENTITY_BYTES_MAX);
        first
            .take(DIFFERENCES_MAX)
            .map(|(entity, (old, new))| Difference { entity: entity.clone(), old: text(old), new: text(new) })
            .collect()
    }
}

/// In what two models at the same checkpoint differ.
pub(crate) fn differences<M: ReadModel>(old: &mut M, new: &mut M) -> Differences {
    if old.digest() == new.digest() {
        return Differences::default();
    }
    let entities = |model: &mut M| {
        let mut entities = HashMap::new();
        model.each_digest(&mut |name, digest| {
            entities.insert(name.to_string(), digest);
        });
        entities
    };
    let old = entities(old);
    Differences::of(old, entities(new).into_iter())
}

/// Digest and count, as the log tells them.
pub(crate) fn told_digest<M: ReadModel>(model: &mut M) -> Built {
    Built { digest: model.digest().to_string(), count: model.count() as u64 }
}
