//! Searching: the index opened read-only, in any process, as new as its last commit.
//!
//! Invariant: the checkpoint that is told with a page was read before the index was loaded, so the page covers at
//! least that much. The files tell when there is something newer: two `stat` calls per search.

use crate::generation::{Generations, Identity};
use crate::search::compile::Compiler;
use crate::search::document::StoredHit;
use crate::search::expression::Mistake;
use crate::search::facets::FACETS_MAX;
use crate::search::order::{Cursor, Sort};
use crate::search::query::{self, REACH_MAX, SearchHit, SearchPage, SearchQuery};
use crate::search::schema::{self, Fields};
use crate::search::score;
use crate::search::snippet::Snippets;
use crate::search::store::{INDEX_DIR, lineage_of};
use crate::search::suggest::{self, Suggestion};
use crate::search::walk::{Ordering, Wanted, walk};
use domain::WorkspaceId;
use eventstore::{Lineage, Log, Position};
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tantivy::{DocAddress, Index, IndexReader, ReloadPolicy, TantivyDocument, TantivyError};

/// How often in a row an index is replaced while it is opened; no rebuild is that fast.
const OPENED_AGAIN_MAX: u32 = 5;
/// How often a wait looks for a newer index.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a search found no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The query is none: what is wrong with it, and where.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// Too much is to be counted.
    #[error("{count} facets are asked for, at most {max} are allowed")]
    TooManyFacets {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// This never was a cursor.
    #[error("it is no cursor: the `next` of an answer is expected, as it stands there")]
    CursorUnreadable,
    /// The cursor leads through another search.
    #[error("the cursor belongs to a search with another query, other filters or another order")]
    CursorForeign,
    /// Two ways to say where the page begins.
    #[error("an offset and a cursor cannot both say where the page begins")]
    CursorAndOffset,
    /// Paging does not reach that far.
    #[error("hit {end} is asked for, paging reaches {max}")]
    TooFar {
        /// Offset and limit together.
        end: usize,
        /// How far paging reaches.
        max: usize,
    },
    /// The index is of another build, whose projector has not been replaced yet.
    #[error("the search index is of another build")]
    OtherBuild,
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
        if query.facets.len() > FACETS_MAX {
            return Err(SearchError::TooManyFacets { count: query.facets.len(), max: FACETS_MAX });
        }
        if query.after.is_some() && query.offset > 0 {
            return Err(SearchError::CursorAndOffset);
        }
        let after = query.after.as_deref().map(|text| Cursor::read(text, query)).transpose()?;
        let opened = self.shared.newest()?;
        let searcher = &opened.searcher;
        let compiler = Compiler { fields: &opened.fields, stemmed: query.stem, today: query.today_number() };
        let words = score::scored_words(&query.expression, &opened.fields, query.stem);
        let rarities = match &after {
            Some(cursor) => cursor.rarities.clone(),
            None if query.sort == Sort::Relevance => {
                let within = query.within.as_deref().map(|within| query::in_workspaces(within, &compiler));
                score::rarities(&words, searcher, within.as_deref())?
            }
            None => Vec::new(),
        };
        let ordering = Ordering { sort: query.sort, words: &words, rarities: &rarities };
        let wanted = Wanted { after: after.map(|cursor| cursor.standing), count: end, facets: &query.facets };
        let walked = walk(searcher, query::full_query(query, &compiler).as_ref(), &ordering, &wanted)?;

        let is_scored = query.sort == Sort::Relevance && !words.is_empty();
        let page = walked.first.get(query.offset..).unwrap_or_default();
        let mut snippets = Snippets::new(&query.expression, query.stem, &self.shared.log);
        let mut hits = Vec::with_capacity(page.len());
        for (standing, address) in page {
            let stored = opened.stored(*address)?;
            hits.push(SearchHit {
                kind: stored.kind,
                id: stored.id,
                item_id: stored.item,
                score: if is_scored { told_score(standing.first) } else { 1.0 },
                snippet: snippets.of(&stored),
                title: stored.title,
            });
        }
        let last = page.last().filter(|_| walked.is_more);
        let next = last.map(|(standing, _)| Cursor { standing: *standing, rarities }.write(query));
        Ok(SearchPage {
            total: walked.total,
            hits,
            next,
            facets: walked.facets,
            checkpoint: opened.lineage.next,
        })
    }

    /// Items whose key or title goes on as was typed: the last word is the beginning of one. The best first.
    ///
    /// # Errors
    /// When there is no index, or it cannot be read.
    pub fn suggest(
        &self,
        typed: &str,
        within: Option<&[WorkspaceId]>,
        limit: usize,
    ) -> Result<(Vec<Suggestion>, Position), SearchError> {
        let opened = self.shared.newest()?;
        let found = suggest::suggest(&opened.searcher, &opened.fields, typed, within, limit)?;
        Ok((found, opened.lineage.next))
    }
}

/// A score as a number of moderate size.
#[expect(clippy::cast_precision_loss, reason = "it is for people; the order does not come from it")]
fn told_score(standing: u64) -> f32 {
    standing as f32 / 100_000.0
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
        let mut attempts = 0;
        loop {
            let current = self.generations.current_identity();
            let known = self.opened.read().clone();
            let newer = match known {
                // Somebody else looked while this thread waited.
                Some(opened) if opened.is_newest(&self.generations) => return Ok(opened),
                Some(opened) if opened.is_current(&self.generations) => opened.reload(),
                _ => self.open_current(),
            };
            match newer {
                Ok(newer) => {
                    let newer = Arc::new(newer);
                    *self.opened.write() = Some(Arc::clone(&newer));
                    return Ok(newer);
                }
                // What was looked at was swept while it was, because another one is in use.
                Err(_) if attempts < OPENED_AGAIN_MAX && self.generations.current_identity() != current => {
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        }
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
    /// What a document says of itself.
    fn stored(&self, address: DocAddress) -> Result<StoredHit, SearchError> {
        StoredHit::of_document(&self.searcher.doc::<TantivyDocument>(address)?, &self.fields)
            .ok_or_else(|| SearchError::Index("a document does not say what it is of".to_owned()))
    }

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
