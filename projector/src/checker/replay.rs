//! A model that is made of the log beside the one that is checked, of the events that a scope wants, up to where the other is.

use crate::checker::entity::Scope;
use crate::checker::gait::{Gait, Stopped};
use crate::checker::inspect::Inspect;
use crate::control::Letters;
use crate::decode::{DecodedCommit, DecodedEvent};
use crate::projection::ProjectionError;
use eventstore::{Commits, Lineage, Log, Position, ReadError, RecordedCommit};
use std::sync::Arc;

/// Why a check or a repair did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It was stopped.
    #[error("the check was stopped")]
    Stopped,
    /// What is checked is not of this log.
    #[error("the log does not confirm position {next} of store {store}", next = .0.next, store = .0.store)]
    Unconfirmed(Lineage),
    /// The log could not be read or taken in.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The search index could not be read.
    #[error(transparent)]
    Search(#[from] crate::search::SearchError),
    /// What is checked is being made anew, because it was decided otherwise what it passes over.
    #[error("it is being made anew at the moment; check it when that is done")]
    Remade,
    /// The model moved on faster than the replay came after it.
    #[error("the model moves on faster than the log is replayed; try again when less is written")]
    Outrun,
}

impl From<Stopped> for CheckError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<ReadError> for CheckError {
    fn from(error: ReadError) -> Self {
        Self::Projection(error.into())
    }
}

/// What the log says, as far as it has been replayed.
pub(crate) struct Replay<'a, M> {
    pub(crate) model: M,
    commits: Commits,
    /// What was read and lies beyond what was asked for.
    ahead: Option<RecordedCommit>,
    scope: &'a Scope,
    /// The dead letters that the other one passes over.
    letters: Arc<Letters>,
}

impl<'a, M: Inspect> Replay<'a, M> {
    /// Before anything happened.
    pub(crate) fn begin(log: &Log, scope: &'a Scope, letters: Arc<Letters>) -> Self {
        Self {
            model: M::begin(log.store_id()),
            commits: log.commits(Position::ZERO),
            ahead: None,
            scope,
            letters,
        }
    }

    /// Passes over what the other one passes over from now on. What it was made of until now has to be the same.
    pub(crate) fn obey(&mut self, letters: Arc<Letters>) -> Result<(), CheckError> {
        if *letters != *self.letters && !letters.agree_before(&self.letters, self.model.checkpoint().next) {
            return Err(CheckError::Remade);
        }
        self.letters = letters;
        Ok(())
    }

    /// Goes on to where something is that has taken in at least as much; exactly to there.
    pub(crate) fn advance(&mut self, to: &Lineage, gait: &mut Gait<'_>) -> Result<(), CheckError> {
        while self.model.checkpoint() != *to {
            if !self.step(to.next)? {
                return Err(CheckError::Unconfirmed(*to));
            }
            gait.breathe()?;
        }
        Ok(())
    }

    /// Goes most of the way to somebody who may be at `end`: commits without events may stand there, which they may or may
    /// not have taken in.
    pub(crate) fn approach(&mut self, end: Position, gait: &mut Gait<'_>) -> Result<(), CheckError> {
        let Some(end) = end.get().checked_sub(1).map(Position::new) else { return Ok(()) };
        while self.step(end)? {
            gait.breathe()?;
        }
        Ok(())
    }

    /// Takes in the next commit, if it ends at `end` or before; false where there is none.
    pub(crate) fn step(&mut self, end: Position) -> Result<bool, CheckError> {
        let commit = match self.ahead.take() {
            Some(commit) => commit,
            None => match self.commits.next().transpose()? {
                Some(commit) => commit,
                None => return Ok(false),
            },
        };
        if commit.next() > end {
            self.ahead = Some(commit);
            return Ok(false);
        }
        self.take_in(&commit)?;
        Ok(true)
    }

    fn take_in(&mut self, commit: &RecordedCommit) -> Result<(), CheckError> {
        let mut events = Vec::new();
        let mut read = 0;
        for view in commit.events() {
            read += 1;
            if !self.letters.pass_over(&view) && self.model.wants(&view, self.scope) {
                events.push(DecodedEvent::decode(view));
            }
        }
        // Bytes that rot between the check of their sum and now would end the list of events early.
        if read != commit.len() {
            let place = commit.place();
            let reason = "its events cannot be read to the end".to_owned();
            return Err(
                ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason }.into()
            );
        }
        let wanted = DecodedCommit { first: commit.first(), lineage: commit.lineage(), events };
        Ok(self.model.apply(&wanted)?)
    }
}
