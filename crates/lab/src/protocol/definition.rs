//! What a figure is called, how its value is read, and when a ratio of counts
//! is defined.

use mindrail_core::metrics::Confusion;

use super::FigureName;
use super::slice::Slice;
use crate::report::{Better, Unit};

/// Reads a value; none where it is not defined.
pub(super) type Reading<S> = Box<dyn Fn(&S) -> Option<f64> + Send + Sync>;

/// A figure and how its value is read off an `S`.
pub(super) struct Definition<S> {
    pub(super) figure: FigureName,
    pub(super) reading: Reading<S>,
}

impl<S> Definition<S> {
    /// A share of which more is better.
    pub(super) fn share(
        name: impl Into<String>,
        title: impl Into<String>,
        reading: impl Fn(&S) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self { figure: share(name, title), reading: Box::new(reading) }
    }

    /// The same in another unit.
    pub(super) fn in_unit(mut self, unit: Unit) -> Self {
        self.figure.unit = unit;
        self
    }

    /// The same where another direction is better.
    pub(super) fn better(mut self, better: Better) -> Self {
        self.figure.better = better;
        self
    }

    /// The number of cases that the figure rests on.
    pub(super) fn on(mut self, support: usize) -> Self {
        self.figure.support = Some(support as u64);
        self
    }

    /// The same figure of a slice.
    pub(super) fn of_slice(mut self, slice: &Slice) -> Self {
        self.figure = of_slice(&self.figure, slice);
        self
    }
}

/// The name of a share of which more is better.
pub(super) fn share(name: impl Into<String>, title: impl Into<String>) -> FigureName {
    FigureName {
        name: name.into(),
        title: title.into(),
        unit: Unit::Share,
        better: Better::Higher,
        support: None,
    }
}

/// The name of the same figure of a slice.
pub(super) fn of_slice(figure: &FigureName, slice: &Slice) -> FigureName {
    FigureName {
        name: format!("{}@{}", figure.name, slice.name()),
        title: format!("{}, {} {}", figure.title, slice.key, slice.value),
        support: Some(slice.items() as u64),
        unit: figure.unit,
        better: figure.better,
    }
}

/// F1, precision and recall of some counts of a summary. `named` gives name and
/// title of a figure from its own.
pub(super) fn three<S: 'static, C: Into<Confusion>>(
    named: impl Fn(&str, &str) -> [String; 2],
    of: impl Fn(&S) -> C + Clone + Send + Sync + 'static,
) -> Vec<Definition<S>> {
    let one = |name: &str, title: &str, ratio: fn(Confusion) -> Option<f64>| {
        let ([name, title], of) = (named(name, title), of.clone());
        Definition::share(name, title, move |summary: &S| ratio(of(summary).into()))
    };
    vec![one("f1", "F1", f1), one("precision", "precision", precision), one("recall", "recall", recall)]
}

/// Precision; none without calls.
pub(super) fn precision(counts: impl Into<Confusion>) -> Option<f64> {
    let found = counts.into();
    (found.tp + found.fp > 0).then(|| found.precision())
}

/// Recall; none without positives.
pub(super) fn recall(counts: impl Into<Confusion>) -> Option<f64> {
    let found = counts.into();
    (found.tp + found.fn_ > 0).then(|| found.recall())
}

/// F1; none without positives and calls.
pub(super) fn f1(counts: impl Into<Confusion>) -> Option<f64> {
    let found = counts.into();
    (found.tp + found.fp + found.fn_ > 0).then(|| found.f1())
}

/// The share of negatives that are called; none without negatives.
pub(super) fn false_positive_rate(counts: impl Into<Confusion>) -> Option<f64> {
    let found = counts.into();
    (found.fp + found.tn > 0).then(|| found.false_positive_rate())
}

/// `part / whole`; none where `whole` is 0.
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole.abs() > 0.0).then(|| part / whole)
}
