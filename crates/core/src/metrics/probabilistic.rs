//! How far probabilities are from what happens. Both figures need values that
//! are probabilities; anything outside \[0, 1\] gives `None`.

/// Number of equal-width bins of the calibration error.
const BINS: usize = 10;

/// Whether there are rows, one label for each, and nothing but probabilities.
pub(super) fn are_probabilities(probabilities: &[f64], labels: &[bool]) -> bool {
    !probabilities.is_empty()
        && probabilities.len() == labels.len()
        && probabilities.iter().all(|p| (0.0..=1.0).contains(p))
}

/// Expected calibration error: the mean over rows of |share of positives - mean
/// probability| of the row's bin, with ten bins of equal width, each closed
/// below, the last one closed above too (Naeini, Cooper and Hauskrecht 2015;
/// Guo et al. 2017, for the probability of the positive class). In \[0, 1\].
///
/// `None` when there is no row, when the lengths differ, or when a value is not
/// a probability. One class alone is fine.
pub fn expected_calibration_error(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    if !are_probabilities(probabilities, labels) {
        return None;
    }
    // Sum of (label - probability) per bin: its size times its gap.
    let mut gaps = [0.0; BINS];
    for (&p, &label) in probabilities.iter().zip(labels) {
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        gaps[bin] += f64::from(u8::from(label)) - p;
    }
    let total: f64 = gaps.iter().map(|gap| gap.abs()).sum();
    Some(total / probabilities.len() as f64)
}

/// Brier score: the mean squared distance between probability and outcome
/// (Brier 1950, for two classes; scikit-learn's `brier_score_loss`). In
/// \[0, 1\], lower is better.
///
/// `None` under the same conditions as [`expected_calibration_error`].
pub fn brier(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    if !are_probabilities(probabilities, labels) {
        return None;
    }
    let rows = probabilities.iter().zip(labels);
    let sum: f64 = rows.map(|(&p, &label)| (f64::from(u8::from(label)) - p).powi(2)).sum();
    Some(sum / probabilities.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive_error(probabilities: &[f64], labels: &[bool]) -> f64 {
        let rows = || probabilities.iter().copied().zip(labels.iter().copied());
        let mut error = 0.0;
        for bin in 0..10_u32 {
            let inside = |p: f64| (p * 10.0).floor().min(9.0) >= f64::from(bin);
            let above = |p: f64| (p * 10.0).floor().min(9.0) > f64::from(bin);
            let own: Vec<_> = rows().filter(|r| inside(r.0) && !above(r.0)).collect();
            if own.is_empty() {
                continue;
            }
            let n = own.len() as f64;
            let share = own.iter().filter(|r| r.1).count() as f64 / n;
            let mean = own.iter().map(|r| r.0).sum::<f64>() / n;
            error += n / probabilities.len() as f64 * (share - mean).abs();
        }
        error
    }

    proptest! {
        #[test]
        fn the_calibration_error_is_the_weighted_gap_of_the_bins(
            rows in proptest::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..40)
        ) {
            let (probabilities, labels): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let found = expected_calibration_error(&probabilities, &labels);
            let naive = naive_error(&probabilities, &labels);
            prop_assert!(found.is_some_and(|found| (found - naive).abs() < 1e-9));
        }
    }

    #[test]
    fn certain_and_right_has_no_error_at_all() {
        let rows = ([0.0, 1.0], [false, true]);
        assert_eq!(expected_calibration_error(&rows.0, &rows.1), Some(0.0));
        assert_eq!(brier(&rows.0, &rows.1), Some(0.0));
    }

    #[test]
    fn what_is_no_probability_gives_no_figure() {
        for value in [-0.1, 1.1, f64::NAN] {
            assert_eq!(brier(&[value], &[true]), None);
            assert_eq!(expected_calibration_error(&[value], &[true]), None);
        }
        assert_eq!(brier(&[], &[]), None);
        assert_eq!(brier(&[0.5], &[]), None);
    }
}
