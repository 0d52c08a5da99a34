//! Copies of a log that can be taken beside its writer, kept up to date, and made a log again.
//!
//! ```text
//!  data directory ─▶ journal of checkpoints ─▶ frames, checked as a standby checks them ─▶ files, synced ─▶ MANIFEST
//!                    (first: so the log that      (CRCs, digests, chain)                     by rename, last of all
//!                     is copied covers it)
//!  backup ─▶ frames, checked again and held against the manifest ─▶ <new>/.restoring ─▶ verified whole ─▶ moved to <new>
//! ```
//!
//! Invariant: the manifest tells what the backup is. It is written last, by rename, and nothing that it names is changed
//! afterwards: files only grow behind what it counts of them. So a run that is cut short anywhere leaves the backup before
//! it, and the next run writes over what it left.
//!
//! Invariant: nothing is filed, and nothing restored, that does not verify; what was filed before stays.
//!
//! Invariant: a directory has a `log/` only once what is in it has been restored whole and verified.
//!
//! The backup's `log/` is laid out as a standby's, with its marker: every reader of a log reads it, no writer opens it.

mod copy;
mod error;
mod files;
mod manifest;
mod output;
mod restore;
mod rewrite;
mod source;
mod taking;

pub use error::BackupError;
pub use restore::{Parent, RestoreOptions, Restored, Target, restore};
pub use taking::{Backup, BackupOptions, backup, backup_sound, sound_end};

/// Whoever makes or changes a backup holds the lock of this file in it.
const LOCK: &str = "LOCK";
/// What the marker of a standby says in a backup.
const MARKER: &str = "nothing, because it is a backup: `sunday restore` makes a log of it";
