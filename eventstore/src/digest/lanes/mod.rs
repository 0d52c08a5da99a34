//! SHA-256 of many messages side by side.
//!
//! One block after another, SHA-256 waits: every step needs the result of the one before it. Independent messages have
//! no such bond, so they are hashed in lanes: two with the SHA instructions, whose unit then has less time to idle, or
//! sixteen in the 32-bit elements of AVX-512 vectors, which takes about half the time a block that the SHA instructions
//! take. A lane that is done with its message takes the next one, so lengths need not be alike. The technique is
//! multi-buffer hashing (Gueron and Krasnov, "Simultaneous hashing of multiple messages", 2012; Intel's isa-l_crypto).
//!
//! Without these instructions, every message goes through the `sha2` crate: the digests are the same.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod message;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use crate::numbers::Digest;
use sha2::{Digest as _, Sha256};

/// Hands `digest` the SHA-256 of `message(i)` for every `i` below `count`, in an order of its own.
pub(crate) fn sha256_each<'a>(
    count: usize,
    message: impl Fn(usize) -> &'a [u8],
    mut digest: impl FnMut(usize, Digest),
) {
    #[cfg(target_arch = "x86_64")]
    if sha_ni::is_available() {
        let mut messages = (0..count).map(|index| message::Message::new(index, message(index)));
        if count >= avx512::WORTH_IT && avx512::is_available() {
            let left = avx512::each(&mut messages, &mut digest);
            return sha_ni::each(left.into_iter(), &mut digest);
        }
        return sha_ni::each(messages, &mut digest);
    }
    for index in 0..count {
        digest(index, Digest(Sha256::digest(message(index)).into()));
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a randomised test says its seed")]
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
