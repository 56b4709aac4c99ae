//! Whether two systems differ on the same rows: `McNemar`'s test on single
//! answers, the paired bootstrap and approximate randomisation on any figure by
//! cluster, and Holm's correction where several tests are read together.
//!
//! For the two resampling tests the caller makes the draws with
//! [`Resampling`](super::Resampling), the same multiplicities for both systems,
//! and hands over the differences.

use serde::{Deserialize, Serialize};

use super::normal::chi_square_tail;

/// Up to this many discordant rows the exact test is used: exact is better and
/// still cheap, and 2^-1000 is a normal number.
const EXACT_UP_TO: usize = 1_000;

/// How a p-value of [`mcnemar`] was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McNemarMethod {
    /// Two-sided binomial test of the discordant rows against one half.
    ExactBinomial,
    /// Chi-square with one degree of freedom and continuity correction.
    ChiSquare,
}

/// The result of `McNemar`'s test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McNemar {
    /// Two-sided p-value.
    pub p_value: f64,
    /// How it was computed.
    pub method: McNemarMethod,
}

/// `McNemar`'s test (`McNemar` 1947) that two systems are right equally often, from
/// the rows that only the first (b) and only the second (c) has right: exactly
/// for up to 1,000 such rows, p = 2 P(X <= min(b, c)) with X binomial of b + c
/// and 1/2, at most 1; beyond, (|b - c| - 1)^2 / (b + c) as chi-square (Edwards
/// 1948). Rows are taken as independent: where they are clustered, prefer
/// randomisation. Without discordant rows p is 1.
pub fn mcnemar(only_first_right: usize, only_second_right: usize) -> McNemar {
    let (b, c) = (only_first_right, only_second_right);
    if b + c <= EXACT_UP_TO {
        let p_value = (2.0 * half_binomial(b.min(c), b + c)).min(1.0);
        return McNemar { p_value, method: McNemarMethod::ExactBinomial };
    }
    let distance = b.abs_diff(c).saturating_sub(1) as f64;
    let p_value = chi_square_tail(distance * distance / (b + c) as f64);
    McNemar { p_value, method: McNemarMethod::ChiSquare }
}

/// P(X <= `most`) where X is binomial with `trials` and 1/2.
fn half_binomial(most: usize, trials: usize) -> f64 {
    let mut term = 0.5_f64.powi(trials as i32);
    let mut sum = term;
    for hits in 0..most {
        term *= (trials - hits) as f64 / (hits + 1) as f64;
        sum += term;
    }
    sum
}

/// Two-sided p-value of a paired bootstrap from the differences between two
/// systems in each draw: twice the smaller share of draws on either side of 0,
/// draws at 0 on both sides, with one draw added to each (Efron and Tibshirani
/// 1993, chapter 15; Davison and Hinkley 1997, 4.2.1), at most 1. It is below
/// 5 % where the 95 % percentile interval leaves 0 out.
///
/// Draws without a difference are left out; `None` when that leaves less than
/// half of them, or none.
pub fn paired_bootstrap_p_value(differences: &[Option<f64>]) -> Option<f64> {
    let finite = defined(differences)?;
    let below = finite.iter().filter(|difference| **difference <= 0.0).count();
    let above = finite.iter().filter(|difference| **difference >= 0.0).count();
    let share = (below.min(above) + 1) as f64 / (finite.len() + 1) as f64;
    Some((2.0 * share).min(1.0))
}

/// Two-sided p-value of an approximate randomisation (Noreen 1989; Yeh 2000):
/// the share of swapped draws whose difference is at least as large as
/// `observed`, the observed one counted among them: (1 + hits) / (1 + draws).
/// Differences that equal the observed one up to rounding (10^-12) are hits.
///
/// Draws without a difference are left out; `None` when that leaves less than
/// half of them, or none, or when `observed` is not finite.
pub fn randomisation_p_value(observed: f64, differences: &[Option<f64>]) -> Option<f64> {
    if !observed.is_finite() {
        return None;
    }
    let finite = defined(differences)?;
    let hits = finite.iter().filter(|difference| difference.abs() >= observed.abs() - 1e-12).count();
    Some((1 + hits) as f64 / (1 + finite.len()) as f64)
}

/// The finite values, where they are at least half of all.
pub(super) fn defined(values: &[Option<f64>]) -> Option<Vec<f64>> {
    let finite: Vec<f64> = values.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    (!finite.is_empty() && 2 * finite.len() >= values.len()).then_some(finite)
}

/// Holm's (1979) adjusted p-values, in the order given: the i-th smallest of m is
/// multiplied by m - i + 1, at least as large as those before it and at most 1.
/// Those at or below a level may be called significant together at that level,
/// whatever the tests' dependence.
///
/// `None` when a value is not in \[0, 1\].
pub fn holm(p_values: &[f64]) -> Option<Vec<f64>> {
    if p_values.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return None;
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut adjusted, mut largest) = (vec![0.0; p_values.len()], 0.0_f64);
    for (rank, place) in order.into_iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max((factor * p_values[place]).min(1.0));
        adjusted[place] = largest;
    }
    Some(adjusted)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests; exact values")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{CellAmount, CellSums, Draws, Resampling};

    #[test]
    fn the_exact_test_by_hand() {
        // 2 (1 + 6) / 2^6
        assert_eq!(mcnemar(1, 5), McNemar { p_value: 14.0 / 64.0, method: McNemarMethod::ExactBinomial });
        assert_eq!(mcnemar(0, 0).p_value, 1.0);
        assert_eq!(mcnemar(4, 4).p_value, 1.0);
    }

    #[test]
    fn the_two_forms_meet_where_one_takes_over() {
        let (exact, approximate) = (mcnemar(460, 540), mcnemar(460, 541));
        assert_eq!(approximate.method, McNemarMethod::ChiSquare);
        assert!((exact.p_value - approximate.p_value).abs() < 0.001, "{exact:?} {approximate:?}");
    }

    #[test]
    fn holm_by_hand() {
        // Sorted .01 .02 .03 .04: times 4, 3, 2, 1 gives .04 .06 .06 .04, made monotone.
        let found = holm(&[0.03, 0.01, 0.04, 0.02]).unwrap();
        let expected = [0.06, 0.04, 0.06, 0.06];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!(holm(&[]), Some(vec![]));
        assert_eq!(holm(&[f64::NAN]), None);
        assert_eq!(holm(&[0.9, 0.8]), Some(vec![1.0, 1.0]));
    }

    #[test]
    fn draws_around_zero_are_no_difference_and_draws_beyond_it_are_one() {
        let draws = |low: i32, high: i32| (low..high).map(|d| Some(f64::from(d))).collect::<Vec<_>>();
        assert_eq!(paired_bootstrap_p_value(&draws(-50, 50)), Some(1.0));
        assert_eq!(paired_bootstrap_p_value(&draws(1, 1_000)), Some(2.0 / 1_000.0));
        assert_eq!(paired_bootstrap_p_value(&[None, None, Some(1.0)]), None);
        assert_eq!(paired_bootstrap_p_value(&[]), None);
        assert_eq!(randomisation_p_value(2.0, &draws(-4, 5)), Some(7.0 / 10.0));
        assert_eq!(randomisation_p_value(f64::NAN, &draws(0, 5)), None);
        assert_eq!(randomisation_p_value(1.0, &[None]), None);
    }

    /// Of 12 rows, all their own cluster: the first system has `first` right alone.
    fn one_sided(first: usize) -> f64 {
        let right = |rows: std::ops::Range<usize>| {
            CellSums::new(1, rows.map(|cluster| CellAmount { cluster, cell: 0, amount: 1.0 })).unwrap()
        };
        let count = |of: &CellSums, times: &[u8]| of.under(&Draws::one(times))[0][0];
        let (a, b) = (right(0..first), right(0..0));
        let (mut kept, mut swapped) = (Vec::new(), Vec::new());
        let differences: Vec<Option<f64>> = (0..20_000)
            .map(|draw| {
                Resampling::new(12, 5).swap(draw, &mut kept, &mut swapped);
                let own = count(&a, &kept) + count(&b, &swapped);
                Some(own - count(&b, &kept) - count(&a, &swapped))
            })
            .collect();
        randomisation_p_value(first as f64, &differences).unwrap()
    }

    #[test]
    fn randomisation_of_single_rows_approaches_the_exact_test() {
        for first in [3, 5, 8] {
            let (found, exact) = (one_sided(first), mcnemar(first, 0).p_value);
            assert!((found - exact).abs() < 0.01, "{first}: {found} against {exact}");
        }
    }

    proptest! {
        #[test]
        fn the_exact_test_sums_its_binomial(b in 0_usize..25, c in 0_usize..25) {
            // Pascal's triangle, in whole numbers.
            let mut row = vec![1_u128];
            for _ in 0..b + c {
                row = (0..=row.len()).map(|i| {
                    let left = if i == 0 { 0 } else { row[i - 1] };
                    left + row.get(i).copied().unwrap_or(0)
                }).collect();
            }
            let tail: u128 = row[..=b.min(c)].iter().sum();
            let naive = (2.0 * tail as f64 / (1_u128 << (b + c)) as f64).min(1.0);
            prop_assert!((mcnemar(b, c).p_value - naive).abs() < 1e-12);
        }

        #[test]
        fn holm_is_between_the_raw_values_and_bonferroni(p in proptest::collection::vec(0.0..=1.0_f64, 0..9)) {
            let adjusted = holm(&p).unwrap();
            for (raw, adjusted) in p.iter().zip(&adjusted) {
                let bonferroni = (raw * p.len() as f64).min(1.0);
                prop_assert!(raw <= adjusted && *adjusted <= bonferroni.max(adjusted.min(1.0)));
            }
            let smallest = p.iter().copied().reduce(f64::min);
            let first = adjusted.iter().copied().reduce(f64::min);
            prop_assert_eq!(first, smallest.map(|p_value| (p_value * p.len() as f64).min(1.0)));
        }
    }
}
