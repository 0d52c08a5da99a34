//! Several lists that fall, as one that falls.

use eventstore::Position;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Gives the positions of all lists, the newest first. No position stands in two of them.
#[derive(Debug)]
pub(super) struct NewestFirst<I> {
    lists: Vec<I>,
    /// The newest of each list, with the list's place.
    heads: BinaryHeap<(Position, usize)>,
}

impl<I: Iterator<Item = Position>> NewestFirst<I> {
    pub(super) fn of(lists: impl Iterator<Item = I>) -> Self {
        let mut lists: Vec<I> = lists.collect();
        let heads = lists.iter_mut().enumerate();
        let heads = heads.filter_map(|(place, list)| Some((list.next()?, place))).collect();
        Self { lists, heads }
    }
}

impl<I: Iterator<Item = Position>> Iterator for NewestFirst<I> {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let mut head = self.heads.peek_mut()?;
        let (newest, place) = *head;
        match self.lists[place].next() {
            Some(next) => *head = (next, place),
            None => drop(PeekMut::pop(head)),
        }
        Some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_merged_to_their_ends() {
        let lists = [&[9, 4, 1][..], &[], &[8, 7], &[2]];
        let lists = lists.map(|list| list.iter().copied().map(Position::new));
        let merged: Vec<u64> = NewestFirst::of(lists.into_iter()).map(Position::get).collect();
        assert_eq!(merged, [9, 8, 7, 4, 2, 1]);
    }
}
