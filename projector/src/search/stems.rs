//! English stems of texts: what is looked for when a search asks for them.
//!
//! Invariant: of a text each word's stem is told at least once and no word's twice, without a position: the index keeps
//! whether a document has a stem, and neither where nor how often. That saves most of the work, and so does remembering stems:
//! the words of texts repeat.

use crate::search::words::{Splitter, Words};
use std::collections::HashMap;
use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer};

/// Words whose stems are remembered, some 100 bytes each; then all are forgotten.
const KNOWN_MAX: usize = 65_536;

/// The analyzer of the fields that hold English stems.
pub(crate) fn stems() -> TextAnalyzer {
    TextAnalyzer::from(Stems::default())
}

/// The English stem of a folded word.
pub(crate) fn stem(word: &str) -> String {
    Stems::default().stem(word)
}

/// Tells the stems of texts.
#[derive(Clone)]
struct Stems {
    splitter: Splitter,
    stemmer: TextAnalyzer,
    /// Callers choose the words, so their hash is a keyed one.
    known: HashMap<Box<str>, Known>,
    /// How many texts there were.
    texts: u64,
}

#[derive(Debug, Clone)]
struct Known {
    stem: Box<str>,
    /// The last text that has the word, by its number.
    text: u64,
}

impl Default for Stems {
    fn default() -> Self {
        let stemmer =
            TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(Language::English)).build();
        Self { splitter: Splitter::QUERIES, stemmer, known: HashMap::new(), texts: 0 }
    }
}

impl Stems {
    fn stem(&mut self, word: &str) -> String {
        let mut stem = String::new();
        self.stemmer.token_stream(word).process(&mut |token| stem.clone_from(&token.text));
        stem
    }
}

impl Tokenizer for Stems {
    type TokenStream<'a> = StemStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> StemStream<'a> {
        self.texts += 1;
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let Self { splitter, stemmer, known, texts } = self;
        StemStream { words: splitter.token_stream(text), stemmer, known, text: *texts }
    }
}

/// The stems of one text.
struct StemStream<'a> {
    words: Words<'a>,
    stemmer: &'a mut TextAnalyzer,
    known: &'a mut HashMap<Box<str>, Known>,
    text: u64,
}

impl TokenStream for StemStream<'_> {
    fn advance(&mut self) -> bool {
        while self.words.advance() {
            let word = &mut self.words.token_mut().text;
            match self.known.get_mut(word.as_str()) {
                Some(known) if known.text == self.text => continue,
                Some(known) => {
                    known.text = self.text;
                    word.clear();
                    word.push_str(&known.stem);
                }
                None => {
                    let mut stem = String::new();
                    self.stemmer.token_stream(word).process(&mut |token| stem.clone_from(&token.text));
                    let known = Known { stem: stem.as_str().into(), text: self.text };
                    // One text may have more words than are to be remembered.
                    if self.known.len() < KNOWN_MAX {
                        self.known.insert(word.as_str().into(), known);
                    }
                    *word = stem;
                }
            }
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        self.words.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.words.token_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stems: &mut TextAnalyzer, text: &str) -> Vec<String> {
        let mut told = Vec::new();
        stems.token_stream(text).process(&mut |token| told.push(token.text.clone()));
        told
    }

    #[test]
    fn each_word_of_a_text_is_told_once_and_of_the_next_text_again() {
        let mut stems = stems();
        for _ in 0..2 {
            assert_eq!(told(&mut stems, "Running runs, RUNNING Fast"), ["run", "run", "fast"]);
        }
        assert!(told(&mut stems, "").is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_is_missed() {
        let mut stems = stems();
        let text: String = (0..KNOWN_MAX + 100).map(|number| format!("w{number} ")).collect();
        for _ in 0..2 {
            let told = told(&mut stems, &text);
            assert_eq!(told.len(), KNOWN_MAX + 100);
            assert_eq!(told.last(), Some(&stem(&format!("w{}", KNOWN_MAX + 99))));
        }
    }
}
