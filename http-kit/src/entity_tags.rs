//! Entity tags: how they are made, and how `If-Match` and `If-None-Match` are read (RFC 9110, 8.8.3 and 13.1).
//!
//! ```text
//! "7"                        version 7 of an aggregate, as a command answers it
//! "7-93f1c2a45be0d871"       what is told of it at version 7: the rest is a digest of the answer
//! "7-93f1c2a45be0d871-gzip"  the same, coded
//! W/"93f1c2a45be0d871"       an answer that is no single aggregate
//! ```
//!
//! An answer about one thing tells of others, too (an item of the number of its comments, say), so a version alone does not
//! say whether it is the same. With the digest it does, and the version before it is what a command demands.
//!
//! Invariant: tags are compared as they are written, so `"03"` is not version 3.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;

/// The codings that a strong tag may end in.
pub(crate) const CODINGS: [&str; 2] = ["-gzip", "-zstd"];

/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 16;

/// The tag of an answer about one aggregate.
#[must_use]
pub fn strong(version: u64, body: &[u8]) -> HeaderValue {
    written(format_args!("\"{version}-{:016x}\"", xxh3_64(body)))
}

/// The tag of any other answer.
#[must_use]
pub fn weak(body: &[u8]) -> HeaderValue {
    written(format_args!("W/\"{:016x}\"", xxh3_64(body)))
}

fn written(tag: std::fmt::Arguments<'_>) -> HeaderValue {
    let mut text = String::with_capacity(48);
    // A string takes everything, and digits and quotes are always a header's value.
    let _ = text.write_fmt(tag);
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

/// What `If-Match` or `If-None-Match` demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags<'h> {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    These(Vec<EntityTag<'h>>),
}

/// One tag of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'h> {
    /// Whether it is marked as weak.
    pub is_weak: bool,
    /// What stands between the quotes.
    pub opaque: &'h [u8],
}

/// What is no list of tags at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTags;

impl<'h> EntityTags<'h> {
    /// Reads a header, over one or several lines; nothing where there is none.
    ///
    /// # Errors
    /// Where it is neither `*` nor a list of tags.
    pub fn read(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Self>, NoTags> {
        if !headers.contains_key(name) {
            return Ok(None);
        }
        Self::of_lines(headers.get_all(name).iter().map(HeaderValue::as_bytes)).map(Some)
    }

    fn of_lines(lines: impl Iterator<Item = &'h [u8]>) -> Result<Self, NoTags> {
        // A list may be spread over several lines (RFC 9110, 5.3).
        let lines: Vec<&[u8]> = lines.collect();
        if let [one] = lines[..]
            && one.trim_ascii() == b"*"
        {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        for line in lines {
            let mut rest = line.trim_ascii_start();
            while !rest.is_empty() {
                // Empty elements are passed over (RFC 9110, 5.6.1.2).
                if let Some(after) = rest.strip_prefix(b",") {
                    rest = after.trim_ascii_start();
                    continue;
                }
                let (tag, after) = tag(rest).ok_or(NoTags)?;
                tags.push(tag);
                rest = after.trim_ascii_start();
                if !rest.is_empty() && !rest.starts_with(b",") {
                    return Err(NoTags);
                }
            }
        }
        Ok(Self::These(tags))
    }
}

/// The tag at the beginning, and what follows it.
fn tag(text: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    // The W is case-sensitive (RFC 9110, 8.8.3).
    let (is_weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let inner = quoted.strip_prefix(b"\"")?;
    let end = inner.iter().position(|byte| *byte == b'"')?;
    let (opaque, rest) = inner.split_at(end);
    let is_allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    opaque.iter().all(is_allowed).then_some((EntityTag { is_weak, opaque }, &rest[1..]))
}

impl EntityTag<'_> {
    /// The version that a tag of ours stands for, whatever else was told with it and however that was coded.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let text = std::str::from_utf8(without_coding(self.opaque)).ok()?;
        let version = match text.split_once('-') {
            Some((version, digest)) => {
                let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
                (digest.len() == DIGEST_DIGITS && digest.bytes().all(is_hex)).then_some(version)?
            }
            None => text,
        };
        let number: u64 = version.parse().ok()?;
        (number.to_string() == version).then_some(number)
    }
}

/// A tag, without the coding that it ends in.
pub(crate) fn without_coding(opaque: &[u8]) -> &[u8] {
    let coding = CODINGS.iter().find_map(|coding| opaque.strip_suffix(coding.as_bytes()));
    coding.unwrap_or(opaque)
}

/// Whether somebody who has what these lines name has this representation: `If-None-Match`, compared weakly (RFC 9110,
/// 13.1.2), and without regard to codings. What is no list of tags names nothing: an answer in full is never wrong.
pub(crate) fn knows(lines: &[HeaderValue], current: &HeaderValue) -> bool {
    let Some((current, _)) = tag(current.as_bytes()) else { return false };
    match EntityTags::of_lines(lines.iter().map(HeaderValue::as_bytes)) {
        Ok(EntityTags::Any) => true,
        Ok(EntityTags::These(tags)) => {
            tags.iter().any(|known| without_coding(known.opaque) == without_coding(current.opaque))
        }
        Err(NoTags) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(line: &str, current: &'static str) -> bool {
        super::knows(&[HeaderValue::from_str(line).unwrap()], &HeaderValue::from_static(current))
    }

    #[test]
    fn what_is_known_is_known_in_any_coding() {
        for line in ["\"7-a\"", "\"other\", W/\"7-a\"", "*", "\"7-a-gzip\"", "W/\"7-a-zstd\", \"x\""] {
            assert!(knows(line, "\"7-a\""), "{line}");
            assert!(knows(line, "W/\"7-a\""), "{line}");
        }
        for line in ["\"7\"", "\"7-b\"", "\"7-a-br\"", "nonsense", "7-a", "\"7-a", ""] {
            assert!(!knows(line, "\"7-a\""), "{line}");
        }
    }

    #[test]
    fn a_version_is_found_whatever_was_told_with_it() {
        let version = |text: &str| EntityTag { is_weak: false, opaque: text.as_bytes() }.version();
        let made = strong(7, b"{}");
        let made = made.to_str().unwrap().trim_matches('"').to_owned();
        for text in ["7", "7-gzip", &made, &format!("{made}-gzip"), &format!("{made}-zstd")] {
            assert_eq!(version(text), Some(7), "{text}");
        }
        for text in ["", "07", "+7", "7-", "7-x", "7-br", "7-gzip-gzip", "-7", "7-0123456789abcdeF", "é"] {
            assert_eq!(version(text), None, "{text}");
        }
        assert_eq!(version(&u64::MAX.to_string()), Some(u64::MAX));
        assert_eq!(version("18446744073709551616"), None);
    }
}
