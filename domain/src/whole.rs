//! Reads whole numbers as JSON Schema understands them: `3.0` and `3e0` are integers too (2020-12, 6.1.1), and some
//! languages' writers say it so.
//!
//! For members of commands, by `deserialize_with`. What is written is always `3`.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// A number that must be there.
///
/// # Errors
/// When it is no whole number, or none that `T` holds.
pub fn number<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<T, D::Error> {
    Whole::deserialize(source).map(|whole| whole.0)
}

/// A number, or none (`null`). Where the member may be absent it needs `default` beside it.
///
/// # Errors
/// As [`number`].
pub fn maybe<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<Option<T>, D::Error> {
    Option::<Whole<T>>::deserialize(source).map(|whole| whole.map(|whole| whole.0))
}

/// A member that may be absent (leave it), `null` (clear it) or a number (set it).
///
/// # Errors
/// As [`number`].
pub fn present<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<Option<Option<T>>, D::Error> {
    maybe(source).map(Some)
}

/// A list of numbers, or none (`null`). Where the member may be absent it needs `default` beside it.
///
/// # Errors
/// As [`number`].
pub fn numbers<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<Whole<T>>>::deserialize(source)?;
    Ok(list.map(|list| list.into_iter().map(|whole| whole.0).collect()))
}

struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        // Any, because what an untagged enum has put aside knows no way from a float to a number.
        source.deserialize_any(Visit(PhantomData)).map(Self)
    }
}

struct Visit<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for Visit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = 8 * size_of::<T>();
        write!(f, "a whole number from 0, of at most {bits} bits")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        // 2⁶⁴ is the first that is too large.
        if value.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&value) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was just looked at"
            )]
            return self.visit_u64(value as u64);
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "number")]
        must: u16,
        #[serde(default, deserialize_with = "maybe")]
        may: Option<u64>,
        #[serde(default, deserialize_with = "present")]
        edit: Option<Option<u32>>,
        #[serde(default, deserialize_with = "numbers")]
        list: Option<Vec<u64>>,
    }

    #[test]
    fn whole_numbers_are_taken_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<Body>(text);
        let body = |must, may, edit| Body { must, may, edit, list: None };
        let listed = |list: &[u64]| Body { list: Some(list.to_vec()), ..body(0, None, None) };
        for (text, expected) in [
            (r#"{"must":3}"#, body(3, None, None)),
            (r#"{"must":3.0,"may":null,"edit":null}"#, body(3, None, Some(None))),
            (r#"{"must":-0.0,"may":1e3,"edit":7.0}"#, body(0, Some(1000), Some(Some(7)))),
            (r#"{"must":65535,"may":18446744073709551615}"#, body(65535, Some(u64::MAX), None)),
            (r#"{"must":0,"list":null}"#, body(0, None, None)),
            (r#"{"must":0,"list":[7,8.0,9e0]}"#, listed(&[7, 8, 9])),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for text in [
            r#"{"must":3.5}"#,
            r#"{"must":-1}"#,
            r#"{"must":65536}"#,
            r#"{"must":65536.0}"#,
            r#"{"must":"3"}"#,
            r#"{"must":null}"#,
            r#"{"must":1,"may":18446744073709551616}"#,
            r#"{"must":1,"edit":true}"#,
            r#"{"must":1,"list":[1.5]}"#,
            r#"{"must":1,"list":[null]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
