//! The standard normal distribution, as far as intervals and tests need it.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Density at `x`.
fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// P(Z > `x`) for `x` >= 0, with full relative precision far out too: the power
/// series of the distribution function near 0 (Marsaglia 2004), the continued
/// fraction of Mills' ratio beyond (Abramowitz and Stegun 26.2.14).
fn upper_tail(x: f64) -> f64 {
    if x < 3.0 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        return 0.5 - density(x) * sum;
    }
    // 120 levels from below; at x = 3 some sixty suffice for double precision.
    let ratio = (1..=120).rev().fold(x, |below, level| x + f64::from(level) / below);
    density(x) / ratio
}

/// P(Z <= `x`), absolute error below 10^-15.
pub(super) fn distribution(x: f64) -> f64 {
    if x < 0.0 { upper_tail(-x) } else { 1.0 - upper_tail(x) }
}

/// P(chi-square with one degree of freedom > `x`) = P(|Z| > sqrt x).
pub(super) fn chi_square_tail(x: f64) -> f64 {
    2.0 * upper_tail(x.max(0.0).sqrt())
}

/// The `x` with P(Z <= `x`) = `level`, for a level in (0, 1); infinite at its ends.
///
/// Newton's method on the tail from 0 outwards: the tail is convex there, so
/// the steps approach the root from one side.
pub(super) fn quantile(level: f64) -> f64 {
    let tail = level.min(1.0 - level);
    if tail <= 0.0 {
        return if level < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let mut x = 0.0;
    for _ in 0..200 {
        let step = (upper_tail(x) - tail) / density(x);
        x += step;
        if step.abs() < 1e-15 * (x + FRAC_1_SQRT_2) {
            break;
        }
    }
    if level < 0.5 { -x } else { x }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_distribution_agrees_with_scipy() {
        // scipy.stats.norm.cdf
        let table = [
            (-8.0, 6.220_960_574_271_785e-16),
            (-3.0, 0.001_349_898_031_630_095_2),
            (-1.0, 0.158_655_253_931_457_05),
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013),
            (2.999, 0.998_645_663_466_272_9),
        ];
        for (x, expected) in table {
            assert!((distribution(x) / expected - 1.0).abs() < 1e-12, "{x}: {}", distribution(x));
        }
    }

    #[test]
    fn known_quantiles_and_tails_come_out() {
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
        assert!((quantile(1e-9) + 5.997_807_015_007_687).abs() < 1e-12);
        assert!(quantile(0.0).is_infinite() && quantile(1.0).is_infinite());
        // scipy.stats.chi2.sf(3.841458820694124, 1)
        assert!((chi_square_tail(3.841_458_820_694_124) - 0.05).abs() < 1e-14);
    }

    proptest! {
        #[test]
        fn the_quantile_turns_the_distribution_round(level in 1e-6..0.999_999_f64) {
            prop_assert!((distribution(quantile(level)) - level).abs() < 1e-13);
        }
    }
}
