//! Figures for tasks where each row has exactly one of several classes, as the
//! reply classes and severities do. All of them are read off one table of
//! counts, so that a resample needs no rows. Averages follow scikit-learn's
//! defaults: they run over the classes that occur in gold or in prediction, with
//! `zero_division=0`.

use serde::{Deserialize, Serialize};

use super::confusion::Confusion;

/// The figures of one class against all others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassFigures {
    /// Share of the rows called this class that are of it; 0 if none is called.
    pub precision: f64,
    /// Share of the rows of this class that are called it; 0 if there is none.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Number of gold rows of this class.
    pub support: usize,
}

impl From<Confusion> for ClassFigures {
    fn from(counts: Confusion) -> Self {
        Self {
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            support: counts.tp + counts.fn_,
        }
    }
}

/// Precision, recall and F1 averaged over classes or labels.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Averages {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1, which is not the F1 of the two means.
    pub f1: f64,
}

impl Averages {
    /// The mean of the figures with their weights; zeros where there is no weight.
    pub(super) fn of(figures: impl Iterator<Item = (Confusion, f64)>) -> Self {
        let (mut sum, mut weights) = (Self::default(), 0.0);
        for (counts, weight) in figures {
            sum.precision += weight * counts.precision();
            sum.recall += weight * counts.recall();
            sum.f1 += weight * counts.f1();
            weights += weight;
        }
        let mean = |sum: f64| if weights > 0.0 { sum / weights } else { 0.0 };
        Self { precision: mean(sum.precision), recall: mean(sum.recall), f1: mean(sum.f1) }
    }
}

/// How much a disagreement between two classes counts in kappa.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// All disagreements count the same (Cohen 1960); for classes without order.
    Unweighted,
    /// By the distance of the classes (Cohen 1968).
    Linear,
    /// By the square of the distance (Cohen 1968); the usual choice for severities.
    Quadratic,
}

impl KappaWeights {
    fn weight(self, gold: usize, predicted: usize) -> f64 {
        let distance = gold.abs_diff(predicted) as f64;
        match self {
            Self::Unweighted => distance.min(1.0),
            Self::Linear => distance,
            Self::Quadratic => distance * distance,
        }
    }
}

/// How many rows of each gold class were called each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusionMatrix {
    classes: usize,
    /// Row by row, one row for each gold class.
    cells: Vec<usize>,
}

impl ConfusionMatrix {
    /// A table of zeros for `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, cells: vec![0; classes * classes] }
    }

    /// Counts the rows; gold and predicted are class indices below `classes`.
    ///
    /// `None` when there is no row, when the lengths differ, or when an index is
    /// not below `classes`.
    pub fn from_rows(gold: &[usize], predicted: &[usize], classes: usize) -> Option<Self> {
        let known = |indices: &[usize]| indices.iter().all(|&index| index < classes);
        let comparable = !gold.is_empty() && gold.len() == predicted.len();
        if !comparable || !known(gold) || !known(predicted) {
            return None;
        }
        let mut matrix = Self::new(classes);
        for (g, p) in gold.iter().zip(predicted) {
            matrix.cells[g * classes + p] += 1;
        }
        Some(matrix)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows of class `gold` that were called `predicted`; 0 for unknown classes.
    pub fn count(&self, gold: usize, predicted: usize) -> usize {
        let known = gold < self.classes && predicted < self.classes;
        if known { self.cells[gold * self.classes + predicted] } else { 0 }
    }

    /// The counts, gold x classes + predicted; for resampled tables, see
    /// [`CellSums`](super::CellSums).
    pub fn cells_mut(&mut self) -> &mut [usize] {
        &mut self.cells
    }

    /// All rows.
    pub fn rows(&self) -> usize {
        self.cells.iter().sum()
    }

    fn gold_rows(&self, class: usize) -> usize {
        self.cells[class * self.classes..][..self.classes].iter().sum()
    }

    fn called_rows(&self, class: usize) -> usize {
        self.cells.iter().skip(class).step_by(self.classes).sum()
    }

    /// One class against all others; zeros for an unknown class.
    pub fn one_against_others(&self, class: usize) -> Confusion {
        if class >= self.classes {
            return Confusion::default();
        }
        let (tp, gold, called) = (self.count(class, class), self.gold_rows(class), self.called_rows(class));
        let (fn_, fp) = (gold - tp, called - tp);
        Confusion { tp, fp, fn_, tn: self.rows() - tp - fp - fn_ }
    }

    fn all_against_others(&self) -> impl Iterator<Item = Confusion> + '_ {
        (0..self.classes).map(|class| self.one_against_others(class))
    }

    /// The figures of each class, in class order. A class that occurs nowhere
    /// has zeros and support 0.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        self.all_against_others().map(ClassFigures::from).collect()
    }

    /// Unweighted means over the classes that occur in gold or in prediction.
    pub fn macro_average(&self) -> Averages {
        let present = |counts: &Confusion| counts.tp + counts.fp + counts.fn_ > 0;
        Averages::of(self.all_against_others().filter(present).map(|counts| (counts, 1.0)))
    }

    /// Means over the classes, weighted by their gold rows.
    pub fn weighted_average(&self) -> Averages {
        Averages::of(self.all_against_others().map(|counts| (counts, (counts.tp + counts.fn_) as f64)))
    }

    /// Unweighted mean F1 of the classes that occur in gold or in prediction.
    pub fn macro_f1(&self) -> f64 {
        self.macro_average().f1
    }

    /// Mean F1 of the classes, weighted by their gold rows.
    pub fn weighted_f1(&self) -> f64 {
        self.weighted_average().f1
    }

    /// Rows with the right class.
    pub fn right(&self) -> usize {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// Share of rows with the right class; 0 without rows.
    pub fn accuracy(&self) -> f64 {
        super::confusion::ratio(self.right(), self.rows())
    }

    /// Cohen's kappa: 1 - (weighted disagreement seen) / (weighted disagreement
    /// expected if gold and prediction were independent), at most 1, 0 for
    /// chance; scikit-learn's `cohen_kappa_score`.
    ///
    /// `None` without rows, or when gold and prediction have one and the same
    /// class throughout, where no disagreement was possible (scikit-learn: NaN).
    pub fn kappa(&self, weights: KappaWeights) -> Option<f64> {
        let rows = self.rows() as f64;
        let called: Vec<f64> = (0..self.classes).map(|class| self.called_rows(class) as f64).collect();
        let (mut seen, mut expected) = (0.0, 0.0);
        for gold in 0..self.classes {
            let gold_rows = self.gold_rows(gold) as f64;
            for (predicted, called_rows) in called.iter().enumerate() {
                let weight = weights.weight(gold, predicted);
                seen += weight * self.count(gold, predicted) as f64;
                expected += weight * gold_rows * called_rows;
            }
        }
        (expected > 0.0).then(|| 1.0 - seen * rows / expected)
    }

    /// Matthews' correlation coefficient for several classes (Gorodkin 2004), in
    /// \[-1, 1\]: with n rows, c right ones, t gold and p called rows of class k,
    /// (c n - sum t p) / sqrt((n^2 - sum p^2)(n^2 - sum t^2)); scikit-learn's
    /// `matthews_corrcoef`.
    ///
    /// `None` without rows, or when gold or prediction has one class only
    /// (scikit-learn gives 0).
    pub fn mcc(&self) -> Option<f64> {
        let rows = self.rows() as f64;
        let (mut products, mut gold_squares, mut called_squares) = (0.0, 0.0, 0.0);
        for class in 0..self.classes {
            let (gold, called) = (self.gold_rows(class) as f64, self.called_rows(class) as f64);
            products += gold * called;
            gold_squares += gold * gold;
            called_squares += called * called;
        }
        let spread = (rows * rows - called_squares).sqrt() * (rows * rows - gold_squares).sqrt();
        (spread > 0.0).then(|| (self.right() as f64 * rows - products) / spread)
    }
}

/// [`ConfusionMatrix::macro_f1`], `None` as for [`ConfusionMatrix::from_rows`].
pub fn macro_f1(gold: &[usize], predicted: &[usize], classes: usize) -> Option<f64> {
    ConfusionMatrix::from_rows(gold, predicted, classes).map(|matrix| matrix.macro_f1())
}

/// [`ConfusionMatrix::weighted_f1`], `None` as for [`ConfusionMatrix::from_rows`].
pub fn weighted_f1(gold: &[usize], predicted: &[usize], classes: usize) -> Option<f64> {
    ConfusionMatrix::from_rows(gold, predicted, classes).map(|matrix| matrix.weighted_f1())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
        proptest::collection::vec((0_usize..4, 0_usize..4), 1..40).prop_map(|rows| rows.into_iter().unzip())
    }

    /// Disagreement over all pairs of a gold row and a predicted row.
    fn naive_kappa(gold: &[usize], predicted: &[usize], weights: KappaWeights) -> Option<f64> {
        let n = gold.len() as f64;
        let seen: f64 = gold.iter().zip(predicted).map(|(&g, &p)| weights.weight(g, p)).sum::<f64>() / n;
        let pairs = gold.iter().flat_map(|&g| predicted.iter().map(move |&p| weights.weight(g, p)));
        let expected = pairs.sum::<f64>() / (n * n);
        (expected > 0.0).then(|| 1.0 - seen / expected)
    }

    /// Pearson's correlation over all (row, class) indicators, centred by class.
    fn naive_mcc(gold: &[usize], predicted: &[usize]) -> Option<f64> {
        let centred = |rows: &[usize]| -> Vec<f64> {
            let class_columns = (0..4).flat_map(|class| {
                let share = rows.iter().filter(|row| **row == class).count() as f64 / rows.len() as f64;
                rows.iter().map(move |&row| f64::from(u8::from(row == class)) - share)
            });
            class_columns.collect()
        };
        let (g, p) = (centred(gold), centred(predicted));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let spread = (dot(&g, &g) * dot(&p, &p)).sqrt();
        (spread > 1e-9).then(|| dot(&g, &p) / spread)
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    proptest! {
        #[test]
        fn kappa_compares_seen_with_expected_disagreement((gold, predicted) in rows()) {
            let matrix = ConfusionMatrix::from_rows(&gold, &predicted, 4).unwrap();
            for weights in [KappaWeights::Unweighted, KappaWeights::Linear, KappaWeights::Quadratic] {
                prop_assert!(close(matrix.kappa(weights), naive_kappa(&gold, &predicted, weights)));
            }
        }

        #[test]
        fn mcc_is_the_correlation_of_the_class_indicators((gold, predicted) in rows()) {
            let matrix = ConfusionMatrix::from_rows(&gold, &predicted, 4).unwrap();
            prop_assert!(close(matrix.mcc(), naive_mcc(&gold, &predicted)));
        }

        #[test]
        fn two_classes_are_the_binary_case(rows in proptest::collection::vec((0_usize..2, 0_usize..2), 1..30)) {
            let (gold, predicted): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            let matrix = ConfusionMatrix::from_rows(&gold, &predicted, 2).unwrap();
            let binary: Confusion = gold.iter().zip(&predicted).map(|(g, p)| (*g == 1, *p == 1)).collect();
            prop_assert_eq!(matrix.one_against_others(1), binary);
            prop_assert!(close(matrix.mcc(), binary.mcc()));
            prop_assert!((matrix.accuracy() - binary.accuracy()).abs() < 1e-12);
        }
    }

    #[test]
    fn a_class_that_occurs_nowhere_does_not_lower_the_macro_average() {
        assert_eq!(macro_f1(&[0, 1], &[0, 1], 8), Some(1.0));
    }

    #[test]
    fn a_class_that_is_only_predicted_does_lower_the_macro_average() {
        // Class 0: F1 2/3; class 1: F1 0; class 2 occurs nowhere.
        let found = macro_f1(&[0, 0], &[0, 1], 3);
        assert!(found.is_some_and(|f1| (f1 - 1.0 / 3.0).abs() < 1e-12));
        let weighted = weighted_f1(&[0, 0], &[0, 1], 3);
        assert!(weighted.is_some_and(|f1| (f1 - 2.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn a_constant_answer_has_kappa_zero_and_no_correlation() {
        let matrix = ConfusionMatrix::from_rows(&[0, 1, 1], &[1, 1, 1], 2).unwrap();
        assert!(matrix.kappa(KappaWeights::Unweighted).is_some_and(|kappa| kappa.abs() < 1e-12));
        assert_eq!(matrix.mcc(), None);
        let one = ConfusionMatrix::from_rows(&[1, 1], &[1, 1], 2).unwrap();
        assert_eq!((one.kappa(KappaWeights::Quadratic), one.mcc()), (None, None));
        assert_eq!(ConfusionMatrix::new(3).mcc(), None);
        assert_eq!(ConfusionMatrix::new(3).kappa(KappaWeights::Linear), None);
    }

    #[test]
    fn rows_that_cannot_be_compared_give_no_figure() {
        assert_eq!(macro_f1(&[], &[], 3), None);
        assert_eq!(macro_f1(&[0], &[0, 1], 3), None);
        assert_eq!(macro_f1(&[0], &[3], 3), None);
    }
}
