//! Hashes as text: standard Base 64 with padding, in the one spelling that each has.

use crate::numbers::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A hash in Base 64, as C2SP's formats have it.
#[must_use]
pub fn hash_to_base64(hash: &Digest) -> String {
    STANDARD.encode(hash.0)
}

/// Reads a hash in Base 64; `None` when it is none.
#[must_use]
pub fn hash_from_base64(text: &str) -> Option<Digest> {
    Some(Digest(decode(text)?.try_into().ok()?))
}

/// Bytes in Base 64.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
