//! bincode, and the only place that names it: command tables, snapshots and images are encoded here.
//!
//! The crate is pinned to 2.0.1 because it is no longer maintained (3.0.0 on the registry is not a usable release);
//! replacing it means replacing this file. The encoding is fixed-width little-endian, so it can be written down as a
//! byte table. Never used for the log's framing.

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use serde::{Serialize, de::DeserializeOwned};

const CONFIG: Configuration<LittleEndian, Fixint, NoLimit> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding();

/// Why bytes could not be turned into a value, or a value into bytes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

/// Encodes a value.
///
/// # Errors
/// When the value's own serialisation fails; plain data does not.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|error| CodecError(error.to_string()))
}

/// Decodes a value that takes up all of `bytes`.
///
/// # Errors
/// When the bytes end early, are left over, or are not a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|error| CodecError(error.to_string()))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(CodecError(format!("{} bytes are left over", bytes.len() - used)))
    }
}
