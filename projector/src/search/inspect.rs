//! What the index holds, document by document, for comparisons with what it should hold.

use crate::checker::{Entity, Scope};
use crate::models::Models;
use crate::search::document::{DocumentKey, DocumentKind, Outline};
use crate::search::schema::{self, columns};
use crate::search::searcher::SearchError;
use crate::search::store::IndexStore;
use domain::{BoardId, CommentId, ItemId, ProjectId};
use rustc_hash::FxHashMap;
use std::path::Path;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, ReloadPolicy, SegmentReader, TERMINATED, Term};
use uuid::Uuid;

/// What was found under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// How many documents have it; one is right.
    pub(crate) documents: u32,
    /// What the last of them was made of: see [`content_of`].
    pub(crate) content: u64,
}

/// Stands for everything that a document is made of; nothing where there should be none.
pub(crate) fn content_of(models: &Models, key: DocumentKey) -> Option<u64> {
    Outline::of(models, key).map(|outline| outline.content())
}

/// The files of an index whose checksums fail.
pub(crate) fn damaged_files(dir: &Path) -> Result<Vec<String>, SearchError> {
    let (index, _) = schema::open_to_read(dir)?;
    let damaged = index.validate_checksum()?;
    let mut damaged: Vec<_> = damaged.into_iter().map(|file| file.display().to_string()).collect();
    damaged.sort_unstable();
    Ok(damaged)
}

impl DocumentKey {
    /// What the document is of.
    pub(crate) fn entity(self) -> Entity {
        match self.kind {
            DocumentKind::Item => Entity::Item(ItemId::new(self.id)),
            DocumentKind::Comment => Entity::Comment(CommentId::new(self.id)),
            DocumentKind::Board => Entity::Board(BoardId::new(self.id)),
            DocumentKind::Project => Entity::Project(ProjectId::new(self.id)),
        }
    }

    /// The document of an entity, if it has one.
    pub(crate) fn of_entity(entity: &Entity) -> Option<Self> {
        let (kind, id) = match entity {
            Entity::Item(id) => (DocumentKind::Item, id.uuid()),
            Entity::Comment(id) => (DocumentKind::Comment, id.uuid()),
            Entity::Board(id) => (DocumentKind::Board, id.uuid()),
            Entity::Project(id) => (DocumentKind::Project, id.uuid()),
            Entity::Workspace(_) | Entity::Person(_) => return None,
        };
        Some(Self { kind, id })
    }
}

impl IndexStore {
    /// The documents of the newest commit that are in a scope.
    pub(crate) fn contents(&self, scope: &Scope) -> Result<FxHashMap<DocumentKey, Found>, SearchError> {
        let reader = self.index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let mut found = FxHashMap::default();
        for segment in reader.searcher().segment_readers() {
            let documents = Documents::of(segment)?;
            let mut note = |doc| {
                if segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) {
                    documents.note(doc, &mut found);
                }
            };
            if *scope == Scope::All {
                segment.doc_ids_alive().for_each(note);
                continue;
            }
            // Items and their comments are found by the item's id, which the index knows in order: no need to look at all.
            let by_item = segment.inverted_index(self.fields.item)?;
            let mut items = by_item.terms().stream().map_err(unreadable)?;
            while items.advance() {
                let Ok(id) = Uuid::from_slice(items.key()) else { continue };
                if scope.has_item(ItemId::new(id)) {
                    let of_it = by_item
                        .read_postings_from_terminfo(items.value(), IndexRecordOption::Basic)
                        .map_err(unreadable)?;
                    each(of_it, &mut note);
                }
            }
            let by_kind = segment.inverted_index(self.fields.kind)?;
            for kind in [DocumentKind::Board, DocumentKind::Project] {
                let term = Term::from_field_text(self.fields.kind, kind.as_str());
                let of_it = by_kind.read_postings(&term, IndexRecordOption::Basic).map_err(unreadable)?;
                of_it.into_iter().for_each(|of_it| each(of_it, &mut note));
            }
        }
        Ok(found)
    }
}

/// The columns that say what each document of a segment is.
struct Documents {
    id_high: tantivy::columnar::Column<u64>,
    id_low: tantivy::columnar::Column<u64>,
    kind: tantivy::columnar::Column<u64>,
    content: tantivy::columnar::Column<u64>,
}

impl Documents {
    fn of(segment: &SegmentReader) -> Result<Self, SearchError> {
        let columns = segment.fast_fields();
        Ok(Self {
            id_high: columns.u64(columns::ID_HIGH)?,
            id_low: columns.u64(columns::ID_LOW)?,
            kind: columns.u64(columns::KIND)?,
            content: columns.u64(columns::CONTENT)?,
        })
    }

    fn note(&self, doc: u32, found: &mut FxHashMap<DocumentKey, Found>) {
        let number = self.kind.first(doc).unwrap_or(u64::MAX);
        let Some(kind) = DocumentKind::ALL.into_iter().find(|kind| u64::from(kind.number()) == number) else {
            return;
        };
        let half = |column: &tantivy::columnar::Column<u64>| column.first(doc).unwrap_or_default();
        let key = DocumentKey { kind, id: Uuid::from_u64_pair(half(&self.id_high), half(&self.id_low)) };
        let found = found.entry(key).or_insert(Found { documents: 0, content: 0 });
        found.documents += 1;
        found.content = half(&self.content);
    }
}

fn each(mut docs: impl DocSet, note: &mut impl FnMut(u32)) {
    while docs.doc() != TERMINATED {
        note(docs.doc());
        docs.advance();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped with")]
fn unreadable(error: std::io::Error) -> SearchError {
    SearchError::Index(error.to_string())
}
