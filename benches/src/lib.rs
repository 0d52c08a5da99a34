//! The figures of Sunday, printed beside their ceilings. The benches themselves are under `benches/`; this library is
//! empty, because a package needs a target of its own.
