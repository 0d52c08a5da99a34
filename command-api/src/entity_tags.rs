//! `If-Match` and `If-None-Match` as demands of versions.
//!
//! The tags that the query API gives say more than a version (see [`http_kit::entity_tags`]); what is demanded is the version.
//!
//! Invariant: a tag that is well formed and no version of ours is kept out of the list, where it matches nothing; only what
//! is no list of tags at all is refused.

use crate::service::EntityTags;
use axum::http::{HeaderMap, HeaderName, header};
use eventstore::Version;
use http_kit::entity_tags::{self, NoTags};
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
    match entity_tags::EntityTags::read(headers, name) {
        Ok(None) => Ok(None),
        Ok(Some(entity_tags::EntityTags::Any)) => Ok(Some(EntityTags::Any)),
        Ok(Some(entity_tags::EntityTags::These(tags))) => {
            let tags = tags.iter().filter(|tag| takes_weak || !tag.is_weak);
            Ok(Some(EntityTags::Versions(
                tags.filter_map(entity_tags::EntityTag::version).map(Version::new).collect(),
            )))
        }
        Err(NoTags) => {
            let detail = format!("{name}: * or a list of entity tags, as in \"3\", \"4\"");
            Err(Problem::invalid_header(name.as_str(), detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

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
        assert_eq!(
            read(&["\"3-gzip\", \"4-0123456789abcdef\", \"5-0123456789abcdef-zstd\""]),
            versions(&[3, 4, 5])
        );
        assert_eq!(read(&["\"3-br\", \"4-0123\", W/\"5-gzip\""]), versions(&[]));
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
