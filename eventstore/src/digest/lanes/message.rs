//! A message on its way through a lane: how far it has come, and its padding.

use crate::numbers::Digest;

/// Bytes that are hashed at a time.
pub(super) const BLOCK: usize = 64;

/// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
pub(super) static K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// FIPS 180-4, 5.3.3: the first 32 bits of the fractional parts of the square roots of the first 8 primes.
#[rustfmt::skip]
const START: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

/// A message: whole blocks of it, then its end with the padding.
pub(super) struct Message<'a> {
    pub(super) index: usize,
    /// The hash so far.
    pub(super) state: [u32; 8],
    whole: &'a [[u8; BLOCK]],
    end: [[u8; BLOCK]; 2],
    /// Blocks of `end` still to come, and how many there are.
    end_left: usize,
    end_len: usize,
}

impl<'a> Message<'a> {
    pub(super) fn new(index: usize, message: &'a [u8]) -> Self {
        let (whole, rest) = message.as_chunks::<BLOCK>();
        let mut end = [[0; BLOCK]; 2];
        end[0][..rest.len()].copy_from_slice(rest);
        end[0][rest.len()] = 0x80;
        // The length in bits takes 8 bytes, the mark before it one.
        let end_len = if rest.len() < BLOCK - 8 { 1 } else { 2 };
        let bits = (message.len() as u64) << 3;
        end[end_len - 1][BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
        Self { index, state: START, whole, end, end_left: end_len, end_len }
    }

    /// The blocks that come next in one piece; none when all is done.
    pub(super) fn blocks(&self) -> &[[u8; BLOCK]] {
        if self.whole.is_empty() { &self.end[self.end_len - self.end_left..self.end_len] } else { self.whole }
    }

    /// So many of them have been hashed.
    pub(super) fn advance(&mut self, blocks: usize) {
        if self.whole.is_empty() {
            self.end_left -= blocks;
        } else {
            self.whole = &self.whole[blocks..];
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.end_left == 0
    }

    /// The digest of a message that is done.
    pub(super) fn digest(&self) -> Digest {
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        Digest(digest)
    }
}
