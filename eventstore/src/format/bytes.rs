//! Fixed-width little-endian numbers at fixed offsets. Reading past the end is an error, never a panic.

use super::FormatError;

const SHORT: FormatError = FormatError("the bytes end early");

/// The `N` bytes at `at`.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FormatError> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(SHORT)
}

/// The `len` bytes at `at`.
#[inline]
pub(crate) fn slice(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], FormatError> {
    at.checked_add(len).and_then(|end| bytes.get(at..end)).ok_or(SHORT)
}

macro_rules! reader {
    ($name:ident, $int:ty) => {
        /// The number at `at`.
        #[inline]
        pub(crate) fn $name(bytes: &[u8], at: usize) -> Result<$int, FormatError> {
            Ok(<$int>::from_le_bytes(array(bytes, at)?))
        }
    };
}
reader!(u16_at, u16);
reader!(u32_at, u32);
reader!(u64_at, u64);
reader!(i64_at, i64);

/// Writes `value` at `at` of a buffer whose length the caller has fixed.
#[inline]
pub(crate) fn put(buffer: &mut [u8], at: usize, value: &[u8]) {
    buffer[at..at + value.len()].copy_from_slice(value);
}

/// The next multiple of 8.
#[inline]
pub(crate) const fn align8(len: usize) -> usize {
    (len + 7) & !7
}

/// Whether there are only zeros, looked at in words.
#[must_use]
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    first_nonzero(bytes).is_none()
}

/// Where the first byte other than zero is.
#[must_use]
pub(crate) fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let mut base = 0;
    for block in bytes.chunks(256) {
        // OR-ing a block keeps the loop free of branches, which is what lets it run at memory speed.
        if block.iter().fold(0, |all, byte| all | byte) != 0 {
            return block.iter().position(|byte| *byte != 0).map(|within| base + within);
        }
        base += block.len();
    }
    None
}
