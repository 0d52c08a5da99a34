//! W3C Trace Context: which trace a request belongs to, `00-<trace id>-<parent id>-<flags>` in hexadecimal.
//!
//! Invariant: what is not well formed is passed over, never an error: a trace describes a request and does not
//! change what it does.

use axum::http::{HeaderMap, HeaderName};

/// The header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Trace id (16 bytes), parent id (8 bytes) and flags (1 byte), as events keep it.
pub type TraceParent = [u8; 25];

/// Digits of the three parts and the hyphens between them.
const LENGTH: usize = 32 + 1 + 16 + 1 + 2;

/// The trace context of a request, if it has one that can be read.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    read(headers.get(&TRACEPARENT)?.to_str().ok()?)
}

/// Reads the header's value. A later version than 00 is read as far as 00 goes, as the standard says.
#[must_use]
pub fn read(text: &str) -> Option<TraceParent> {
    let (version, rest) = text.split_at_checked(3)?;
    let rest = rest.as_bytes();
    let is_known = version == "00-" && rest.len() == LENGTH;
    let is_later = version != "00-"
        && version != "ff-"
        && version.ends_with('-')
        && version.bytes().take(2).all(is_digit)
        && (rest.len() == LENGTH || rest.get(LENGTH) == Some(&b'-'));
    if !(is_known || is_later) || *rest.get(32)? != b'-' || *rest.get(49)? != b'-' {
        return None;
    }
    let digits = rest[..32].iter().chain(&rest[33..49]).chain(&rest[50..LENGTH]);
    let mut bytes = [0; 25];
    for (index, digit) in digits.enumerate() {
        if !is_digit(*digit) {
            return None;
        }
        let value = u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        bytes[index / 2] = bytes[index / 2] << 4 | value;
    }
    // Ids of zeros are forbidden: they mean that there is no trace.
    (bytes[..16].iter().any(|byte| *byte != 0) && bytes[16..24].iter().any(|byte| *byte != 0))
        .then_some(bytes)
}

/// Writes the header's value.
#[must_use]
pub fn write(parent: &TraceParent) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(3 + LENGTH);
    text.push_str("00-");
    for (index, byte) in parent.iter().enumerate() {
        if index == 16 || index == 24 {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Hexadecimal in lower case only, as the standard demands.
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_or_passed_over() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let bytes = read(text).unwrap();
        assert_eq!((bytes[0], bytes[15], bytes[16], bytes[24]), (0x0a, 0x9c, 0xb7, 1));
        assert_eq!(write(&bytes), text);
        assert!(read("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later").is_some());
        for wrong in [
            "",
            "00-",
            "00-zz",
            &"0".repeat(55),
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
            "é0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
