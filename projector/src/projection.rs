//! What is made of the log and kept up to date with it.

use crate::decode::DecodedCommit;
use eventstore::{Lineage, Position, ReadError};

/// Something that is derived from the log, commit by commit.
///
/// An implementation MUST take in whole commits in order, MUST pass over commits that it has already taken in (the
/// tail begins at the oldest checkpoint of all projections), and MUST refuse a commit that leaves a gap.
pub trait Projection {
    /// What it is called in commands and metrics.
    fn name(&self) -> &'static str;

    /// Version of what it makes; another one means that it is built anew.
    fn version(&self) -> u32;

    /// What it has taken in.
    fn checkpoint(&self) -> Lineage;

    /// Takes in commits. SHOULD return fast: the others wait.
    ///
    /// # Errors
    /// When the commits cannot be taken in; they will be given again.
    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError>;

    /// Whether it stands still until something else has happened, and is given nothing until then.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Called after every batch, and now and then while nothing happens: the time to save.
    fn rest(&mut self) {}
}

/// Why a projection cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// Commits are missing.
    #[error("expected position {expected}, was given {given}")]
    Gap {
        /// The next position to be taken in.
        expected: Position,
        /// Where the commit begins.
        given: Position,
    },
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What to do with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Take it in.
    TakeIn,
    /// It was taken in before.
    PassOver,
}

/// Judges a commit by a checkpoint.
pub(crate) fn step(checkpoint: &Lineage, commit: &DecodedCommit<'_>) -> Result<Step, ProjectionError> {
    if commit.first == checkpoint.next {
        Ok(Step::TakeIn)
    } else if commit.first < checkpoint.next {
        Ok(Step::PassOver)
    } else {
        Err(ProjectionError::Gap { expected: checkpoint.next, given: commit.first })
    }
}
