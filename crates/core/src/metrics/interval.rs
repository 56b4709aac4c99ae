//! Intervals: Wilson's for shares, the percentile bootstrap for everything
//! else. Both are 95 % intervals. The bootstrap draws whole units
//! (conversations), because the turns of one conversation are not independent.

/// The 0.975 quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's score interval for `successes` of `trials` (Wilson 1927, without
/// continuity correction), inside \[0, 1\] and sensible at 0 and at 1.
///
/// `None` when `trials` is 0 or less than `successes`.
pub fn wilson_interval(successes: usize, trials: usize) -> Option<(f64, f64)> {
    if trials == 0 || successes > trials {
        return None;
    }
    let n = trials as f64;
    let share = successes as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At both ends the formula is exact but its rounding is not.
    let low = if successes == 0 { 0.0 } else { centre - half };
    let high = if successes == trials { 1.0 } else { centre + half };
    Some((low, high))
}

/// The percentile bootstrap interval (Efron 1979) of a statistic of `units`
/// independent units: each of `resamples` times, `units` indices below `units`
/// are drawn with replacement and handed to `statistic`; the interval is from
/// the 2.5th to the 97.5th percentile of its values (linear between order
/// statistics, as numpy's default). Equal arguments give equal results.
///
/// Resamples without a (finite) statistic, as when one drew a single class, are
/// left out. `None` when that leaves less than half of them, or when `units` or
/// `resamples` is 0.
pub fn bootstrap_interval(
    units: usize,
    resamples: u32,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Option<f64>,
) -> Option<(f64, f64)> {
    if units == 0 || resamples == 0 {
        return None;
    }
    let mut random = SplitMix64(seed);
    let mut drawn = vec![0; units];
    let mut values = Vec::new();
    for _ in 0..resamples {
        drawn.fill_with(|| random.below(units));
        values.extend(statistic(&drawn).filter(|value| value.is_finite()));
    }
    if 2 * values.len() < resamples as usize {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some((quantile(&values, 0.025), quantile(&values, 0.975)))
}

/// The quantile at `level` of ascending, non-empty `values`.
fn quantile(values: &[f64], level: f64) -> f64 {
    let place = level * (values.len() - 1) as f64;
    let below = place as usize;
    let above = (below + 1).min(values.len() - 1);
    values[below] + (place - below as f64) * (values[above] - values[below])
}

/// `SplitMix64` (Steele, Lea and Flood 2014): small, seeded, good enough to
/// resample with. Core has no random-number dependency.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An index below `bound` by multiply-and-shift; its bias, at most
    /// `bound` / 2^64, is far below anything a bootstrap can see.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests; exact values")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_generator_gives_the_published_sequence() {
        let mut random = SplitMix64(1_234_567);
        let found = [random.next(), random.next(), random.next()];
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(found, published);
    }

    #[test]
    fn quantiles_lie_between_order_statistics() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[7.0], 0.025), 7.0);
    }

    #[test]
    fn the_bootstrap_of_a_mean_is_about_two_standard_errors_wide() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let mean = |drawn: &[usize]| {
            let sum: f64 = drawn.iter().map(|&i| values[i]).sum();
            Some(sum / drawn.len() as f64)
        };
        let (low, high) = bootstrap_interval(400, 1000, 7, mean).unwrap();
        // Half-width of the normal approximation: 1.96 x 0.5 / 20 = 0.049.
        assert!((0.44..0.46).contains(&low) && (0.54..0.56).contains(&high));
        assert_eq!(bootstrap_interval(400, 1000, 7, mean), Some((low, high)));
    }

    #[test]
    fn a_statistic_that_is_mostly_undefined_has_no_interval() {
        assert_eq!(bootstrap_interval(0, 10, 0, |_| Some(0.0)), None);
        assert_eq!(bootstrap_interval(10, 0, 0, |_| Some(0.0)), None);
        assert_eq!(bootstrap_interval(10, 10, 0, |_| None), None);
        assert_eq!(bootstrap_interval(10, 10, 0, |_| Some(f64::NAN)), None);
        assert_eq!(bootstrap_interval(3, 10, 0, |_| Some(2.0)), Some((2.0, 2.0)));
    }

    proptest! {
        #[test]
        fn wilson_holds_the_share_and_stays_within_bounds(n in 1_usize..500, part in 0.0..=1.0_f64) {
            let successes = (part * n as f64) as usize;
            let share = successes as f64 / n as f64;
            let (low, high) = wilson_interval(successes, n).unwrap();
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
        }
    }

    #[test]
    fn no_trials_have_no_interval() {
        assert_eq!(wilson_interval(0, 0), None);
        assert_eq!(wilson_interval(2, 1), None);
    }
}
