//! The index on disk: opening or beginning a generation, and committing to it.
//!
//! Invariant: what tantivy committed carries the lineage that it stands for in its payload. A generation that this
//! build, or this log, does not know as its own is not used.

use crate::control::Letters;
use crate::failpoint::failpoint;
use crate::generation::Generations;
use crate::models::SharedModels;
use crate::search::census::{Census, by_name, census};
use crate::search::document::{DocumentKey, Outline};
use crate::search::query::key_term;
use crate::search::schema::{self, Fields, SEARCH_VERSION};
use crate::search::searcher::SearchError;
use crate::texts::TextReader;
use eventstore::{Digest, Lineage, Log, Position};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tantivy::{Index, IndexWriter, ReloadPolicy};
use uuid::Uuid;

/// Directory of the index in a data directory.
pub(crate) const INDEX_DIR: &str = "search";

/// Documents whose outlines are taken under one lock.
const OUTLINES: usize = 256;

/// In place of a digest: documents were made under different dead letters.
const MIXED: &str = "mixed";

/// A batch with so many documents says that the index is far behind …
const MANY_DOCUMENTS: usize = 10_000;
/// … and one with fewer than these, that it is not.
const FEW_DOCUMENTS: usize = 2_000;

/// The payload of every commit, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    version: u32,
    store: Uuid,
    next: Position,
    /// 64 hexadecimal digits.
    chain: String,
    /// Digest of the models' dead letters before `next` that all documents were made under; empty of an older build, which knew
    /// none, and [`MIXED`] when some were made under others.
    #[serde(default)]
    letters: String,
}

/// How much an index writer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) threads: usize,
    /// Bytes, of all threads together.
    pub(crate) memory: usize,
}

impl Effort {
    /// Beside everything else: one thread makes one segment per commit.
    pub(crate) const LIVE: Self = Self { threads: 1, memory: 128 << 20 };
    /// When so much has piled up that it is worth more segments to be through sooner.
    pub(crate) const CATCH_UP: Self = Self { threads: 2, memory: 128 << 20 };
    /// When nothing else is to be done.
    pub(crate) const REBUILD: Self = Self { threads: 2, memory: 256 << 20 };

    /// What a batch is worth. A writer ends with its threads, so it is changed for another only when the batches have become
    /// clearly larger or smaller.
    pub(crate) fn for_batch(self, documents: usize) -> Self {
        match documents {
            MANY_DOCUMENTS.. => Self::CATCH_UP,
            ..FEW_DOCUMENTS => Self::LIVE,
            _ => self,
        }
    }
}

/// An index that can be written.
#[derive(Debug)]
pub(crate) struct IndexStore {
    dir: PathBuf,
    pub(crate) index: Index,
    pub(crate) fields: Fields,
}

impl IndexStore {
    /// The index in use, with what it has taken in; `None` when there is none that this log confirms.
    pub(crate) fn open(data_dir: &Path, log: &Log) -> Option<(Self, Lineage)> {
        Self::open_under(data_dir, log, None).map(|(store, lineage, _)| (store, lineage))
    }

    /// The same, and whether all of its documents were made under these dead letters.
    pub(crate) fn open_under(
        data_dir: &Path,
        log: &Log,
        letters: Option<&Letters>,
    ) -> Option<(Self, Lineage, bool)> {
        Self::open_by(schema::open, data_dir, log, letters)
    }

    /// The same for somebody who reads and no more: also where nothing may be written.
    pub(crate) fn open_to_read(
        data_dir: &Path,
        log: &Log,
        letters: Option<&Letters>,
    ) -> Option<(Self, Lineage, bool)> {
        Self::open_by(schema::open_to_read, data_dir, log, letters)
    }

    fn open_by(
        open: impl Fn(&Path) -> Result<(Index, Fields), SearchError>,
        data_dir: &Path,
        log: &Log,
        letters: Option<&Letters>,
    ) -> Option<(Self, Lineage, bool)> {
        let dir = Generations::new(data_dir, INDEX_DIR).current()?;
        let given_up = |reason: &dyn std::fmt::Display| {
            tracing::warn!(%reason, "the search index is not used; it is built anew");
        };
        let (index, fields) = open(&dir).map_err(|error| given_up(&error)).ok()?;
        let Some(lineage) = lineage_of(&index) else {
            given_up(&"its last commit is not of this build");
            return None;
        };
        match log.confirms(&lineage) {
            Ok(true) => {
                let made_under = payload_of(&index).map(|payload| payload.letters).unwrap_or_default();
                let is_whole = letters.is_some_and(|letters| {
                    let before = |letters: &Letters| letters.digest_before(lineage.next).to_string();
                    let none = made_under.is_empty().then(|| before(&Letters::default()));
                    before(letters) == none.unwrap_or(made_under)
                });
                Some((Self { dir, index, fields }, lineage, is_whole))
            }
            Ok(false) => {
                given_up(&"the log does not confirm its lineage");
                None
            }
            Err(error) => {
                given_up(&error);
                None
            }
        }
    }

    /// An empty index in a generation of its own, not yet in use.
    pub(crate) fn begin(data_dir: &Path) -> Result<Self, SearchError> {
        let dir = Generations::new(data_dir, INDEX_DIR)
            .begin()
            .map_err(|error| SearchError::Index(error.to_string()))?;
        let (index, fields) = schema::create(&dir)?;
        Ok(Self { dir, index, fields })
    }

    /// The index in use or, when there is none that this log confirms, a new one, at once in use.
    pub(crate) fn open_or_begin(
        data_dir: &Path,
        log: &Log,
        letters: &Letters,
    ) -> Result<(Self, Lineage, bool), SearchError> {
        if let Some(opened) = Self::open_under(data_dir, log, Some(letters)) {
            return Ok(opened);
        }
        let lineage = Lineage { store: log.store_id(), next: Position::ZERO, chain: Digest::default() };
        let begun = Self::begin(data_dir)?;
        begun.writer(Effort::LIVE)?.commit(&lineage, Some(letters))?;
        begun.make_current(data_dir)?;
        Ok((begun, lineage, true))
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts this generation into use.
    pub(crate) fn make_current(&self, data_dir: &Path) -> Result<(), SearchError> {
        let generations = Generations::new(data_dir, INDEX_DIR);
        generations.make_current(&self.dir).map_err(|error| SearchError::Index(error.to_string()))
    }

    pub(crate) fn writer(&self, effort: Effort) -> Result<Writer, SearchError> {
        let writer = self.index.writer_with_num_threads(effort.threads, effort.memory)?;
        Ok(Writer { writer, effort, fields: self.fields, dir: self.dir.clone() })
    }

    /// The digest of every document of the last commit, by its name.
    pub(crate) fn by_name(&self) -> Result<HashMap<String, Digest>, SearchError> {
        let reader = self.index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        by_name(&reader.searcher(), &self.fields)
    }

    /// What the last commit holds.
    pub(crate) fn census(&self) -> Result<Census, SearchError> {
        let reader = self.index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        census(&reader.searcher(), &self.fields)
    }
}

/// Writes documents; nothing is there for readers before [`Writer::commit`].
pub(crate) struct Writer {
    writer: IndexWriter,
    effort: Effort,
    fields: Fields,
    dir: PathBuf,
}

impl Writer {
    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }

    /// Makes the documents of these keys anew, as the models are now; `written` hears how many are done.
    pub(crate) fn write(
        &mut self,
        keys: &[DocumentKey],
        models: &SharedModels,
        log: &Log,
        mut written: impl FnMut(usize),
    ) -> Result<(), SearchError> {
        let mut texts = TextReader::of(log);
        for chunk in in_the_order_of_their_texts(keys, models).chunks(OUTLINES) {
            let outlines: Vec<_> = {
                let models = models.read();
                chunk.iter().map(|key| Outline::of(&models, *key)).collect()
            };
            for (key, outline) in chunk.iter().zip(outlines) {
                self.writer.delete_term(key_term(&self.fields, key.kind, key.id));
                if let Some(outline) = outline {
                    let document = outline
                        .document(&self.fields, &mut texts)
                        .map_err(|error| SearchError::Index(error.to_string()))?;
                    self.writer.add_document(document)?;
                }
            }
            written(chunk.len());
        }
        Ok(())
    }

    /// Adds documents beside those that are there: a fault, planted.
    #[cfg(test)]
    pub(crate) fn add_again(&mut self, keys: &[DocumentKey], models: &SharedModels, log: &Log) {
        let mut texts = TextReader::of(log);
        for key in keys {
            let outline = Outline::of(&models.read(), *key).unwrap();
            let document = outline.document(&self.fields, &mut texts).unwrap();
            self.writer.add_document(document).unwrap();
        }
    }

    /// Makes what was written visible, as the state at `lineage` (or newer).
    pub(crate) fn commit(
        &mut self,
        lineage: &Lineage,
        made_under: Option<&Letters>,
    ) -> Result<(), SearchError> {
        let payload = Payload {
            version: SEARCH_VERSION,
            store: lineage.store,
            next: lineage.next,
            chain: lineage.chain.to_string(),
            letters: match made_under {
                Some(letters) => letters.digest_before(lineage.next).to_string(),
                None => MIXED.to_owned(),
            },
        };
        let payload =
            serde_json::to_string(&payload).map_err(|error| SearchError::Index(error.to_string()))?;
        self.pass("documents are written")?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&payload);
        failpoint("a commit is prepared", &self.dir)
            .map_err(|error| SearchError::Index(error.to_string()))?;
        commit.commit()?;
        self.pass("a commit is done")
    }

    fn pass(&self, name: &'static str) -> Result<(), SearchError> {
        failpoint(name, &self.dir).map_err(|error| SearchError::Index(error.to_string()))
    }
}

/// The log gives texts that stand beside each other for much less than those that stand anywhere. A text that changes
/// meanwhile is only read out of turn.
fn in_the_order_of_their_texts(keys: &[DocumentKey], models: &SharedModels) -> Vec<DocumentKey> {
    let mut placed = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(OUTLINES) {
        let models = models.read();
        placed.extend(chunk.iter().map(|key| (key.text_at(&models), *key)));
    }
    placed.sort_unstable_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, key)| key).collect()
}

/// What an index's last commit has taken in; `None` when another build made it.
pub(crate) fn lineage_of(index: &Index) -> Option<Lineage> {
    let payload = payload_of(index)?;
    let chain = digest_of_hex(&payload.chain)?;
    (payload.version == SEARCH_VERSION).then_some(Lineage { store: payload.store, next: payload.next, chain })
}

fn payload_of(index: &Index) -> Option<Payload> {
    serde_json::from_str(&index.load_metas().ok()?.payload?).ok()
}

fn digest_of_hex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effort_changes_with_much_larger_or_smaller_batches_only() {
        let mut effort = Effort::LIVE;
        let batches = [1, 9_999, 10_000, 50_000, 2_000, 1_999, 2_000, 9_999];
        let efforts = batches.map(|documents| {
            effort = effort.for_batch(documents);
            effort == Effort::CATCH_UP
        });
        assert_eq!(efforts, [false, false, true, true, true, false, false, false]);
    }
}
