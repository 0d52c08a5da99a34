//! How far a rebuild is, told to whoever looks from another process: a small file per projection under `control/`.
//!
//! Invariant: nothing depends on it. A file that is old, missing or unreadable means that nothing is known.

use crate::generation::replace_unsynced;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often the file is written anew, at most.
const EVERY: Duration = Duration::from_millis(250);

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Phase {
    /// The log is replayed, or documents are made.
    Building,
    /// Old and new are compared.
    Comparing,
    /// The new one is put into use.
    Swapping,
}

/// A rebuild that is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Underway {
    /// Names it.
    pub rebuild_id: Uuid,
    /// What is done now.
    pub phase: Phase,
    /// Events that are taken in, or documents that are made.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// The rebuild of a projection that the projector on a data directory carries out, as far as it has said so.
#[must_use]
pub fn underway(data_dir: &Path, projection: &str) -> Option<Underway> {
    serde_json::from_slice(&std::fs::read(path(data_dir, projection)).ok()?).ok()
}

fn path(data_dir: &Path, projection: &str) -> PathBuf {
    data_dir.join("control").join(format!("rebuild-{projection}.json"))
}

/// Tells how far a rebuild is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reporter {
    path: PathBuf,
    rebuild: Uuid,
    told: Mutex<Option<(Phase, Instant)>>,
}

impl Reporter {
    pub(crate) fn new(data_dir: &Path, projection: &str, rebuild: Uuid) -> Self {
        Self { path: path(data_dir, projection), rebuild, told: Mutex::default() }
    }

    pub(crate) fn tell(&self, phase: Phase, done: u64, total: u64) {
        let mut told = self.told.lock();
        if told.is_some_and(|(before, at)| before == phase && at.elapsed() < EVERY) {
            return;
        }
        *told = Some((phase, Instant::now()));
        let underway = Underway { rebuild_id: self.rebuild, phase, done, total };
        let Ok(text) = serde_json::to_vec(&underway) else { return };
        if let Err(error) = replace_unsynced(&self.path, &text) {
            tracing::debug!(path = %self.path.display(), %error, "progress cannot be told");
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // If it was never written, there is nothing to take away.
        let _ = std::fs::remove_file(&self.path);
    }
}
