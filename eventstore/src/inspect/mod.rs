//! Looking at a log without opening it: its segments, its frames byte by byte, and what a recovery would find.
//!
//! Invariant: nothing here writes, takes a lock, or believes a byte that it shows: what is not as it should be is a value.

mod fields;
mod frame;
mod outlook;
mod segments;

pub use fields::Field;
pub use frame::{FrameFacts, frame};
pub use outlook::{Outlook, Page, Torn, outlook, page, standby, writer};
pub use segments::{SegmentFacts, SegmentState, segments};
