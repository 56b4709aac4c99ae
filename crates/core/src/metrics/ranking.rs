//! How well scores put positives above negatives, whatever their scale. All
//! figures here are read off one structure: the rows grouped by distinct score,
//! highest first, so that tied rows are always taken together.

/// All rows that share one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScoreGroup {
    /// The score.
    pub(crate) score: f64,
    /// Rows with this score whose label is true.
    pub(crate) positives: usize,
    /// Rows with this score whose label is false.
    pub(crate) negatives: usize,
}

/// The rows grouped by score, highest score first. `None` when there is no row,
/// when the lengths differ, or when a score is NaN and so has no rank.
pub(crate) fn descending_groups(scores: &[f64], labels: &[bool]) -> Option<Vec<ScoreGroup>> {
    let unusable = scores.is_empty() || scores.len() != labels.len();
    if unusable || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let groups = rows
        // Not `total_cmp`: 0 and -0 are one score.
        .chunk_by(|a, b| a.0 >= b.0 && b.0 >= a.0)
        .map(|group| {
            let positives = group.iter().filter(|row| row.1).count();
            ScoreGroup { score: group[0].0, positives, negatives: group.len() - positives }
        })
        .collect();
    Some(groups)
}

/// Positives and negatives over all groups.
fn totals(groups: &[ScoreGroup]) -> (usize, usize) {
    groups.iter().fold((0, 0), |(p, n), group| (p + group.positives, n + group.negatives))
}

/// Area under the ROC curve: the probability that a random positive scores
/// higher than a random negative, a tie counting one half. This is the
/// Mann-Whitney U with mid-ranks, divided by positives x negatives (Hanley and
/// `McNeil` 1982), and equals scikit-learn's `roc_auc_score`.
///
/// `None` when there is no positive or no negative, when the lengths differ, or
/// when a score is NaN.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let groups = descending_groups(scores, labels)?;
    let (positives, negatives) = totals(&groups);
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut below = negatives;
    // Twice the number of pairs in the right order, so that it stays whole.
    let mut wins: u64 = 0;
    for group in &groups {
        below -= group.negatives;
        wins += group.positives as u64 * (2 * below + group.negatives) as u64;
    }
    Some(wins as f64 / 2.0 / (positives as f64 * negatives as f64))
}

/// Area under the ROC curve where each row stands for `weights` rows of a
/// population, as in a stratified sample (scikit-learn's `sample_weight`).
///
/// `None` under the same conditions as [`auroc`], or when a weight is negative
/// or not finite, or when one class has no weight.
pub fn weighted_auroc(scores: &[f64], labels: &[bool], weights: &[f64]) -> Option<f64> {
    let rows = scores.len();
    let unusable = rows != labels.len() || rows != weights.len() || scores.iter().any(|s| s.is_nan());
    if unusable || weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
        return None;
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let weight = |group: &[usize], label: bool| -> f64 {
        group.iter().filter(|&&row| labels[row] == label).map(|&row| weights[row]).sum()
    };
    let (positives, negatives) = (weight(&order, true), weight(&order, false));
    let (mut below, mut wins) = (0.0, 0.0);
    // Not `total_cmp`: 0 and -0 are one score.
    for group in order.chunk_by(|&a, &b| scores[a] >= scores[b] && scores[b] >= scores[a]) {
        let ties = weight(group, false);
        wins += weight(group, true) * (below + 0.5 * ties);
        below += ties;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

/// Average precision: the sum over thresholds of (increase in recall) x
/// precision, without interpolation, tied scores taken together; scikit-learn's
/// `average_precision_score`.
///
/// `None` when there is no positive (where scikit-learn warns and gives 0),
/// when the lengths differ, or when a score is NaN. Without negatives it is 1.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let (mut found, mut called, mut sum) = (0, 0, 0.0);
    for group in descending_groups(scores, labels)? {
        found += group.positives;
        called += group.positives + group.negatives;
        sum += group.positives as f64 * (found as f64 / called as f64);
    }
    (found > 0).then(|| sum / found as f64)
}

/// The highest recall that some threshold reaches with a false-positive rate of
/// at most `max_fpr` (in \[0, 1\]); the steps of the ROC curve, no interpolation.
/// The threshold above every score, with recall 0, is always allowed.
///
/// `None` when there is no positive or no negative, when the lengths differ, or
/// when a score or `max_fpr` is NaN.
pub fn recall_at_fpr(scores: &[f64], labels: &[bool], max_fpr: f64) -> Option<f64> {
    let groups = descending_groups(scores, labels)?;
    let (positives, negatives) = totals(&groups);
    if positives == 0 || negatives == 0 || max_fpr.is_nan() {
        return None;
    }
    let (mut true_positives, mut false_positives, mut best) = (0, 0, 0);
    for group in groups {
        true_positives += group.positives;
        false_positives += group.negatives;
        if false_positives as f64 / negatives as f64 > max_fpr {
            break;
        }
        best = true_positives;
    }
    Some(best as f64 / positives as f64)
}

/// The highest specificity (share of negatives not called) that some threshold
/// reaches with a recall of at least `min_recall` (in \[0, 1\]); the steps of the
/// ROC curve, no interpolation. The lowest score as threshold, with recall 1, is
/// always allowed.
///
/// `None` when there is no positive or no negative, when the lengths differ, or
/// when a score or `min_recall` is NaN.
pub fn specificity_at_recall(scores: &[f64], labels: &[bool], min_recall: f64) -> Option<f64> {
    let groups = descending_groups(scores, labels)?;
    let (positives, negatives) = totals(&groups);
    if positives == 0 || negatives == 0 || min_recall.is_nan() {
        return None;
    }
    if min_recall <= 0.0 {
        return Some(1.0);
    }
    let (mut true_positives, mut false_positives) = (0, 0);
    for group in groups {
        true_positives += group.positives;
        false_positives += group.negatives;
        if true_positives as f64 / positives as f64 >= min_recall {
            break;
        }
    }
    Some((negatives - false_positives) as f64 / negatives as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{Confusion, confusion_at};

    /// Rows with few distinct scores, so that ties are common.
    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        proptest::collection::vec((0_u8..8, any::<bool>()), 0..30)
            .prop_map(|rows| rows.into_iter().map(|(score, label)| (f64::from(score) / 8.0, label)).unzip())
    }

    fn with_label(scores: &[f64], labels: &[bool], wanted: bool) -> Vec<f64> {
        let rows = scores.iter().zip(labels);
        rows.filter(|row| *row.1 == wanted).map(|row| *row.0).collect()
    }

    fn naive_auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
        let positives = with_label(scores, labels, true);
        let negatives = with_label(scores, labels, false);
        let pairs = positives.len() * negatives.len();
        let mut wins = 0.0;
        for p in &positives {
            for n in &negatives {
                wins += if p > n {
                    1.0
                } else if p < n {
                    0.0
                } else {
                    0.5
                };
            }
        }
        (pairs > 0).then(|| wins / pairs as f64)
    }

    fn naive_average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
        // Each positive contributes the precision at its own score.
        let positives = with_label(scores, labels, true);
        let precisions = positives.iter().map(|&t| confusion_at(scores, labels, t).precision());
        (!positives.is_empty()).then(|| precisions.sum::<f64>() / positives.len() as f64)
    }

    fn naive_recall_at_fpr(scores: &[f64], labels: &[bool], max_fpr: f64) -> Option<f64> {
        let both = labels.contains(&true) && labels.contains(&false);
        let best = scores
            .iter()
            .map(|&t| confusion_at(scores, labels, t))
            .filter(|confusion| confusion.false_positive_rate() <= max_fpr)
            .map(Confusion::recall)
            .fold(0.0, f64::max);
        both.then_some(best)
    }

    fn naive_specificity_at_recall(scores: &[f64], labels: &[bool], min_recall: f64) -> Option<f64> {
        let both = labels.contains(&true) && labels.contains(&false);
        let best = scores
            .iter()
            .chain([&f64::INFINITY])
            .map(|&t| confusion_at(scores, labels, t))
            .filter(|confusion| confusion.recall() >= min_recall)
            .map(Confusion::specificity)
            .fold(0.0, f64::max);
        both.then_some(best)
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    proptest! {
        #[test]
        fn auroc_counts_pairs((scores, labels) in rows()) {
            prop_assert!(close(auroc(&scores, &labels), naive_auroc(&scores, &labels)));
        }

        #[test]
        fn average_precision_is_the_mean_precision_at_the_positives((scores, labels) in rows()) {
            let naive = naive_average_precision(&scores, &labels);
            prop_assert!(close(average_precision(&scores, &labels), naive));
        }

        #[test]
        fn recall_at_fpr_tries_every_threshold((scores, labels) in rows(), max in 0.0..1.0) {
            let naive = naive_recall_at_fpr(&scores, &labels, max);
            prop_assert!(close(recall_at_fpr(&scores, &labels, max), naive));
        }

        #[test]
        fn specificity_at_recall_tries_every_threshold((scores, labels) in rows(), min in 0.0..1.0) {
            let naive = naive_specificity_at_recall(&scores, &labels, min);
            prop_assert!(close(specificity_at_recall(&scores, &labels, min), naive));
        }

        #[test]
        fn a_weight_is_a_row_repeated((scores, labels) in rows(), seed in any::<u64>()) {
            let weights: Vec<u8> = (0..scores.len()).map(|row| (seed >> (2 * row % 64)) as u8 & 3).collect();
            let repeated = |row: usize| std::iter::repeat_n(row, usize::from(weights[row]));
            let order: Vec<usize> = (0..scores.len()).flat_map(repeated).collect();
            let (more, with): (Vec<f64>, Vec<bool>) = order.iter().map(|&row| (scores[row], labels[row])).unzip();
            let weights: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
            prop_assert!(close(weighted_auroc(&scores, &labels, &weights), naive_auroc(&more, &with)));
        }

        #[test]
        fn turning_the_scores_round_turns_the_area_round((scores, labels) in rows()) {
            let turned: Vec<f64> = scores.iter().map(|score| -score).collect();
            let area = auroc(&turned, &labels).map(|area| 1.0 - area);
            prop_assert!(close(auroc(&scores, &labels), area));
        }
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!(auroc(&[], &[]), None);
        assert_eq!(auroc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(auroc(&[0.1, 0.2], &[true]), None);
        assert_eq!(auroc(&[f64::NAN, 0.2], &[true, false]), None);
        assert_eq!(average_precision(&[0.1], &[false]), None);
        assert_eq!(average_precision(&[0.1], &[true]), Some(1.0));
        assert_eq!(recall_at_fpr(&[0.1], &[true], 0.5), None);
        assert_eq!(recall_at_fpr(&[0.1, 0.2], &[true, false], f64::NAN), None);
        assert_eq!(specificity_at_recall(&[0.1], &[false], 0.9), None);
        assert_eq!(weighted_auroc(&[0.1, 0.2], &[true, false], &[1.0, 0.0]), None);
        assert_eq!(weighted_auroc(&[0.1, 0.2], &[true, false], &[1.0, -1.0]), None);
    }

    #[test]
    fn zero_and_minus_zero_are_tied() {
        assert_eq!(auroc(&[0.0, -0.0], &[true, false]), Some(0.5));
    }
}
