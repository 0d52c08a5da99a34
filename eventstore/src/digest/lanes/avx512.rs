//! Sixteen lanes in AVX-512 vectors: element *i* of every vector belongs to message *i*, so one instruction does the same
//! step of all of them. FIPS 180-4, 6.2.2, word by word.
#![expect(unsafe_code, reason = "vector loads and stores, and a call that needs instructions")]

use super::message::{BLOCK, K, Message};
use crate::numbers::Digest;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_set4_epi32,
    _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

/// Messages that are hashed side by side.
const LANES: usize = 16;
/// With fewer messages the SHA instructions are faster: here a step takes the same time however many lanes are idle.
pub(super) const WORTH_IT: usize = 9;
/// What idle lanes hash.
static NOTHING: [u8; BLOCK] = [0; BLOCK];

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Hashes messages while there are enough to be worth it; returns those that are on their way then. Only where the
/// instructions are available.
pub(super) fn each<'a>(
    messages: &mut impl Iterator<Item = Message<'a>>,
    digest: &mut impl FnMut(usize, Digest),
) -> Vec<Message<'a>> {
    assert!(is_available(), "AVX-512 is not there");
    let mut lanes: Vec<Message<'a>> = Vec::with_capacity(LANES);
    loop {
        lanes.extend(messages.take(LANES - lanes.len()));
        if lanes.len() < WORTH_IT {
            return lanes;
        }
        let common = lanes.iter().map(|lane| lane.blocks().len()).min().unwrap_or(0);
        // SAFETY: the instructions are there.
        unsafe { advance(&mut lanes, common) };
        let mut lane = 0;
        while let Some(message) = lanes.get(lane) {
            if !message.is_done() {
                lane += 1;
                continue;
            }
            digest(message.index, message.digest());
            match messages.next() {
                Some(next) => lanes[lane] = next,
                None => drop(lanes.swap_remove(lane)),
            }
        }
    }
}

/// Hashes so many blocks of every message.
#[target_feature(enable = "avx512f,avx512bw")]
fn advance(lanes: &mut [Message<'_>], blocks: usize) {
    let mut words = [[0_u32; LANES]; 8];
    for (lane, message) in lanes.iter().enumerate() {
        for (word, value) in words.iter_mut().zip(message.state) {
            word[lane] = value;
        }
    }
    // SAFETY: sixteen words of four bytes are one vector, and the load asks for no alignment.
    let mut state = words.map(|word| unsafe { _mm512_loadu_si512(word.as_ptr().cast()) });
    let mut pieces: [&[[u8; BLOCK]]; LANES] = [&[]; LANES];
    for (piece, message) in pieces.iter_mut().zip(lanes.iter()) {
        *piece = message.blocks();
    }
    for block in 0..blocks {
        let rows = pieces.map(|piece| piece.get(block).unwrap_or(&NOTHING));
        state = rounds(state, transposed(rows));
    }
    for (word, vector) in words.iter_mut().zip(state) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(word.as_mut_ptr().cast(), vector) };
    }
    for (lane, message) in lanes.iter_mut().enumerate() {
        for (word, value) in words.iter().zip(&mut message.state) {
            *value = word[lane];
        }
        message.advance(blocks);
    }
}

/// Word *i* of every block in vector *i*.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn transposed(blocks: [&[u8; BLOCK]; LANES]) -> [__m512i; 16] {
    let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let zero = _mm512_set1_epi32(0);
    let mut rows = [zero; 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
        // SAFETY: a block of 64 bytes is one vector, and the load asks for no alignment.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *row = _mm512_shuffle_epi8(bytes, big_endian);
    }
    // Each vector has four quarters of four words. First within quarters: words of a kind of four rows together.
    let mut pairs = [zero; 16];
    for pair in 0..8 {
        let (a, b) = (rows[2 * pair], rows[2 * pair + 1]);
        pairs[2 * pair] = _mm512_unpacklo_epi32(a, b);
        pairs[2 * pair + 1] = _mm512_unpackhi_epi32(a, b);
    }
    let mut fours = [zero; 16];
    for four in (0..16).step_by(4) {
        let [a, b, c, d] = [pairs[four], pairs[four + 1], pairs[four + 2], pairs[four + 3]];
        fours[four] = _mm512_unpacklo_epi64(a, c);
        fours[four + 1] = _mm512_unpackhi_epi64(a, c);
        fours[four + 2] = _mm512_unpacklo_epi64(b, d);
        fours[four + 3] = _mm512_unpackhi_epi64(b, d);
    }
    // Then whole quarters.
    let mut words = [zero; 16];
    for word in 0..4 {
        let [a, b, c, d] = [fours[word], fours[4 + word], fours[8 + word], fours[12 + word]];
        let (low, high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
        let (low_2, high_2) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
        words[word] = _mm512_shuffle_i32x4::<0x88>(low, low_2);
        words[4 + word] = _mm512_shuffle_i32x4::<0xdd>(low, low_2);
        words[8 + word] = _mm512_shuffle_i32x4::<0x88>(high, high_2);
        words[12 + word] = _mm512_shuffle_i32x4::<0xdd>(high, high_2);
    }
    words
}

/// The compression function.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn rounds(before: [__m512i; 8], mut words: [__m512i; 16]) -> [__m512i; 8] {
    // Truth tables of three-input functions: exclusive or, choice, majority.
    const XOR: i32 = 0x96;
    const CHOICE: i32 = 0xca;
    const MAJORITY: i32 = 0xe8;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;
    for sixteen in 0..4 {
        for round in 0..16 {
            let word = words[round];
            let constant = _mm512_set1_epi32(K[16 * sixteen + round].cast_signed());
            let sum_1 = _mm512_ternarylogic_epi32::<XOR>(
                _mm512_ror_epi32::<6>(e),
                _mm512_ror_epi32::<11>(e),
                _mm512_ror_epi32::<25>(e),
            );
            let choice = _mm512_ternarylogic_epi32::<CHOICE>(e, f, g);
            let input = _mm512_add_epi32(_mm512_add_epi32(h, word), constant);
            let temporary = _mm512_add_epi32(input, _mm512_add_epi32(sum_1, choice));
            let sum_0 = _mm512_ternarylogic_epi32::<XOR>(
                _mm512_ror_epi32::<2>(a),
                _mm512_ror_epi32::<13>(a),
                _mm512_ror_epi32::<22>(a),
            );
            let majority = _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
            let new_a = _mm512_add_epi32(temporary, _mm512_add_epi32(sum_0, majority));
            (h, g, f, e) = (g, f, e, _mm512_add_epi32(d, temporary));
            (d, c, b, a) = (c, b, a, new_a);
            if sixteen < 3 {
                // The word that takes this one's place sixteen rounds from now.
                let (near, far) = (words[(round + 1) % 16], words[(round + 14) % 16]);
                let sigma_0 = _mm512_ternarylogic_epi32::<XOR>(
                    _mm512_ror_epi32::<7>(near),
                    _mm512_ror_epi32::<18>(near),
                    _mm512_srli_epi32::<3>(near),
                );
                let sigma_1 = _mm512_ternarylogic_epi32::<XOR>(
                    _mm512_ror_epi32::<17>(far),
                    _mm512_ror_epi32::<19>(far),
                    _mm512_srli_epi32::<10>(far),
                );
                let sum = _mm512_add_epi32(word, words[(round + 9) % 16]);
                words[round] = _mm512_add_epi32(sum, _mm512_add_epi32(sigma_0, sigma_1));
            }
        }
    }
    let after = [a, b, c, d, e, f, g, h];
    let mut state = before;
    for (word, after) in state.iter_mut().zip(after) {
        *word = _mm512_add_epi32(*word, after);
    }
    state
}
