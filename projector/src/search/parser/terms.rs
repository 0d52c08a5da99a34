//! The leaves of a query: words, phrases, and names with values.

use crate::search::expression::{
    Condition, Has, Is, Manner, Mistake, Moment, Node, Place, PlaceKind, Scope, Words,
};
use crate::search::parser::{Parser, dates};
use crate::search::words::{self, fold, is_ideograph};
use uuid::Uuid;

/// Letters of a prefix.
pub(crate) const PREFIX_CHARS_MIN: usize = 2;
/// Letters of a word that may differ in one, and in two.
const FUZZY_CHARS_MIN: [usize; 2] = [3, 5];
/// Bytes of a value that is compared as a whole.
const VALUE_BYTES_MAX: usize = 500;
const NAMES: &str = "one of title, text, description, comment, key, assignee, workspace, project, board, column, \
                     is, has, due, created, updated, completed, field.<name> is expected; quote it to search for it \
                     as it stands";

impl<'a> Parser<'a> {
    pub(super) fn phrase(&self, scope: Scope, start: usize, inside: &str) -> Result<Condition, Mistake> {
        if let Some(sign @ ('*' | '~')) = self.peek() {
            let expected = "it stands after a single word without quotes only";
            return Err(self.mistake(self.at, format!("{sign} stands after a phrase"), expected));
        }
        self.words(scope, start, inside, Manner::Quoted).map(Condition::Words)
    }

    fn words(&self, scope: Scope, start: usize, text: &str, manner: Manner) -> Result<Words, Mistake> {
        let words = words::query_words(text);
        if words.is_empty() {
            let what = if text.contains(char::is_alphanumeric) {
                "the word is too long"
            } else {
                "there is no word"
            };
            let expected =
                format!("a letter or digit is expected, and at most {} bytes", words::WORD_BYTES_MAX);
            return Err(self.mistake(start, what, expected));
        }
        Ok(Words { scope, words, manner })
    }

    /// A word, or a name with a value.
    pub(super) fn term(&mut self) -> Result<Node, Mistake> {
        let start = self.at;
        let run = self.run();
        let is_quoted_field =
            run.eq_ignore_ascii_case("field.") && self.text[start + run.len()..].starts_with('"');
        let condition = match named(run) {
            _ if is_quoted_field => {
                self.at += run.len();
                let name = self.quoted()?;
                if self.peek() != Some(':') {
                    return Err(self.mistake(
                        self.at,
                        "the field has no value",
                        "a : and a value are expected",
                    ));
                }
                self.at += 1;
                self.field(name)?
            }
            Some(name)
                if Self::is_name(name)
                    || run.len() > name.len() + 1
                    || self.text[start + run.len()..].starts_with('"') =>
            {
                self.at += name.len() + 1;
                self.named(start, name)?
            }
            _ => {
                self.at += run.len();
                self.word(Scope::Anywhere, start, run)?
            }
        };
        self.condition(start, condition)
    }

    fn is_name(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name.starts_with("field.")
            || matches!(name.as_str(), "assignee" | "is" | "has")
            || find(Scope::WORDS, &name).is_some()
            || find(Moment::WORDS, &name).is_some()
            || find(PlaceKind::WORDS, &name).is_some()
    }

    fn named(&mut self, start: usize, given: &str) -> Result<Condition, Mistake> {
        let name = given.to_ascii_lowercase();
        if let Some(scope) = find(Scope::WORDS, &name) {
            let at = self.at;
            return match self.value("a word or a quoted phrase is expected")? {
                (inside, true) => self.phrase(scope, at, inside),
                (run, false) => self.word(scope, at, run),
            };
        }
        if let Some(kind) = find(PlaceKind::WORDS, &name) {
            let given = self.whole("an id or a name is expected")?.to_owned();
            let ids = Uuid::try_parse(&given).into_iter().collect();
            return Ok(Condition::Place(Place { kind, given, ids }));
        }
        if let Some(moment) = find(Moment::WORDS, &name) {
            let at = self.at + usize::from(self.peek() == Some('"'));
            let expected = "a day such as 2024-01-31, >2024-01-31, or 2024-01-01..2024-01-31 is expected";
            let text = self.whole(expected)?;
            let days =
                dates::days(text).map_err(|(offset, what)| self.mistake(at + offset, what, expected))?;
            return Ok(Condition::Within(moment, days));
        }
        match name.as_str() {
            "is" => self.choice(Is::WORDS).map(Condition::Is),
            "has" => self.choice(Has::WORDS).map(Condition::Has),
            "assignee" => Ok(Condition::Assignee(self.whole("a person is expected")?.to_owned())),
            _ => match name.strip_prefix("field.") {
                Some(field) if !field.is_empty() => self.field(&given["field.".len()..]),
                _ => {
                    // What was sent comes back shortened: an error is no mirror.
                    let shown: String = given.chars().take(50).collect();
                    Err(self.mistake(start, format!("there is no field {shown}"), NAMES))
                }
            },
        }
    }

    fn field(&mut self, name: &str) -> Result<Condition, Mistake> {
        let value = self.whole("the value of the field is expected")?;
        Ok(Condition::Field(fold(name), fold(value)))
    }

    fn choice<T: Copy>(&mut self, words: &[(&'static str, T)]) -> Result<T, Mistake> {
        let at = self.at;
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {} is expected", names.join(", "));
        let given = self.whole(&expected)?;
        find(words, &given.to_ascii_lowercase())
            .ok_or_else(|| self.mistake(at, "there is no such choice", expected))
    }

    /// What stands behind a colon, and whether it is quoted.
    fn value(&mut self, expected: &str) -> Result<(&'a str, bool), Mistake> {
        if self.peek() == Some('"') {
            return self.quoted().map(|inside| (inside, true));
        }
        let run = self.run();
        if run.is_empty() {
            return Err(self.mistake(self.at, "there is no value", expected));
        }
        self.at += run.len();
        Ok((run, false))
    }

    /// A value that is compared as it stands.
    fn whole(&mut self, expected: &str) -> Result<&'a str, Mistake> {
        let at = self.at;
        let (value, _) = self.value(expected)?;
        if value.trim().is_empty() || value.len() > VALUE_BYTES_MAX {
            return Err(self.mistake(at, "the value is empty or too long", expected));
        }
        Ok(value)
    }

    /// A word without quotes: as it is, as a prefix, or nearly so.
    fn word(&self, scope: Scope, start: usize, run: &str) -> Result<Condition, Mistake> {
        if let Some(star) = run.find('*') {
            if star + 1 < run.len() {
                let what = "* stands within a word";
                return Err(self.mistake(start + star, what, "it stands at the end of a word only"));
            }
            return self.prefix(scope, start, &run[..star]);
        }
        let (text, edits) = match run.rsplit_once('~') {
            Some((text, digits)) if !text.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let at = start + text.len();
                let edits = match digits {
                    "" | "1" => 1,
                    "2" => 2,
                    _ => {
                        return Err(self.mistake(
                            at,
                            format!("~{digits} is too much"),
                            "~, ~1 or ~2 is expected",
                        ));
                    }
                };
                (text, Some((at, edits)))
            }
            _ => (run, None),
        };
        let mut words = self.words(scope, start, text, Manner::Plain)?;
        let Some((at, edits)) = edits else { return Ok(Condition::Words(words)) };
        let chars = words.words.iter().map(|word| word.chars().count()).min().unwrap_or(0);
        if words.words.len() > 1 {
            let what = format!("~ stands after several words: {}", words.words.join(", "));
            return Err(self.mistake(at, what, "it stands after a single word only"));
        }
        let least = FUZZY_CHARS_MIN[usize::from(edits == 2)];
        if chars < least {
            let expected = format!("at least {least} letters are expected before ~{edits}");
            return Err(self.mistake(start, "the word is too short", expected));
        }
        words.manner = Manner::Fuzzy(edits);
        Ok(Condition::Words(words))
    }

    fn prefix(&self, scope: Scope, start: usize, text: &str) -> Result<Condition, Mistake> {
        let mut words = self.words(scope, start, text, Manner::Prefix)?;
        let last = words.words.last().map(String::as_str).unwrap_or_default();
        if last.chars().all(is_ideograph) {
            // Any piece of such a text is found as it is.
            words.manner = Manner::Plain;
            return Ok(Condition::Words(words));
        }
        match (words.words.len(), scope) {
            (1, _) if last.chars().count() < PREFIX_CHARS_MIN => {
                let expected = format!("at least {PREFIX_CHARS_MIN} letters are expected before *");
                Err(self.mistake(start, "the prefix is too short", expected))
            }
            (1, _) => Ok(Condition::Words(words)),
            (_, Scope::Anywhere | Scope::Key) => {
                let key = text.trim_start_matches(|c: char| !c.is_alphanumeric());
                Ok(Condition::KeyPrefix(fold(key)))
            }
            _ => {
                let what = format!("* stands after several words: {}", words.words.join(", "));
                Err(self.mistake(start, what, "the prefix of a single word is expected, or one of a key"))
            }
        }
    }
}

/// The name before a colon, where it looks like one: `std::io` and `https://…` do not, nor does `12:30`.
fn named(run: &str) -> Option<&str> {
    let (name, rest) = run.split_once(':')?;
    let looks_like_one = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && (name.bytes().all(|byte| byte.is_ascii_alphabetic())
            || name.to_ascii_lowercase().starts_with("field."));
    (looks_like_one && !rest.starts_with(':') && !rest.starts_with("//")).then_some(name)
}

fn find<T: Copy>(words: &[(&'static str, T)], name: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == name).map(|(_, value)| *value)
}
