//! Bytes with the names that `FORMAT.md` gives them.
//!
//! Invariant: every byte between the beginning and the end of what was named is in exactly one field, in order.

use serde::{Serialize, Serializer};

/// Some bytes of a segment, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Where they begin in the segment's file.
    pub offset: u64,
    /// They themselves.
    #[serde(serialize_with = "hex")]
    pub bytes: Vec<u8>,
    /// What they are called.
    pub name: String,
    /// What they say.
    pub value: String,
}

fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&digits)
}

/// Takes names for bytes, from the first to the last.
pub(super) struct Names<'b> {
    bytes: &'b [u8],
    /// Where `bytes` begin in the file.
    start: u64,
    at: usize,
    pub(super) fields: Vec<Field>,
}

impl<'b> Names<'b> {
    pub(super) fn new(bytes: &'b [u8], start: u64) -> Self {
        Self { bytes, start, at: 0, fields: Vec::new() }
    }

    /// Where the next field begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Names the next bytes: fewer where they end early.
    pub(super) fn take(
        &mut self,
        len: usize,
        name: impl Into<String>,
        value: impl FnOnce(&[u8]) -> String,
    ) -> &'b [u8] {
        let end = self.at.saturating_add(len).min(self.bytes.len());
        let bytes = &self.bytes[self.at..end];
        let name = name.into();
        if !bytes.is_empty() {
            let value = if bytes.len() == len { value(bytes) } else { "cut off".to_owned() };
            let offset = self.start + self.at as u64;
            self.fields.push(Field { offset, bytes: bytes.to_vec(), name, value });
        }
        self.at = end;
        bytes
    }

    /// A number of as many bytes, little-endian.
    pub(super) fn number(&mut self, len: usize, name: impl Into<String>) -> u64 {
        number(self.take(len, name, |bytes| number(bytes).to_string()))
    }

    pub(super) fn text(&mut self, len: usize, name: impl Into<String>) {
        self.take(len, name, |bytes| format!("{:?}", String::from_utf8_lossy(bytes)));
    }

    pub(super) fn opaque(&mut self, len: usize, name: impl Into<String>) {
        self.take(len, name, |bytes| format!("{} bytes", bytes.len()));
    }
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
