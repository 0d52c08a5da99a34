//! Searching: the index opened read-only, in any process, as new as its last commit.
//!
//! Invariant: the checkpoint that is told with a page was read before the index was loaded, so the page covers at
//! least that much. The files tell when there is something newer: two `stat` calls per search.

use crate::generation::{Generations, Identity};
use crate::search::document::StoredHit;
use crate::search::query::{self, REACH_MAX, SearchHit, SearchPage, SearchQuery};
use crate::search::schema::{self, Fields};
use crate::search::snippet::Snippets;
use crate::search::store::{INDEX_DIR, lineage_of};
use eventstore::{Lineage, Log, Position};
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tantivy::collector::{Count, TopDocs};
use tantivy::{DocAddress, Index, IndexReader, Order, ReloadPolicy, TantivyDocument, TantivyError};

/// How often a wait looks for a newer index.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a search found no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A quote is opened and never closed.
    #[error("the quote at byte {at} is never closed")]
    UnclosedQuote {
        /// Where it is opened: bytes from the start of the text.
        at: usize,
    },
    /// There is text, but no word in it.
    #[error("there is no word to search for")]
    NoWords,
    /// The text is too long.
    #[error("the text has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// Too many words and phrases.
    #[error("the text has {count} words and phrases, at most {max} are allowed")]
    TooManyWords {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// Paging does not reach that far.
    #[error("hit {end} is asked for, paging reaches {max}")]
    TooFar {
        /// Offset and limit together.
        end: usize,
        /// How far paging reaches.
        max: usize,
    },
    /// No projector has made an index of this log yet.
    #[error("there is no search index yet")]
    NoIndex,
    /// The index could not be read.
    #[error("the search index cannot be read: {0}")]
    Index(String),
}

impl From<TantivyError> for SearchError {
    fn from(error: TantivyError) -> Self {
        Self::Index(error.to_string())
    }
}

/// Searches the index of a data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Searcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    generations: Generations,
    log: Log,
    /// Replaced when there is something newer; whoever searches keeps what they began with.
    opened: RwLock<Option<Arc<Opened>>>,
    /// Held while looking for something newer, so that one thread does it.
    looking: Mutex<()>,
}

struct Opened {
    current: Identity,
    meta: Identity,
    lineage: Lineage,
    index: Index,
    reader: IndexReader,
    searcher: tantivy::Searcher,
    fields: Fields,
    dir: PathBuf,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("dir", &self.dir)
            .field("lineage", &self.lineage)
            .finish_non_exhaustive()
    }
}

impl Searcher {
    /// Searches the index of a data directory, which need not be there yet; snippets come from the log.
    #[must_use]
    pub fn open(data_dir: &Path, log: Log) -> Self {
        let generations = Generations::new(data_dir, INDEX_DIR);
        Self {
            shared: Arc::new(Shared {
                generations,
                log,
                opened: RwLock::default(),
                looking: Mutex::default(),
            }),
        }
    }

    /// The next position that the index will take in, as of now; 0 when there is no index yet.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        self.shared.newest().map(|opened| opened.lineage.next).unwrap_or_default()
    }

    /// Waits until everything before `position` can be found; false when `timeout` passes first.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            // Looking costs two `stat` calls; only loading what is newer is work for a thread that may block.
            let known = self.shared.known_newest();
            let reached = match known {
                Some(opened) => opened.lineage.next,
                None => {
                    let searcher = self.clone();
                    tokio::task::spawn_blocking(move || searcher.checkpoint()).await.unwrap_or_default()
                }
            };
            if reached >= position {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Number of documents, as of now.
    ///
    /// # Errors
    /// When there is no index or it cannot be read.
    pub fn documents(&self) -> Result<u64, SearchError> {
        Ok(self.shared.newest()?.searcher.num_docs())
    }

    /// Searches. Blocks on cold pages and works for a millisecond or so: call it from a thread that may.
    ///
    /// # Errors
    /// When the query is not one, or there is no index to answer it.
    pub fn search(&self, query: &SearchQuery) -> Result<SearchPage, SearchError> {
        let end = query.offset.saturating_add(query.limit);
        if end > REACH_MAX {
            return Err(SearchError::TooFar { end, max: REACH_MAX });
        }
        let clauses = query::clauses(&query.text, &mut schema::words())?;
        let opened = self.shared.newest()?;
        let words = query::words_query(&clauses, &opened.fields);
        let full = query::full_query(words.as_ref(), query, &opened.fields);
        let searcher = &opened.searcher;
        // The collector wants room for at least one.
        let top = TopDocs::with_limit(query.limit.max(1)).and_offset(query.offset);
        let (total, mut best): (usize, Vec<(f32, DocAddress)>) = if words.is_some() {
            let (total, best) = searcher.search(&full, &(Count, top.order_by_score()))?;
            (total, best)
        } else {
            let latest = top.order_by_fast_field::<i64>(schema::UPDATED_AT, Order::Desc);
            let (total, best) = searcher.search(&full, &(Count, latest))?;
            (total, best.into_iter().map(|(_, address)| (1.0, address)).collect())
        };
        best.truncate(query.limit);

        let mut snippets = Snippets::new(searcher, words.as_ref(), &opened.fields, &self.shared.log)?;
        let mut hits = Vec::with_capacity(best.len());
        for (score, address) in best {
            let stored =
                StoredHit::of_document(&searcher.doc::<TantivyDocument>(address)?, &opened.fields)
                    .ok_or_else(|| SearchError::Index("a document does not say what it is of".to_owned()))?;
            let snippet = snippets.of(&stored);
            hits.push(SearchHit {
                kind: stored.kind,
                id: stored.id,
                item_id: stored.item,
                title: stored.title,
                score,
                snippet,
            });
        }
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        Ok(SearchPage { total, hits, checkpoint: opened.lineage.next })
    }
}

impl Shared {
    /// The index that is loaded, if its files are still the same.
    fn known_newest(&self) -> Option<Arc<Opened>> {
        self.opened.read().as_ref().filter(|opened| opened.is_newest(&self.generations)).cloned()
    }

    /// The index as its files are now.
    fn newest(&self) -> Result<Arc<Opened>, SearchError> {
        if let Some(opened) = self.known_newest() {
            return Ok(opened);
        }
        let _looking = self.looking.lock();
        let known = self.opened.read().clone();
        let newer = match known {
            // Somebody else looked while this thread waited.
            Some(opened) if opened.is_newest(&self.generations) => return Ok(opened),
            Some(opened) if opened.is_current(&self.generations) => opened.reload()?,
            _ => self.open_current()?,
        };
        let newer = Arc::new(newer);
        *self.opened.write() = Some(Arc::clone(&newer));
        Ok(newer)
    }

    fn open_current(&self) -> Result<Opened, SearchError> {
        let current = self.generations.current_identity().ok_or(SearchError::NoIndex)?;
        let dir = self.generations.current().ok_or(SearchError::NoIndex)?;
        let meta = Identity::of(&dir.join(META)).ok_or(SearchError::NoIndex)?;
        let (index, fields) = schema::open(&dir)?;
        let lineage = lineage_of(&index).ok_or(SearchError::NoIndex)?;
        if lineage.store != self.log.store_id() {
            return Err(SearchError::NoIndex);
        }
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher = reader.searcher();
        Ok(Opened { current, meta, lineage, index, reader, searcher, fields, dir })
    }
}

/// The file that tantivy replaces with every commit.
const META: &str = "meta.json";

impl Opened {
    fn is_current(&self, generations: &Generations) -> bool {
        generations.current_identity().as_ref() == Some(&self.current)
    }

    fn is_newest(&self, generations: &Generations) -> bool {
        self.is_current(generations) && Identity::of(&self.dir.join(META)).as_ref() == Some(&self.meta)
    }

    /// The same generation after its next commit.
    fn reload(&self) -> Result<Self, SearchError> {
        let meta = Identity::of(&self.dir.join(META)).ok_or(SearchError::NoIndex)?;
        let lineage = lineage_of(&self.index).ok_or(SearchError::NoIndex)?;
        self.reader.reload()?;
        Ok(Self {
            current: self.current.clone(),
            meta,
            lineage,
            index: self.index.clone(),
            reader: self.reader.clone(),
            searcher: self.reader.searcher(),
            fields: self.fields,
            dir: self.dir.clone(),
        })
    }
}
