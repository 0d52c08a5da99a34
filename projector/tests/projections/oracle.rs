//! The log as plain JSON, read without any of the projector's code: what answers are compared with.

use domain::DomainEvent;
use eventstore::{Log, Position};
use serde_json::Value;
use std::collections::HashSet;

/// An event of the domain.
pub(crate) struct Fact {
    pub(crate) position: u64,
    pub(crate) event_type: String,
    /// The stream without its category: what it happened to.
    pub(crate) id: String,
    pub(crate) tags: Vec<String>,
    pub(crate) person: String,
    /// Business time, nanoseconds.
    pub(crate) time: i64,
    pub(crate) data: Value,
}

impl Fact {
    /// What a tag of a kind names.
    pub(crate) fn tag(&self, kind: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.strip_prefix(kind)?.strip_prefix(':'))
    }

    pub(crate) fn text(&self, member: &str) -> &str {
        self.data[member].as_str().unwrap()
    }

    pub(crate) fn texts(&self, member: &str) -> impl Iterator<Item = &str> {
        self.data[member].as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
    }
}

/// All events of the domain, in order.
pub(crate) fn read(log: &Log) -> Vec<Fact> {
    let known: HashSet<&str> = DomainEvent::types().map(|(event_type, _)| event_type).collect();
    let mut facts = Vec::new();
    for commit in log.commits(Position::ZERO) {
        for event in commit.unwrap().events().filter(|event| known.contains(event.event_type())) {
            let metadata = event.metadata();
            let extras: Value = serde_json::from_slice(metadata.extras()).unwrap();
            let person = extras.get("onBehalfOf").unwrap_or(&extras["actor"]);
            let (_, id) = event.stream().split_once('-').unwrap();
            facts.push(Fact {
                position: event.position().get(),
                event_type: event.event_type().to_owned(),
                id: id.to_owned(),
                tags: event.tags().map(str::to_owned).collect(),
                person: person.as_str().unwrap().to_owned(),
                time: metadata.occurred_at().unwrap_or(event.recorded_at()).get(),
                data: serde_json::from_slice(event.payload()).unwrap(),
            });
        }
    }
    assert!(facts.len() > 100, "only {} events: nothing is proved by that", facts.len());
    facts
}
