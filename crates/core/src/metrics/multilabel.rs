//! Figures for tasks where each row has any number of labels, as the nineteen
//! harms and the sixteen crisis labels do: counts that add up over rows and
//! conversations, and the averages that are read off them.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::confusion::{Confusion, MicroF1};
use super::multiclass::{Averages, ClassFigures};

/// Over which labels a macro average runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacroOver {
    /// All labels of the taxonomy; one that occurs nowhere counts as 0
    /// (scikit-learn on an indicator matrix with `zero_division=0`).
    AllLabels,
    /// The labels that occur in gold or in prediction.
    Occurring,
    /// The labels that occur in gold.
    Supported,
}

/// What a row without labels in gold and in prediction counts in the Jaccard index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyRows {
    /// One: both say the same.
    Agree,
    /// Nothing (scikit-learn's default): there is no label in common.
    Disagree,
    /// The row is left out.
    LeftOut,
}

/// Counts of a multi-label task. Sums of these over rows, conversations or
/// resamples are again such counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultilabelCounts {
    /// Counts of each label in taxonomy order; true negatives are not counted.
    pub labels: Vec<MicroF1>,
    /// Rows in all.
    pub rows: usize,
    /// Rows whose predicted labels are exactly the gold ones.
    pub exact: usize,
    /// Rows without any label in gold and prediction; they are exact.
    pub empty: usize,
    /// Sum of the Jaccard indices of the rows that are not empty.
    pub jaccard: f64,
    /// Whether a row has any label at all, in gold and in prediction.
    pub any: Confusion,
}

impl MultilabelCounts {
    /// Zeros for `labels` labels.
    pub fn new(labels: usize) -> Self {
        Self { labels: vec![MicroF1::default(); labels], ..Self::default() }
    }

    /// Adds one row: its gold and predicted labels, one flag per label in the
    /// same order. A missing flag is taken as false; there is a count for every
    /// flag, so that no label is dropped.
    pub fn count(&mut self, gold: &[bool], predicted: &[bool]) {
        self.grow(gold.len().max(predicted.len()));
        let mut row = MicroF1::default();
        if !gold.contains(&true) && !predicted.contains(&true) {
            return self.count_row(row);
        }
        for (label, counts) in self.labels.iter_mut().enumerate() {
            let flag = |flags: &[bool]| flags.get(label).copied().unwrap_or(false);
            let mut own = MicroF1::default();
            own.count(&[flag(gold)], &[flag(predicted)]);
            *counts += own;
            row += own;
        }
        self.count_row(row);
    }

    /// Adds what the labels of one row say together.
    fn count_row(&mut self, row: MicroF1) {
        let all = row.tp + row.fp + row.fn_;
        self.rows += 1;
        self.exact += usize::from(row.fp + row.fn_ == 0);
        self.empty += usize::from(all == 0);
        self.jaccard += if all == 0 { 0.0 } else { row.tp as f64 / all as f64 };
        match (row.tp + row.fn_ > 0, row.tp + row.fp > 0) {
            (true, true) => self.any.tp += 1,
            (true, false) => self.any.fn_ += 1,
            (false, true) => self.any.fp += 1,
            (false, false) => self.any.tn += 1,
        }
    }

    fn grow(&mut self, labels: usize) {
        if self.labels.len() < labels {
            self.labels.resize(labels, MicroF1::default());
        }
    }

    /// All labels pooled.
    pub fn micro(&self) -> MicroF1 {
        self.labels.iter().copied().sum()
    }

    /// Unweighted means over labels.
    ///
    /// `None` when there is no label to average over.
    pub fn macro_average(&self, over: MacroOver) -> Option<Averages> {
        let counted = |counts: &&MicroF1| match over {
            MacroOver::AllLabels => true,
            MacroOver::Occurring => counts.tp + counts.fp + counts.fn_ > 0,
            MacroOver::Supported => counts.tp + counts.fn_ > 0,
        };
        let chosen = || self.labels.iter().filter(counted);
        chosen().next()?;
        Some(Averages::of(chosen().map(|&counts| (counts.into(), 1.0))))
    }

    /// The figures of each label with its support, in taxonomy order.
    pub fn per_label(&self) -> Vec<ClassFigures> {
        self.labels.iter().map(|&counts| Confusion::from(counts).into()).collect()
    }

    /// Share of rows whose predicted labels are exactly the gold ones. Where most
    /// rows are empty this flatters: read it beside the always-empty system.
    ///
    /// `None` without rows.
    pub fn exact_match(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.exact as f64 / self.rows as f64)
    }

    /// Mean over rows of |gold and predicted| / |gold or predicted| (Jaccard 1901).
    ///
    /// `None` when there is no row to average over.
    pub fn mean_jaccard(&self, empty: EmptyRows) -> Option<f64> {
        let (sum, rows) = match empty {
            EmptyRows::Agree => (self.jaccard + self.empty as f64, self.rows),
            EmptyRows::Disagree => (self.jaccard, self.rows),
            EmptyRows::LeftOut => (self.jaccard, self.rows - self.empty),
        };
        (rows > 0).then(|| sum / rows as f64)
    }
}

impl AddAssign<&Self> for MultilabelCounts {
    fn add_assign(&mut self, other: &Self) {
        self.grow(other.labels.len());
        self.labels.iter_mut().zip(&other.labels).for_each(|(own, more)| *own += *more);
        self.rows += other.rows;
        self.exact += other.exact;
        self.empty += other.empty;
        self.jaccard += other.jaccard;
        self.any += other.any;
    }
}

impl Sum for MultilabelCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut total, part| {
            total += &part;
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Rows = Vec<(Vec<bool>, Vec<bool>)>;

    fn rows() -> impl Strategy<Value = Rows> {
        let flags = || proptest::collection::vec(proptest::bool::weighted(0.3), 5);
        proptest::collection::vec((flags(), flags()), 1..20)
    }

    fn counts_of(rows: &Rows) -> MultilabelCounts {
        let mut counts = MultilabelCounts::new(5);
        rows.iter().for_each(|(gold, predicted)| counts.count(gold, predicted));
        counts
    }

    fn is_close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-12)
    }

    proptest! {
        #[test]
        fn each_label_is_a_binary_task(rows in rows()) {
            let counts = counts_of(&rows);
            for (label, figures) in counts.per_label().into_iter().enumerate() {
                let binary: Confusion = rows.iter().map(|(gold, predicted)| (gold[label], predicted[label])).collect();
                prop_assert_eq!(figures, ClassFigures::from(Confusion { tn: 0, ..binary }));
            }
            let any: Confusion = rows.iter().map(|(g, p)| (g.contains(&true), p.contains(&true))).collect();
            prop_assert_eq!(counts.any, any);
        }

        #[test]
        fn exact_match_and_jaccard_are_means_over_rows(rows in rows()) {
            let counts = counts_of(&rows);
            let n = rows.len() as f64;
            let same = rows.iter().filter(|(gold, predicted)| gold == predicted).count() as f64;
            prop_assert!(is_close(counts.exact_match(), same / n));
            let jaccard = |(gold, predicted): &(Vec<bool>, Vec<bool>)| {
                let pairs = || gold.iter().zip(predicted);
                let union = pairs().filter(|(g, p)| **g || **p).count();
                let both = pairs().filter(|(g, p)| **g && **p).count();
                if union == 0 { 1.0 } else { both as f64 / union as f64 }
            };
            prop_assert!(is_close(counts.mean_jaccard(EmptyRows::Agree), rows.iter().map(jaccard).sum::<f64>() / n));
        }

        #[test]
        fn counts_add_up(rows in rows(), cut in 0_usize..20) {
            let cut = cut.min(rows.len());
            let parts = [counts_of(&rows[..cut].to_vec()), counts_of(&rows[cut..].to_vec())];
            let (whole, sum) = (counts_of(&rows), parts.into_iter().sum::<MultilabelCounts>());
            prop_assert_eq!(&sum.labels, &whole.labels);
            prop_assert!((sum.jaccard - whole.jaccard).abs() < 1e-9 && sum.exact == whole.exact);
        }
    }

    #[test]
    fn a_macro_average_says_over_what_it_runs() {
        // Label 0 is right, label 1 only predicted, label 2 occurs nowhere.
        let mut counts = MultilabelCounts::new(3);
        counts.count(&[true, false, false], &[true, true, false]);
        let f1 = |over| counts.macro_average(over).map(|averages| averages.f1);
        assert!(is_close(f1(MacroOver::AllLabels), 1.0 / 3.0));
        assert!(is_close(f1(MacroOver::Occurring), 0.5));
        assert!(is_close(f1(MacroOver::Supported), 1.0));
    }

    #[test]
    fn empty_rows_count_as_the_option_says() {
        let mut counts = MultilabelCounts::new(2);
        counts.count(&[false, false], &[false, false]);
        counts.count(&[true, false], &[true, true]);
        assert_eq!(counts.mean_jaccard(EmptyRows::Agree), Some(0.75));
        assert_eq!(counts.mean_jaccard(EmptyRows::Disagree), Some(0.25));
        assert_eq!(counts.mean_jaccard(EmptyRows::LeftOut), Some(0.5));
    }

    #[test]
    fn no_rows_have_no_figures_and_surplus_flags_are_kept() {
        let mut counts = MultilabelCounts::new(1);
        assert_eq!(counts.exact_match(), None);
        assert_eq!(counts.mean_jaccard(EmptyRows::Agree), None);
        assert_eq!(counts.macro_average(MacroOver::Supported), None);
        counts.count(&[false], &[false, true]);
        assert_eq!(counts.micro(), MicroF1 { tp: 0, fp: 1, fn_: 0 });
    }
}
