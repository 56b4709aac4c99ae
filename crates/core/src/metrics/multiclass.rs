//! Figures for tasks where each row has exactly one of several classes, as the
//! reply classes and severities do. Averages follow scikit-learn's defaults:
//! they run over the classes that occur in gold or in prediction, with
//! `zero_division=0`.

use super::confusion::Confusion;

/// The figures of one class against all others.
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// One-against-all counts of every class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MulticlassReport {
    classes: Vec<Confusion>,
    rows: usize,
}

impl MulticlassReport {
    /// The figures of each class, in class order. A class that occurs nowhere
    /// has zeros and support 0.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        let figures = |counts: &Confusion| ClassFigures {
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            support: counts.tp + counts.fn_,
        };
        self.classes.iter().map(figures).collect()
    }

    /// Unweighted mean F1 of the classes that occur in gold or in prediction.
    pub fn macro_f1(&self) -> f64 {
        let present = || self.classes.iter().filter(|c| c.tp + c.fp + c.fn_ > 0);
        present().map(|counts| counts.f1()).sum::<f64>() / present().count() as f64
    }

    /// Mean F1 of the classes, weighted by their gold rows.
    pub fn weighted_f1(&self) -> f64 {
        let weighted = |counts: &Confusion| (counts.tp + counts.fn_) as f64 * counts.f1();
        self.classes.iter().map(weighted).sum::<f64>() / self.rows as f64
    }

    /// Share of rows with the right class.
    pub fn accuracy(&self) -> f64 {
        let right: usize = self.classes.iter().map(|counts| counts.tp).sum();
        right as f64 / self.rows as f64
    }
}

/// Compares gold and predicted class indices, each below `classes`.
///
/// `None` when there is no row, when the lengths differ, or when an index is
/// not below `classes`.
pub fn multiclass_report(gold: &[usize], predicted: &[usize], classes: usize) -> Option<MulticlassReport> {
    let known = |indices: &[usize]| indices.iter().all(|&index| index < classes);
    let comparable = !gold.is_empty() && gold.len() == predicted.len();
    if !comparable || !known(gold) || !known(predicted) {
        return None;
    }
    let against_others = |class: usize| {
        let rows = gold.iter().zip(predicted);
        rows.map(|(&g, &p)| (g == class, p == class)).collect()
    };
    Some(MulticlassReport { classes: (0..classes).map(against_others).collect(), rows: gold.len() })
}

/// [`MulticlassReport::macro_f1`], `None` as for [`multiclass_report`].
pub fn macro_f1(gold: &[usize], predicted: &[usize], classes: usize) -> Option<f64> {
    multiclass_report(gold, predicted, classes).map(|report| report.macro_f1())
}

/// [`MulticlassReport::weighted_f1`], `None` as for [`multiclass_report`].
pub fn weighted_f1(gold: &[usize], predicted: &[usize], classes: usize) -> Option<f64> {
    multiclass_report(gold, predicted, classes).map(|report| report.weighted_f1())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn rows_that_cannot_be_compared_give_no_figure() {
        assert_eq!(macro_f1(&[], &[], 3), None);
        assert_eq!(macro_f1(&[0], &[0, 1], 3), None);
        assert_eq!(macro_f1(&[0], &[3], 3), None);
    }
}
