//! One directory: the names that everybody sees, those that a power cut leaves, and the changes in between.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A file, by its number.
    File(u64),
    /// A directory, known by its path.
    Directory,
}

#[derive(Debug, Clone)]
enum Change {
    Made(String, Node),
    Removed(String),
    Renamed(String, String, Node),
}

#[derive(Debug, Default)]
pub struct Directory {
    names: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<Change>,
}

impl Directory {
    pub fn names(&self) -> &BTreeMap<String, Node> {
        &self.names
    }

    pub fn make(&mut self, name: &str, node: Node) {
        self.change(Change::Made(name.to_owned(), node));
    }

    pub fn remove(&mut self, name: &str) {
        self.change(Change::Removed(name.to_owned()));
    }

    pub fn rename(&mut self, from: &str, to: &str, node: Node) {
        self.change(Change::Renamed(from.to_owned(), to.to_owned(), node));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    pub fn sync(&mut self) {
        self.durable.clone_from(&self.names);
        self.pending.clear();
    }

    /// Any of the changes may have reached the disk, but those of one name only in their order. A renaming touches
    /// two names at once.
    pub fn after_power_cut(&self, dice: &mut Dice, percent: u64) -> Self {
        let mut names = self.durable.clone();
        let mut overtaken = BTreeSet::new();
        for change in &self.pending {
            let touches = change.touches();
            if touches.iter().any(|name| overtaken.contains(*name)) || !dice.percent(percent) {
                overtaken.extend(touches);
            } else {
                change.apply(&mut names);
            }
        }
        Self { durable: names.clone(), names, pending: Vec::new() }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Made(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Removed(name) => {
                names.remove(name);
            }
            Self::Renamed(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }

    fn touches(&self) -> Vec<&str> {
        match self {
            Self::Made(name, _) | Self::Removed(name) => vec![name],
            Self::Renamed(from, to, _) => vec![from, to],
        }
    }
}
