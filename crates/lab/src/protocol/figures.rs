//! Pieces of findings that all protocols show alike: a figure with its value and
//! interval as a cell or bar, tables and sections, ROC and reliability charts.
//! Figures come by name from what the evaluator gave, so that a table cannot say
//! something else than the figure of the same name.

use mindrail_core::metrics::{ReliabilityBin as Bin, roc_curve};

use super::Intervals;
use super::slice::Slice;
use crate::report::{Bar, Cell, Chart, Curve, Interval, Mark, ReliabilityBin, Section, Table, Unit};

/// Points that a chart's curve has at most.
pub(super) const CURVE_POINTS: usize = 400;

/// A figure as a cell; without a value where there is no such figure.
pub(super) fn cell(intervals: &Intervals, name: &str, unit: Unit) -> Cell {
    let found = intervals.get(name);
    Cell::Value {
        value: found.and_then(|estimate| estimate.value),
        unit,
        interval: found.and_then(|estimate| estimate.interval),
    }
}

/// A figure as a bar.
pub(super) fn bar(intervals: &Intervals, figure: &str, name: &str, support: usize) -> Bar {
    let found = intervals.get(figure);
    Bar {
        name: name.to_owned(),
        value: found.and_then(|estimate| estimate.value),
        interval: found.and_then(|estimate| estimate.interval),
        support: support as u64,
    }
}

/// A number without an interval.
pub(super) fn plain(value: Option<f64>, unit: Unit) -> Cell {
    Cell::Value { value, unit, interval: None }
}

/// Words.
pub(super) fn text(words: impl Into<String>) -> Cell {
    Cell::Text(words.into())
}

/// A number of things.
pub(super) fn count(number: usize) -> Cell {
    Cell::Count(number as u64)
}

/// Column headings, or other names.
pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A table.
pub(super) fn table(caption: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Table {
    Table { caption: caption.to_owned(), columns: names(columns), rows }
}

/// A section that has no table and no chart yet.
pub(super) fn section(id: &str, title: &str, words: &str) -> Section {
    Section {
        id: id.to_owned(),
        title: title.to_owned(),
        text: words.to_owned(),
        tables: Vec::new(),
        charts: Vec::new(),
    }
}

/// Figures by name and heading, each in a row with its value.
pub(super) fn value_table(caption: &str, figures: &[(&str, &str, Unit)], intervals: &Intervals) -> Table {
    let row = |(title, name, unit): &(&str, &str, Unit)| vec![text(*title), cell(intervals, name, *unit)];
    table(caption, &["Figure", "Value"], figures.iter().map(row).collect())
}

/// A table for each key of the slices: a value, its items, and the `figures` by
/// heading and name. Slices without figures have dashes.
pub(super) fn slice_tables(slices: &[Slice], figures: &[(&str, &str)], intervals: &Intervals) -> Vec<Table> {
    let columns: Vec<&str> =
        ["Slice", "Items"].into_iter().chain(figures.iter().map(|figure| figure.0)).collect();
    let row = |slice: &Slice| {
        let figure =
            |(_, name): &(&str, &str)| cell(intervals, &format!("{name}@{}", slice.name()), Unit::Share);
        let values = figures.iter().map(figure);
        [text(&slice.value), count(slice.items())].into_iter().chain(values).collect()
    };
    let of_key = |slices: &[Slice]| {
        table(&format!("By {}", slices[0].key), &columns, slices.iter().map(row).collect())
    };
    slices.chunk_by(|a, b| a.key == b.key).map(of_key).collect()
}

/// A bar of one figure for each slice of at least so many items.
pub(super) fn slice_bars(slices: &[Slice], least: usize, figure: &str, intervals: &Intervals) -> Vec<Bar> {
    let shown = slices.iter().filter(|slice| slice.items() >= least);
    let one =
        |slice: &Slice| bar(intervals, &format!("{figure}@{}", slice.name()), &slice.name(), slice.items());
    shown.map(one).collect()
}

/// The ROC curve of scores with the point at which the system decides; none if
/// one class is absent.
pub(super) fn roc(title: &str, scores: &[f64], labels: &[bool], decision: Mark) -> Option<Chart> {
    let points = roc_curve(scores, labels, CURVE_POINTS)?;
    let points = points.iter().map(|point| [point.false_positive_rate, point.recall]).collect();
    Some(Chart::Curves {
        title: title.to_owned(),
        x: "False-positive rate".to_owned(),
        y: "Recall".to_owned(),
        curves: vec![Curve { name: "System".to_owned(), points }],
        marks: vec![decision],
        chance: Some(Curve { name: "Chance".to_owned(), points: vec![[0.0, 0.0], [1.0, 1.0]] }),
    })
}

/// The reliability diagram of bins.
pub(super) fn reliability(title: &str, bins: &[Bin]) -> Chart {
    let bin = |bin: &Bin| ReliabilityBin {
        score: bin.mean_probability,
        observed: bin.share(),
        interval: Interval { low: bin.interval.0, high: bin.interval.1 },
        count: bin.rows as u64,
    };
    Chart::Reliability { title: title.to_owned(), bins: bins.iter().map(bin).collect() }
}
