//! Rising positions in little memory: each is kept as its distance to the one before it, seven bits a byte.
//!
//! ```text
//! positions  5, 7, 300     distances  5, 2, 293     bytes  05 | 02 | a5 02
//! ```
//!
//! The last byte of a number has its high bit clear, all others have it set; so the bytes can be read from their end,
//! which is how feeds are read: newest first. Full chunks are closed, and name their last position, so that a reader
//! in the middle of a long history finds its chunk without walking through the newer ones.
//!
//! Invariant: the bytes, chunks put together, are a function of the positions alone.

use eventstore::Position;

/// A chunk is closed once it has this many bytes.
const CHUNK_BYTES: usize = 1_024;
/// Bits of a number per byte.
const BITS: u32 = 7;
/// Says that a number goes on in the next byte.
const GOES_ON: u8 = 0x80;

/// So many bytes stand in the value itself: all of most items' lists.
const SHORT_BYTES: usize = 22;
/// Bytes of a distance at most.
const DISTANCE_BYTES: usize = 10;

/// Rising positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions {
    bytes: Bytes,
    /// The newest position, where there is one.
    last: Position,
}

const _: () = assert!(size_of::<Positions>() == 32, "a list of positions has grown");

#[derive(Debug, Clone)]
enum Bytes {
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<Long>),
}

#[derive(Debug, Clone)]
struct Long {
    closed: Vec<Chunk>,
    open: Vec<u8>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Short { len: 0, bytes: [0; SHORT_BYTES] }
    }
}

#[derive(Debug, Clone)]
struct Chunk {
    /// The newest position in it.
    last: Position,
    bytes: Box<[u8]>,
}

impl Positions {
    /// Adds a position; one that is not above all others is there already.
    pub(super) fn push(&mut self, position: Position) {
        if position <= self.last && !self.is_empty() {
            return;
        }
        let mut distance = position.get() - self.last.get();
        let (mut number, mut count) = ([0; DISTANCE_BYTES], 0);
        for byte in &mut number {
            let [low, ..] = distance.to_le_bytes();
            distance >>= BITS;
            count += 1;
            if distance == 0 {
                *byte = low & !GOES_ON;
                break;
            }
            *byte = low | GOES_ON;
        }
        self.last = position;
        self.append(&number[..count]);
    }

    /// Adds the bytes of the distance to `last`.
    fn append(&mut self, number: &[u8]) {
        match &mut self.bytes {
            Bytes::Short { len, bytes } => {
                let from = usize::from(*len);
                match bytes.get_mut(from..from + number.len()) {
                    Some(room) => {
                        room.copy_from_slice(number);
                        *len = u8::try_from(from + number.len()).unwrap_or(u8::MAX);
                    }
                    None => {
                        let open = [&bytes[..from], number].concat();
                        self.bytes = Bytes::Long(Box::new(Long { closed: Vec::new(), open }));
                    }
                }
            }
            Bytes::Long(long) => {
                long.open.extend_from_slice(number);
                if long.open.len() >= CHUNK_BYTES {
                    let bytes = std::mem::take(&mut long.open).into_boxed_slice();
                    long.closed.push(Chunk { last: self.last, bytes });
                }
            }
        }
    }

    fn open(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Long(long) => &long.open,
        }
    }

    fn closed(&self) -> &[Chunk] {
        match &self.bytes {
            Bytes::Short { .. } => &[],
            Bytes::Long(long) => &long.closed,
        }
    }

    /// Those below a position, or all; the newest first.
    pub(super) fn newest(&self, below: Option<Position>) -> impl Iterator<Item = Position> {
        let is_wanted = move |position: &Position| below.is_none_or(|below| *position < below);
        // The first chunk whose end is not below holds the first that is wanted, or the one before it does.
        let closed = self.closed();
        let chunks = closed.partition_point(|chunk| is_wanted(&chunk.last));
        let (chunks, tail) = match closed.get(chunks) {
            Some(chunk) => (&closed[..chunks], Backward { bytes: &chunk.bytes, next: chunk.last }),
            None => (closed, Backward { bytes: self.open(), next: self.last }),
        };
        let older = chunks.iter().rev().flat_map(|chunk| Backward { bytes: &chunk.bytes, next: chunk.last });
        tail.chain(older).skip_while(move |position| !is_wanted(position))
    }

    fn is_empty(&self) -> bool {
        self.open().is_empty() && self.closed().is_empty()
    }

    /// All of its bytes, for an image.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.closed().len() * (CHUNK_BYTES + 9) + self.open().len());
        self.closed().iter().for_each(|chunk| bytes.extend_from_slice(&chunk.bytes));
        bytes.extend_from_slice(self.open());
        bytes
    }

    /// The positions that bytes stand for; nothing where they are none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut positions = Self::default();
        let (mut last, mut distance, mut shift) = (0_u64, 0_u64, 0);
        for byte in bytes {
            let part = u64::from(byte & !GOES_ON);
            distance |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
            shift += BITS;
            if byte & GOES_ON == 0 {
                last = last.checked_add(distance)?;
                // A distance of nothing is no distance; position 0 is, as the first one.
                if distance == 0 && !positions.is_empty() {
                    return None;
                }
                positions.push(Position::new(last));
                (distance, shift) = (0, 0);
            }
        }
        if let Bytes::Long(long) = &mut positions.bytes {
            long.open.shrink_to_fit();
        }
        (shift == 0).then_some(positions)
    }

    /// Bytes that are taken up beside the value itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let Bytes::Long(long) = &self.bytes else { return 0 };
        let chunks = long.closed.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        size_of::<Long>() + chunks + long.closed.capacity() * size_of::<Chunk>() + long.open.capacity()
    }
}

/// Reads distances from their end.
struct Backward<'a> {
    bytes: &'a [u8],
    /// The position that the last distance leads to.
    next: Position,
}

impl Iterator for Backward<'_> {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let (last, mut rest) = self.bytes.split_last()?;
        let mut distance = u64::from(*last);
        while let Some((byte, before)) = rest.split_last()
            && byte & GOES_ON != 0
        {
            distance = distance << BITS | u64::from(byte & !GOES_ON);
            rest = before;
        }
        let position = self.next;
        self.bytes = rest;
        self.next = Position::new(position.get().saturating_sub(distance));
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(positions: &[u64]) -> Positions {
        let mut all = Positions::default();
        positions.iter().for_each(|position| all.push(Position::new(*position)));
        all
    }

    fn newest(positions: &Positions, below: Option<u64>) -> Vec<u64> {
        positions.newest(below.map(Position::new)).map(Position::get).collect()
    }

    #[test]
    fn they_are_given_back_newest_first_from_anywhere() {
        assert!(newest(&Positions::default(), None).is_empty());
        // Distances of every length, and enough of them for many chunks.
        let (mut positions, mut position) = (vec![0], 0_u64);
        for step in 0..9_000_u64 {
            position += 1 + (1 << (step % 29)) * (step % 3);
            positions.push(position);
        }
        positions.push(u64::MAX);
        let all = of(&positions);
        assert!(all.closed().len() > 5);
        let expected = |below: u64| -> Vec<u64> {
            positions.iter().rev().copied().filter(|position| *position < below).collect()
        };
        assert_eq!(newest(&all, None), positions.iter().rev().copied().collect::<Vec<_>>());
        for chunk in all.closed() {
            let last = chunk.last.get();
            for below in [last - 1, last, last + 1] {
                assert_eq!(newest(&all, Some(below)), expected(below), "below {below}");
            }
        }
        for below in [0, 1, 2, position, position + 1, u64::MAX] {
            assert_eq!(newest(&all, Some(below)), expected(below), "below {below}");
        }
    }

    #[test]
    fn what_is_not_above_the_others_is_not_added() {
        assert_eq!(newest(&of(&[0, 0, 3, 3, 2, 4]), None), [4, 3, 0]);
    }

    #[test]
    fn bytes_give_the_same_positions_or_nothing() {
        let positions: Vec<u64> = (0..5_000).map(|number| number * number).collect();
        let all = of(&positions);
        let read = Positions::from_bytes(&all.to_bytes()).unwrap();
        assert_eq!(newest(&read, None), newest(&all, None));
        assert_eq!(read.closed().len(), all.closed().len());
        // Ends in the middle of a number, a number of more than 64 bits, a distance of nothing.
        for bent in [&[0x80][..], &[0xff; 11][..], &[5, 0][..]] {
            assert!(Positions::from_bytes(bent).is_none(), "{bent:?}");
        }
        assert!(Positions::from_bytes(&[]).is_some());
    }
}
