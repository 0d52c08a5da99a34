//! From a query's text to its tree, by recursive descent; every mistake is told with its place and what would be right.
//!
//! ```text
//! any   = all *("OR" all)
//! all   = one *(["AND"] one)
//! one   = ("-" / "NOT") one / "(" any ")" / quoted / word / name ":" value
//! ```
//!
//! Invariant: no input panics or recurses without bound: depth, conditions, words and bytes are limited.
//!
//! Signs without a letter or digit are passed over, as they are in texts: what a person pastes is a query.

pub(crate) mod dates;
pub(crate) mod terms;

use crate::search::expression::{Condition, Manner, Mistake, Node, Scope};

/// Bytes of a query's text.
pub(crate) const QUERY_BYTES_MAX: usize = 1_000;
/// Conditions in a query.
const CONDITIONS_MAX: usize = 32;
/// Words in all conditions together: each is looked up, and counted where it is scored.
const WORDS_MAX: usize = 64;
/// Conditions that have to look at the list of all words.
const WIDE_MAX: usize = 8;
/// Parentheses and negations in each other.
const DEPTH_MAX: usize = 16;
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    if text.len() > QUERY_BYTES_MAX {
        let what = format!("the query has {} bytes", text.len());
        return Err(Mistake { at: 0, what, expected: format!("at most {QUERY_BYTES_MAX} are allowed") });
    }
    let mut parser = Parser { text, at: 0, depth: 0, conditions: 0, words: 0, wide: 0 };
    let root = if parser.is_at_end() { None } else { Some(parser.any()?) };
    match parser.peek() {
        Some(')') => Err(parser.mistake(parser.at, "a parenthesis is closed", "none is open here")),
        _ if root.is_none() && !text.trim().is_empty() => {
            Err(parser.mistake(0, "there is no word to search for", "a letter or digit is expected"))
        }
        _ => Ok(root),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes that are understood.
    at: usize,
    depth: usize,
    conditions: usize,
    words: usize,
    wide: usize,
}

impl<'a> Parser<'a> {
    fn mistake(&self, at: usize, what: impl Into<String>, expected: impl Into<String>) -> Mistake {
        let at = self.text.char_indices().take_while(|(index, _)| *index < at).count();
        Mistake { at, what: what.into(), expected: expected.into() }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Everything up to a space, a quote or a parenthesis.
    fn run(&self) -> &'a str {
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"')).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Passes over spaces and signs; whether nothing is left.
    fn is_at_end(&mut self) -> bool {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let run = self.run();
            let rest = &self.text[self.at..];
            // `-(` and `-"` mean something.
            let is_sign = !run.is_empty() && !run.contains(char::is_alphanumeric);
            let ends_in_minus =
                run.ends_with('-') && matches!(rest[run.len()..].chars().next(), Some('(' | '"'));
            if is_sign && ends_in_minus {
                // Every one of them: two of them take each other back.
                self.at += run.trim_end_matches('-').len();
                return false;
            }
            let quoted =
                rest.strip_prefix('"').and_then(|inside| inside.split_once('"')).map(|(inside, _)| inside);
            match quoted {
                Some(inside) if !inside.contains(char::is_alphanumeric) => self.at += inside.len() + 2,
                _ if is_sign => self.at += run.len(),
                _ => return rest.is_empty(),
            }
        }
    }

    fn is_keyword(&mut self, word: &str) -> bool {
        !self.is_at_end() && self.run() == word
    }

    fn any(&mut self) -> Result<Node, Mistake> {
        self.separated("OR", Condition::Any, |parser| {
            parser.is_at_end();
            let start = parser.at;
            let mut nodes = vec![parser.one()?];
            loop {
                if parser.is_at_end() || parser.peek() == Some(')') || parser.run() == "OR" {
                    break;
                }
                if parser.run() == "AND" {
                    parser.at += "AND".len();
                }
                nodes.push(parser.one()?);
            }
            Ok(parser.group(start, nodes, Condition::All))
        })
    }

    fn separated(
        &mut self,
        word: &str,
        condition: fn(Vec<Node>) -> Condition,
        mut one: impl FnMut(&mut Self) -> Result<Node, Mistake>,
    ) -> Result<Node, Mistake> {
        self.is_at_end();
        let start = self.at;
        let mut nodes = vec![one(self)?];
        while self.is_keyword(word) {
            self.at += word.len();
            nodes.push(one(self)?);
        }
        Ok(self.group(start, nodes, condition))
    }

    fn group(&self, start: usize, mut nodes: Vec<Node>, condition: fn(Vec<Node>) -> Condition) -> Node {
        match nodes.pop() {
            Some(only) if nodes.is_empty() => only,
            last => {
                nodes.extend(last);
                Node { span: start..self.at, condition: condition(nodes) }
            }
        }
    }

    fn one(&mut self) -> Result<Node, Mistake> {
        let expected = "a word, a quoted phrase, a condition such as is:open, or a parenthesis is expected";
        if self.is_at_end() {
            return Err(self.mistake(self.at, "the query ends too early", expected));
        }
        let start = self.at;
        let run = self.run();
        let negation = if run == "NOT" { "NOT" } else { "-" };
        match self.peek() {
            _ if run == "AND" || run == "OR" => {
                Err(self.mistake(start, format!("{run} has nothing before it"), expected))
            }
            _ if run == "NOT" || run.starts_with('-') => {
                self.at += negation.len();
                let node = self.deeper(start, Self::one)?;
                Ok(Node { span: start..self.at, condition: Condition::Not(Box::new(node)) })
            }
            Some('(') => {
                self.at += 1;
                let node =
                    self.deeper(start, |parser| match parser.is_at_end() || parser.peek() == Some(')') {
                        true => {
                            Err(parser.mistake(parser.at, "there is nothing in the parentheses", expected))
                        }
                        false => parser.any(),
                    })?;
                if self.is_at_end() {
                    return Err(self.mistake(start, "the parenthesis is never closed", "a ) is expected"));
                }
                self.at += 1;
                Ok(node)
            }
            Some(')') => Err(self.mistake(start, "a parenthesis is closed", expected)),
            Some('"') => {
                let inside = self.quoted()?;
                let condition = self.phrase(Scope::Anywhere, start, inside)?;
                self.condition(start, condition)
            }
            _ => self.term(),
        }
    }

    fn deeper<T>(
        &mut self,
        start: usize,
        inner: impl FnOnce(&mut Self) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let expected = format!("at most {DEPTH_MAX} in each other are allowed");
            return Err(self.mistake(start, "too many parentheses and negations", expected));
        }
        let inner = inner(self);
        self.depth -= 1;
        inner
    }

    fn condition(&mut self, start: usize, condition: Condition) -> Result<Node, Mistake> {
        let is_wide = match &condition {
            Condition::Words(words) => matches!(words.manner, Manner::Prefix | Manner::Fuzzy(_)),
            Condition::KeyPrefix(_) => true,
            _ => false,
        };
        self.conditions += 1;
        self.wide += usize::from(is_wide);
        if let Condition::Words(words) = &condition {
            self.words += words.words.len();
        }
        if self.conditions > CONDITIONS_MAX || self.words > WORDS_MAX {
            let expected =
                format!("at most {CONDITIONS_MAX} conditions of {WORDS_MAX} words in all are allowed");
            return Err(self.mistake(start, "the query has too many words", expected));
        }
        if self.wide > WIDE_MAX {
            let expected = format!("at most {WIDE_MAX} are allowed");
            return Err(self.mistake(start, "the query has too many prefixes and inexact words", expected));
        }
        Ok(Node { span: start..self.at, condition })
    }

    /// What stands between two quotes.
    fn quoted(&mut self) -> Result<&'a str, Mistake> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let Some((inside, _)) = rest.split_once('"') else {
            return Err(self.mistake(start, "the quote is never closed", "a \" is expected"));
        };
        self.at += inside.len() + 2;
        Ok(inside)
    }
}

#[cfg(test)]
mod tests;
