//! Promises of decisions as such: every refusal that a command can give is known and was seen, a board's word on
//! its fields holds, and no sequence of commands leads where the events do not.

mod fields_hold_what_the_board_says;
mod lives;
mod model;
mod refusals;
mod wandering;
mod wishes;

use domain::{Aggregate, DomainError};
use std::{collections::BTreeSet, fmt::Debug};

/// Commands with what became of them, such as `item.Update` with `title_empty`.
type Pairs = BTreeSet<(String, &'static str)>;

/// What an accepted command has in the place of a refusal's code.
const ACCEPTED: &str = "accepted";

/// A command as refusals are listed by: `item.Update`.
fn name_of<A: Aggregate<Command: Debug>>(command: &A::Command) -> String {
    let text = format!("{command:?}");
    let end = text.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(text.len());
    format!("{}.{}", A::CATEGORY, &text[..end])
}

fn code_of<T>(answer: &Result<T, DomainError>) -> &'static str {
    answer.as_ref().map_or_else(DomainError::code, |_| ACCEPTED)
}
