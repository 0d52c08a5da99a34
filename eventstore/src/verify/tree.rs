//! The Merkle tree over the events as the log has them now, and what it comes to where somebody asked.

use super::report::Reached;
use crate::numbers::{Digest, Position, TreeSize};
use crate::transparency::Edge;
use std::ops::Range;

/// A place that somebody remembers of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// How many events there were.
    pub size: TreeSize,
    /// The chain head there, if that is remembered too.
    pub chain: Option<Digest>,
}

/// The tree while the log is gone through.
#[derive(Debug, Default)]
pub(super) struct Tree {
    edge: Edge,
    /// In order of size.
    asked: Vec<Asked>,
    reached: Vec<Reached>,
    /// Those of the size that was reached last: chain heads of commits without events may still come.
    current: Range<usize>,
    /// Where events were not readable: nothing can be said of larger trees.
    ends: Option<Position>,
}

impl Tree {
    /// Goes on from an edge, and looks out for some places.
    pub(super) fn new(edge: Edge, asked: &[Asked]) -> Self {
        let mut asked = asked.to_vec();
        asked.sort_by_key(|asked| asked.size);
        let mut tree = Self { edge, asked, ..Self::default() };
        let before = tree.asked.partition_point(|asked| asked.size < tree.edge.size());
        // What is smaller than where it begins is not looked at.
        let unknown = tree.asked[..before].iter().map(|asked| Reached {
            size: asked.size,
            root: None,
            has_chain: false,
        });
        tree.reached = unknown.collect();
        tree.reach();
        tree
    }

    /// The commit at a position, with its leaves' hashes; `chain` is the head after it.
    pub(super) fn commit(&mut self, first: Position, leaves: &[Digest], next: Position, chain: &Digest) {
        if self.ends.is_some() {
            return;
        }
        if first.get() != self.edge.size().get() || next.get() - first.get() != leaves.len() as u64 {
            return self.end(Position::new(self.edge.size().get()));
        }
        for leaf in leaves {
            self.edge.append(*leaf, |_, _| {});
            self.reach();
        }
        if self.edge.size().get() == next.get() {
            self.has_chain(chain);
        }
    }

    /// The chain head at the place where the tree is.
    pub(super) fn has_chain(&mut self, chain: &Digest) {
        for index in self.current.clone() {
            let size = self.reached[index].size;
            self.reached[index].has_chain |=
                size == self.edge.size() && self.asked[index].chain.as_ref() == Some(chain);
        }
    }

    /// Events from this position on cannot be read.
    pub(super) fn end(&mut self, at: Position) {
        self.ends.get_or_insert(at);
    }

    fn reach(&mut self) {
        let size = self.edge.size();
        let from = self.reached.len();
        if self.asked.get(from).is_none_or(|asked| asked.size != size) {
            return;
        }
        let root = self.edge.root();
        while self.asked.get(self.reached.len()).is_some_and(|asked| asked.size == size) {
            self.reached.push(Reached { size, root: Some(root), has_chain: false });
        }
        self.current = from..self.reached.len();
    }

    /// What was asked about, in order of size and chain, and where the tree ended early.
    pub(super) fn finish(mut self) -> (Vec<(Asked, Reached)>, Option<Position>) {
        for asked in &self.asked[self.reached.len()..] {
            self.reached.push(Reached { size: asked.size, root: None, has_chain: false });
        }
        (self.asked.into_iter().zip(self.reached).collect(), self.ends)
    }
}
