//! What the system writes about itself: control events, in streams whose names begin with `sys-`.
//!
//! Invariant: as everything here, pure: words, states and decisions; who writes and who follows is said elsewhere.

pub mod consumers;
