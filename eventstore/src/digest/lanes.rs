//! SHA-256 of many messages, two at a time.
//!
//! One block after another, SHA-256 waits: every `sha256rnds2` needs the result of the one before it, and the unit
//! could have taken another in the meantime. Two independent messages side by side fill that gap. The technique is
//! multi-buffer hashing (Gueron and Krasnov, "Simultaneous hashing of multiple messages", 2012; Intel's isa-l_crypto).
//! A lane that is done with its message takes the next one, so lengths need not be alike.
//!
//! Without the instructions, every message goes through the `sha2` crate: the digests are the same.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector loads, and calls that need instructions")
)]

use crate::numbers::Digest;
use sha2::{Digest as _, Sha256};

/// Hands `digest` the SHA-256 of `message(i)` for every `i` below `count`, in an order of its own.
pub(super) fn sha256_each<'a>(
    count: usize,
    message: impl Fn(usize) -> &'a [u8],
    mut digest: impl FnMut(usize, Digest),
) {
    #[cfg(target_arch = "x86_64")]
    if x86::is_available() {
        // SAFETY: the instructions have just been found to be there.
        return unsafe { x86::each(count, &message, &mut digest) };
    }
    for index in 0..count {
        digest(index, Digest(Sha256::digest(message(index)).into()));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::numbers::Digest;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
        _mm_shuffle_epi32, _mm_storeu_si128,
    };

    const BLOCK: usize = 64;

    /// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    #[rustfmt::skip]
    static K: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    /// FIPS 180-4, 5.3.3, in the order that the instructions want: a, b, e, f and c, d, g, h, the first highest.
    const START: [u64; 4] =
        [0x6a09_e667_bb67_ae85, 0x510e_527f_9b05_688c, 0x3c6e_f372_a54f_f53a, 0x1f83_d9ab_5be0_cd19];

    pub(super) fn is_available() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3")
    }

    type State = [__m128i; 2];

    /// A message on its way: whole blocks of it, then its end with the padding.
    struct Lane<'a> {
        index: usize,
        state: State,
        whole: &'a [[u8; BLOCK]],
        end: [[u8; BLOCK]; 2],
        /// Blocks of `end` still to come, and how many there are.
        end_left: usize,
        end_len: usize,
    }

    impl<'a> Lane<'a> {
        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn new(index: usize, message: &'a [u8]) -> Self {
            let (whole, rest) = message.as_chunks::<BLOCK>();
            let mut end = [[0; BLOCK]; 2];
            end[0][..rest.len()].copy_from_slice(rest);
            end[0][rest.len()] = 0x80;
            // The length in bits takes 8 bytes, the mark before it one.
            let end_len = if rest.len() < BLOCK - 8 { 1 } else { 2 };
            let bits = (message.len() as u64) << 3;
            end[end_len - 1][BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
            let [ab, ef, cd, gh] = START.map(u64::cast_signed);
            let state = [_mm_set_epi64x(ab, ef), _mm_set_epi64x(cd, gh)];
            Self { index, state, whole, end, end_left: end_len, end_len }
        }

        /// The blocks that come next in one piece.
        fn blocks(&self) -> &[[u8; BLOCK]] {
            if self.whole.is_empty() {
                &self.end[self.end_len - self.end_left..self.end_len]
            } else {
                self.whole
            }
        }

        fn advance(&mut self, blocks: usize) {
            if self.whole.is_empty() {
                self.end_left -= blocks;
            } else {
                self.whole = &self.whole[blocks..];
            }
        }

        fn is_done(&self) -> bool {
            self.end_left == 0
        }

        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn digest(&self) -> Digest {
            // From a, b, e, f and c, d, g, h back to a, b, c, d and e, f, g, h, each in big-endian order.
            let feba = _mm_shuffle_epi32::<0x1b>(self.state[0]);
            let dchg = _mm_shuffle_epi32::<0xb1>(self.state[1]);
            let dcba = _mm_blend_epi16::<0xf0>(feba, dchg);
            let hgfe = _mm_alignr_epi8::<8>(dchg, feba);
            let mut digest = [0; 32];
            let to = digest.as_mut_ptr().cast::<__m128i>();
            // SAFETY: 32 bytes are two vectors, and the store asks for no alignment.
            unsafe {
                _mm_storeu_si128(to, _mm_shuffle_epi8(dcba, big_endian()));
                _mm_storeu_si128(to.add(1), _mm_shuffle_epi8(hgfe, big_endian()));
            }
            Digest(digest)
        }
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn big_endian() -> __m128i {
        _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203)
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub(super) fn each<'a>(
        count: usize,
        message: &impl Fn(usize) -> &'a [u8],
        digest: &mut impl FnMut(usize, Digest),
    ) {
        let mut indices = 0..count;
        let mut next = || match indices.next() {
            Some(index) => Some(Lane::new(index, message(index))),
            None => None,
        };
        let Some(mut one) = next() else { return };
        while let Some(mut other) = next() {
            // Both run for as long as both have blocks in one piece.
            while !one.is_done() && !other.is_done() {
                let (a, b) = (one.blocks(), other.blocks());
                let common = a.len().min(b.len());
                let states = rounds([one.state, other.state], [&a[..common], &b[..common]]);
                [one.state, other.state] = states;
                one.advance(common);
                other.advance(common);
            }
            // The one that is not done goes on beside the next message.
            if one.is_done() {
                digest(one.index, one.digest());
                if other.is_done() {
                    digest(other.index, other.digest());
                    let Some(third) = next() else { return };
                    one = third;
                } else {
                    one = other;
                }
            } else {
                digest(other.index, other.digest());
            }
        }
        while !one.is_done() {
            let blocks = one.blocks();
            let common = blocks.len();
            [one.state] = rounds([one.state], [blocks]);
            one.advance(common);
        }
        digest(one.index, one.digest());
    }

    /// The compression function over blocks of `N` messages side by side; all of them have as many as the first.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn rounds<const N: usize>(mut states: [State; N], blocks: [&[[u8; BLOCK]]; N]) -> [State; N] {
        let swap = big_endian();
        for index in 0..blocks[0].len() {
            let before = states;
            let mut words = [[_mm_set_epi64x(0, 0); 4]; N];
            for lane in 0..N {
                let from = blocks[lane][index].as_ptr().cast::<__m128i>();
                for quarter in 0..4 {
                    // SAFETY: a block is four vectors, and the load asks for no alignment.
                    let word = unsafe { _mm_loadu_si128(from.add(quarter)) };
                    words[lane][quarter] = _mm_shuffle_epi8(word, swap);
                }
            }
            // Four rounds a step. The words of a step from the fifth on come from those of the four before it.
            for step in 0..16 {
                // SAFETY: 16 steps of four constants are all 64, and the load asks for no alignment.
                let constants = unsafe { _mm_loadu_si128(K.as_ptr().add(4 * step).cast()) };
                for lane in 0..N {
                    let [w0, w1, w2, w3] = words[lane];
                    let word = if step < 4 {
                        words[lane][step]
                    } else {
                        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                        let new = _mm_sha256msg2_epu32(sum, w3);
                        words[lane] = [w1, w2, w3, new];
                        new
                    };
                    let word = _mm_add_epi32(word, constants);
                    let [abef, cdgh] = states[lane];
                    let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, word);
                    let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(word));
                    states[lane] = [abef, cdgh];
                }
            }
            for lane in 0..N {
                for half in 0..2 {
                    states[lane][half] = _mm_add_epi32(states[lane][half], before[lane][half]);
                }
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn sha256_pair(a: &[u8], b: &[u8]) -> (Digest, Digest) {
        let mut both = [Digest::default(); 2];
        sha256_each(2, |index| if index == 0 { a } else { b }, |index, digest| both[index] = digest);
        (both[0], both[1])
    }

    fn plain(message: &[u8]) -> Digest {
        Digest(Sha256::digest(message).into())
    }

    fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    #[test]
    fn pairs_of_all_lengths_have_the_digests_that_sha2_gives_them() {
        let text = bytes(1, 1000);
        for len in 0..=300 {
            for partner in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 256, 300, len] {
                let (a, b) = (&text[..len], &text[700 - partner..700]);
                assert_eq!(sha256_pair(a, b), (plain(a), plain(b)), "{len} beside {partner}");
                assert_eq!(sha256_pair(b, a), (plain(b), plain(a)), "{partner} beside {len}");
            }
        }
    }

    #[test]
    fn every_message_gets_its_own_digest_however_many_there_are() {
        let seed = u64::from(Uuid::new_v4().as_fields().0);
        println!("seed {seed}");
        let lengths = bytes(seed, 400);
        for count in [0, 1, 2, 3, 7, 100] {
            for turn in 0..100 {
                let messages: Vec<Vec<u8>> = (0..count)
                    .map(|index| {
                        let len = usize::from(lengths[(turn * 7 + index * 3) % 400]);
                        // Some are long, and some of those long beside short ones.
                        bytes(seed + index as u64, if len % 10 == 0 { len * 41 } else { len })
                    })
                    .collect();
                let mut digests = vec![None; count];
                sha256_each(
                    count,
                    |index| &messages[index],
                    |index, digest| {
                        assert_eq!(digests[index].replace(digest), None, "seed {seed}");
                    },
                );
                let expected: Vec<_> = messages.iter().map(|message| Some(plain(message))).collect();
                assert_eq!(digests, expected, "seed {seed}, {count} messages");
            }
        }
    }
}
