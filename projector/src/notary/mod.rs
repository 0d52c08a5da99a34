//! The notary: grows the transparency log's tree with the log, signs its heads, and keeps every one of them.
//!
//! ```text
//! log ─(only what is durable)─▶ leaves ─▶ tree/<generation>/ ─sync─▶ checkpoint, signed ─▶ journal ─sync─▶ tree/checkpoint
//!                                                                        │                   ▲
//!                                                                        └─▶ witnesses ──────┘ (cosigned)
//! ```
//!
//! Invariant: a checkpoint is signed over what is durable, by a tree that is on disk, and is in the journal before anybody sees it.
//! Nothing that was signed is ever contradicted: a start holds the log against the newest entry of the journal, and does
//! not sign as long as the log is shorter or another one ([`Refusal`]).
//!
//! It has a thread and a tail of its own: models and index do not wait for it, nor it for them.

mod books;
pub mod files;
mod keys;
mod push;
mod reader;
mod run;
mod settings;
mod status;

pub use files::KEYS_DIR;
pub(crate) use files::TREE_DIR;
pub use keys::{KeysError, PublicKeys, RotateError, rotate};
pub use reader::{Published, ReaderError, TreeReader};
pub use settings::AuditArguments;
pub use status::{NotaryStatus, WitnessStatus};

use eventstore::Log;
use eventstore::transparency::{KeyName, Policy};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Time between two checkpoints at least, unless configured.
const INTERVAL: Duration = Duration::from_millis(250);

/// How a notary works.
#[derive(Debug, Clone)]
pub struct NotaryOptions {
    /// The log's name in the world, when its key is made; else `sunday/<store UUID>`. To that of a promoted log
    /// `/promoted-at-<position>-<random>` is added. A key that is there already keeps its own.
    pub origin: Option<KeyName>,
    /// Time between two checkpoints at least.
    pub interval: Duration,
    /// Which witnesses are asked, and how many have to have cosigned before a checkpoint is published.
    pub policy: Arc<Policy>,
}

impl Default for NotaryOptions {
    fn default() -> Self {
        Self { origin: None, interval: INTERVAL, policy: Arc::default() }
    }
}

/// Why nothing is signed: the log contradicts what was signed before. Only a person can decide what to do then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no checkpoint is signed: {0}")]
pub struct Refusal(pub(crate) String);

/// A running notary. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Notary {
    stop: Arc<watch::Sender<bool>>,
    status: status::Shared,
    thread: Option<JoinHandle<()>>,
}

impl Notary {
    /// Starts its thread. Whoever does holds the projector's lock.
    pub(crate) fn start(data_dir: &Path, log: Log, options: NotaryOptions) -> io::Result<Self> {
        let stop = Arc::new(watch::Sender::new(false));
        let status = status::Shared::default();
        let work = run::Work {
            data_dir: data_dir.to_owned(),
            log,
            options,
            stop: stop.subscribe(),
            status: status.clone(),
        };
        let thread = std::thread::Builder::new().name("notary".to_owned()).spawn(move || work.run())?;
        Ok(Self { stop, status, thread: Some(thread) })
    }

    /// How it is.
    pub(crate) fn status(&self) -> NotaryStatus {
        self.status.get()
    }
}

impl Drop for Notary {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}
