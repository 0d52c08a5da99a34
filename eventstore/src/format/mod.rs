//! The bytes of `FORMAT.md`, encoded and decoded by hand. Nothing here does I/O; bad bytes are values.

pub mod body;
pub(crate) mod bytes;
#[doc(hidden)]
pub mod check;
pub mod control_page;
pub mod event;
pub mod frame;
pub mod metadata;
pub mod segment_header;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub &'static str);
