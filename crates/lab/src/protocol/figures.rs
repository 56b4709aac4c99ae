//! How a protocol's figures come into its tables and bars: by name, with the
//! value and interval that the evaluator gave, so that a table cannot say
//! something else than the figure of the same name.

use super::Intervals;
use crate::report::{Bar, Cell, Section, Table, Unit};

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
pub(super) fn bar(intervals: &Intervals, figure: &str, name: &str, support: u64) -> Bar {
    let found = intervals.get(figure);
    Bar {
        name: name.to_owned(),
        value: found.and_then(|estimate| estimate.value),
        interval: found.and_then(|estimate| estimate.interval),
        support,
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

/// A table.
pub(super) fn table(caption: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Table {
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    Table { caption: caption.to_owned(), columns, rows }
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
