//! What the system says to itself in the log: events of streams `sys-…`, which are nobody's tenant.
//!
//! Invariant: names and shapes here are kept like those of the domain's own events: what was once written can be read
//! for ever, further members are passed over, and `tests/golden/system` has an example of each.

pub mod archive;
pub mod consumers;
pub mod projections;
pub mod store;

/// The category of all of these streams, and the first word of their events' types.
pub const CATEGORY: &str = "sys";
/// What all of these streams, and no others, begin with.
pub const STREAM_PREFIX: &str = "sys-";
