//! How the notary is, for whoever asks from another thread.

use eventstore::TreeSize;
use parking_lot::Mutex;
use std::sync::Arc;

/// How a notary is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotaryStatus {
    /// Leaves in the tree.
    pub tree: TreeSize,
    /// Size of the newest signed checkpoint.
    pub signed: TreeSize,
    /// Size of the newest published one: the same, unless witnesses have to cosign first.
    pub published: TreeSize,
    /// Why nothing is signed at the moment.
    pub failure: Option<String>,
    /// The witnesses that are asked.
    pub witnesses: Vec<WitnessStatus>,
}

/// How far a witness has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessStatus {
    /// What the policy calls it.
    pub name: String,
    /// Size of the newest checkpoint that it has cosigned.
    pub cosigned: TreeSize,
    /// Why it has not cosigned a newer one, when it was asked.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<NotaryStatus>>);

impl Shared {
    pub(super) fn get(&self) -> NotaryStatus {
        self.0.lock().clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut NotaryStatus)) {
        change(&mut self.0.lock());
    }
}
