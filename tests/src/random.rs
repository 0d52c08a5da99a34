//! Randomness that can be had again: a seed from the clock or from `SUNDAY_TEST_SEED`, printed.

/// SplitMix64: small, fast, good enough to choose places.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A new sequence; its seed is printed and can be given again in `SUNDAY_TEST_SEED`.
    #[must_use]
    pub fn seeded() -> Self {
        let given = std::env::var("SUNDAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
            since.as_secs() ^ (u64::from(since.subsec_nanos()) << 32)
        });
        eprintln!("SUNDAY_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another sequence that follows from this one, for somebody who draws at times of their own.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
