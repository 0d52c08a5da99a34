//! The limits of the log. They bound memory and fix the widths of the fields in `FORMAT.md`.

/// Length of a segment file unless configured otherwise, bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 128 << 20;
/// Smallest segment that can be configured, bytes.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment that can be configured, bytes.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// Longest encoded body of a commit, bytes.
pub const COMMIT_BYTES_MAX: usize = 16 << 20;
/// Most events in one commit.
pub const COMMIT_EVENTS_MAX: usize = 10_000;
/// Most streams that one commit touches.
pub const COMMIT_STREAMS_MAX: usize = 1_000;
/// Most commands that one commit records: one for each event, and one for all of them.
pub const COMMIT_COMMANDS_MAX: usize = COMMIT_EVENTS_MAX + 1;
/// Longest record of an event (payload, metadata, tags and names together), bytes. Real trackers hold comments of
/// more than 3 MB, so this is four times what one would guess.
pub const EVENT_BYTES_MAX: usize = 4 << 20;
/// Longest stream id, bytes.
pub const STREAM_ID_BYTES_MAX: usize = 255;
/// Longest event type and tag, bytes.
pub const NAME_BYTES_MAX: usize = 127;
/// Most tags on one event.
pub const TAGS_MAX: usize = 32;
/// Most commits waiting for the writer; past it callers hear `Overloaded`.
pub const QUEUE_COMMITS_MAX: usize = 65_536;
/// Most bytes waiting for the writer; past it callers hear `Overloaded`.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// A group (the commits that share one fdatasync) is closed at this many bytes.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Quiet after which the writer vouches for the log with a mark, milliseconds.
pub const MARK_AFTER_MS: u64 = 100;
/// Without fsync: how long the operating system may keep something from the disk while commits come in, milliseconds.
pub const SYNC_AFTER_MS: i64 = 1_000;
