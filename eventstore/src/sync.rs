//! Locks, by one name: `tests/interleavings` compiles the files that use them with the locks of a model checker in
//! their place.

pub(crate) use parking_lot::{Condvar, Mutex};
