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

    /// tn / (fp + tn): the share of negatives that are not called; 0 without
    /// negatives, so that it is 1 - the false-positive rate only where there are some.
    pub fn specificity(self) -> f64 {
        ratio(self.tn, self.fp + self.tn)
    }

    /// (tp + tn) / all rows; 0 without rows.
    pub fn accuracy(self) -> f64 {
        ratio(self.tp + self.tn, self.rows())
    }

    /// All rows.
    pub fn rows(self) -> usize {
        self.tp + self.fp + self.fn_ + self.tn
    }

    /// Matthews' correlation coefficient (Matthews 1975), the phi coefficient of
    /// the two-by-two table: (tp tn - fp fn) / sqrt((tp + fp)(tp + fn)(tn +
    /// fp)(tn + fn)), in \[-1, 1\].
    ///
    /// `None` when all rows are positive, or none is, or all are called, or none
    /// is: then nothing can go together (scikit-learn gives 0).
    pub fn mcc(self) -> Option<f64> {
        let [tp, fp, fn_, tn] = [self.tp, self.fp, self.fn_, self.tn].map(|count| count as f64);
        let spread = ((tp + fp) * (tn + fn_)).sqrt() * ((tp + fn_) * (tn + fp)).sqrt();
        (spread > 0.0).then(|| (tp * tn - fp * fn_) / spread)
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

impl AddAssign for Confusion {
    fn add_assign(&mut self, other: Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
        self.tn += other.tn;
    }
}

/// The counts when every row with score >= `threshold` is called. A NaN score
/// is never called. Where the lengths differ, the surplus is left out.
pub fn confusion_at(scores: &[f64], labels: &[bool], threshold: f64) -> Confusion {
    let rows = scores.iter().zip(labels);
    rows.map(|(&score, &label)| (label, score >= threshold)).collect()
}

/// The share of calls that would be right where a share `prevalence` of all rows
/// is positive: Bayes' rule, recall x prevalence / (recall x prevalence + FPR x
/// (1 - prevalence)). What a precision measured on balanced data turns into in use.
///
/// `None` when one of the three is not in \[0, 1\], or when nothing would be called.
pub fn ppv_at_prevalence(recall: f64, false_positive_rate: f64, prevalence: f64) -> Option<f64> {
    let shares = [recall, false_positive_rate, prevalence];
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return None;
    }
    let right = recall * prevalence;
    let called = right + false_positive_rate * (1.0 - prevalence);
    (called > 0.0).then(|| right / called)
}

/// How often two labels stand on the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointCounts {
    /// Rows with both labels.
    pub both: usize,
    /// Rows with the first label only.
    pub first_only: usize,
    /// Rows with the second label only.
    pub second_only: usize,
    /// Rows with neither.
    pub neither: usize,
}

impl JointCounts {
    /// The phi coefficient (Yule 1912), Pearson's correlation of two yes-or-no
    /// variables, in \[-1, 1\]; the same formula as [`Confusion::mcc`].
    ///
    /// `None` when a label stands on all rows or on none.
    pub fn phi(self) -> Option<f64> {
        Confusion { tp: self.both, fp: self.second_only, fn_: self.first_only, tn: self.neither }.mcc()
    }
}

impl FromIterator<(bool, bool)> for JointCounts {
    /// Counts pairs of (has the first label, has the second).
    fn from_iter<I: IntoIterator<Item = (bool, bool)>>(rows: I) -> Self {
        let table: Confusion = rows.into_iter().collect();
        Self { both: table.tp, first_only: table.fn_, second_only: table.fp, neither: table.tn }
    }
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

impl From<MicroF1> for Confusion {
    /// The same counts, with no true negative.
    fn from(counts: MicroF1) -> Self {
        Self { tp: counts.tp, fp: counts.fp, fn_: counts.fn_, tn: 0 }
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
    fn a_table_with_an_empty_margin_has_no_correlation() {
        assert_eq!(Confusion { tp: 3, fp: 2, ..Confusion::default() }.mcc(), None);
        assert_eq!(Confusion { tp: 3, fn_: 2, ..Confusion::default() }.mcc(), None);
        assert_eq!(Confusion { tp: 2, tn: 2, ..Confusion::default() }.mcc(), Some(1.0));
        assert_eq!(Confusion { fp: 2, fn_: 2, ..Confusion::default() }.mcc(), Some(-1.0));
    }

    #[test]
    fn the_published_joint_counts_give_the_published_phi() {
        // PKU-SafeRLHF v1, all response positions: Economic Crime 19,122,
        // White-Collar Crime 9,846, both 8,303, of 147,814.
        let table = JointCounts { both: 8_303, first_only: 10_819, second_only: 1_543, neither: 127_149 };
        assert!(table.phi().is_some_and(|phi| (phi - 0.568).abs() < 0.000_5));
    }

    #[test]
    fn at_five_in_a_thousand_most_calls_of_a_good_detector_are_wrong() {
        // 0.95 x 0.005 / (0.95 x 0.005 + 0.05 x 0.995) = 0.00475 / 0.0545
        let ppv = ppv_at_prevalence(0.95, 0.05, 0.005);
        assert!(ppv.is_some_and(|ppv| (ppv - 0.087_155_963_302_752_3).abs() < 1e-12));
        assert_eq!(ppv_at_prevalence(0.0, 0.0, 0.5), None);
        assert_eq!(ppv_at_prevalence(0.5, f64::NAN, 0.5), None);
        assert_eq!(ppv_at_prevalence(0.5, 0.0, 0.01), Some(1.0));
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
