//! Harming bytes as a disk, a program or a forger might: bits, lengths, pieces of something else, cuts.

use super::support::Random;

/// Numbers that code gets wrong.
const NUMBERS: [u64; 14] =
    [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// A harmed copy of `bytes`, perhaps with a piece of `other` in it. `fields` are places of lengths and counts, which
/// are harmed more often than the rest.
pub fn mutate(random: &mut Random, bytes: &[u8], other: &[u8], fields: &[usize]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let below = |random: &mut Random, bound: usize| random.below(bound.max(1) as u64) as usize;
        let at = match below(random, 2) {
            0 if !fields.is_empty() => fields[below(random, fields.len())],
            _ => below(random, bytes.len()),
        };
        match random.below(8) {
            // One bit.
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            // A number that code gets wrong, 1 to 8 bytes wide.
            2 => {
                let number = NUMBERS[below(random, NUMBERS.len())].to_le_bytes();
                let width = 1 << random.below(4);
                for (byte, new) in bytes.iter_mut().skip(at).zip(&number[..width]) {
                    *byte = *new;
                }
            }
            // A number that is off by a little.
            3 => {
                if let Some(number) = bytes.get_mut(at..at + 4) {
                    let old = u32::from_le_bytes(number.try_into().unwrap());
                    let new = old.wrapping_add(random.below(33) as u32).wrapping_sub(16);
                    number.copy_from_slice(&new.to_le_bytes());
                }
            }
            // A piece of something else, in place.
            4 => {
                let from = below(random, other.len());
                let piece = &other[from..other.len().min(from + 1 + below(random, 64))];
                for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
                    *byte = *new;
                }
            }
            // A piece put in between, or taken out.
            5 => {
                let from = below(random, other.len());
                let piece = other[from..other.len().min(from + 1 + below(random, 64))].to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
            }
            6 => {
                let to = bytes.len().min(at + 1 + below(random, 64));
                bytes.drain(at.min(to)..to);
            }
            // A cut.
            _ => bytes.truncate(at),
        }
    }
    bytes
}
