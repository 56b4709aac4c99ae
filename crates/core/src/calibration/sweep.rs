//! The threshold sweep of the KHP Youth Mental Health Guardrail, reproduced so
//! that its published figures can be checked. Mindrail chooses its own
//! thresholds by [`super::threshold_for_recall`] and its neighbours instead,
//! which look at every distinct score rather than at a grid.

use crate::metrics::{Confusion, confusion_at};

/// Steps of the grid between the lowest and the highest score.
const STEPS: u16 = 400;

/// One threshold of a sweep. Ratios are rounded to 4 decimals, as published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepRow {
    /// Rows at or above this score are called. Not rounded.
    pub threshold: f64,
    /// What is called rightly and wrongly.
    pub counts: Confusion,
    /// Precision; 0 without calls.
    pub precision: f64,
    /// Recall.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Recall minus false-positive rate.
    pub youden_j: f64,
}

/// Thresholds lo + (hi - lo) x i / 400 for i from 0 to 400, with lo and hi the
/// lowest and highest score, and 0.5 if the grid has not got it; ascending.
///
/// `None` when there is no row, when the lengths differ, or when a score is not
/// finite.
pub fn sweep_thresholds(scores: &[f64], labels: &[bool]) -> Option<Vec<SweepRow>> {
    let unusable = scores.is_empty() || scores.len() != labels.len();
    if unusable || !scores.iter().all(|score| score.is_finite()) {
        return None;
    }
    let grid = grid(scores);
    Some(grid.iter().map(|&t| row_at(scores, labels, t)).collect())
}

/// The first row with the largest rounded Youden's J.
pub fn best_youden(sweep: &[SweepRow]) -> Option<&SweepRow> {
    first_largest(sweep.iter(), |row| row.youden_j)
}

/// Of the rows whose rounded recall is at least `recall`, the first with the
/// largest rounded precision. `None` when there is no such row.
pub fn best_precision_at_recall(sweep: &[SweepRow], recall: f64) -> Option<&SweepRow> {
    let reached = sweep.iter().filter(|row| row.recall >= recall);
    first_largest(reached, |row| row.precision)
}

fn grid(scores: &[f64]) -> Vec<f64> {
    let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let place = |i: u16| low + (high - low) * f64::from(i) / f64::from(STEPS);
    let mut grid: Vec<f64> = (0..=STEPS).map(place).collect();
    if !grid.contains(&0.5) {
        grid.push(0.5);
    }
    grid.sort_by(f64::total_cmp);
    grid
}

fn row_at(scores: &[f64], labels: &[bool], threshold: f64) -> SweepRow {
    let counts = confusion_at(scores, labels, threshold);
    SweepRow {
        threshold,
        counts,
        precision: rounded(counts.precision()),
        recall: rounded(counts.recall()),
        f1: rounded(counts.f1()),
        youden_j: rounded(counts.youden_j()),
    }
}

/// To 4 decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn first_largest<'a>(
    rows: impl Iterator<Item = &'a SweepRow>,
    merit: fn(&SweepRow) -> f64,
) -> Option<&'a SweepRow> {
    rows.reduce(|best, row| if merit(row) > merit(best) { row } else { best })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_half_that_is_in_the_grid_is_not_added_again() {
        let exact = sweep_thresholds(&[0.0, 1.0], &[false, true]).unwrap();
        assert_eq!(exact.len(), 401);
        let shifted = sweep_thresholds(&[0.01, 1.0], &[false, true]).unwrap();
        assert_eq!(shifted.len(), 402);
        assert!(shifted.is_sorted_by(|a, b| a.threshold <= b.threshold));
    }

    #[test]
    fn the_first_of_equal_rows_is_chosen() {
        let sweep = sweep_thresholds(&[0.0, 1.0], &[false, true]).unwrap();
        let second = sweep[1].threshold;
        assert!((best_youden(&sweep).unwrap().threshold - second).abs() < 1e-12);
        let at_recall = best_precision_at_recall(&sweep, 0.95).unwrap();
        assert!((at_recall.threshold - second).abs() < 1e-12);
        assert_eq!(best_precision_at_recall(&sweep, 1.1), None);
    }

    #[test]
    fn rows_that_cannot_be_swept_give_nothing() {
        assert_eq!(sweep_thresholds(&[], &[]), None);
        assert_eq!(sweep_thresholds(&[0.1], &[]), None);
        assert_eq!(sweep_thresholds(&[f64::NAN], &[true]), None);
    }
}
