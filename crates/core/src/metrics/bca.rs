//! 95 % intervals from bootstrap draws: by percentiles, and bias-corrected and
//! accelerated. The draws come from [`Resampling`](super::Resampling).

use super::compare::defined;
use super::interval::quantile;
use super::normal;

/// The percentile interval (Efron 1979): from the 2.5th to the 97.5th percentile
/// of the draws, linear between order statistics, as numpy's default.
///
/// Draws without a (finite) value, as when one drew a single class, are left
/// out. `None` when that leaves less than half of them, or none.
pub fn percentile_interval(draws: &[Option<f64>]) -> Option<(f64, f64)> {
    let mut values = defined(draws)?;
    values.sort_by(f64::total_cmp);
    Some((quantile(&values, 0.025), quantile(&values, 0.975)))
}

/// The bias-corrected and accelerated interval (Efron 1987; Efron and Tibshirani
/// 1993, 14.3): percentiles at the levels Phi(z0 + (z0 + z) / (1 - a (z0 + z)))
/// for z = -1.96 and 1.96. The bias correction z0 is the normal quantile of the
/// share of draws below `estimate`, those at it counting one half; the
/// acceleration a = sum d^3 / (6 (sum d^2)^1.5) with d = mean of the jackknife
/// values - value; 0 where they are all the same.
///
/// `jackknife` holds the figure with each group left out in turn
/// ([`leave_out`](super::Resampling::leave_out)). `None` under the conditions of
/// [`percentile_interval`], for either list; when `estimate` is not finite; or
/// when all draws lie on one side of it, where no correction exists.
pub fn bca_interval(estimate: f64, draws: &[Option<f64>], jackknife: &[Option<f64>]) -> Option<(f64, f64)> {
    if !estimate.is_finite() {
        return None;
    }
    let mut values = defined(draws)?;
    let acceleration = acceleration(&defined(jackknife)?);
    values.sort_by(f64::total_cmp);
    if values.first() == values.last() && values.first() == Some(&estimate) {
        return Some((estimate, estimate));
    }
    let below = values.partition_point(|value| *value < estimate);
    let not_above = values.partition_point(|value| *value <= estimate);
    let bias = normal::quantile((below + not_above) as f64 / (2 * values.len()) as f64);
    if !bias.is_finite() {
        return None;
    }
    let end = |level| quantile(&values, corrected(level, bias, acceleration));
    Some((end(0.025), end(0.975)))
}

/// The level that stands for `level`, rounded to 10^-12, so that exponential
/// functions that differ in their last bit give one interval on every machine.
fn corrected(level: f64, bias: f64, acceleration: f64) -> f64 {
    let shifted = bias + normal::quantile(level);
    let stretch = 1.0 - acceleration * shifted;
    // Beyond the pole of the correction the level is at its end.
    if stretch <= 0.0 {
        return if shifted > 0.0 { 1.0 } else { 0.0 };
    }
    (normal::distribution(bias + shifted / stretch) * 1e12).round() / 1e12
}

/// The acceleration from jackknife values.
fn acceleration(jackknife: &[f64]) -> f64 {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let power = |degree| jackknife.iter().map(|value| (mean - value).powi(degree)).sum::<f64>();
    let spread = power(2).powf(1.5);
    if spread > 0.0 { power(3) / (6.0 * spread) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{CellAmount, CellSums, Draws, Resampling};

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn without_bias_and_acceleration_it_is_the_percentile_interval() {
        let draws: Vec<Option<f64>> = (-500..=500).map(|draw| Some(f64::from(draw))).collect();
        let (low, high) = bca_interval(0.0, &draws, &some(&[-1.0, 0.0, 1.0])).unwrap();
        let percentile = percentile_interval(&draws).unwrap();
        assert!((low - percentile.0).abs() < 1e-6 && (high - percentile.1).abs() < 1e-6);
        assert!((percentile.0 + 475.0).abs() < 1e-9 && (percentile.1 - 475.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_interval_is_none() {
        let draws = some(&[0.1, 0.2, 0.3]);
        assert_eq!(percentile_interval(&[]), None);
        assert_eq!(percentile_interval(&[None, None, Some(0.5)]), None);
        assert_eq!(bca_interval(0.5, &draws, &draws), None);
        assert_eq!(bca_interval(f64::NAN, &draws, &draws), None);
        assert_eq!(bca_interval(0.2, &draws, &[]), None);
        assert_eq!(bca_interval(1.0, &some(&[1.0; 9]), &some(&[1.0; 3])), Some((1.0, 1.0)));
    }

    /// How many of 200 samples of 30 skewed values have an interval of their mean
    /// that lies below the truth, and above it.
    fn misses(interval: impl Fn(f64, &[Option<f64>], &[Option<f64>]) -> Option<(f64, f64)>) -> (u32, u32) {
        let (mut below, mut above) = (0, 0);
        for sample in 0..200 {
            let mut random = super::super::random::SplitMix64::stream(11, sample);
            let values: Vec<f64> = (0..30).map(|_| -(1.0 - random.unit()).ln()).collect();
            let entries =
                values.iter().enumerate().map(|(cluster, &amount)| CellAmount { cluster, cell: 0, amount });
            let sums = CellSums::new(1, entries).unwrap();
            let resampling = Resampling::new(30, sample);
            let mean = |drawn: &[u8]| {
                let sum = sums.under(&Draws::one(drawn))[0][0];
                Some(sum / drawn.iter().copied().map(f64::from).sum::<f64>())
            };
            let mut drawn = Vec::new();
            let draws: Vec<_> = (0..500)
                .map(|draw| {
                    resampling.draw(draw, &mut drawn);
                    mean(&drawn)
                })
                .collect();
            let left: Vec<_> = (0..30)
                .map(|group| {
                    resampling.leave_out(group, &mut drawn);
                    mean(&drawn)
                })
                .collect();
            let (low, high) = interval(mean(&resampling.original()).unwrap(), &draws, &left).unwrap();
            below += u32::from(high < 1.0);
            above += u32::from(low > 1.0);
        }
        (below, above)
    }

    #[test]
    fn for_skewed_values_it_misses_more_evenly_than_percentiles() {
        let corrected = misses(bca_interval);
        let plain = misses(|_, draws, _| percentile_interval(draws));
        assert!(corrected.0 + corrected.1 <= 24, "{corrected:?}");
        assert!(
            corrected.0 <= plain.0 && corrected.0.abs_diff(corrected.1) <= plain.0.abs_diff(plain.1),
            "{corrected:?} against {plain:?}"
        );
    }

    proptest! {
        #[test]
        fn it_moves_with_the_scale(
            values in proptest::collection::vec(-5.0..5.0_f64, 20..60), jack in proptest::collection::vec(-1.0..1.0_f64, 3..9)
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let estimate = sorted[sorted.len() / 2];
            let move_all = |list: &[f64]| some(&list.iter().map(|v| 3.0 * v + 1.0).collect::<Vec<_>>());
            let here = bca_interval(estimate, &some(&values), &some(&jack)).unwrap();
            let there = bca_interval(3.0 * estimate + 1.0, &move_all(&values), &move_all(&jack)).unwrap();
            prop_assert!(here.0 <= here.1);
            prop_assert!((there.0 - (3.0 * here.0 + 1.0)).abs() < 1e-6 && (there.1 - (3.0 * here.1 + 1.0)).abs() < 1e-6);
        }
    }
}
