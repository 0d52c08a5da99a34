//! Lines that are stamped before their item's creation: kept until it comes, then given back in file order.
//!
//! Invariant: no more than [`HELD_BYTES_MAX`] bytes are kept; a line beyond that cannot be used.

use crate::import::keys::LineId;
use crate::import::line::Reason;
use rustc_hash::FxHashMap;

/// Bytes of lines that may wait for their items at one time.
const HELD_BYTES_MAX: usize = 256 << 20;

/// A line that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// Its number in the file.
    pub number: u64,
    /// Its name, given when it was read: the ordinal counts in file order.
    pub id: LineId,
    /// The line.
    pub bytes: Box<[u8]>,
}

/// All lines that wait, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Holding {
    by_key: FxHashMap<Box<str>, Vec<Held>>,
    bytes: usize,
}

impl Holding {
    /// Keeps a line.
    ///
    /// # Errors
    /// When too much is kept already.
    pub(super) fn keep(&mut self, key: &str, held: Held) -> Result<(), Reason> {
        self.bytes += held.bytes.len();
        if self.bytes > HELD_BYTES_MAX {
            self.bytes -= held.bytes.len();
            return Err("too many lines wait for the creation of their items".to_owned());
        }
        match self.by_key.get_mut(key) {
            Some(lines) => lines.push(held),
            None => {
                self.by_key.insert(key.into(), vec![held]);
            }
        }
        Ok(())
    }

    /// Gives back the lines that waited for an item.
    pub(super) fn release(&mut self, key: &str) -> Vec<Held> {
        if self.by_key.is_empty() {
            return Vec::new();
        }
        let lines = self.by_key.remove(key).unwrap_or_default();
        self.bytes -= lines.iter().map(|held| held.bytes.len()).sum::<usize>();
        lines
    }

    /// Numbers of the lines whose items never came, with those items' keys.
    pub(super) fn left(&self) -> impl Iterator<Item = (u64, &str)> {
        self.by_key.iter().flat_map(|(key, lines)| lines.iter().map(move |held| (held.number, &**key)))
    }
}
