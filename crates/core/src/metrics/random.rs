//! Seeded random numbers for resampling, without a dependency: every value is a
//! function of a seed, a stream and its place in the stream, so that draws may
//! be made in any order, on any number of threads, with the same results.

/// The increment of `SplitMix64`: 2^64 divided by the golden ratio, made odd.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// `SplitMix64` (Steele, Lea and Flood 2014): small, seeded, good enough to
/// resample with.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator that starts from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Stream number `stream` of `seed`. Streams start at unrelated places of
    /// one cycle of 2^64: that two of 10,000 streams of 24,000 values overlap
    /// has a probability below 10^-6.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        let offset = mix(stream.wrapping_mul(INCREMENT).wrapping_add(INCREMENT));
        Self(mix(seed.wrapping_add(INCREMENT)) ^ offset)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        mix(self.0)
    }

    /// An index below `bound` by multiply-and-shift; its bias, at most
    /// `bound` / 2^64, is far below anything a bootstrap can see.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number in \[0, 1) with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The output function of `SplitMix64`, a bijection.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_sequence() {
        let mut random = SplitMix64::new(1_234_567);
        let found = [random.next(), random.next(), random.next()];
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(found, published);
    }

    #[test]
    fn streams_of_one_seed_and_seeds_of_one_stream_differ() {
        let first = |seed, stream| SplitMix64::stream(seed, stream).next();
        let mut values: Vec<u64> =
            (0..50).flat_map(|seed| (0..50).map(move |stream| first(seed, stream))).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 2_500);
    }

    #[test]
    fn unit_values_fill_the_interval_evenly() {
        let mut random = SplitMix64::stream(3, 1);
        let values: Vec<f64> = (0..10_000).map(|_| random.unit()).collect();
        let mean = values.iter().sum::<f64>() / 10_000.0;
        // The standard error of the mean is 0.0029.
        assert!((mean - 0.5).abs() < 0.015 && values.iter().all(|v| (0.0..1.0).contains(v)));
    }
}
