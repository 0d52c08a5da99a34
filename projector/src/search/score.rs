//! How well a document fits a query's words.
//!
//! Per word, the best of its fields counts: `rarity · field · (1 + tf / (tf + 0.3 + 0.9 · length / usual length))`, which is
//! BM25's shape, in whole numbers. tantivy's own scores are not used: they depend on averages over the whole index and on the
//! order in which a segment adds them up, so the same document would stand elsewhere after any commit, and paging by
//! cursor would repeat or miss it. What holds a word as it was typed stands above what only holds its stem.

use crate::search::expression::{Expression, Manner, Scope};
use crate::search::schema::Fields;
use crate::search::stems::stem;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::query::{EnableScoring, Query};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, SegmentReader, TERMINATED, TantivyError, Term};

/// What one means.
const UNIT: u64 = 1_024;

/// A word that a hit may have, in all the ways in which it counts.
#[derive(Debug, Clone)]
pub(crate) struct ScoredWord {
    ways: Vec<Way>,
}

#[derive(Debug, Clone)]
struct Way {
    term: Term,
    /// In tenths.
    boost: u64,
    /// Words that such a field usually has; nothing where the length does not matter.
    usual_length: Option<u64>,
}

/// The words that decide the order, in the order of the query.
pub(crate) fn scored_words(expression: &Expression, fields: &Fields, stemmed: bool) -> Vec<ScoredWord> {
    let mut scored = Vec::new();
    for words in expression.wanted_words() {
        for word in &words.words {
            let way = |field: Field, boost, usual_length| Way {
                term: Term::from_field_text(field, word),
                boost,
                usual_length,
            };
            let title = way(fields.title, 20, Some(10));
            let text = way(fields.text, 10, Some(100));
            let key = way(fields.external_key, 40, None);
            let mut ways = match words.scope {
                Scope::Anywhere => vec![title, text, key],
                Scope::Title => vec![title],
                Scope::Text | Scope::Description | Scope::Comment => vec![text],
                Scope::Key => vec![key],
            };
            if stemmed && words.manner == Manner::Plain && words.words.len() == 1 {
                // Twice the unit at most, so never as much as the word itself has anywhere.
                let stem = stem(word);
                for (field, _) in stem_fields(words.scope, fields) {
                    let term = Term::from_field_text(field, &stem);
                    ways.push(Way { term, boost: 4, usual_length: None });
                }
            }
            scored.push(ScoredWord { ways });
        }
    }
    scored
}

/// The fields that hold the stems of a scope, each with the field that holds its words.
pub(crate) fn stem_fields(scope: Scope, fields: &Fields) -> Vec<(Field, Field)> {
    let (title, text) = ((fields.title_stems, fields.title), (fields.text_stems, fields.text));
    match scope {
        Scope::Anywhere => vec![title, text],
        Scope::Title => vec![title],
        Scope::Text | Scope::Description | Scope::Comment => vec![text],
        Scope::Key => vec![],
    }
}

/// How rare each word is: 2 and one more for every half octave fewer documents. Counted in what may be seen only, or scores
/// would tell what is in the rest.
pub(crate) fn rarities(
    words: &[ScoredWord],
    searcher: &tantivy::Searcher,
    within: Option<&dyn Query>,
) -> Result<Vec<u8>, TantivyError> {
    let Some(within) = within else {
        let documents = searcher.num_docs();
        let most = |word: &ScoredWord| {
            let counts = word.ways.iter().map(|way| searcher.doc_freq(&way.term));
            let counts = counts.collect::<Result<Vec<_>, TantivyError>>()?;
            Ok::<u64, TantivyError>(counts.into_iter().max().unwrap_or_default())
        };
        return words.iter().map(|word| Ok(rarity(documents, most(word)?))).collect();
    };
    // Once, and not for every word: it is as large as the tenant.
    let seen = seen(searcher, within)?;
    let documents = seen.iter().map(|seen| seen.len() as u64).sum();
    let among = |way: &Way| {
        let mut count = 0;
        for (segment, seen) in searcher.segment_readers().iter().zip(&seen) {
            let index = segment.inverted_index(way.term.field())?;
            let Some(mut postings) = index.read_postings(&way.term, IndexRecordOption::Basic)? else {
                continue;
            };
            let mut doc = postings.doc();
            while doc != TERMINATED {
                count += u64::from(seen.contains(doc));
                doc = postings.advance();
            }
        }
        Ok::<u64, TantivyError>(count)
    };
    let most = |word: &ScoredWord| {
        let counts = word.ways.iter().map(among).collect::<Result<Vec<_>, _>>()?;
        Ok::<u64, TantivyError>(counts.into_iter().max().unwrap_or_default())
    };
    words.iter().map(|word| Ok(rarity(documents, most(word)?))).collect()
}

/// 2, and one more for every half octave fewer documents.
fn rarity(documents: u64, having: u64) -> u8 {
    let share = (u128::from(documents) + 1).pow(2) / (u128::from(having) + 1).pow(2);
    u8::try_from(share.max(1).ilog2() + 2).unwrap_or(u8::MAX)
}

/// The documents of each segment that a query holds for.
fn seen(searcher: &tantivy::Searcher, within: &dyn Query) -> Result<Vec<BitSet>, TantivyError> {
    let weight = within.weight(EnableScoring::disabled_from_searcher(searcher))?;
    let of_segment = |segment: &SegmentReader| {
        let mut seen = BitSet::with_max_value(segment.max_doc());
        let alive = segment.alive_bitset();
        weight.for_each_no_score(segment, &mut |docs| {
            for doc in docs.iter().filter(|doc| alive.is_none_or(|alive| alive.is_alive(**doc))) {
                seen.insert(*doc);
            }
        })?;
        Ok(seen)
    };
    searcher.segment_readers().iter().map(of_segment).collect()
}

/// Scores the documents of one segment, in ascending order.
pub(crate) struct Scorer {
    words: Vec<(u64, Vec<Posted>)>,
}

struct Posted {
    postings: SegmentPostings,
    boost: u64,
    lengths: Option<Lengths>,
}

/// How long a field is in each document.
struct Lengths {
    reader: FieldNormReader,
    /// Words that it usually has.
    usual: u64,
    /// The scores of a word that stands in the field once, by the field's length as it is kept; 0 until it is needed. Most words
    /// stand once, and dividing for each of a million documents shows.
    once: [u64; 256],
}

impl Scorer {
    pub(crate) fn new(
        words: &[ScoredWord],
        rarities: &[u8],
        segment: &SegmentReader,
    ) -> Result<Self, TantivyError> {
        let mut scored = Vec::with_capacity(words.len());
        // A word without a rarity does not come from us; it counts as a common one.
        for (word, rarity) in words.iter().zip(rarities.iter().copied().chain(std::iter::repeat(2))) {
            let mut posted = Vec::with_capacity(word.ways.len());
            for way in &word.ways {
                let index = segment.inverted_index(way.term.field())?;
                let Some(postings) = index.read_postings(&way.term, IndexRecordOption::WithFreqs)? else {
                    continue;
                };
                let lengths = match way.usual_length {
                    Some(usual) => {
                        let reader = segment.get_fieldnorms_reader(way.term.field())?;
                        Some(Lengths { reader, usual, once: [0; 256] })
                    }
                    None => None,
                };
                posted.push(Posted { postings, boost: way.boost, lengths });
            }
            scored.push((u64::from(rarity), posted));
        }
        Ok(Self { words: scored })
    }

    /// The score of a document that is not before the last one.
    pub(crate) fn score(&mut self, doc: DocId) -> u64 {
        let words = self.words.iter_mut();
        words
            .map(|(rarity, ways)| *rarity * ways.iter_mut().map(|way| way.score(doc)).max().unwrap_or(0))
            .sum()
    }
}

impl Posted {
    fn score(&mut self, doc: DocId) -> u64 {
        // What is near is found faster by a step than by a search.
        if self.postings.doc() < doc && self.postings.advance() < doc {
            self.postings.seek(doc);
        }
        if self.postings.doc() != doc {
            return 0;
        }
        let times = u64::from(self.postings.term_freq().max(1));
        match &mut self.lengths {
            None => self.boost * fitness(times, 1, 1),
            Some(lengths) => self.boost * lengths.fitness(times, doc),
        }
    }
}

impl Lengths {
    fn fitness(&mut self, times: u64, doc: DocId) -> u64 {
        let kept = self.reader.fieldnorm_id(doc);
        let length = u64::from(FieldNormReader::id_to_fieldnorm(kept));
        if times > 1 {
            return fitness(times, length, self.usual);
        }
        let once = &mut self.once[usize::from(kept)];
        if *once == 0 {
            *once = fitness(1, length, self.usual);
        }
        *once
    }
}

/// How well a field fits a word that stands in it so many times: from one to two units.
fn fitness(times: u64, length: u64, usual: u64) -> u64 {
    let times = times * 10 * usual;
    UNIT + UNIT * times / (times + 3 * usual + 9 * length)
}
