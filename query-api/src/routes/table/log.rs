//! The log as standbys read it, and what was signed of it.

use crate::routes::operation::{Operation, get, post};
use crate::routes::parameter::{choice, id, number, text};
use crate::routes::{audit, checks, log, verification};
use http_kit::auth::Scope;
use http_kit::openapi::Schemas;
use serde_json::json;

pub(super) fn log() -> Vec<Operation> {
    vec![
        get("/log", "log.place", "Says where the log is; for standbys.", log::place)
            .answers::<log::Place>("Where it ends, as far as it is durable.")
            .needs(Scope::Audit)
            .asks([
                id("store", "With `position` and `chain`: answer only if that is a place of this log."),
                number("position", 0..=u64::MAX, None, "The next position there."),
                text("chain", "The head of the chain there: 64 hexadecimal digits."),
            ])
            .refuses(409, &["diverged", "other_store"])
            .refuses(416, &["beyond_end"]),
        get(
            "/log/segments/{segment}",
            "log.segment",
            "Gives a piece of a segment, byte by byte; for standbys.",
            log::segment,
        )
        .gives(
            "Whole frames, or nothing where there is nothing new.",
            "application/octet-stream",
            |_| json!({"type": "string", "contentEncoding": "binary"}),
        )
        .needs(Scope::Audit)
        .in_path("segment", json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}), 0)
        .asks([
            number("offset", 0..=log::OFFSET_MAX, Some(0), "Where it begins: the end of the piece before."),
            number(
                "waitMs",
                0..=log::WAIT_MS_MAX,
                Some(0),
                "How long to wait for something new, milliseconds.",
            ),
        ])
        .tells(&["Sunday-Store", "Sunday-Segment-Ended", "Sunday-Segment-Tail"])
        .refuses(400, &["not_a_frame"])
        .refuses(404, &["no_such_segment"])
        .refuses(416, &["beyond_end"]),
    ]
}

/// The first three are C2SP's (`tlog-tiles`), whose clients know these paths.
pub(super) fn audit() -> Vec<Operation> {
    let binary = |_: &mut Schemas| json!({"type": "string", "contentEncoding": "binary"});
    let index = || json!({"type": "string", "pattern": audit::TILE_PATTERN});
    const BROKEN: &[&str] = &["tree_unreadable"];
    const UNSIGNED: &[&str] = &["no_checkpoint"];
    const UNTILED: &[&str] = &["no_checkpoint", "no_such_tile"];
    vec![
        get("/checkpoint", "audit.checkpoint", "Gives the newest published checkpoint.", audit::checkpoint)
            .gives("A signed note (C2SP tlog-checkpoint).", "text/plain", |_| json!({"type": "string"}))
            .at_root()
            .tells(&["Cache-Control"])
            .refuses(404, UNSIGNED)
            .refuses(500, BROKEN),
        get("/tile/{level}/{index}", "audit.tile", "Gives a tile of the tree's hashes.", audit::tile)
            .gives("Hashes, 32 bytes each.", "application/octet-stream", binary)
            .at_root()
            .with_rest()
            .in_path("level", json!({"type": "integer", "minimum": 0, "maximum": 63}), 0)
            .in_path("index", index(), "000.p/1")
            .tells(&["Cache-Control"])
            .refuses(404, UNTILED)
            .refuses(500, BROKEN),
        get("/tile/entries/{index}", "audit.entries", "Gives a bundle of leaves.", audit::entries)
            .gives("Leaves, each behind its length in two bytes.", "application/octet-stream", binary)
            .at_root()
            .with_rest()
            .needs(Scope::Audit)
            .in_path("index", index(), "000.p/1")
            .tells(&["Cache-Control"])
            .refuses(404, UNTILED)
            .refuses(500, BROKEN),
        get(
            "/audit/proof/inclusion",
            "audit.inclusion",
            "Proves that an event is in the tree; for who may read the event.",
            audit::inclusion,
        )
        .answers::<audit::Inclusion>("The leaf and the way from it to the root.")
        .asks([
            id("eventId", "The event, by its id; or"),
            number("position", 0..=u64::MAX, None, "the event, by its position."),
            number("size", 0..=u64::MAX, None, "The tree's size; else that of the published checkpoint."),
        ])
        .refuses(404, &["no_checkpoint", "not_found"])
        .refuses(416, &["beyond_end"])
        .refuses(500, BROKEN),
        get(
            "/audit/proof/consistency",
            "audit.consistency",
            "Proves that the tree was only appended to.",
            audit::consistency,
        )
        .answers::<audit::Consistency>("The hashes that lead to both roots.")
        .asks([
            number("from", 0..=u64::MAX, None, "The older tree's size.").required().such_as(0),
            number("to", 0..=u64::MAX, None, "The newer one's; else that of the published checkpoint."),
        ])
        .refuses(404, UNSIGNED)
        .refuses(416, &["beyond_end"])
        .refuses(500, BROKEN),
        get("/audit/keys", "audit.keys", "Gives the keys that checkpoints are verified with.", audit::keys)
            .answers::<audit::Keys>("The key in use, and how it came after those before.")
            .refuses(404, UNSIGNED)
            .refuses(500, BROKEN),
        post(
            "/audit/verify",
            "audit.verify",
            "Begins to verify the log, what was signed of it and what is derived from it, in the background.",
            verification::begin,
        )
        .answers::<verification::Verification>("It has begun; GET says how it is.")
        .accepted()
        .needs(Scope::Audit)
        .asks([
            number(
                "sample",
                1..=checks::ONE_IN_MAX,
                Some(1),
                "Of read models and search index one item in so many.",
            ),
            choice(
                "logOnly",
                &verification::LOG_ONLY,
                Some("false"),
                "Whether to leave out what is derived.",
            ),
        ])
        .refuses(409, &["verification_running"]),
        get(
            "/audit/verify",
            "audit.verified",
            "Says how the verification is that was asked for last, and what it found.",
            verification::state,
        )
        .answers::<verification::Verification>("How it is.")
        .needs(Scope::Audit),
    ]
}
