//! Intervals: Wilson's and the exact one of Clopper and Pearson for shares, the
//! percentile bootstrap for everything else. All are 95 % intervals. The
//! bootstrap draws whole units (conversations), because the turns of one
//! conversation are not independent. Large runs resample counts instead of
//! rows: see [`Resampling`](super::Resampling).

use std::f64::consts::PI;

use super::bca::percentile_interval;
use super::random::SplitMix64;

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

/// The exact interval of Clopper and Pearson (1934) for `successes` of `trials`:
/// its ends are the shares for which what was seen, or something more extreme,
/// has a probability of 2.5 %. It covers at least 95 %, mostly more.
///
/// `None` when `trials` is 0 or less than `successes`.
pub fn clopper_pearson_interval(successes: usize, trials: usize) -> Option<(f64, f64)> {
    if trials == 0 || successes > trials {
        return None;
    }
    let high = 1.0 - exact_lower_end(trials - successes, trials);
    Some((exact_lower_end(successes, trials), high))
}

/// The share p, by bisection, for which P(X >= `successes`) = 0.025 where X is
/// binomial with `trials` and p; 0 where there are no successes.
fn exact_lower_end(successes: usize, trials: usize) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, successes as f64 / trials as f64);
    while high - low > f64::EPSILON * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if binomial_upper_tail(successes, trials, middle) < 0.025 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(X <= `successes`) where X is binomial with `trials` and `share`: the exact
/// p-value of the hypothesis that the share is `share` or more. 1 without trials, and
/// wherever as many successes as that share expects were seen, or more: there it is
/// above one half, and nobody rejects.
pub(crate) fn binomial_lower_tail(successes: usize, trials: usize, share: f64) -> f64 {
    if trials == 0 || successes as f64 >= share * trials as f64 {
        return 1.0;
    }
    binomial_upper_tail(trials - successes, trials, 1.0 - share)
}

/// P(X >= `from`) where X is binomial with `trials` and `share` < `from` /
/// `trials`: the terms fall from the first one on, so the sum soon ends.
fn binomial_upper_tail(from: usize, trials: usize, share: f64) -> f64 {
    let rest = (trials - from) as f64;
    let log_first = ln_choose(trials, from) + from as f64 * share.ln() + rest * (-share).ln_1p();
    let mut term = log_first.exp();
    let mut sum = term;
    for hits in from..trials {
        term *= (trials - hits) as f64 / (hits + 1) as f64 * share / (1.0 - share);
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
    }
    sum
}

/// Natural logarithm of the binomial coefficient.
fn ln_choose(n: usize, k: usize) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// ln n!: the sum of logarithms where n is small, Stirling's series (Abramowitz
/// and Stegun 6.1.41) elsewhere, with an error below 10^-16 from 32 on.
fn ln_factorial(n: usize) -> f64 {
    if n < 32 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5))
        - 1.0 / (1680.0 * x.powi(7));
    (x + 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series
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
    if units == 0 {
        return None;
    }
    let mut random = SplitMix64::new(seed);
    let mut drawn = vec![0; units];
    let draw = |_| {
        drawn.fill_with(|| random.below(units));
        statistic(&drawn)
    };
    percentile_interval(&(0..resamples).map(draw).collect::<Vec<_>>())
}

/// The quantile at `level` of ascending, non-empty `values`.
pub(super) fn quantile(values: &[f64], level: f64) -> f64 {
    let place = level * (values.len() - 1) as f64;
    let below = place as usize;
    let above = (below + 1).min(values.len() - 1);
    values[below] + (place - below as f64) * (values[above] - values[below])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests; exact values")]

    use proptest::prelude::*;

    use super::*;

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

    proptest! {
        #[test]
        fn at_the_ends_of_the_exact_interval_the_tails_are_two_and_a_half_percent(
            n in 1_usize..60, part in 0.0..=1.0_f64
        ) {
            let successes = (part * n as f64) as usize;
            let (low, high) = clopper_pearson_interval(successes, n).unwrap();
            let share = successes as f64 / n as f64;
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
            let above: f64 = naive_binomial(n, low)[successes..].iter().sum();
            prop_assert!(successes == 0 || (above - 0.025).abs() < 1e-10);
            let below: f64 = naive_binomial(n, high)[..=successes].iter().sum();
            prop_assert!(successes == n || (below - 0.025).abs() < 1e-10);
        }
    }

    proptest! {
        #[test]
        fn the_lower_tail_is_the_sum_of_its_terms_or_is_not_small(
            n in 0_usize..60, part in 0.0..=1.0_f64, share in 0.01..0.99_f64
        ) {
            let successes = (part * n as f64) as usize;
            let naive: f64 = naive_binomial(n, share)[..=successes].iter().sum();
            let found = binomial_lower_tail(successes, n, share);
            prop_assert!((found - naive).abs() < 1e-10 || (found >= 1.0 && naive >= 0.5 - 1e-10));
        }
    }

    /// The probabilities of 0 to n successes, one trial after the other.
    fn naive_binomial(n: usize, share: f64) -> Vec<f64> {
        let mut probabilities = vec![0.0; n + 1];
        probabilities[0] = 1.0;
        for _ in 0..n {
            for hits in (1..=n).rev() {
                probabilities[hits] = probabilities[hits] * (1.0 - share) + probabilities[hits - 1] * share;
            }
            probabilities[0] *= 1.0 - share;
        }
        probabilities
    }

    #[test]
    fn no_trials_have_no_interval() {
        for interval in [wilson_interval, clopper_pearson_interval] {
            assert_eq!(interval(0, 0), None);
            assert_eq!(interval(2, 1), None);
        }
    }
}
