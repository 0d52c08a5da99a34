//! Snippets: the piece of a hit's text that has most of what was looked for, and what was found there in `<b>`.
//!
//! Invariant: a snippet is HTML in which everything but those `<b>` is escaped, and they enclose exactly what a condition
//! of the query holds for: words as they are, prefixes, nearly equal ones, stems; of a phrase only where it stands.
//!
//! The text comes from the log. A page spends a bounded effort on that: long texts are looked at up to a limit, and
//! once the page has used up its budget, only the beginnings of further texts are.

use crate::search::document::{DocumentKind, StoredHit};
use crate::search::expression::{Expression, Manner, Scope, Words};
use crate::search::stems::stem;
use crate::search::words::Splitter;
use crate::texts::TextReader;
use eventstore::Log;
use std::collections::BTreeSet;
use std::ops::Range;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Bytes of one text that are looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all texts of a page that are looked at.
const PAGE_BYTES: usize = 128 * 1024;
/// Bytes of each text that are looked at when the page's are used up.
const BEGINNING_BYTES: usize = 2 * 1024;
/// Bytes of a snippet without its markup, at most; a single longer word is shown all the same.
const SNIPPET_BYTES: usize = 150;

/// Makes the snippets of one page.
pub(crate) struct Snippets<'a> {
    log: &'a Log,
    wanted: Vec<Wanted>,
    bytes_left: usize,
}

/// Words to be shown.
struct Wanted {
    words: Words,
    /// The stem of the only word, where that counts too.
    stem: Option<String>,
}

impl<'a> Snippets<'a> {
    pub(crate) fn new(expression: &Expression, stemmed: bool, log: &'a Log) -> Self {
        let wanted = expression.wanted_words().into_iter().map(|words| {
            let has_forms = stemmed && words.manner == Manner::Plain && words.words.len() == 1;
            Wanted { words: words.clone(), stem: has_forms.then(|| stem(&words.words[0])) }
        });
        Self { log, wanted: wanted.collect(), bytes_left: PAGE_BYTES }
    }

    /// The snippet of a hit: of its text, else of its title, else nothing.
    pub(crate) fn of(&mut self, hit: &StoredHit) -> String {
        if self.wanted.is_empty() {
            return String::new();
        }
        let text = hit.text(&mut TextReader::of(self.log)).unwrap_or_else(|error| {
            // A hit without a snippet is still a hit.
            tracing::warn!(%error, id = %hit.id, "a hit's text cannot be read");
            None
        });
        if let Some(text) = text {
            let text = beginning(&text, TEXT_BYTES_MAX.min(self.bytes_left.max(BEGINNING_BYTES)));
            self.bytes_left = self.bytes_left.saturating_sub(text.len());
            let is_comment = hit.kind == DocumentKind::Comment;
            let snippet = self.snippet(text, |scope| match scope {
                Scope::Anywhere | Scope::Text => true,
                Scope::Comment => is_comment,
                Scope::Description => !is_comment,
                Scope::Title | Scope::Key => false,
            });
            if !snippet.is_empty() {
                return snippet;
            }
        }
        hit.title.as_deref().map(|title| self.title(title)).unwrap_or_default()
    }

    /// The title with what was found in it; nothing when nothing was.
    fn title(&self, title: &str) -> String {
        self.snippet(title, |scope| matches!(scope, Scope::Anywhere | Scope::Title))
    }

    fn snippet(&self, text: &str, is_looked_at: impl Fn(Scope) -> bool) -> String {
        let tokens = tokens(text);
        let wanted = self.wanted.iter().filter(|wanted| is_looked_at(wanted.words.scope));
        let marks: BTreeSet<usize> = wanted.flat_map(|wanted| wanted.marks(&tokens)).collect();
        best_piece(&tokens, &marks).map(|piece| marked(text, &tokens, &marks, &piece)).unwrap_or_default()
    }
}

/// A text, shown whole, with the words that begin or are what was typed.
pub(crate) fn marked_text(text: &str, words: &[Words]) -> String {
    let tokens = tokens(text);
    let wanted = words.iter().map(|words| Wanted { words: words.clone(), stem: None });
    let marks: BTreeSet<usize> = wanted.flat_map(|wanted| wanted.marks(&tokens)).collect();
    marked(text, &tokens, &marks, &(0..text.len()))
}

fn tokens(text: &str) -> Vec<Token> {
    let mut splitter = Splitter::TEXTS;
    let mut stream = splitter.token_stream(text);
    let mut tokens = Vec::new();
    while stream.advance() {
        tokens.push(stream.token().clone());
    }
    tokens
}

impl Wanted {
    /// The numbers of the tokens that this holds for.
    fn marks(&self, tokens: &[Token]) -> Vec<usize> {
        let Words { words, manner, .. } = &self.words;
        match (words.as_slice(), manner) {
            ([word], manner) => {
                let holds = |token: &Token| match manner {
                    Manner::Plain | Manner::Quoted => token.text == *word,
                    Manner::Prefix => token.text.starts_with(word),
                    Manner::Fuzzy(edits) => differs_by_at_most(&token.text, word, usize::from(*edits)),
                };
                // A stem begins as its words do, which spares most words the stemming.
                let is_form = |token: &Token| {
                    self.stem.as_ref().is_some_and(|wanted| {
                        wanted.chars().next() == token.text.chars().next() && stem(&token.text) == *wanted
                    })
                };
                (0..tokens.len()).filter(|index| holds(&tokens[*index]) || is_form(&tokens[*index])).collect()
            }
            (words, _) => (0..tokens.len()).flat_map(|index| phrase_at(tokens, index, words)).collect(),
        }
    }
}

/// The tokens of a phrase that begins at a token; none when it does not stand there.
fn phrase_at(tokens: &[Token], index: usize, words: &[String]) -> Vec<usize> {
    let mut found = Vec::with_capacity(words.len());
    let mut from = index;
    for (position, word) in (tokens[index].position..).zip(words) {
        let mut here = (from..tokens.len()).take_while(|index| tokens[*index].position <= position);
        let is_it = |index: &usize| tokens[*index].position == position && tokens[*index].text == *word;
        let Some(next) = here.find(is_it) else { return Vec::new() };
        // The first word is the token itself, or the phrase would be told once per token of its place.
        if found.is_empty() && next != index {
            return Vec::new();
        }
        found.push(next);
        from = next;
    }
    found
}

/// Whether two words differ by at most so many letters that are inserted, left out, replaced, or swapped with their
/// neighbours.
fn differs_by_at_most(one: &str, other: &str, edits: usize) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > edits {
        return false;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = last[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()] <= edits
}

/// The piece with most marks, the first one of those; from the beginning of a word to the end of one.
fn best_piece(tokens: &[Token], marks: &BTreeSet<usize>) -> Option<Range<usize>> {
    let mut best: Option<(usize, Range<usize>)> = None;
    let mut first = 0;
    for mark in marks {
        // Pieces of some length that end with this mark; what stands after it is added below.
        let end = tokens[*mark].offset_to;
        while tokens[first].offset_from + SNIPPET_BYTES < end && first < *mark {
            first += 1;
        }
        let count = marks.range(first..=*mark).count();
        if best.as_ref().is_none_or(|(most, _)| count > *most) {
            best = Some((count, first..*mark));
        }
    }
    let (_, tokens_of_piece) = best?;
    // A piece begins a little before its first mark and goes on as far as there is room.
    let first_mark = marks.range(tokens_of_piece.start..).next().copied().unwrap_or(tokens_of_piece.start);
    let last_mark = tokens_of_piece.end;
    let lead =
        (SNIPPET_BYTES.saturating_sub(tokens[last_mark].offset_to - tokens[first_mark].offset_from)) / 2;
    let start = tokens[..=first_mark]
        .iter()
        .rposition(|token| token.offset_from + lead < tokens[first_mark].offset_from);
    let from = tokens[start.map_or(0, |start| start + 1)].offset_from.min(tokens[first_mark].offset_from);
    let within = tokens[last_mark..].iter().filter(|token| token.offset_to <= from + SNIPPET_BYTES);
    let to = within.map(|token| token.offset_to).max().unwrap_or(0).max(tokens[last_mark].offset_to);
    Some(from..to)
}

/// A piece of a text as HTML.
fn marked(text: &str, tokens: &[Token], marks: &BTreeSet<usize>, piece: &Range<usize>) -> String {
    let mut html = String::with_capacity(piece.len() + 64);
    let mut at = piece.start;
    let ranges = marks.iter().map(|mark| tokens[*mark].offset_from..tokens[*mark].offset_to);
    let mut ranges: Vec<_> =
        ranges.filter(|range| range.start >= piece.start && range.end <= piece.end).collect();
    // A part stands behind its whole word; the longer one comes first and covers it.
    ranges.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    for range in ranges {
        if range.end <= at {
            continue;
        }
        let from = range.start.max(at);
        escape(&text[at..from], &mut html);
        html.push_str("<b>");
        escape(&text[from..range.end], &mut html);
        html.push_str("</b>");
        at = range.end;
    }
    escape(&text[at..piece.end], &mut html);
    html
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#x27;"),
            c => html.push(c),
        }
    }
}

/// The text up to `max` bytes, ending at a character.
fn beginning(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
#[path = "snippet_tests.rs"]
mod tests;
