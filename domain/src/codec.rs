//! Events as stored bytes and back: JSON, a schema version per event type, and upcasters between versions.
//!
//! Invariant: what was once written can be read for ever: a shape changes only with a new version and
//! an upcaster from the one before, and `tests/golden` holds an example of every version.
//!
//! Unknown types and versions newer than this build are [`Decoded::Unknown`], not an error: in a rolling
//! upgrade an older process reads what a newer one wrote. A reader passes them over and counts them; who
//! *decides* on a state must not fold past one, because it would decide on half of the truth.

use crate::event::DomainEvent;
use serde_json::Value;

/// Brings a payload from one schema version to the next.
struct Upcaster {
    event_type: &'static str,
    from_version: u16,
    upcast: fn(Value) -> Value,
}

/// Every step between versions. All events are at version 1, so there is none yet.
const UPCASTERS: &[Upcaster] = &[];

/// An event as the log takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The type's name.
    pub event_type: &'static str,
    /// The version of the payload's shape.
    pub schema_version: u16,
    /// JSON.
    pub payload: Vec<u8>,
}

/// An event as it was read.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is known, a box would cost each of them")]
pub enum Decoded {
    /// One that this build knows.
    Known(DomainEvent),
    /// Of another making: a raw stream's, the system's, or a newer build's.
    Unknown,
}

/// Why stored bytes are not the event that they claim to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The payload does not have the shape of its type and version.
    #[error("the payload is no {event_type} of version {schema_version}: {source}")]
    Payload {
        /// The type's name.
        event_type: String,
        /// The version it claims.
        schema_version: u16,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// No way leads from this version to the current one.
    #[error("{event_type} has no version {schema_version} that can be brought up to date")]
    NoUpcaster {
        /// The type's name.
        event_type: String,
        /// The version that cannot be brought further.
        schema_version: u16,
    },
}

/// Turns an event into what the log stores.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "payloads are structs with string keys, which always have a JSON form"
)]
pub fn encode(event: &DomainEvent) -> Encoded {
    Encoded {
        event_type: event.event_type(),
        schema_version: event.schema_version(),
        payload: event.payload().expect("a payload has a JSON form"),
    }
}

/// Turns what the log stores into an event.
///
/// # Errors
/// When the type is known and the version is not newer than this build's, but the payload does not have
/// that shape.
pub fn decode(event_type: &str, schema_version: u16, payload: &[u8]) -> Result<Decoded, CodecError> {
    let Some(current) = current_version(event_type) else { return Ok(Decoded::Unknown) };
    decode_at(UPCASTERS, current, event_type, schema_version, payload)
}

/// Whether a payload has the shape that its type has in this build: whoever wants one member of it can read that alone then.
#[must_use]
pub fn is_current(event_type: &str, schema_version: u16) -> bool {
    current_version(event_type) == Some(schema_version)
}

fn current_version(event_type: &str) -> Option<u16> {
    DomainEvent::version_of(event_type)
}

fn decode_at(
    upcasters: &[Upcaster],
    current: u16,
    event_type: &str,
    schema_version: u16,
    payload: &[u8],
) -> Result<Decoded, CodecError> {
    let wrong = |source| CodecError::Payload { event_type: event_type.to_owned(), schema_version, source };
    if schema_version > current {
        return Ok(Decoded::Unknown);
    }
    let parsed = if schema_version == current {
        DomainEvent::parse(event_type, payload)
    } else {
        let value = serde_json::from_slice(payload).map_err(wrong)?;
        let value = upcast(upcasters, event_type, schema_version, current, value)?;
        let payload = serde_json::to_vec(&value).map_err(wrong)?;
        DomainEvent::parse(event_type, &payload)
    };
    match parsed {
        Some(event) => event.map(Decoded::Known).map_err(wrong),
        None => Ok(Decoded::Unknown),
    }
}

fn upcast(
    upcasters: &[Upcaster],
    event_type: &str,
    from: u16,
    to: u16,
    mut value: Value,
) -> Result<Value, CodecError> {
    for version in from..to {
        let step = upcasters
            .iter()
            .find(|step| step.event_type == event_type && step.from_version == version)
            .ok_or_else(|| CodecError::NoUpcaster {
                event_type: event_type.to_owned(),
                schema_version: version,
            })?;
        value = (step.upcast)(value);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// Suppose names were called `title` in version 1 and were upper-case by mistake in version 2.
    const STEPS: &[Upcaster] = &[
        Upcaster {
            event_type: "workspace.created",
            from_version: 1,
            upcast: |mut value| {
                if let Some(object) = value.as_object_mut()
                    && let Some(title) = object.remove("title")
                {
                    object.insert("name".into(), title);
                }
                value
            },
        },
        Upcaster {
            event_type: "workspace.created",
            from_version: 2,
            upcast: |mut value| {
                let lower = value["name"].as_str().map(str::to_lowercase);
                value["name"] = lower.into();
                value
            },
        },
    ];

    fn created(name: &str) -> Decoded {
        Decoded::Known(workspace::Event::from(workspace::Created { name: name.into() }).into())
    }

    #[test]
    fn old_versions_go_up_step_by_step() {
        let read = |version, payload: &[u8]| decode_at(STEPS, 3, "workspace.created", version, payload);
        assert_eq!(read(1, br#"{"title":"ACME"}"#).unwrap(), created("acme"));
        assert_eq!(read(2, br#"{"name":"ACME"}"#).unwrap(), created("acme"));
        assert_eq!(read(3, br#"{"name":"ACME"}"#).unwrap(), created("ACME"));
        assert_eq!(read(4, br#"{"other":1}"#).unwrap(), Decoded::Unknown);
        let error = read(0, br#"{"x":1}"#).unwrap_err();
        assert!(matches!(error, CodecError::NoUpcaster { schema_version: 0, .. }), "{error}");
    }

    #[test]
    fn every_older_version_has_its_upcaster() {
        for (event_type, current) in DomainEvent::types() {
            for version in 1..current {
                assert!(
                    UPCASTERS
                        .iter()
                        .any(|step| step.event_type == event_type && step.from_version == version),
                    "{event_type} {version}"
                );
            }
        }
    }

    #[test]
    fn unknown_types_pass_and_broken_payloads_do_not() {
        assert_eq!(decode("sys.rebuild", 1, b"anything").unwrap(), Decoded::Unknown);
        assert_eq!(decode("item.created", 9, b"anything").unwrap(), Decoded::Unknown);
        assert!(matches!(decode("item.created", 1, b"{}"), Err(CodecError::Payload { .. })));
        assert!(matches!(decode("item.created", 0, b"{}"), Err(CodecError::NoUpcaster { .. })));
    }

    #[test]
    fn members_that_a_newer_build_added_are_passed_over() {
        let read = decode("workspace.created", 1, br#"{"name":"a","colour":"blue"}"#).unwrap();
        assert_eq!(read, created("a"));
    }
}
