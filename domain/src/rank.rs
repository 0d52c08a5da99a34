//! Ranks: strings whose byte order is the order of items in a column.
//!
//! A rank is 1 to 64 digits of `0-9a-z`, read as a fraction in base 36. Items at the end of a column get
//! the time of their command as 13 digits, so that nobody has to know the last item; one that goes
//! between two neighbours gets the shortest fraction between theirs. Both end in random digits, so that
//! two commands that choose the same place at the same time still choose different ranks.
//!
//! Invariant: a rank never ends in `0`, or there would be neighbours with no room between them
//! (nothing sorts between `a` and `a0`).
//!
//! Equal ranks are possible; order is (rank, item id), and the id is not known here.

use crate::{error::DomainError, limits::RANK_CHARS_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// What [`Rank::new`] takes, for those who check it elsewhere.
const PATTERN: &str = "^[0-9a-z]{0,63}[1-9a-z]$";
const BASE: u8 = 36;
/// Digits that hold any 64-bit time: 36¹³ > 2⁶⁴.
const TIME_DIGITS: usize = 13;
/// Random digits after a time. 36⁶ are two thousand million.
const END_RANDOM_DIGITS: usize = 6;
/// Random digits between neighbours: fewer, because each insertion in the same place adds length.
const BETWEEN_RANDOM_DIGITS: usize = 4;
/// How far past the outermost neighbour a rank is put: one millisecond, in nanoseconds.
const STEP_NS: u64 = 1_000_000;

/// A place in a column's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("pattern" = PATTERN))]
pub struct Rank(String);

impl Rank {
    /// Checks a text.
    ///
    /// # Errors
    /// [`DomainError::RankInvalid`] when it is not 1 to 64 digits of `0-9a-z`, or ends in `0`.
    pub fn new(text: impl Into<String>) -> Result<Self, DomainError> {
        let text = text.into();
        let length_is_right = (1..=RANK_CHARS_MAX).contains(&text.len());
        let digits_are_right = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        if length_is_right && digits_are_right && !text.ends_with('0') {
            Ok(Self(text))
        } else {
            Err(DomainError::RankInvalid)
        }
    }

    /// The text; ranks compare as their texts do, byte by byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Rank {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Rank> for String {
    fn from(rank: Rank) -> Self {
        rank.0
    }
}

/// The rank of what is put at the end at `time_ns` (nanoseconds since 1970): later times sort later.
#[must_use]
pub fn rank_at_end(time_ns: i64, entropy: u64) -> Rank {
    // Flipping the sign bit maps the order of signed numbers to that of unsigned ones.
    at(time_ns.cast_unsigned() ^ (1 << 63), entropy)
}

/// A rank above `after` and below `before`; with only one of them, just past it.
///
/// # Errors
/// [`DomainError::RankOrder`] when `after` is not below `before`; [`DomainError::RankExhausted`] when a
/// rank between them would be longer than 64 characters: the column has to be ranked anew.
pub fn rank_between(after: Option<&Rank>, before: Option<&Rank>, entropy: u64) -> Result<Rank, DomainError> {
    match (after, before) {
        (Some(after), Some(before)) if after >= before => Err(DomainError::RankOrder),
        (Some(after), None) => match leading_time(after).checked_add(STEP_NS) {
            // Just past the last one, not halfway to infinity: what is put at the end later by its time
            // must still come after this.
            Some(time) => Ok(at(time, entropy)),
            None => midway(after.as_str(), None, entropy),
        },
        (None, Some(before)) => match leading_time(before).checked_sub(STEP_NS) {
            Some(time) => Ok(at(time, entropy)),
            None => midway("", Some(before.as_str()), entropy),
        },
        (None, None) => midway("", None, entropy),
        (Some(after), Some(before)) => midway(after.as_str(), Some(before.as_str()), entropy),
    }
}

fn at(time: u64, entropy: u64) -> Rank {
    let mut text = vec![0; TIME_DIGITS];
    let mut rest = time;
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[usize::from(low_digit(rest))];
        rest /= u64::from(BASE);
    }
    finish(text, END_RANDOM_DIGITS, entropy)
}

/// The number in a rank's first thirteen digits, as far as it fits.
fn leading_time(rank: &Rank) -> u64 {
    let digits = rank.0.bytes().map(value).chain(std::iter::repeat(0)).take(TIME_DIGITS);
    let number = digits.fold(0_u128, |number, digit| number * u128::from(BASE) + u128::from(digit));
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Goes along both neighbours until there is a digit strictly between theirs, and takes the middle one.
fn midway(after: &str, before: Option<&str>, entropy: u64) -> Result<Rank, DomainError> {
    let mut lower = after.bytes().map(value);
    let mut upper = before.map(|before| before.bytes().map(value));
    let mut text = Vec::with_capacity(RANK_CHARS_MAX);
    while text.len() + BETWEEN_RANDOM_DIGITS < RANK_CHARS_MAX {
        let low = lower.next().unwrap_or(0);
        // Once below `before`, only `after` is a bound.
        let high = upper.as_mut().map_or(BASE, |digits| digits.next().unwrap_or(0));
        if high > low + 1 {
            text.push(DIGITS[usize::from(low + (high - low) / 2)]);
            return Ok(finish(text, BETWEEN_RANDOM_DIGITS, entropy));
        }
        text.push(DIGITS[usize::from(low)]);
        if high > low {
            upper = None;
        }
    }
    Err(DomainError::RankExhausted)
}

fn finish(mut text: Vec<u8>, random_digits: usize, entropy: u64) -> Rank {
    let mut rest = entropy;
    for _ in 1..random_digits {
        text.push(DIGITS[usize::from(low_digit(rest))]);
        rest /= u64::from(BASE);
    }
    let last = u8::try_from(rest % u64::from(BASE - 1)).unwrap_or(0) + 1;
    text.push(DIGITS[usize::from(last)]);
    Rank(text.into_iter().map(char::from).collect())
}

fn low_digit(number: u64) -> u8 {
    u8::try_from(number % u64::from(BASE)).unwrap_or(0)
}

fn value(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}
