//! The query API from outside: a temporary data directory, events appended through the store, requests to the
//! router.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activity;
mod analytics;
mod as_of;
mod audit;
mod board_socket;
mod boards;
mod checks;
mod consumers;
mod document;
mod events;
mod export;
mod fixture;
mod freshness;
mod history;
mod hostile;
mod items;
mod live;
mod people;
mod process;
mod projections;
mod replication;
mod representation;
mod scopes;
mod search;
mod streams;
mod tenants;
mod trail;
mod verification;
