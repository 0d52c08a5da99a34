//! Snippets: the piece of a hit's text that has most of what was looked for.
//!
//! The text comes from the log. A page spends a bounded effort on that: long texts are looked at up to a limit, and
//! once the page has used up its budget, only the beginnings of further texts are.

use crate::search::document::StoredHit;
use crate::search::schema::Fields;
use crate::search::searcher::SearchError;
use eventstore::Log;
use tantivy::Searcher;
use tantivy::query::BooleanQuery;
use tantivy::snippet::SnippetGenerator;

/// Bytes of one text that are looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all texts of a page that are looked at.
const PAGE_BYTES: usize = 128 * 1024;
/// Bytes of each text that are looked at when the page's are used up.
const BEGINNING_BYTES: usize = 2 * 1024;

/// Makes the snippets of one page.
pub(crate) struct Snippets<'a> {
    log: &'a Log,
    text: Option<SnippetGenerator>,
    title: Option<SnippetGenerator>,
    bytes_left: usize,
}

impl<'a> Snippets<'a> {
    pub(crate) fn new(
        searcher: &Searcher,
        words: Option<&BooleanQuery>,
        fields: &Fields,
        log: &'a Log,
    ) -> Result<Self, SearchError> {
        let generator =
            |field| words.map(|words| SnippetGenerator::create(searcher, words, field)).transpose();
        Ok(Self {
            log,
            text: generator(fields.text)?,
            title: generator(fields.title)?,
            bytes_left: PAGE_BYTES,
        })
    }

    /// The snippet of a hit: of its text, else of its title, else nothing.
    pub(crate) fn of(&mut self, hit: &StoredHit) -> String {
        let Some(generator) = &self.text else { return String::new() };
        let text = hit.text(self.log).unwrap_or_else(|error| {
            // A hit without a snippet is still a hit.
            tracing::warn!(%error, id = %hit.id, "a hit's text cannot be read");
            None
        });
        if let Some(text) = text {
            let text = beginning(&text, TEXT_BYTES_MAX.min(self.bytes_left.max(BEGINNING_BYTES)));
            self.bytes_left = self.bytes_left.saturating_sub(text.len());
            let snippet = generator.snippet(text);
            if !snippet.is_empty() {
                return snippet.to_html();
            }
        }
        match (&self.title, &hit.title) {
            (Some(generator), Some(title)) => generator.snippet(title).to_html(),
            _ => String::new(),
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
