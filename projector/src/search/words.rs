//! How texts become words, and what makes two spellings one.
//!
//! A word is a run of letters and digits, folded: compatibility forms resolved, accents dropped, lower-case (`Ångström`
//! and `ÅNGSTRÖM` → `angstrom`, `Straße` → `strasse`, full-width `ＡＢＣ` → `abc`), at most 100 bytes: what is longer is no word
//! anybody types. An ideograph or kana stands for itself, so that scripts without spaces are found by any piece.
//!
//! Invariant: a word that is written of parts (`ListView`, `sha256`) has its parts at its own position, so they are found as
//! words and take part in phrases in its place; queries are never taken apart that way.

use std::collections::VecDeque;
use std::ops::Range;
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Bytes of a folded word.
pub(crate) const WORD_BYTES_MAX: usize = 100;
/// Parts of one word; what has more is a hash or an encoded blob.
const PARTS_MAX: usize = 6;
/// Characters of a part that is worth finding.
const PART_CHARS_MIN: usize = 2;

/// Splits texts into words.
#[derive(Debug, Clone)]
pub(crate) struct Splitter {
    with_parts: bool,
}

impl Splitter {
    /// For what is indexed and highlighted: words and their parts.
    pub(crate) const TEXTS: Self = Self { with_parts: true };
    /// For what is looked for: words only.
    pub(crate) const QUERIES: Self = Self { with_parts: false };
}

/// The analyzer of the fields that hold texts.
pub(crate) fn words() -> TextAnalyzer {
    TextAnalyzer::from(Splitter::TEXTS)
}

/// The folded words of a query's text.
pub(crate) fn query_words(text: &str) -> Vec<String> {
    let mut splitter = Splitter::QUERIES;
    let mut stream = splitter.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        words.push(stream.token().text.clone());
    }
    words
}

/// Where the words of a text begin.
pub(crate) fn query_words_at(text: &str) -> Vec<usize> {
    let mut splitter = Splitter::QUERIES;
    let mut stream = splitter.token_stream(text);
    let mut starts = Vec::new();
    while stream.advance() {
        starts.push(stream.token().offset_from);
    }
    starts
}

/// Whether a character is a word of its own.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3005..=0x3007 | 0x3041..=0x3096 | 0x30a1..=0x30fa | 0x30fc..=0x30fe | 0x31f0..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff
        | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

/// A whole text folded: names, keys and values that are compared as a whole.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_onto(text, &mut folded, |_| true);
    folded
}

/// One spelling for all: NFKD, without accents, lower-case, letters that do not decompose by their usual transcription.
/// What is ASCII is kept whatever `is_kept` says: a word has nothing else in it there.
fn fold_onto(text: &str, folded: &mut String, is_kept: fn(char) -> bool) {
    if text.is_ascii() {
        let from = folded.len();
        folded.push_str(text);
        folded[from..].make_ascii_lowercase();
        return;
    }
    for c in text.nfkd().filter(|c| !is_accent(*c) && is_kept(*c)).nfc() {
        match c {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'þ' | 'Þ' => folded.push_str("th"),
            'ø' | 'Ø' => folded.push('o'),
            'đ' | 'Đ' | 'ð' | 'Ð' => folded.push('d'),
            'ł' | 'Ł' => folded.push('l'),
            'ħ' | 'Ħ' => folded.push('h'),
            'ŧ' | 'Ŧ' => folded.push('t'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            c => folded.extend(c.to_lowercase()),
        }
    }
}

/// Marks that only vary a letter; those that are vowels of their own (in Indic scripts, for one) are none of these, and
/// nor are the marks that make another kana.
fn is_accent(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x591..=0x5c7 | 0x64b..=0x65f | 0x670 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

impl Tokenizer for Splitter {
    type TokenStream<'a> = Words<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words<'a> {
        Words { text, at: 0, with_parts: self.with_parts, parts: VecDeque::new(), token: Token::default() }
    }
}

/// The words of one text.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    text: &'a str,
    /// Everything before it has been told.
    at: usize,
    with_parts: bool,
    /// Parts of the present word that have not been told.
    parts: VecDeque<Range<usize>>,
    token: Token,
}

impl Words<'_> {
    /// Where the next word stands.
    fn next_run(&mut self) -> Option<Range<usize>> {
        let (from, first) =
            find(self.text, self.at, |byte| byte.is_ascii_alphanumeric(), char::is_alphanumeric)?;
        let behind = from + first.len_utf8();
        let end = if is_ideograph(first) {
            behind
        } else {
            let is_over = |c| !is_in_word(c) || is_ideograph(c);
            let over = find(self.text, behind, |byte| !byte.is_ascii_alphanumeric(), is_over);
            over.map_or(self.text.len(), |(end, _)| end)
        };
        self.at = end;
        Some(from..end)
    }

    fn tell(&mut self, run: &Range<usize>) -> bool {
        self.token.text.clear();
        fold_onto(&self.text[run.clone()], &mut self.token.text, is_in_word);
        self.token.offset_from = run.start;
        self.token.offset_to = run.end;
        !self.token.text.is_empty() && self.token.text.len() <= WORD_BYTES_MAX
    }
}

impl TokenStream for Words<'_> {
    fn advance(&mut self) -> bool {
        while let Some(part) = self.parts.pop_front() {
            if self.tell(&part) {
                return true;
            }
        }
        while let Some(run) = self.next_run() {
            if self.tell(&run) {
                self.token.position = self.token.position.wrapping_add(1);
                if self.with_parts {
                    self.parts = parts(&self.text[run.clone()], run.start);
                }
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// The first character from `at` on that is wanted, and where it stands. Most texts are ASCII, which needs no decoding and no
/// tables; `of_ascii` MUST say the same as `of_any` there.
fn find(
    text: &str,
    mut at: usize,
    of_ascii: impl Fn(u8) -> bool,
    of_any: impl Fn(char) -> bool,
) -> Option<(usize, char)> {
    loop {
        let byte = *text.as_bytes().get(at)?;
        if byte.is_ascii() {
            if of_ascii(byte) {
                return Some((at, char::from(byte)));
            }
            at += 1;
        } else {
            let c = text.get(at..)?.chars().next()?;
            if of_any(c) {
                return Some((at, c));
            }
            at += c.len_utf8();
        }
    }
}

/// Whether a word is written in one piece, as most are: small letters behind the first, or capitals or digits only.
/// A quick look that may miss some.
fn is_plain(word: &str) -> bool {
    let bytes = word.as_bytes();
    match bytes {
        [first, rest @ ..] if first.is_ascii_alphabetic() => {
            rest.iter().all(u8::is_ascii_lowercase) || bytes.iter().all(u8::is_ascii_uppercase)
        }
        _ => bytes.iter().all(u8::is_ascii_digit),
    }
}

/// The parts of a word that is written of several: where small letters turn into capitals, letters into digits, and
/// before the last capital of several (`HTTPServer`).
fn parts(word: &str, offset: usize) -> VecDeque<Range<usize>> {
    if is_plain(word) {
        return VecDeque::new();
    }
    let mut starts = vec![0];
    let mut before: Option<(char, char)> = None;
    for (at, c) in word.char_indices() {
        if let Some((earlier, last)) = before {
            let is_hump = last.is_lowercase() && c.is_uppercase();
            let is_other = last.is_numeric() != c.is_numeric() && !is_combining_mark(c);
            // `S` of `HTTPServer` is known for a beginning only once `e` follows.
            let is_late = earlier.is_uppercase() && last.is_uppercase() && c.is_lowercase();
            if is_hump || is_other {
                starts.push(at);
            } else if is_late {
                starts.push(at - last.len_utf8());
            }
        }
        before = Some((before.map_or(c, |(_, last)| last), c));
    }
    starts.dedup();
    if starts.len() == 1 || starts.len() > PARTS_MAX {
        return VecDeque::new();
    }
    let ends = starts.iter().skip(1).copied().chain([word.len()]);
    let ranges =
        starts.iter().zip(ends).filter(|(from, to)| word[**from..*to].chars().count() >= PART_CHARS_MIN);
    ranges.map(|(from, to)| offset + from..offset + to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(usize, String, String)> {
        let mut splitter = Splitter::TEXTS;
        let mut stream = splitter.token_stream(text);
        let mut told = Vec::new();
        while stream.advance() {
            let token = stream.token();
            let source = text[token.offset_from..token.offset_to].to_owned();
            told.push((token.position, token.text.clone(), source));
        }
        told
    }

    fn texts(text: &str) -> Vec<String> {
        told(text).into_iter().map(|(_, text, _)| text).collect()
    }

    #[test]
    fn spellings_fold_to_one() {
        for (text, word) in [
            ("Ångström", "angstrom"),
            ("A\u{30a}NGSTRO\u{308}M", "angstrom"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("İstanbul", "istanbul"),
            ("ısı", "isi"),
            ("ＡＢＣ", "abc"),
            ("ﬁle", "file"),
            ("Łódź", "lodz"),
            ("ΌΔΟΣ", "οδοσ"),
            ("οδός", "οδοσ"),
            ("한국어", "한국어"),
            ("m²", "m2"),
        ] {
            assert_eq!(query_words(text), [word], "{text}");
        }
        assert_eq!(fold("In  PROGRESS – Größe"), "in  progress – grosse");
    }

    #[test]
    fn identifiers_are_words_and_parts() {
        let whole = |position, text: &str| (position, text.to_lowercase(), text.to_owned());
        assert_eq!(
            told("a ListView x"),
            [whole(0, "a"), whole(1, "ListView"), whole(1, "List"), whole(1, "View"), whole(2, "x")]
        );
        assert_eq!(texts("HTTPServer2"), ["httpserver2", "http", "server"]);
        assert_eq!(
            texts("snake_case src/main.rs KAFKA-123"),
            ["snake", "case", "src", "main", "rs", "kafka", "123"]
        );
        assert_eq!(texts("sha256 iOS"), ["sha256", "sha", "256", "ios", "os"]);
        assert_eq!(texts("a1b2c3d4e5f6a7"), ["a1b2c3d4e5f6a7"]);
        assert_eq!(query_words("listView foo-bar"), ["listview", "foo", "bar"]);
    }

    #[test]
    fn scripts_without_spaces_are_split_into_characters() {
        assert_eq!(texts("東京タワーabc高"), ["東", "京", "タ", "ワ", "ー", "abc", "高"].map(str::to_owned));
        assert_eq!(query_words("が"), ["が"]);
    }

    #[test]
    fn what_is_too_long_is_no_word() {
        assert!(query_words(&"x".repeat(101)).is_empty());
        assert_eq!(query_words(&"x".repeat(100)).len(), 1);
    }
}
