//! Promise: what somebody does to a store who may change every byte of it, and makes every checksum, every digest and the whole chain
//! right again, is found by `sunday verify`, under the class that `docs/verify.md` names; and what cannot be found without something
//! that was kept elsewhere (a checkpoint, a key, a witness) is what that page says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

mod derived;
mod forge;
mod hash;
mod history;
mod notes;
mod report;
mod signed;
mod site;
