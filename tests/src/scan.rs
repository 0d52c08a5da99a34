//! Searching by brute force: every text of a history is looked through, and what is found is compared with what is served.
//!
//! What a word is, is a question of taste as soon as there are signs, digits or accents. So only such words are searched for of
//! which there is no doubt in the whole history: wherever their letters stand, there is a blank or a plain mark of
//! punctuation on either side.
//!
//! Invariant: this shares no code with Sunday.

use crate::client::Client;
use crate::oracle::{Oracle, percent_encoded};
use crate::random::Random;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Hits that are compared one by one.
const HITS_MAX: usize = 100;
/// Letters of a word.
const LETTERS: std::ops::RangeInclusive<usize> = 4..=14;

/// Something with texts: an item, or one of its comments.
type Document = usize;

/// Which documents each word without doubt stands in.
#[derive(Debug)]
pub struct Scan<'a> {
    oracle: &'a Oracle,
    /// The keys of the items, which come first.
    items: Vec<&'a str>,
    documents: usize,
    words: BTreeMap<String, BTreeSet<Document>>,
}

fn is_plain(mark: char) -> bool {
    mark.is_ascii_whitespace() || ".,;:!?()\"".contains(mark)
}

/// Pieces of a text between plain marks.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_plain).filter(|piece| !piece.is_empty())
}

impl<'a> Scan<'a> {
    /// Looks through all texts.
    #[must_use]
    pub fn of(oracle: &'a Oracle) -> Self {
        let items: Vec<&str> = oracle.items.keys().map(String::as_str).collect();
        let mut texts: Vec<(Document, &str)> = Vec::new();
        for (document, item) in oracle.items.values().enumerate() {
            texts.push((document, &item.title));
            texts.extend(item.description.as_deref().map(|description| (document, description)));
        }
        let mut documents = items.len();
        for body in oracle.comments.values().flatten() {
            texts.push((documents, body));
            documents += 1;
        }
        let mut words: BTreeMap<String, BTreeSet<Document>> = BTreeMap::new();
        let mut doubtful: BTreeSet<String> = BTreeSet::new();
        let keys = items.iter().map(|key| (0, *key));
        for (document, text) in texts.iter().copied().chain(keys.clone()) {
            for piece in pieces(text) {
                if piece.bytes().all(|byte| byte.is_ascii_alphabetic()) && is_one_word(piece) {
                    if LETTERS.contains(&piece.len()) {
                        words.entry(piece.to_ascii_lowercase()).or_default().insert(document);
                    }
                } else {
                    doubtful.insert(piece.to_lowercase());
                }
            }
        }
        // A key is searched with the texts, and is no text here.
        doubtful.extend(keys.map(|(_, key)| key.to_lowercase()));
        let mut parts = BTreeSet::new();
        for piece in &doubtful {
            let letters = piece.split(|letter: char| !letter.is_ascii_alphabetic());
            for run in letters.filter(|run| run.len() >= *LETTERS.start()) {
                for from in 0..run.len() {
                    for to in from + LETTERS.start()..=run.len().min(from + LETTERS.end()) {
                        parts.insert(&run[from..to]);
                    }
                }
            }
        }
        words.retain(|word, _| !parts.contains(word.as_str()));
        // Accents fold to letters: what could be such a word with other letters in some places is doubtful, too.
        let accented: Vec<Vec<char>> = doubtful
            .iter()
            .filter(|piece| piece.chars().any(|letter| may_fold(letter) || is_combining(letter)))
            .map(|piece| piece.chars().filter(|letter| !is_combining(*letter)).collect())
            .collect();
        words.retain(|word, _| {
            let letters: Vec<char> = word.chars().collect();
            let alike = |(found, letter): (&char, &char)| found == letter || may_fold(*found);
            !accented.iter().any(|piece| {
                piece.windows(letters.len()).any(|window| window.iter().zip(&letters).all(alike))
            })
        });
        Self { oracle, items, documents, words }
    }

    /// Asks so many random questions, and compares the answers with what the scan says.
    pub fn compare(&self, query: Client, random: &mut Random, questions: usize) {
        let words: Vec<&String> = self.words.keys().collect();
        assert!(words.len() > 50, "only {} words without doubt", words.len());
        let mut hits = 0;
        for _ in 0..questions {
            let word = |random: &mut Random| {
                let index = random.below(words.len() as u64);
                words[usize::try_from(index).expect("an index")].as_str()
            };
            let (one, other) = (word(random), word(random));
            let (first, second) = (&self.words[one], &self.words[other]);
            let (text, expected): (String, BTreeSet<Document>) = match random.below(5) {
                0 => (one.to_owned(), first.clone()),
                1 => (format!("{one} {other}"), first.intersection(second).copied().collect()),
                2 => (format!("{one} OR {other}"), first.union(second).copied().collect()),
                3 => (format!("{one} -{other}"), first.difference(second).copied().collect()),
                _ => (one.to_ascii_uppercase(), first.clone()),
            };
            hits += expected.len();
            self.ask(query, &text, &expected);
        }
        assert!(hits > questions, "{hits} hits of {questions} questions say little");
        eprintln!("{questions} questions, {hits} hits, {} words, {} documents", words.len(), self.documents);
    }

    fn ask(&self, query: Client, text: &str, expected: &BTreeSet<Document>) {
        let (items, comments): (Vec<Document>, Vec<Document>) =
            expected.iter().partition(|document| **document < self.items.len());
        let path =
            |kind: &str| format!("/api/v1/search?q={}&kind={kind}&limit={HITS_MAX}", percent_encoded(text));
        let found = query.get(&path("item")).json();
        let told: BTreeSet<_> = keys(&found["hits"]);
        assert_eq!(found["total"], items.len(), "{text}: {told:?}");
        if items.len() <= HITS_MAX {
            let expected = items.iter().map(|document| self.items[*document].to_owned());
            assert_eq!(told, expected.collect(), "{text}");
        }
        let found = query.get(&path("comment")).json();
        assert_eq!(found["total"], comments.len(), "{text} in comments of {} items", self.oracle.items.len());
    }
}

/// What may be a plain letter with something to it: Latin beyond ASCII, letters in circles, of full width, of mathematics.
/// Scripts that have no plain letters (a text in Chinese could be any word, if each of its signs could be any letter) are
/// not among them.
fn may_fold(letter: char) -> bool {
    let is_near = matches!(u32::from(letter), 0x80..=0x24f | 0x1d00..=0x1eff | 0x2070..=0x24ff | 0x2c60..=0x2c7f
        | 0xa720..=0xa7ff | 0xfb00..=0xfb06 | 0xff00..=0xff5e | 0x1d400..=0x1d7ff);
    is_near && letter.is_alphabetic()
}

fn is_combining(letter: char) -> bool {
    matches!(u32::from(letter), 0x300..=0x36f)
}

/// Not `ListView`: people see two words in it.
fn is_one_word(piece: &str) -> bool {
    let rest = &piece[1..];
    !rest.bytes().any(|byte| byte.is_ascii_uppercase()) || piece.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn keys(hits: &Value) -> BTreeSet<String> {
    let hits = hits.as_array().expect("a list of hits");
    hits.iter().filter_map(|hit| hit["externalKey"].as_str()).map(str::to_owned).collect()
}
