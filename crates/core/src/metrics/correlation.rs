//! How far two scores of the same rows go together.

use std::cmp::Ordering;

/// Pearson's correlation of two scores of the same rows. `None` for fewer than two rows,
/// for lengths that differ, for a score that is not finite, and where either score is the
/// same on all rows.
pub fn pearson(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.len() != second.len() || first.len() < 2 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(first), mean(second));
    let sum = |term: fn(f64, f64) -> f64| -> f64 {
        first.iter().zip(second).map(|(x, y)| term(x - a, y - b)).sum()
    };
    let spread = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    let correlation = sum(|x, y| x * y) / spread;
    (spread > 0.0 && correlation.is_finite()).then(|| correlation.clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the ranks, where equal scores share their mean
/// rank. `None` where [`pearson`] gives none.
pub fn spearman(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.iter().chain(second).any(|value| !value.is_finite()) {
        return None;
    }
    pearson(&ranks(first), &ranks(second))
}

/// The rank of each value from the lowest, which has 0; equal ones share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|&a, &b| values[a].partial_cmp(&values[b]) == Some(Ordering::Equal)) {
        let shared = from as f64 + (group.len() - 1) as f64 / 2.0;
        group.iter().for_each(|&row| ranks[row] = shared);
        from += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_correlations_are_those_computed_by_hand() {
        // Deviations -2 -1 0 1 2 and -2 0 -1 1 2: 10 of 10 times 10, but for one swap.
        let (first, second) = ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 2.0, 4.0, 5.0]);
        assert!((pearson(&first, &second).unwrap() - 0.9).abs() < 1e-12);
        assert!((spearman(&first, &second).unwrap() - 0.9).abs() < 1e-12);
        // Ranks 0 1.5 1.5 3 against 0 1 2 3: 4.5 / sqrt(4.5 * 5).
        let shared = spearman(&[1.0, 7.0, 7.0, 9.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((shared - (4.5_f64 / 5.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn where_a_correlation_is_not_defined_there_is_none() {
        let rows: [(&[f64], &[f64]); 4] = [
            (&[1.0], &[1.0]),
            (&[1.0, 2.0], &[1.0, 2.0, 3.0]),
            (&[1.0, 1.0], &[1.0, 2.0]),
            (&[1.0, f64::NAN], &[1.0, 2.0]),
        ];
        for (first, second) in rows {
            assert_eq!((pearson(first, second), spearman(first, second)), (None, None));
        }
    }

    proptest! {
        #[test]
        fn a_rising_function_of_a_score_changes_no_rank(values in prop::collection::vec(-9.0..9.0f64, 2..40)) {
            let moved: Vec<f64> = values.iter().map(|v| v.exp()).collect();
            if let Some(correlation) = spearman(&values, &moved) {
                prop_assert!((correlation - 1.0).abs() < 1e-9);
            }
        }
    }
}
