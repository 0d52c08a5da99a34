//! bincode, and the only place that names it: command tables, snapshots and images are encoded here.
//!
//! The crate is pinned to 2.0.1 because it is no longer maintained (3.0.0 on the registry is not a usable release);
//! replacing it means replacing this file. The encoding is fixed-width little-endian, so it can be written down as a
//! byte table. Never used for the log's framing.

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use serde::{Serialize, de::DeserializeOwned};

const CONFIG: Configuration<LittleEndian, Fixint, NoLimit> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding();

/// Why bytes could not be turned into a value, or a value into bytes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

/// Encodes a value.
///
/// # Errors
/// When the value's own serialisation fails; plain data does not.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|error| CodecError(error.to_string()))
}

/// Decodes a value that takes up all of `bytes`.
///
/// # Errors
/// When the bytes end early, are left over, or are not a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = Reader::new(bytes);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

/// Takes a value apart while it is decoded: the parts of a tuple one after the other, and the rows of a list one by one, so
/// that a long list is never in memory twice.
#[derive(Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// At the beginning of an encoded value.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next part.
    ///
    /// # Errors
    /// When the bytes end early or are not a `T`.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T, CodecError> {
        let (value, used) = bincode::serde::decode_from_slice(self.rest, CONFIG)
            .map_err(|error| CodecError(error.to_string()))?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(value)
    }

    /// How many rows the next part has, which is a list. They follow one by one, each a part of its own.
    ///
    /// # Errors
    /// When the bytes end early, or cannot hold so many.
    pub fn count(&mut self) -> Result<usize, CodecError> {
        // bincode writes the length of a list as a number of 64 bits, then its rows. None of ours takes no room.
        let count: u64 = self.read()?;
        let count = usize::try_from(count).ok().filter(|count| *count <= self.rest.len());
        count.ok_or_else(|| CodecError("a list is longer than what is left".to_owned()))
    }

    /// The next part, which is a list: hands over its rows in order.
    ///
    /// # Errors
    /// When the bytes end early or a row is not a `T`; those before it have been handed over.
    pub fn each<T: DeserializeOwned>(&mut self, mut take: impl FnMut(T)) -> Result<(), CodecError> {
        for _ in 0..self.count()? {
            take(self.read()?);
        }
        Ok(())
    }

    /// To be called behind the last part.
    ///
    /// # Errors
    /// When bytes are left over.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(CodecError(format!("{} bytes are left over", self.rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (u32, Vec<(String, u8)>, Vec<u64>);

    fn parts() -> Parts {
        (7, vec![("one".to_owned(), 1), (String::new(), 2)], (0..1_000).collect())
    }

    #[test]
    fn what_is_taken_apart_is_what_was_encoded_whole() {
        let bytes = encode(&parts()).unwrap();
        assert_eq!(decode::<Parts>(&bytes).unwrap(), parts());
        let mut reader = Reader::new(&bytes);
        let mut taken: Parts = (reader.read().unwrap(), Vec::new(), Vec::new());
        reader.each(|row| taken.1.push(row)).unwrap();
        reader.each(|row| taken.2.push(row)).unwrap();
        reader.finish().unwrap();
        assert_eq!(taken, parts());
    }

    #[test]
    fn wherever_it_ends_early_or_late_it_is_told() {
        let bytes = encode(&parts()).unwrap();
        for end in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            let mut count = 0;
            let read = reader
                .read::<u32>()
                .and_then(|_| reader.each(|_: (String, u8)| count += 1))
                .and_then(|()| reader.each(|_: u64| count += 1));
            assert!(read.is_err() && count < 1_002, "cut at {end}");
        }
        assert!(decode::<Parts>(&[&bytes[..], &[0]].concat()).is_err());
    }
}
