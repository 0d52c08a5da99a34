//! What a consumer of a subscription has seen, and what it should have seen by the plainest of scans.

use eventstore::{Delivery, Filter, Lineage, Log, Position};

/// An event in the plainest words, and whether a filter wants it in the plainest way.
#[derive(Debug, Clone)]
pub struct Plain {
    pub position: u64,
    pub commit: u64,
    pub stream: String,
    pub event_type: String,
    pub tags: Vec<String>,
}

pub fn wants(filter: &Filter, event: &Plain) -> bool {
    match filter {
        Filter::All => true,
        Filter::Stream(stream) => event.stream == stream.to_string(),
        Filter::Category(category) => event.stream.split('-').next() == Some(category),
        Filter::Types(types) => types.iter().any(|wanted| wanted.to_string() == event.event_type),
        Filter::Tag(tag) => event.tags.contains(&tag.to_string()),
        Filter::Every(parts) => parts.iter().all(|part| wants(part, event)),
    }
}

pub fn everything(log: &Log) -> Vec<Plain> {
    let mut all = Vec::new();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        for event in commit.events() {
            all.push(Plain {
                position: event.position().get(),
                commit: commit.first().get(),
                stream: event.stream().to_owned(),
                event_type: event.event_type().to_owned(),
                tags: event.tags().map(str::to_owned).collect(),
            });
        }
    }
    all
}

/// What a consumer has seen: positions by delivery, and the checkpoints.
#[derive(Debug, Default)]
pub struct Seen {
    pub deliveries: Vec<Vec<u64>>,
    pub checkpoints: Vec<Lineage>,
}

impl Seen {
    pub fn take(&mut self, delivery: &Delivery) {
        let positions: Vec<u64> = delivery.events().map(|event| event.position().get()).collect();
        assert_eq!(positions.len(), delivery.len());
        assert_eq!(positions.is_empty(), delivery.is_empty());
        if !positions.is_empty() {
            self.deliveries.push(positions);
        }
        self.checkpoints.push(delivery.checkpoint());
    }

    pub fn checkpoint(&self) -> Option<Lineage> {
        self.checkpoints.last().copied()
    }

    pub fn has_reached(&self, end: Position) -> bool {
        self.checkpoint().is_some_and(|checkpoint| checkpoint.next >= end)
    }

    pub fn check(&self, log: &Log, filter: &Filter, from: u64) {
        let all = everything(log);
        let wanted: Vec<&Plain> =
            all.iter().filter(|event| event.position >= from && wants(filter, event)).collect();
        let whole: Vec<Vec<u64>> = wanted
            .chunk_by(|one, other| one.commit == other.commit)
            .map(|commit| commit.iter().map(|event| event.position).collect())
            .collect();
        assert_eq!(self.deliveries, whole, "{filter:?} from {from}");
        assert!(self.checkpoints.is_sorted_by_key(|checkpoint| checkpoint.next), "{filter:?}");
        for checkpoint in &self.checkpoints {
            assert!(log.confirms(checkpoint).unwrap(), "{filter:?} {checkpoint:?}");
        }
    }
}
