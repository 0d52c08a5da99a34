//! How far everything is that is derived from the log, for whoever looks at a data directory from outside.
//!
//! Invariant: nothing here writes or takes a lock. That something can be used is judged as its owner judges it when it starts;
//! whether its content is right is the matter of `checker`.

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::models::Models;
use crate::notary::TreeReader;
use crate::read_model::ReadModel;
use crate::search::{INDEX_DIR, IndexStore};
use eventstore::{Log, Position};
use std::path::Path;

/// Something that is derived from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// What it is called.
    pub name: &'static str,
    /// Its directory, below the data directory; what is there can be made again.
    pub dir: &'static str,
    /// How far it is on disk; none when there is none that can be used.
    pub checkpoint: Option<Position>,
    /// Why what is there cannot be used.
    pub problem: Option<String>,
}

/// Read models' images, search index and published tree of a data directory.
#[must_use]
pub fn outlook(data_dir: &Path, log: &Log) -> Vec<Derived> {
    vec![
        of_image::<Models>(data_dir, log),
        of_image::<Activity>(data_dir, log),
        of_image::<Analytics>(data_dir, log),
        of_index(data_dir, log),
        of_tree(data_dir),
    ]
}

fn of_image<M: ReadModel>(data_dir: &Path, log: &Log) -> Derived {
    let (checkpoint, problem) = match image::checkpoint_of::<M>(data_dir, log) {
        Ok(next) => (Some(next), None),
        Err(ImageError::None) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Derived { name: M::NAME, dir: IMAGES_DIR, checkpoint, problem }
}

fn of_index(data_dir: &Path, log: &Log) -> Derived {
    let of = |checkpoint, problem| Derived { name: "search", dir: INDEX_DIR, checkpoint, problem };
    if Generations::new(data_dir, INDEX_DIR).current().is_none() {
        return of(None, None);
    }
    match IndexStore::open(data_dir, log) {
        Some((_, lineage)) => of(Some(lineage.next), None),
        None => {
            let why = "it is damaged, of another build, or not of this log";
            of(None, Some(why.to_owned()))
        }
    }
}

fn of_tree(data_dir: &Path) -> Derived {
    let of = |checkpoint, problem| Derived { name: "checkpoint", dir: "tree", checkpoint, problem };
    let reader = TreeReader::new(data_dir);
    match reader.published() {
        Ok(Some(published)) => {
            of(Some(Position::new(published.checkpoint.head.size.get())), reader.refusal())
        }
        Ok(None) => of(None, reader.refusal()),
        Err(error) => of(None, Some(error.to_string())),
    }
}
