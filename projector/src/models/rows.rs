//! The models as plain rows: what an image holds. Everything else follows from them.

use crate::decode::DecodedEvent;
use crate::models::MODELS_VERSION;
use crate::models::{
    BoardModel, CommentModel, Counts, ItemModel, Models, Place, ProjectModel, WorkspaceModel, name::Names,
};
use crate::read_model::ReadModel;
use eventstore::codec::{self, CodecError};
use eventstore::{Digest, Lineage};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use uuid::Uuid;

/// All rows, borrowed when an image is written, owned when it was read; each kind in the order in which they came.
#[derive(Debug, Serialize, Deserialize)]
struct Rows<'a> {
    counts: Counts,
    workspaces: Vec<Cow<'a, WorkspaceModel>>,
    projects: Vec<Cow<'a, ProjectModel>>,
    boards: Vec<Cow<'a, BoardModel>>,
    items: Vec<Cow<'a, ItemModel>>,
    comments: Vec<Cow<'a, CommentModel>>,
}

impl<'a> Rows<'a> {
    fn of(models: &'a Models) -> Self {
        Self {
            counts: models.counts,
            workspaces: models.workspaces.iter().map(Cow::Borrowed).collect(),
            projects: models.projects.iter().map(Cow::Borrowed).collect(),
            boards: models.boards.iter().map(Cow::Borrowed).collect(),
            items: models.items.iter().map(Cow::Borrowed).collect(),
            comments: models.comments.iter().map(Cow::Borrowed).collect(),
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
        Ok(Self::restore(codec::decode(rows)?, checkpoint))
    }
}

impl Models {
    /// The models that rows stand for, at the checkpoint where they were written.
    fn restore(rows: Rows<'_>, checkpoint: Lineage) -> Self {
        let mut models = Self::new(checkpoint.store);
        models.checkpoint = checkpoint;
        models.counts = rows.counts;
        for workspace in rows.workspaces {
            models.workspaces.insert(workspace.into_owned());
        }
        for project in rows.projects {
            let mut project = project.into_owned();
            let active_members = std::mem::take(&mut project.statistics.active_members);
            let shared = active_members.iter().map(|person| models.names.intern(person));
            project.statistics.active_members = shared.collect();
            models.projects.insert(project);
        }
        for board in rows.boards {
            models.boards.insert(board.into_owned());
        }
        for item in rows.items {
            models.restore_item(item.into_owned());
        }
        for comment in rows.comments {
            let mut comment = comment.into_owned();
            share(&mut comment, &mut models.names);
            models.comments.insert(comment);
        }
        models
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

fn share(comment: &mut CommentModel, names: &mut Names) {
    if let Some(author) = &mut comment.author {
        names.share(author);
    }
}
