//! Counts of right and wrong calls, and the ratios that are read off them. An
//! empty denominator gives 0, as scikit-learn's `zero_division=0` does.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// `part / whole`, and 0 where `whole` is 0.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The four counts of a yes-or-no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Called, and rightly.
    pub tp: usize,
    /// Called, and wrongly.
    pub fp: usize,
    /// Not called, and wrongly.
    #[serde(rename = "fn")]
    pub fn_: usize,
    /// Not called, and rightly.
    pub tn: usize,
}

impl Confusion {
    /// tp / (tp + fp): the share of calls that are right. 0 without calls.
    pub fn precision(self) -> f64 {
        ratio(self.tp, self.tp + self.fp)
    }

    /// tp / (tp + fn): the share of positives that are called. 0 without positives.
    pub fn recall(self) -> f64 {
        ratio(self.tp, self.tp + self.fn_)
    }

    /// 2 tp / (2 tp + fp + fn): the harmonic mean of precision and recall.
    pub fn f1(self) -> f64 {
        ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }

    /// fp / (fp + tn): the share of negatives that are called. 0 without negatives.
    pub fn false_positive_rate(self) -> f64 {
        ratio(self.fp, self.fp + self.tn)
    }

    /// Recall minus false-positive rate (Youden 1950), in \[-1, 1\].
    pub fn youden_j(self) -> f64 {
        self.recall() - self.false_positive_rate()
    }
}

impl FromIterator<(bool, bool)> for Confusion {
    /// Counts pairs of (is positive, is called).
    fn from_iter<I: IntoIterator<Item = (bool, bool)>>(rows: I) -> Self {
        let mut counts = Self::default();
        for row in rows {
            match row {
                (true, true) => counts.tp += 1,
                (false, true) => counts.fp += 1,
                (true, false) => counts.fn_ += 1,
                (false, false) => counts.tn += 1,
            }
        }
        counts
    }
}

/// The counts when every row with score >= `threshold` is called. A NaN score
/// is never called. Where the lengths differ, the surplus is left out.
pub fn confusion_at(scores: &[f64], labels: &[bool], threshold: f64) -> Confusion {
    let rows = scores.iter().zip(labels);
    rows.map(|(&score, &label)| (label, score >= threshold)).collect()
}

/// Counts over all labels of a multi-label task together (micro averaging).
/// True negatives are not counted: precision, recall and F1 do not use them,
/// and of onsets there is no sensible number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MicroF1 {
    /// Labels that are in both gold and prediction.
    pub tp: usize,
    /// Labels that are predicted only.
    pub fp: usize,
    /// Labels that are gold only.
    #[serde(rename = "fn")]
    pub fn_: usize,
}

impl MicroF1 {
    /// Adds one row: its gold and predicted labels, one flag per label in the
    /// same order. Where the lengths differ, a missing flag is taken as false,
    /// so that no label is dropped.
    pub fn count(&mut self, gold: &[bool], predicted: &[bool]) {
        let flag = |flags: &[bool], label| flags.get(label).copied().unwrap_or(false);
        for label in 0..gold.len().max(predicted.len()) {
            match (flag(gold, label), flag(predicted, label)) {
                (true, true) => self.tp += 1,
                (false, true) => self.fp += 1,
                (true, false) => self.fn_ += 1,
                (false, false) => {}
            }
        }
    }

    /// tp / (tp + fp); 0 when nothing is predicted.
    pub fn precision(self) -> f64 {
        ratio(self.tp, self.tp + self.fp)
    }

    /// tp / (tp + fn); 0 when nothing is gold.
    pub fn recall(self) -> f64 {
        ratio(self.tp, self.tp + self.fn_)
    }

    /// 2 tp / (2 tp + fp + fn); 0 when all three are 0.
    pub fn f1(self) -> f64 {
        ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }
}

impl AddAssign for MicroF1 {
    fn add_assign(&mut self, other: Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
    }
}

impl Sum for MicroF1 {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut total, part| {
            total += part;
            total
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "zeros and halves are exact")]

    use super::*;

    #[test]
    fn a_score_equal_to_the_threshold_is_called() {
        let found = confusion_at(&[0.5, 0.4, 0.5, 0.4], &[true, true, false, false], 0.5);
        let expected = Confusion { tp: 1, fp: 1, fn_: 1, tn: 1 };
        assert_eq!(found, expected);
        assert_eq!(found.youden_j(), 0.0);
    }

    #[test]
    fn a_nan_score_is_never_called() {
        assert_eq!(confusion_at(&[f64::NAN], &[true], 0.0).fn_, 1);
    }

    #[test]
    fn empty_denominators_give_zero() {
        let none = Confusion::default();
        let ratios = [none.precision(), none.recall(), none.f1()];
        assert_eq!(ratios, [0.0; 3]);
        assert_eq!(none.false_positive_rate(), 0.0);
        assert_eq!(MicroF1::default().f1(), 0.0);
    }

    #[test]
    fn a_missing_flag_counts_as_false() {
        let mut counts = MicroF1::default();
        counts.count(&[true, true], &[true]);
        assert_eq!((counts.tp, counts.fp, counts.fn_), (1, 0, 1));
        let twice: MicroF1 = [counts, counts].into_iter().sum();
        assert_eq!((twice.tp, twice.fp, twice.fn_), (2, 0, 2));
    }
}
