//! Every interleaving of the threads around the log that a small case has, by a model checker (loom).
//!
//! What is checked is not a model of the code but the code: `src/queue.rs` and `src/page.rs` are compiled here once
//! more, with loom's locks and atomics in the place of the real ones, and with the smallest stand-ins for what they
//! hold. Timeouts never happen here, so a wake that is lost shows as a deadlock.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod checked;
mod page_cases;
mod queue_cases;

#[path = "../../src/format/control_page.rs"]
mod control_page;
#[path = "../../src/page.rs"]
mod page;
#[path = "../../src/pending.rs"]
mod pending;
#[path = "../../src/queue.rs"]
mod queue;

use checked::{mapped, sync};

mod error {
    pub(crate) use eventstore::AppendError;
}

mod receipt {
    pub(crate) use eventstore::Receipt;
}

mod numbers {
    pub(crate) use eventstore::{LogOffset, Position, Timestamp};
}

mod format {
    pub(crate) use crate::control_page;
}

/// Small enough that a case of two commits reaches them.
mod limits {
    pub(crate) const GROUP_BYTES_MAX: usize = 20;
    pub(crate) const QUEUE_BYTES_MAX: usize = 1 << 20;
    pub(crate) const QUEUE_COMMITS_MAX: usize = 2;
}

mod commit {
    /// A commit of which only the length matters.
    #[derive(Debug)]
    pub(crate) struct PreparedCommit {
        pub(crate) body: Vec<u8>,
    }

    impl PreparedCommit {
        pub(crate) fn frame_len(&self) -> usize {
            self.body.len()
        }
    }
}

mod flush {
    pub(crate) type Answer = Result<eventstore::Receipt, eventstore::AppendError>;
}
