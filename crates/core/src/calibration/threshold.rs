//! Choosing a risk threshold for a stated target. Candidates are the distinct
//! probabilities of the rows; a row at or above the threshold is called. Of
//! equally good thresholds the lowest is taken, because a missed person costs
//! more than an extra look.
//!
//! Recall and false-positive rate carry Wilson intervals. These treat the
//! threshold as given; it was chosen on the same rows, so the true figures on
//! new rows tend to be a little worse than the point estimates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fit::class_counts;
use super::{Estimate, FitError, RiskThreshold};
use crate::metrics::{Confusion, descending_groups, wilson_interval};
use crate::probability::Probability;

/// What a threshold is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ThresholdTarget {
    /// A recall of at least this, in \[0, 1\], with the fewest false positives.
    Recall(f64),
    /// A false-positive rate of at most this, in \[0, 1\], with the highest recall.
    FalsePositiveRate(f64),
    /// The highest recall minus false-positive rate.
    Youden,
    /// The highest F1.
    MaxF1,
}

/// Why a text names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}, expected recall=SHARE, fpr=SHARE, youden or f1, with a share from 0 to 1")]
pub struct BadTarget {
    /// What was given.
    pub found: String,
}

impl FromStr for ThresholdTarget {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let share = |number: &str| number.trim().parse().ok().filter(|n: &f64| (0.0..=1.0).contains(n));
        let found = match text.trim().split_once('=') {
            None if text.trim() == "youden" => Some(Self::Youden),
            None if text.trim() == "f1" => Some(Self::MaxF1),
            Some(("recall", number)) => share(number).map(Self::Recall),
            Some(("fpr", number)) => share(number).map(Self::FalsePositiveRate),
            _ => None,
        };
        found.ok_or_else(|| BadTarget { found: text.to_owned() })
    }
}

impl fmt::Display for ThresholdTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recall(share) => write!(f, "recall={share}"),
            Self::FalsePositiveRate(share) => write!(f, "fpr={share}"),
            Self::Youden => f.write_str("youden"),
            Self::MaxF1 => f.write_str("f1"),
        }
    }
}

impl TryFrom<String> for ThresholdTarget {
    type Error = BadTarget;

    fn try_from(text: String) -> Result<Self, BadTarget> {
        text.parse()
    }
}

impl From<ThresholdTarget> for String {
    fn from(target: ThresholdTarget) -> Self {
        target.to_string()
    }
}

impl ThresholdTarget {
    /// The threshold for this target on one probability and label for each row.
    ///
    /// # Errors
    /// [`FitError`] when the lengths differ, a class is absent, or no threshold reaches
    /// the target.
    pub fn choose(self, probabilities: &[Probability], labels: &[bool]) -> Result<RiskThreshold, FitError> {
        match self {
            Self::Recall(recall) => threshold_for_recall(probabilities, labels, recall),
            Self::FalsePositiveRate(most) => threshold_for_fpr(probabilities, labels, most),
            Self::Youden => threshold_for_youden(probabilities, labels),
            Self::MaxF1 => threshold_for_max_f1(probabilities, labels),
        }
    }
}

/// `threshold` with recall and false-positive rate measured on other rows than those
/// that it was chosen on. Where a class has no row, its rate has the interval \[0, 1\].
pub(super) fn measured_on(
    threshold: &RiskThreshold,
    probabilities: &[Probability],
    labels: &[bool],
) -> RiskThreshold {
    let rows = labels.iter().zip(probabilities);
    let counts: Confusion = rows.map(|(&label, &p)| (label, p >= threshold.value)).collect();
    RiskThreshold {
        recall: estimate(counts.tp, counts.tp + counts.fn_),
        false_positive_rate: estimate(counts.fp, counts.fp + counts.tn),
        rows: labels.len(),
        ..threshold.clone()
    }
}

/// A threshold with the counts that it gives.
struct Candidate {
    threshold: f64,
    counts: Confusion,
}

/// The highest threshold whose recall is at least `recall`, in \[0, 1\]: the
/// one with the fewest false positives.
///
/// # Errors
/// [`FitError`] when the lengths differ, a class is absent, or the target is
/// above 1.
pub fn threshold_for_recall(
    probabilities: &[Probability],
    labels: &[bool],
    recall: f64,
) -> Result<RiskThreshold, FitError> {
    let candidates = candidates(probabilities, labels)?;
    let reached = candidates.iter().find(|c| c.counts.recall() >= recall);
    chosen(reached, format!("recall >= {recall}"), labels.len())
}

/// The lowest threshold whose false-positive rate is at most `max_fpr`, in
/// \[0, 1\]: the one with the highest recall.
///
/// # Errors
/// [`FitError`] when the lengths differ, a class is absent, or even the highest
/// probability belongs to too many negatives.
pub fn threshold_for_fpr(
    probabilities: &[Probability],
    labels: &[bool],
    max_fpr: f64,
) -> Result<RiskThreshold, FitError> {
    let candidates = candidates(probabilities, labels)?;
    let allowed = |c: &&Candidate| c.counts.false_positive_rate() <= max_fpr;
    let target = format!("false-positive rate <= {max_fpr}");
    chosen(candidates.iter().rfind(allowed), target, labels.len())
}

/// The threshold with the highest F1.
///
/// # Errors
/// [`FitError`] when the lengths differ or a class is absent.
pub fn threshold_for_max_f1(
    probabilities: &[Probability],
    labels: &[bool],
) -> Result<RiskThreshold, FitError> {
    let candidates = candidates(probabilities, labels)?;
    let best = best_by(&candidates, Confusion::f1);
    chosen(best, "max F1".to_owned(), labels.len())
}

/// The threshold with the highest recall minus false-positive rate (Youden's
/// J, 1950).
///
/// # Errors
/// [`FitError`] when the lengths differ or a class is absent.
pub fn threshold_for_youden(
    probabilities: &[Probability],
    labels: &[bool],
) -> Result<RiskThreshold, FitError> {
    let candidates = candidates(probabilities, labels)?;
    let best = best_by(&candidates, Confusion::youden_j);
    chosen(best, "max Youden's J".to_owned(), labels.len())
}

/// All thresholds, highest first: recall and false-positive rate only rise.
fn candidates(probabilities: &[Probability], labels: &[bool]) -> Result<Vec<Candidate>, FitError> {
    let (positives, negatives) = class_counts(probabilities.len(), labels)?;
    let scores: Vec<f64> = probabilities.iter().map(|p| f64::from(p.get())).collect();
    // A probability is never NaN, and `class_counts` has seen the rest.
    let groups = descending_groups(&scores, labels).unwrap_or_default();
    let (mut tp, mut fp) = (0, 0);
    let candidates = groups.iter().map(|group| {
        tp += group.positives;
        fp += group.negatives;
        Candidate {
            threshold: group.score,
            counts: Confusion { tp, fp, fn_: positives - tp, tn: negatives - fp },
        }
    });
    Ok(candidates.collect())
}

/// The candidate with the highest merit; the lowest threshold of equals, since
/// `max_by` keeps the last.
fn best_by(candidates: &[Candidate], merit: fn(Confusion) -> f64) -> Option<&Candidate> {
    candidates.iter().max_by(|a, b| merit(a.counts).total_cmp(&merit(b.counts)))
}

fn chosen(candidate: Option<&Candidate>, target: String, rows: usize) -> Result<RiskThreshold, FitError> {
    // The candidate was an f32 probability, so that the way back is exact.
    let found = candidate.and_then(|c| Some((Probability::new(c.threshold as f32)?, c.counts)));
    let Some((value, counts)) = found else {
        return Err(FitError::TargetNotReached { target, rows });
    };
    Ok(RiskThreshold {
        value,
        target,
        recall: estimate(counts.tp, counts.tp + counts.fn_),
        false_positive_rate: estimate(counts.fp, counts.fp + counts.tn),
        rows,
    })
}

/// A share with its Wilson interval; knows nothing, \[0, 1\], without trials.
fn estimate(successes: usize, trials: usize) -> Estimate {
    let (low, high) = wilson_interval(successes, trials).unwrap_or((0.0, 1.0));
    Estimate { value: successes as f64 / trials.max(1) as f64, low, high }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{confusion_at, recall_at_fpr};

    fn rows() -> impl Strategy<Value = (Vec<Probability>, Vec<bool>)> {
        let row = (0_u8..=10, any::<bool>());
        proptest::collection::vec(row, 2..30)
            .prop_map(|rows| {
                let score = |s: u8| Probability::new(f32::from(s) / 10.0).unwrap();
                rows.into_iter().map(|(s, label)| (score(s), label)).unzip()
            })
            .prop_filter("both classes", |(_, labels): &(Vec<_>, Vec<bool>)| {
                labels.contains(&true) && labels.contains(&false)
            })
    }

    fn as_f64(probabilities: &[Probability]) -> Vec<f64> {
        probabilities.iter().map(|p| f64::from(p.get())).collect()
    }

    fn counts(rows: &(Vec<Probability>, Vec<bool>), threshold: Probability) -> Confusion {
        confusion_at(&as_f64(&rows.0), &rows.1, f64::from(threshold.get()))
    }

    fn best(rows: &(Vec<Probability>, Vec<bool>), merit: fn(Confusion) -> f64) -> f64 {
        let merits = rows.0.iter().map(|&t| merit(counts(rows, t)));
        merits.fold(f64::NEG_INFINITY, f64::max)
    }

    proptest! {
        #[test]
        fn no_higher_threshold_reaches_the_recall(rows in rows(), target in 0.0..=1.0_f64) {
            let found = threshold_for_recall(&rows.0, &rows.1, target).unwrap();
            prop_assert!(counts(&rows, found.value).recall() >= target);
            for &other in rows.0.iter().filter(|&&p| p > found.value) {
                prop_assert!(counts(&rows, other).recall() < target);
            }
        }

        #[test]
        fn the_threshold_for_a_false_positive_rate_has_the_best_recall(
            rows in rows(), target in 0.0..=1.0_f64
        ) {
            let best = recall_at_fpr(&as_f64(&rows.0), &rows.1, target).unwrap();
            match threshold_for_fpr(&rows.0, &rows.1, target) {
                Ok(found) => {
                    prop_assert!((found.recall.value - best).abs() < 1e-12);
                    prop_assert!(found.false_positive_rate.value <= target);
                }
                Err(error) => {
                    let unreached = matches!(error, FitError::TargetNotReached { .. });
                    prop_assert!(unreached && best <= 0.0);
                }
            }
        }

        #[test]
        fn no_threshold_has_a_higher_f1_or_youden(rows in rows()) {
            let f1 = threshold_for_max_f1(&rows.0, &rows.1).unwrap().value;
            prop_assert!(counts(&rows, f1).f1() >= best(&rows, Confusion::f1));
            let youden = threshold_for_youden(&rows.0, &rows.1).unwrap().value;
            prop_assert!(counts(&rows, youden).youden_j() >= best(&rows, Confusion::youden_j));
        }
    }

    #[test]
    fn a_threshold_tells_what_it_was_chosen_on() {
        let scores = [0.1, 0.4, 0.35, 0.8].map(|p| Probability::new(p).unwrap());
        let found = threshold_for_recall(&scores, &[false, false, true, true], 0.95).unwrap();
        assert_eq!(found.value, scores[2]);
        assert_eq!((found.target.as_str(), found.rows), ("recall >= 0.95", 4));
        assert!((found.false_positive_rate.value - 0.5).abs() < 1e-12);
        assert!(found.recall.low < 0.5 && found.recall.high >= 1.0);
    }

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in ["recall=0.95", "fpr=0.05", "youden", "f1"] {
            let target: ThresholdTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<ThresholdTarget>(&json).unwrap(), target);
        }
        for bad in ["recall", "recall=1.5", "fpr=NaN", "f2", ""] {
            assert!(
                bad.parse::<ThresholdTarget>().unwrap_err().to_string().contains("expected recall=SHARE")
            );
        }
    }

    #[test]
    fn a_threshold_is_measured_on_other_rows_as_it_would_be_used() {
        let scores = [0.1, 0.4, 0.35, 0.8].map(|p| Probability::new(p).unwrap());
        let chosen = ThresholdTarget::Youden.choose(&scores, &[false, false, true, true]).unwrap();
        let found = measured_on(&chosen, &scores[..1], &[true]);
        assert_eq!((found.value, found.rows), (chosen.value, 1));
        assert!(found.recall.value.abs() <= 0.0 && found.false_positive_rate.high >= 1.0);
    }

    #[test]
    fn one_class_alone_chooses_nothing() {
        let found = threshold_for_max_f1(&[Probability::ONE], &[true]);
        assert_eq!(found, Err(FitError::OneClass { positives: 1, rows: 1 }));
    }

    #[test]
    fn a_recall_above_one_is_not_reached() {
        let scores = [Probability::ONE, Probability::ZERO];
        let found = threshold_for_recall(&scores, &[true, false], 1.5);
        assert!(matches!(found, Err(FitError::TargetNotReached { rows: 2, .. })));
    }
}
