//! From a query's tree to what tantivy looks up. Nothing here is scored; see [`score`](super::score).

use crate::search::document::DocumentKind;
use crate::search::expression::{Condition, Days, Expression, Has, Is, Manner, Moment, Node, Scope, Words};
use crate::search::negation::Without;
use crate::search::query::ItemState;
use crate::search::schema::Fields;
use crate::search::score::stem_fields;
use crate::search::stems::stem;
use crate::search::traits::custom_term;
use std::ops::Bound;
use tantivy::Term;
use tantivy::query::{
    BooleanQuery, EmptyQuery, FuzzyTermQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

const DAY_NANOSECONDS: i64 = 86_400 * 1_000_000_000;

/// What conditions are understood by, beside the query itself.
pub(crate) struct Compiler<'a> {
    pub(crate) fields: &'a Fields,
    /// Whether words are found by their English stems as well.
    pub(crate) stemmed: bool,
    /// Days since 1970, in UTC.
    pub(crate) today: i64,
}

impl Compiler<'_> {
    pub(crate) fn query(&self, expression: &Expression) -> Option<Box<dyn Query>> {
        expression.root.as_ref().map(|root| self.node(root))
    }

    fn node(&self, node: &Node) -> Box<dyn Query> {
        match &node.condition {
            Condition::All(nodes) => all(nodes.iter().map(|node| self.node(node))),
            Condition::Any(nodes) => any(nodes.iter().map(|node| self.node(node))),
            Condition::Not(inner) => Box::new(Without(self.node(inner))),
            Condition::Words(words) => self.words(words),
            Condition::KeyPrefix(key) => {
                let term = Term::from_field_text(self.fields.whole_key, key);
                Box::new(FuzzyTermQuery::new_prefix(term, 0, true))
            }
            Condition::Is(is) => self.is(*is),
            Condition::Has(has) => exactly(self.fields.has, has.as_str()),
            Condition::Within(moment, days) => self.within(*moment, *days),
            Condition::Place(place) => {
                let field = match place.kind {
                    super::expression::PlaceKind::Workspace => self.fields.workspace,
                    super::expression::PlaceKind::Project => self.fields.project,
                    super::expression::PlaceKind::Board => self.fields.board,
                    super::expression::PlaceKind::Column => self.fields.column,
                };
                let terms = place.ids.iter().map(|id| Term::from_field_bytes(field, id.as_bytes()));
                if place.ids.is_empty() { Box::new(EmptyQuery) } else { Box::new(TermSetQuery::new(terms)) }
            }
            Condition::Assignee(person) => exactly(self.fields.assignee, person),
            Condition::Field(name, value) => exactly(self.fields.custom, &custom_term(name, value)),
        }
    }

    fn words(&self, words: &Words) -> Box<dyn Query> {
        let fields = self.fields;
        let found = match words.scope {
            Scope::Anywhere => vec![fields.title, fields.text, fields.external_key],
            Scope::Title => vec![fields.title],
            Scope::Text | Scope::Description | Scope::Comment => vec![fields.text],
            Scope::Key => vec![fields.external_key],
        };
        let mut ways: Vec<Box<dyn Query>> = found.into_iter().map(|field| in_field(words, field)).collect();
        if self.stemmed
            && words.manner == Manner::Plain
            && let [word] = words.words.as_slice()
        {
            let stem = stem(word);
            ways.extend(stem_fields(words.scope, fields).iter().map(|(field, _)| exactly(*field, &stem)));
        }
        let comment = exactly(fields.kind, DocumentKind::Comment.as_str());
        match words.scope {
            Scope::Comment => all([any(ways), comment]),
            Scope::Description => all([any(ways), Box::new(Without(comment))]),
            _ => any(ways),
        }
    }

    fn is(&self, is: Is) -> Box<dyn Query> {
        let state = |state: ItemState| exactly(self.fields.state, state.as_str());
        match is {
            Is::Open => state(ItemState::Open),
            Is::Completed => state(ItemState::Completed),
            Is::Overdue => {
                let past = Days { from: None, before: Some(self.today) };
                all([state(ItemState::Open), self.within(Moment::Due, past)])
            }
            Is::Unassigned => {
                let assigned = exactly(self.fields.has, Has::Assignee.as_str());
                all([exactly(self.fields.kind, DocumentKind::Item.as_str()), Box::new(Without(assigned))])
            }
        }
    }

    fn within(&self, moment: Moment, days: Days) -> Box<dyn Query> {
        let (field, unit) = match moment {
            Moment::Created => (self.fields.created_at, DAY_NANOSECONDS),
            Moment::Updated => (self.fields.updated_at, DAY_NANOSECONDS),
            Moment::Completed => (self.fields.completed_at, DAY_NANOSECONDS),
            Moment::Due => (self.fields.due, 1),
        };
        let term = |day: i64| Term::from_field_i64(field, day.saturating_mul(unit));
        let from = days.from.map_or(Bound::Unbounded, |day| Bound::Included(term(day)));
        let before = days.before.map_or(Bound::Unbounded, |day| Bound::Excluded(term(day)));
        Box::new(RangeQuery::new(from, before))
    }
}

fn in_field(words: &Words, field: Field) -> Box<dyn Query> {
    let mut terms: Vec<_> = words.words.iter().map(|word| Term::from_field_text(field, word)).collect();
    match (terms.pop(), words.manner) {
        (Some(only), manner) if terms.is_empty() => match manner {
            Manner::Plain | Manner::Quoted => Box::new(TermQuery::new(only, IndexRecordOption::Basic)),
            Manner::Prefix => Box::new(FuzzyTermQuery::new_prefix(only, 0, true)),
            Manner::Fuzzy(edits) => Box::new(FuzzyTermQuery::new(only, edits, true)),
        },
        (Some(last), _) => {
            terms.push(last);
            Box::new(PhraseQuery::new(terms))
        }
        (None, _) => Box::new(EmptyQuery),
    }
}

/// Documents with exactly this term.
pub(crate) fn exactly(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

/// What all of these hold for.
pub(crate) fn all(parts: impl IntoIterator<Item = Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(parts.into_iter().map(|part| (Occur::Must, part)).collect()))
}

fn any(parts: impl IntoIterator<Item = Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(parts.into_iter().map(|part| (Occur::Should, part)).collect()))
}
