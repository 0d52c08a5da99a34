//! The append-only, hash-chained, memory-mapped event log of Sunday.
//!
//! ```text
//!  CommitBuilder ──prepare──▶ PreparedCommit ──submit──▶ queue ──▶ writer thread
//!   (caller's thread: encode, hash)                                 │ sequencer: check, stamp
//!                                                                   │ pwrite, fdatasync
//!                                                                   ▼ publish (control page), answer
//!  Log: commits · streams · commands · tags  ◀──tail (mmap)── any process, any number
//!   │
//!   ├─ subscribe: the events that a Filter wants, from a checkpoint on, for ever
//!   └─ fold: the state of a stream, from its snapshot on
//! ```
//!
//! One writer per data directory, any number of readers in any process. What [`Store::append`] acknowledged
//! is on disk; what a reader is given was acknowledged or is about to be. Bytes are never rewritten with other
//! bytes and never cut off. `FORMAT.md` beside this crate is the byte-level contract; [`verify()`] checks it
//! from outside, trusting nothing that the writer keeps in memory.
//!
//! This crate does not know what an event means: payloads are opaque bytes.

#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

// Unit tests share the support of the tests outside, which knows this crate by its name.
#[cfg(test)]
extern crate self as eventstore;

pub mod archive;
pub mod backup;
mod by_stream;
mod by_time;
pub mod codec;
mod commit;
mod commits;
mod control;
mod digest;
mod engine;
mod error;
mod event;
mod faults;
mod figures;
mod flush;
mod follow;
pub mod format;
mod housekeeping;
mod index;
pub mod inspect;
pub mod limits;
mod log;
mod lookup;
mod mapped;
mod names;
mod numbers;
mod page;
mod pending;
mod preparer;
mod queue;
mod receipt;
mod recorded;
mod recovery;
mod replica;
mod scan;
mod scratch;
mod segment;
mod segments;
mod sequencer;
mod snapshots;
pub mod storage;
mod store;
mod subscription;
mod sync;
mod tail;
pub mod transparency;
pub mod verify;
mod writer;

pub use commit::{Command, CommitBuilder, ExpectedVersion, Guard, Outcome, PreparedCommit};
pub use commits::Commits;
pub use engine::{Engine, recover};
pub use error::{AppendError, CommitError, Damage, IndexError, OpenError, ReadError};
pub use event::{ContentType, EventRef, Metadata, NewEvent, TraceParent};
pub use faults::disk_waits;
pub use figures::Figures;
pub use flush::Flush;
pub use format::event::EventView;
pub use format::metadata::MetadataView;
pub use log::{Direction, Log};
pub use mapped::{Map, SharedPage};
pub use names::{CommandId, EventType, Fingerprint, NameError, StreamId, Tag};
pub use numbers::{Digest, Lineage, LogOffset, NotADigest, Position, Timestamp, TreeSize, Version};
pub use pending::Pending;
pub use receipt::{Durability, Receipt};
pub use recorded::{FoundCommand, RecordedCommit, RecordedEvent};
pub use replica::{
    Kinship, PieceError, Promoted, Replica, ReplicaError, SegmentPiece, follows, promote, promoted_at,
};
pub use snapshots::{
    Folded, Judge, Judgement, Snapshot, SnapshotOptions, Snapshots, SnapshotsChecked, check_snapshots, fold,
};
pub use store::{Store, StoreOptions};
pub use subscription::{Canceller, Delivery, Filter, SubscribeError, Subscription};
pub use verify::{verify, verify_in};
