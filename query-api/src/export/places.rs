//! How many exports there are: in all, and of each principal, so that one with slow clients cannot take all places.

use http_kit::auth::Principal;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Exports of one process at a time.
const EXPORTS_MAX: usize = 16;
/// Exports of one principal at a time.
const PRINCIPAL_EXPORTS_MAX: usize = 4;

/// All places.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportPlaces(Arc<Mutex<HashMap<Holder, usize>>>);

/// Who holds places: a subject, with its tenants.
type Holder = (Arc<str>, Vec<u8>);

/// One place, which is given back by dropping it.
#[derive(Debug)]
pub(crate) struct ExportPlace {
    places: ExportPlaces,
    holder: Holder,
}

impl ExportPlaces {
    /// A place for a principal, if there is one left.
    pub(crate) fn take(&self, principal: &Principal) -> Option<ExportPlace> {
        let holder = (Arc::clone(principal.subject()), principal.tenant_key());
        let mut held = self.0.lock();
        let own = held.get(&holder).copied().unwrap_or_default();
        if own >= PRINCIPAL_EXPORTS_MAX || held.values().sum::<usize>() >= EXPORTS_MAX {
            return None;
        }
        held.insert(holder.clone(), own + 1);
        drop(held);
        Some(ExportPlace { places: self.clone(), holder })
    }
}

impl Drop for ExportPlace {
    fn drop(&mut self) {
        let mut held = self.places.0.lock();
        if let Some(own) = held.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_kit::auth::{Scopes, Tenants};

    #[test]
    fn nobody_takes_all_places() {
        let places = ExportPlaces::default();
        let somebody = |name: String| Principal::new(name, Tenants::All, Scopes::default());
        let mut held = Vec::new();
        for number in 0..4 {
            let principal = somebody(format!("s{number}"));
            held.extend((0..10).map_while(|_| places.take(&principal)));
            assert_eq!(held.len(), (number + 1) * PRINCIPAL_EXPORTS_MAX);
        }
        assert!(places.take(&somebody("late".to_owned())).is_none(), "all are taken");
        held.pop();
        assert!(places.take(&somebody("s0".to_owned())).is_none(), "it has its own");
        assert!(places.take(&somebody("late".to_owned())).is_some());
        drop(held);
        assert!(places.0.lock().is_empty());
    }
}
