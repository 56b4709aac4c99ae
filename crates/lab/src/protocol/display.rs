//! Pieces of findings that several protocols show alike: a figure with its
//! interval as a cell, the table of slices, ROC and reliability charts.

use mindrail_core::metrics::{Binning, OperatingPoint, reliability_bins, roc_curve};

use super::Intervals;
use super::cells::Slice;
use crate::report::{Bar, Cell, Chart, Curve, Interval, Mark, ReliabilityBin, Table, Unit};

/// Points that a chart's curve has at most.
const CURVE_POINTS: usize = 200;

/// Bins of a reliability diagram.
const BINS: usize = 10;

/// A figure's value and interval by its name; a dash if it is not there.
pub(super) fn value(intervals: &Intervals, name: &str, unit: Unit) -> Cell {
    let estimate = intervals.get(name);
    Cell::Value {
        value: estimate.and_then(|estimate| estimate.value),
        unit,
        interval: estimate.and_then(|estimate| estimate.interval),
    }
}

/// A share without an interval.
pub(super) fn share(value: Option<f64>) -> Cell {
    Cell::Value { value, unit: Unit::Share, interval: None }
}

/// Words in a cell.
pub(super) fn text(words: impl Into<String>) -> Cell {
    Cell::Text(words.into())
}

/// A number of things in a cell.
pub(super) fn count(number: usize) -> Cell {
    Cell::Count(number as u64)
}

/// A bar for a figure by its name.
pub(super) fn bar(intervals: &Intervals, label: &str, figure: &str, support: usize) -> Bar {
    let estimate = intervals.get(figure);
    Bar {
        name: label.to_owned(),
        value: estimate.and_then(|estimate| estimate.value),
        interval: estimate.and_then(|estimate| estimate.interval),
        support: support as u64,
    }
}

/// Column headings.
pub(super) fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A figure of slices: its name and its heading.
pub(super) struct SliceFigure {
    pub(super) name: &'static str,
    pub(super) heading: &'static str,
}

/// The figures of every slice; too small ones are named and have none.
pub(super) fn slice_table(
    slices: &[Slice],
    smallest: usize,
    figures: &[SliceFigure],
    intervals: &Intervals,
) -> Table {
    let mut headings = columns(&["Slice", "Items"]);
    headings.extend(figures.iter().map(|figure| figure.heading.to_owned()));
    let row = |slice: &Slice| {
        let name = |figure: &SliceFigure| format!("{}@{}={}", figure.name, slice.key, slice.value);
        let cells = figures.iter().map(|figure| value(intervals, &name(figure), Unit::Share));
        [text(format!("{}: {}", slice.key, slice.value)), count(slice.items)]
            .into_iter()
            .chain(cells)
            .collect()
    };
    Table {
        caption: format!("By slice; slices of fewer than {smallest} items have no figures"),
        columns: headings,
        rows: slices.iter().map(row).collect(),
    }
}

/// The ROC curve of scores with the point at which the system decides; none if
/// one class is absent.
pub(super) fn roc(title: &str, scores: &[f64], labels: &[bool], decision: Mark) -> Option<Chart> {
    let points = roc_curve(scores, labels, CURVE_POINTS)?;
    let point = |p: &OperatingPoint| [p.false_positive_rate, p.recall];
    Some(Chart::Curves {
        title: title.to_owned(),
        x: "False-positive rate".to_owned(),
        y: "Recall".to_owned(),
        curves: vec![Curve { name: "System".to_owned(), points: points.iter().map(point).collect() }],
        marks: vec![decision],
        chance: Some(Curve { name: "Chance".to_owned(), points: vec![[0.0, 0.0], [1.0, 1.0]] }),
    })
}

/// The reliability diagram of probabilities, in bins of equal width; none if a
/// score is no probability.
pub(super) fn reliability(title: &str, probabilities: &[f64], labels: &[bool]) -> Option<Chart> {
    let bins = reliability_bins(probabilities, labels, Binning::EqualWidth(BINS))?;
    let bins = bins.iter().map(|bin| ReliabilityBin {
        score: bin.mean_probability,
        observed: bin.share(),
        interval: Interval { low: bin.interval.0, high: bin.interval.1 },
        count: bin.rows as u64,
    });
    Some(Chart::Reliability { title: title.to_owned(), bins: bins.collect() })
}
