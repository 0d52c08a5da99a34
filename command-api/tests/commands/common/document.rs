//! The served document as a judge of the tests: whatever they send and get must be what it says, see
//! [`http_kit::openapi::judge`].

use super::Answer;
use http_kit::openapi::judge::{Exchange, Judge};
use serde_json::Value;
use std::sync::LazyLock;

/// The document as it is checked in, which a test holds to be what is served.
pub const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

// Read when it is needed, so that a snapshot that was just written counts.
static JUDGE: LazyLock<Judge> =
    LazyLock::new(|| Judge::new(serde_json::from_slice(&std::fs::read(SNAPSHOT).unwrap()).unwrap()));

/// The judge itself.
pub fn judge_of_all() -> &'static Judge {
    &JUDGE
}

/// Compares a request and its answer with the document.
#[track_caller]
pub fn judge(method: &str, path: &str, sent: &[u8], answer: &Answer) {
    let Answer { status, headers, text, .. } = answer;
    let exchange = Exchange { method, path, sent, status: *status, headers, body: text.as_bytes() };
    if let Err(fault) = JUDGE.judge(&exchange) {
        panic!("{fault}, {method} {path}: {status} {text}");
    }
}

/// What a schema of the document finds wrong with a value.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    JUDGE.faults(schema, value).unwrap()
}
