//! Who may do what: scopes, tenants and roles, for every route, for batches and atomic batches alike.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod roles;
mod scopes;
mod table;
mod tenants;
mod world;
