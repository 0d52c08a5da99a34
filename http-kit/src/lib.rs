//! What both HTTP services of Sunday share: the frame around their routes.
//!
//! ```text
//! flags, environment, file ─▶ config ─▶ telemetry
//! socket ─▶ server ─▶ app (request id, time-out, panics, figures, foreign pages) ─▶ auth ─▶ json, params ─▶ the service's routes
//!                               answer ◀─ representation (304, coding) ◀─ problem (RFC 9457) ◀─┘
//! ```
//!
//! Invariant: whatever goes wrong, the answer's body is a [`problem::Problem`] with a stable code.
//!
//! This crate knows neither commands nor queries, neither the domain nor the log.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::float_cmp))]

pub mod app;
pub mod auth;
pub mod config;
pub mod entity_tags;
pub mod health;
pub mod json;
pub mod limits;
pub mod metrics;
mod observe;
pub mod openapi;
pub mod params;
pub mod problem;
mod representation;
mod same_machine;
pub mod server;
pub mod shutdown;
pub mod telemetry;

/// The header that says how many events an answer covers (exclusive); on commands and queries alike.
pub const SUNDAY_POSITION: axum::http::HeaderName = axum::http::HeaderName::from_static("sunday-position");

/// The header that names a request in logs; taken from the client where it is sound, made otherwise.
pub const REQUEST_ID: axum::http::HeaderName = axum::http::HeaderName::from_static("x-request-id");
