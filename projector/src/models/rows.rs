//! The models as plain rows: what an image holds. Everything else follows from them.

use crate::decode::DecodedEvent;
use crate::models::MODELS_VERSION;
use crate::models::{
    BoardModel, CommentModel, Counts, ItemModel, Models, Place, ProjectModel, WorkspaceModel, name::Names,
};
use crate::read_model::ReadModel;
use eventstore::codec::{self, CodecError};
use eventstore::{Digest, Lineage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::mpsc;
use uuid::Uuid;

/// Fewer rows are not worth a thread.
const READ_AHEAD_FROM: usize = 4 * BATCH;
/// Rows that are handed over at a time, and how many times before they are taken.
const BATCH: usize = 1_024;
const BATCHES_AHEAD: usize = 4;

/// All rows as an image is written; each kind in the order in which they came. [`Models::restore`] reads them in this order.
#[derive(Debug, Serialize)]
struct Rows<'a> {
    counts: Counts,
    workspaces: Vec<&'a WorkspaceModel>,
    projects: Vec<&'a ProjectModel>,
    boards: Vec<&'a BoardModel>,
    items: Vec<&'a ItemModel>,
    comments: Vec<&'a CommentModel>,
}

impl<'a> Rows<'a> {
    fn of(models: &'a Models) -> Self {
        Self {
            counts: models.counts,
            workspaces: models.workspaces.iter().collect(),
            projects: models.projects.iter().collect(),
            boards: models.boards.iter().collect(),
            items: models.items.iter().collect(),
            comments: models.comments.iter().collect(),
        }
    }
}

impl ReadModel for Models {
    const NAME: &'static str = "models";
    const VERSION: u32 = MODELS_VERSION;

    fn begin(store: Uuid) -> Self {
        Self::new(store)
    }

    fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    fn take_in(&mut self, event: &DecodedEvent<'_>) {
        self.apply_event(event);
    }

    fn replaces(&mut self, other: &Self) {
        self.generation = other.generation + 1;
    }

    fn advance(&mut self, to: Lineage) {
        self.checkpoint = to;
    }

    fn digest(&mut self) -> Digest {
        Self::digest(self)
    }

    fn each_digest(&mut self, told: &mut dyn FnMut(&dyn fmt::Display, Digest)) {
        self.workspaces.each_digest(|id, digest| told(&format_args!("workspace:{id}"), digest));
        self.projects.each_digest(|id, digest| told(&format_args!("project:{id}"), digest));
        self.boards.each_digest(|id, digest| told(&format_args!("board:{id}"), digest));
        self.items.each_digest(|id, digest| told(&format_args!("item:{id}"), digest));
        self.comments.each_digest(|id, digest| told(&format_args!("comment:{id}"), digest));
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn to_rows(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(&Rows::of(self))
    }

    fn from_rows(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError> {
        Self::restore(rows, checkpoint)
    }
}

impl Models {
    /// The models that rows stand for, at the checkpoint where they were written. Row by row: what each has of its own and
    /// shares with others in the end is gone before the next one comes.
    fn restore(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError> {
        let mut rows = codec::Reader::new(rows);
        let mut models = Self::new(checkpoint.store);
        models.checkpoint = checkpoint;
        models.counts = rows.read()?;
        rows.each(|workspace: WorkspaceModel| {
            models.workspaces.insert(workspace);
        })?;
        rows.each(|mut project: ProjectModel| {
            let active_members = std::mem::take(&mut project.statistics.active_members);
            let shared = active_members.iter().map(|person| models.names.intern(person));
            project.statistics.active_members = shared.collect();
            models.projects.insert(project);
        })?;
        rows.each(|board: BoardModel| {
            models.boards.insert(board);
        })?;
        let items = rows.count()?;
        models.items.reserve(items);
        models.keys.reserve(items);
        read_ahead(&mut rows, items, |item| models.restore_item(item))?;
        let comments = rows.count()?;
        models.comments.reserve(comments);
        read_ahead(&mut rows, comments, |mut comment: CommentModel| {
            share(&mut comment, &mut models.names);
            models.comments.insert(comment);
        })?;
        rows.finish()?;
        Ok(models)
    }

    fn restore_item(&mut self, mut item: ItemModel) {
        item.share_names(&mut self.names);
        let board = self.boards.edit_derived(item.board_id);
        if !item.deleted
            && let Some(items) = board.and_then(|board| board.items_of(item.column_id))
        {
            items.insert(Place { rank: item.rank.clone(), item: item.id });
        }
        self.insert_item(item);
    }
}

/// Hands over rows in order, while another thread decodes those to come: whoever waits for a start waits for the longer of the
/// two halves.
fn read_ahead<T: DeserializeOwned + Send>(
    rows: &mut codec::Reader<'_>,
    count: usize,
    mut take: impl FnMut(T),
) -> Result<(), CodecError> {
    if count < READ_AHEAD_FROM {
        for _ in 0..count {
            take(rows.read()?);
        }
        return Ok(());
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<T>>(BATCHES_AHEAD);
        let decoding = scope.spawn(move || {
            let mut left = count;
            while left > 0 {
                let batch = (0..left.min(BATCH)).map(|_| rows.read()).collect::<Result<Vec<T>, _>>()?;
                left -= batch.len();
                // Nobody takes them any more when the other thread has panicked.
                if sender.send(batch).is_err() {
                    break;
                }
            }
            Ok(())
        });
        receiver.iter().flatten().for_each(&mut take);
        decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn share(comment: &mut CommentModel, names: &mut Names) {
    if let Some(author) = &mut comment.author {
        names.share(author);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_another_thread_decodes_are_the_same_in_the_same_order() {
        for count in [0, 1, READ_AHEAD_FROM - 1, READ_AHEAD_FROM, READ_AHEAD_FROM + 1, 20 * BATCH + 7] {
            let all: Vec<(u64, String)> = (0..count as u64).map(|row| (row, format!("row {row}"))).collect();
            let bytes = codec::encode(&(&all, 7_u32)).unwrap();
            let mut rows = codec::Reader::new(&bytes);
            let (count, mut taken) = (rows.count().unwrap(), Vec::new());
            read_ahead(&mut rows, count, |row: (u64, String)| taken.push(row)).unwrap();
            assert!(taken == all, "{count} rows");
            assert_eq!(rows.read::<u32>().unwrap(), 7);
            rows.finish().unwrap();

            let mut cut = codec::Reader::new(&bytes[..bytes.len() - 5]);
            let Ok(count) = cut.count() else { continue };
            let read = read_ahead(&mut cut, count, |_: (u64, String)| {});
            assert_eq!(read.is_err(), count > 0, "{count} rows");
        }
    }
}
