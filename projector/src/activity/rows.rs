//! The lists as rows of an image: whose each is, and its bytes.

use super::{Activity, Positions, Thing};
use crate::models::Name;
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::Lineage;
use eventstore::codec::{self, CodecError};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The lists, in the order in which they are read.
pub(super) fn encode(activity: &Activity) -> Result<Vec<u8>, CodecError> {
    let people = activity.people.iter().map(|(person, tenants)| {
        let tenants = tenants.iter().map(|(workspace, positions)| (*workspace, positions));
        (person, tenants.collect::<Vec<_>>())
    });
    codec::encode(&(
        activity.projects.iter().collect::<Vec<_>>(),
        activity.all().collect::<Vec<_>>(),
        people.collect::<Vec<_>>(),
    ))
}

pub(super) fn decode(rows: &[u8], checkpoint: Lineage) -> Result<Activity, CodecError> {
    let mut rows = codec::Reader::new(rows);
    let mut activity = Activity::new(checkpoint.store);
    rows.each(|(board, project): (BoardId, ProjectId)| {
        activity.projects.insert(board, project);
    })?;
    rows.each(|(thing, positions): (Thing, Positions)| *activity.of_mut(thing) = positions)?;
    rows.each(|(person, tenants): (Name, Vec<(WorkspaceId, Positions)>)| {
        activity.people.insert(person, tenants.into_iter().collect());
    })?;
    rows.finish()?;
    activity.checkpoint = checkpoint;
    Ok(activity)
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Positions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of rising positions")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Positions, E> {
                Positions::from_bytes(bytes).ok_or_else(|| E::custom("these are no rising positions"))
            }
        }

        deserializer.deserialize_byte_buf(Bytes)
    }
}
