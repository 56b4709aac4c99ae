//! Tables of figures with names for rows and columns, for people and for JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// How many.
    Count(u64),
    /// A share, a mean, a correlation.
    Real(f64),
    /// Not defined, for instance a correlation with something that never varies.
    Undefined,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Count(count) => count.to_string(),
            Self::Real(real) => format!("{real:.3}"),
            Self::Undefined => "–".to_owned(),
        };
        f.pad(&text)
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Real(real) => serializer.serialize_f64(*real),
            Self::Undefined => serializer.serialize_none(),
        }
    }
}

/// Figures with a title.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: &'static str,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The names of the rows and their figures, one per column.
    pub rows: Vec<(String, Vec<Figure>)>,
}

impl Table {
    /// A table of one column from names and counts.
    pub fn of_counts<N: Into<String>>(
        title: &'static str,
        counts: impl IntoIterator<Item = (N, u64)>,
    ) -> Self {
        let row = |(name, count): (N, u64)| (name.into(), vec![Figure::Count(count)]);
        Self { title, columns: vec!["count".to_owned()], rows: counts.into_iter().map(row).collect() }
    }

    /// The figure of a row and a column, if the table has both.
    pub fn get(&self, row: &str, column: &str) -> Option<Figure> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.rows.iter().find(|(name, _)| name == row).map(|(_, figures)| figures[at])
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = |at: usize| {
            let cells = self.rows.iter().map(|(_, figures)| figures[at].to_string().chars().count());
            cells.chain([self.columns[at].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        write!(f, "{}\n  {:names$}", self.title, "")?;
        for (column, width) in self.columns.iter().zip(&widths) {
            write!(f, "  {column:>width$}")?;
        }
        for (name, figures) in &self.rows {
            write!(f, "\n  {name:names$}")?;
            for (figure, width) in figures.iter().zip(&widths) {
                write!(f, "  {figure:>width$}")?;
            }
        }
        writeln!(f)
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Cells<'a>(&'a Table);
        impl Serialize for Cells<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.rows.len()))?;
                for (name, figures) in &self.0.rows {
                    let columns = self.0.columns.iter().map(String::as_str);
                    let row: BTreeMap<&str, &Figure> = columns.zip(figures).collect();
                    map.serialize_entry(name, &row)?;
                }
                map.end()
            }
        }
        let mut table = serializer.serialize_struct("Table", 2)?;
        table.serialize_field("title", self.title)?;
        table.serialize_field("rows", &Cells(self))?;
        table.end()
    }
}

/// Counts by name.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The counts in the order of a list of names, those of no name of the list
    /// behind it.
    pub(super) fn table(&self, title: &'static str, order: &[&'static str]) -> Table {
        let listed = order.iter().filter(|name| self.0.contains_key(*name)).copied();
        let others = self.0.keys().copied().filter(|name| !order.contains(name));
        Table::of_counts(title, listed.chain(others).map(|name| (name, self.get(name))))
    }
}

/// How often each whole number occurs.
#[derive(Debug, Default)]
pub(super) struct Sizes(BTreeMap<u64, u64>);

impl Sizes {
    pub(super) fn add(&mut self, size: usize) {
        *self.0.entry(size as u64).or_default() += 1;
    }

    /// Smallest, median (of an even number the lower middle one), mean, largest.
    pub(super) fn row(&self, name: &str) -> (String, Vec<Figure>) {
        let count: u64 = self.0.values().sum();
        let sum: u64 = self.0.iter().map(|(size, times)| size * times).sum();
        let mut passed = 0;
        let median = self.0.iter().find(|(_, times)| {
            passed += **times;
            passed * 2 >= count
        });
        let whole = |size: Option<&u64>| size.map_or(Figure::Undefined, |size| Figure::Count(*size));
        let mean = if count == 0 { Figure::Undefined } else { Figure::Real(sum as f64 / count as f64) };
        let figures =
            vec![whole(self.0.keys().next()), whole(median.map(|m| m.0)), mean, whole(self.0.keys().last())];
        (name.to_owned(), figures)
    }

    /// Names of the columns of [`Self::row`].
    pub(super) fn columns() -> Vec<String> {
        ["min", "median", "mean", "max"].map(str::to_owned).into()
    }

    /// Each size and how often it occurs.
    pub(super) fn table(&self, title: &'static str) -> Table {
        Table::of_counts(title, self.0.iter().map(|(size, times)| (size.to_string(), *times)))
    }
}
