//! What is made of the log, how far it is, and whether it is right.

use super::ABSENT;
use crate::routes::LISTED_MAX;
use crate::routes::checks::{self, Check};
use crate::routes::dead_letters::{self, DeadLetters};
use crate::routes::operation::{Operation, get, post};
use crate::routes::parameter::{choice, limit, number};
use crate::routes::projections::{self, Projections};
use domain::system::projections::PROJECTIONS;
use http_kit::auth::Scope;
use serde_json::json;

pub(super) fn projections() -> Vec<Operation> {
    vec![
        get(
            "/projections",
            "projection.list",
            "Says how far the read models and the index have come.",
            projections::list,
        )
        .answers::<Projections>("How far each of them is.")
        .asks([choice(
            "digest",
            &projections::DIGEST,
            Some("false"),
            "Whether to tell the digests, which cost; for who may read the whole log.",
        )])
        .refuses(403, &["insufficient_scope", "tenant_mismatch"]),
        post(
            "/projections/check",
            "projection.check",
            "Begins to compare the read models of this process with the log.",
            checks::begin,
        )
        .answers::<Check>("It has begun; GET says how it is.")
        .accepted()
        .needs(Scope::Audit)
        .asks([
            number("sample", 1..=checks::ONE_IN_MAX, Some(1), "One item in so many; 1 is everything."),
            number("seed", 0..=u64::MAX, None, "Which ones; a sample that was told can be had again."),
        ])
        .refuses(409, &["check_running"]),
        get(
            "/projections/check",
            "projection.checked",
            "Says how the check is that was asked for last, and what it found.",
            checks::state,
        )
        .answers::<Check>("How it is.")
        .needs(Scope::Audit),
        get(
            "/projections/{name}/dead-letters",
            "projection.dead_letters",
            "Lists the events that a projection passes over, and why.",
            dead_letters::list,
        )
        .answers::<DeadLetters>("A part of them, in the order of positions.")
        .in_path("name", json!({"type": "string", "enum": PROJECTIONS}), "models")
        .asks([
            number("from", 0..=u64::MAX, Some(0), "The position that the page begins at."),
            limit(dead_letters::LIMIT_DEFAULT, LISTED_MAX),
        ])
        .needs(Scope::Audit)
        .refuses(404, ABSENT),
    ]
}
