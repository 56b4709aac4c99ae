//! Points of ROC and precision-recall curves for charts: one for each distinct
//! score, thinned to as many as a chart can show.

use serde::{Deserialize, Serialize};

use super::ranking::descending_groups;

/// What a threshold leads to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// Rows with at least this score are called; `None` is above every score.
    pub threshold: Option<f64>,
    /// Share of positives that are called.
    pub recall: f64,
    /// Share of negatives that are called.
    pub false_positive_rate: f64,
    /// Share of calls that are right; `None` where nothing is called.
    pub precision: Option<f64>,
}

/// The ROC curve from (0, 0), where nothing is called, to (1, 1), in order of
/// falling threshold; tied scores make one step. At most `limit` points (2 at
/// least), the first and the last among them, evenly along the curve.
///
/// `None` when there is no positive or no negative, when the lengths differ, or
/// when a score is NaN.
pub fn roc_curve(scores: &[f64], labels: &[bool], limit: usize) -> Option<Vec<OperatingPoint>> {
    let points = operating_points(scores, labels)?;
    Some(thinned(&points, limit, |point| (point.false_positive_rate, point.recall)))
}

/// The precision-recall curve in order of falling threshold, from the highest
/// score on (above it nothing is called and precision is not defined); without
/// interpolation. At most `limit` points, as in [`roc_curve`]. `None` as there.
pub fn pr_curve(scores: &[f64], labels: &[bool], limit: usize) -> Option<Vec<OperatingPoint>> {
    let points = operating_points(scores, labels)?;
    Some(thinned(&points[1..], limit, |point| (point.recall, point.precision.unwrap_or(1.0))))
}

/// The point above every score, then that of each distinct score.
fn operating_points(scores: &[f64], labels: &[bool]) -> Option<Vec<OperatingPoint>> {
    let groups = descending_groups(scores, labels)?;
    let positives: usize = groups.iter().map(|group| group.positives).sum();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut right, mut wrong) = (0, 0);
    let mut points =
        vec![OperatingPoint { threshold: None, recall: 0.0, false_positive_rate: 0.0, precision: None }];
    for group in groups {
        right += group.positives;
        wrong += group.negatives;
        points.push(OperatingPoint {
            threshold: Some(group.score),
            recall: right as f64 / positives as f64,
            false_positive_rate: wrong as f64 / negatives as f64,
            precision: Some(right as f64 / (right + wrong) as f64),
        });
    }
    Some(points)
}

/// At most `limit` of the points: the first, the last, and between them the
/// first point in each of equal stretches of the way along the axes.
fn thinned(
    points: &[OperatingPoint],
    limit: usize,
    place: impl Fn(&OperatingPoint) -> (f64, f64),
) -> Vec<OperatingPoint> {
    let limit = limit.max(2);
    let (Some(last), true) = (points.last(), points.len() > limit) else {
        return points.to_vec();
    };
    let step = |pair: &[OperatingPoint]| {
        let (a, b) = (place(&pair[0]), place(&pair[1]));
        (a.0 - b.0).abs() + (a.1 - b.1).abs()
    };
    let whole: f64 = points.windows(2).map(step).sum();
    let mut kept = vec![points[0]];
    let mut way = 0.0;
    for pair in points.windows(2).take(points.len() - 2) {
        way += step(pair);
        let due = whole * kept.len() as f64 / (limit - 1) as f64;
        if way >= due && kept.len() < limit - 1 {
            kept.push(pair[1]);
        }
    }
    kept.push(*last);
    kept
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{auroc, average_precision, confusion_at};

    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        proptest::collection::vec((0_u8..40, any::<bool>()), 1..60)
            .prop_map(|rows| rows.into_iter().map(|(score, label)| (f64::from(score) / 40.0, label)).unzip())
    }

    proptest! {
        #[test]
        fn every_point_is_the_confusion_at_its_threshold((scores, labels) in rows()) {
            for point in roc_curve(&scores, &labels, usize::MAX).unwrap_or_default() {
                let confusion = confusion_at(&scores, &labels, point.threshold.unwrap_or(f64::INFINITY));
                prop_assert!((point.recall - confusion.recall()).abs() < 1e-12);
                prop_assert!((point.false_positive_rate - confusion.false_positive_rate()).abs() < 1e-12);
                prop_assert!((point.precision.unwrap_or(0.0) - confusion.precision()).abs() < 1e-12);
            }
        }

        #[test]
        fn the_areas_under_the_curves_are_the_ranking_figures((scores, labels) in rows()) {
            let area = roc_curve(&scores, &labels, usize::MAX).map(|points| {
                points.windows(2).map(|p| {
                    (p[1].false_positive_rate - p[0].false_positive_rate) * f64::midpoint(p[0].recall, p[1].recall)
                }).sum::<f64>()
            });
            prop_assert!((area.unwrap_or(0.5) - auroc(&scores, &labels).unwrap_or(0.5)).abs() < 1e-12);
            if let Some(points) = pr_curve(&scores, &labels, usize::MAX) {
                let (mut before, mut area) = (0.0, 0.0);
                for point in points {
                    area += (point.recall - before) * point.precision.unwrap();
                    before = point.recall;
                }
                prop_assert!((area - average_precision(&scores, &labels).unwrap()).abs() < 1e-12);
            }
        }

        #[test]
        fn a_thinned_curve_keeps_its_ends_and_the_limit((scores, labels) in rows(), limit in 2_usize..20) {
            let whole = roc_curve(&scores, &labels, usize::MAX).unwrap_or_default();
            let thin = roc_curve(&scores, &labels, limit).unwrap_or_default();
            prop_assert!(thin.len() <= limit && thin.iter().all(|point| whole.contains(point)));
            prop_assert_eq!((thin.first(), thin.last()), (whole.first(), whole.last()));
            prop_assert!(thin.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn a_long_curve_uses_its_limit() {
        let scores: Vec<f64> = (0..5_000).map(f64::from).collect();
        let labels: Vec<bool> = (0..5_000).map(|row| row % 2 == 0).collect();
        assert_eq!(roc_curve(&scores, &labels, 200).unwrap().len(), 200);
    }

    #[test]
    fn one_class_has_no_curve() {
        assert_eq!(roc_curve(&[0.1, 0.2], &[true, true], 10), None);
        assert_eq!(pr_curve(&[0.1, 0.2], &[true, true], 10), None);
        assert_eq!(pr_curve(&[], &[], 10), None);
    }
}
