//! What a check says.

use crate::checker::entity::Entity;
use crate::rebuild::ProjectionName;
use eventstore::{Digest, Position};
use std::time::Duration;

/// Findings of one projection that are told one by one; further ones are counted.
pub const FINDINGS_MAX: usize = 1_000;

/// How something differs from what the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The log has it, the projection does not.
    Missing,
    /// The projection has another state of it than the log.
    Stale,
    /// The projection has it in more places than one.
    Duplicate,
    /// The projection has it, the log does not (any more).
    Orphaned,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Stale, Self::Duplicate, Self::Orphaned];

    /// Its name in reports and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::Orphaned => "orphaned",
        }
    }

    /// Of what is there or not, and should be or not.
    pub(crate) fn of(is_there: bool, should_be: bool) -> Self {
        match (is_there, should_be) {
            (false, _) => Self::Missing,
            (true, true) => Self::Stale,
            (true, false) => Self::Orphaned,
        }
    }
}

/// Something that differs from what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How.
    pub class: Class,
    /// Of what: the name that a repair takes.
    pub entity: Entity,
    /// Which part of it, where that is not the thing itself.
    pub part: Option<String>,
    /// Digest of what the log says; nothing where there should be nothing.
    pub expected: Option<Digest>,
    /// Digest of what was found; nothing where there was nothing.
    pub actual: Option<Digest>,
}

/// What was found in one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which one.
    pub projection: ProjectionName,
    /// Where the comparison began; it goes on with a model that moves, and each thing is compared at one position.
    pub position: Position,
    /// How many parts or documents were compared.
    pub compared: u64,
    /// The first [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// All findings by class, in the order of [`Class::ALL`].
    pub counts: [u64; 4],
    /// How long it took.
    pub took: Duration,
}

impl Checked {
    pub(crate) fn begin(projection: ProjectionName, position: Position) -> Self {
        Self { projection, position, compared: 0, findings: Vec::new(), counts: [0; 4], took: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        for (class, count) in Class::ALL.into_iter().zip(&mut self.counts) {
            *count += u64::from(class == finding.class);
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// How many findings there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}
