//! `If-Match` and `If-None-Match` (RFC 9110, 13.1): `*`, or a list of entity tags, over one or several lines.
//!
//! Invariant: a tag that is well formed and no version of ours is kept out of the list, where it matches nothing; only what
//! is no list of tags at all is refused.

use crate::service::EntityTags;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use eventstore::Version;
use http_kit::problem::Problem;

/// `If-Match`, which compares strongly: weak tags match nothing (RFC 9110, 13.1.1).
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<EntityTags>, Problem> {
    read(headers, &header::IF_MATCH, false)
}

/// `If-None-Match`, which compares weakly: `W/"3"` names version 3 as `"3"` does (RFC 9110, 13.1.2).
pub(crate) fn if_none_match(headers: &HeaderMap) -> Result<Option<EntityTags>, Problem> {
    read(headers, &header::IF_NONE_MATCH, true)
}

fn read(headers: &HeaderMap, name: &HeaderName, takes_weak: bool) -> Result<Option<EntityTags>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let wrong = || {
        let detail = format!("{name}: * or a list of entity tags, as in \"3\", \"4\"");
        Problem::invalid_header(name.as_str(), detail)
    };
    // A list may be spread over several lines (RFC 9110, 5.3).
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if let [one] = lines[..]
        && one.trim_ascii() == b"*"
    {
        return Ok(Some(EntityTags::Any));
    }
    let mut versions = Vec::new();
    for line in lines {
        let mut rest = line.trim_ascii_start();
        while !rest.is_empty() {
            // Empty elements are passed over (RFC 9110, 5.6.1.2).
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after.trim_ascii_start();
                continue;
            }
            let (tag, after) = tag(rest).ok_or_else(wrong)?;
            if takes_weak || !tag.is_weak {
                versions.extend(version(tag.opaque));
            }
            rest = after.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Err(wrong());
            }
        }
    }
    Ok(Some(EntityTags::Versions(versions)))
}

struct Tag<'h> {
    is_weak: bool,
    opaque: &'h [u8],
}

/// The tag at the beginning, and what follows it.
fn tag(text: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    // The W is case-sensitive (RFC 9110, 8.8.3).
    let (is_weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let inner = quoted.strip_prefix(b"\"")?;
    let end = inner.iter().position(|byte| *byte == b'"')?;
    let (opaque, rest) = inner.split_at(end);
    let is_allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    opaque.iter().all(is_allowed).then_some((Tag { is_weak, opaque }, &rest[1..]))
}

/// The version that a tag of ours stands for: tags are compared as they are written, so `"03"` is not version 3.
fn version(opaque: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(opaque).ok()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(Version::new(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    fn versions(numbers: &[u64]) -> EntityTags {
        EntityTags::Versions(numbers.iter().copied().map(Version::new).collect())
    }

    #[test]
    fn lists_are_read_as_the_standard_says() {
        let read = |lines: &[&str]| if_match(&with(&header::IF_MATCH, lines)).unwrap().unwrap();
        assert_eq!(read(&["*"]), EntityTags::Any);
        assert_eq!(read(&[" \"3\" "]), versions(&[3]));
        assert_eq!(read(&["\"3\", \"5\"", "\"7\""]), versions(&[3, 5, 7]));
        assert_eq!(read(&[",\"3\",, \t\"5\" ,"]), versions(&[3, 5]));
        assert_eq!(read(&["W/\"3\", \"4\""]), versions(&[4]));
        assert_eq!(read(&["\"a,b\", \"03\", \"+3\", \"\", \"é\""]), versions(&[]));
        assert_eq!(read(&["\"18446744073709551616\""]), versions(&[]));
        assert_eq!(read(&[""]), versions(&[]));
        for wrong in ["3", "\"3", "\"3\" \"4\"", "\"", "W/3", "w/\"3\"", "*, \"3\"", "\"a b\"", "\"3\"x"] {
            let problem = if_match(&with(&header::IF_MATCH, &[wrong])).unwrap_err();
            assert_eq!(problem.status(), 400, "{wrong}");
        }
        assert!(if_match(&with(&header::IF_MATCH, &["*", "\"3\""])).is_err());
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn weak_tags_count_where_nothing_is_to_match() {
        let read = |line| if_none_match(&with(&header::IF_NONE_MATCH, &[line])).unwrap().unwrap();
        assert_eq!(read("W/\"3\", \"5\""), versions(&[3, 5]));
        assert_eq!(read("*"), EntityTags::Any);
    }
}
