//! What a witness signs: a checkpoint and when it saw that this is the newest and continues all before (C2SP
//! `tlog-cosignature`, version 1, Ed25519).

use super::key::{SignatureKind, SigningKey, VerifierKey};
use super::note::{NoteError, NoteSignature};

/// Bytes of the time in front of the signature itself.
const TIME_BYTES: usize = 8;

/// Cosigns a checkpoint's text at a time, in seconds since 1970.
///
/// # Errors
/// When the key is not one for cosignatures, or cannot sign.
pub fn cosign(key: &SigningKey, checkpoint: &str, at: u64) -> Result<NoteSignature, NoteError> {
    if key.verifier().kind() != SignatureKind::Cosignature {
        return Err(NoteError::Form("the key is not one for cosignatures"));
    }
    if i64::try_from(at).is_err() || at == 0 {
        return Err(NoteError::Form("a cosignature has a time after 1970"));
    }
    let mut bytes = at.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key.sign(message(checkpoint, at).as_bytes())?);
    Ok(NoteSignature::new(key.verifier(), bytes))
}

/// When a witness gave a cosignature, if it is good.
pub(super) fn verify(key: &VerifierKey, checkpoint: &str, signature: &[u8]) -> Option<u64> {
    let (at, signature) = signature.split_first_chunk::<TIME_BYTES>()?;
    let at = u64::from_be_bytes(*at);
    let is_good =
        i64::try_from(at).is_ok() && key.is_signature(message(checkpoint, at).as_bytes(), signature);
    is_good.then_some(at)
}

fn message(checkpoint: &str, at: u64) -> String {
    format!("cosignature/v1\ntime {at}\n{checkpoint}")
}
