//! Two lanes with the SHA instructions.
#![expect(unsafe_code, reason = "vector loads, and a call that needs instructions")]

use super::message::{BLOCK, K, Message};
use crate::numbers::Digest;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32,
    _mm_set_epi64x, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3")
}

/// Hashes messages to their ends, wherever they are. Only where the instructions are available.
pub(super) fn each<'a>(messages: impl Iterator<Item = Message<'a>>, digest: &mut impl FnMut(usize, Digest)) {
    assert!(is_available(), "the SHA instructions are not there");
    // SAFETY: they are.
    unsafe { each_here(messages, digest) }
}

/// A hash on its way, in the order that the instructions want: a, b, e, f and c, d, g, h, the first highest.
type State = [__m128i; 2];

struct Lane<'a> {
    message: Message<'a>,
    state: State,
}

impl<'a> Lane<'a> {
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn new(message: Message<'a>) -> Self {
        let [a, b, c, d, e, f, g, h] = message.state.map(u32::cast_signed);
        Self { message, state: [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)] }
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn digest(mut self, digest: &mut impl FnMut(usize, Digest)) {
        let [abef, cdgh] = self.state;
        let words = [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ];
        self.message.state = words.map(i32::cast_unsigned);
        digest(self.message.index, self.message.digest());
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn each_here<'a>(mut messages: impl Iterator<Item = Message<'a>>, digest: &mut impl FnMut(usize, Digest)) {
    #[expect(clippy::manual_map, reason = "the closure of a map would not have the instructions")]
    let mut next = || match messages.next() {
        Some(message) => Some(Lane::new(message)),
        None => None,
    };
    let Some(mut one) = next() else { return };
    while let Some(mut other) = next() {
        // Both run for as long as both have blocks in one piece.
        while !one.message.is_done() && !other.message.is_done() {
            let (a, b) = (one.message.blocks(), other.message.blocks());
            let common = a.len().min(b.len());
            let states = rounds([one.state, other.state], [&a[..common], &b[..common]]);
            [one.state, other.state] = states;
            one.message.advance(common);
            other.message.advance(common);
        }
        // The one that is not done goes on beside the next message.
        if !one.message.is_done() {
            other.digest(digest);
        } else if !other.message.is_done() {
            std::mem::replace(&mut one, other).digest(digest);
        } else {
            other.digest(digest);
            one.digest(digest);
            let Some(third) = next() else { return };
            one = third;
        }
    }
    while !one.message.is_done() {
        let blocks = one.message.blocks();
        let common = blocks.len();
        [one.state] = rounds([one.state], [blocks]);
        one.message.advance(common);
    }
    one.digest(digest);
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn big_endian() -> __m128i {
    _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203)
}

/// The compression function over blocks of `N` messages side by side; all of them have as many as the first.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
#[expect(clippy::needless_range_loop, reason = "lanes are numbers that index several arrays at once")]
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
