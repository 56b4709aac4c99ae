//! Two runs beside each other: every figure of both, their difference with its
//! interval, and what the paired tests say of it. Drawn in the same three forms
//! as a report. What makes two runs unlike is found and said.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::terminal::Colour;
use super::{Better, Cell, Figure, Interval, Report, Table, Unit};
use super::{html, markdown, notation, tables, terminal};

/// One figure of two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedRow {
    /// The figure's name without its slice, such as `auroc`.
    pub figure: String,
    /// The slice, such as `language=fr`; none for the whole set.
    pub slice: Option<String>,
    /// The name that people read.
    pub title: String,
    /// What kind of number it is.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
    /// The first run's value; none where it is not defined or absent.
    pub a: Option<f64>,
    /// The second run's.
    pub b: Option<f64>,
    /// B minus A.
    pub difference: Option<f64>,
    /// Interval of the difference, by a paired bootstrap.
    pub interval: Option<Interval>,
    /// Probability of such a difference between equal systems, in [0, 1]; none
    /// where no test was made.
    pub p: Option<f64>,
    /// The same after Holm's correction over all tests of the comparison.
    pub adjusted_p: Option<f64>,
    /// The test: `mcnemar`, `paired bootstrap`, `approximate randomisation`;
    /// empty where none was made.
    pub test: String,
}

/// Two runs and what tells them apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The protocol of the first run.
    pub protocol: String,
    /// Name of the first run's system.
    pub a: String,
    /// Name of the second run's system.
    pub b: String,
    /// The data set of the first run.
    pub data: String,
    /// Share of the draws inside an interval.
    pub confidence: f64,
    /// Figures in the first run's order, then those of the second alone.
    pub rows: Vec<PairedRow>,
    /// What makes the two runs unlike, and what else a reader must know.
    pub notes: Vec<String>,
}

/// Compares two reports. `tests` are the paired tests that were made; a figure
/// without one is shown with its plain difference.
pub fn compare(a: &Report, b: &Report, tests: &[PairedRow]) -> Comparison {
    Comparison {
        protocol: a.protocol.clone(),
        a: a.system.name.clone(),
        b: b.system.name.clone(),
        data: a.data.set.clone(),
        confidence: a.method.confidence,
        rows: rows(a, b, tests),
        notes: notes(a, b, tests),
    }
}

impl Comparison {
    /// The comparison for a terminal.
    pub fn terminal(&self, colour: Colour) -> String {
        terminal::comparison(self, colour)
    }

    /// The comparison as Markdown.
    pub fn markdown(&self) -> String {
        markdown::comparison(self)
    }

    /// The comparison as one self-contained page.
    pub fn html(&self) -> String {
        html::comparison(self)
    }

    pub(super) fn title(&self) -> String {
        format!("{} against {} on {}", self.b, self.a, self.data)
    }

    pub(super) fn identity(&self) -> Table {
        let row = |name: &str, value: &str| vec![tables::text(name), tables::text(value)];
        let mut rows = vec![
            row("A", &self.a),
            row("B", &self.b),
            row("Data", &self.data),
            row("Protocol", &self.protocol),
            row("Intervals", &format!("{}, of the differences", notation::confidence(self.confidence))),
        ];
        let tests: Vec<&str> = self.kinds_of_test().into_iter().collect();
        if !tests.is_empty() {
            rows.push(row("Tests", &format!("{}; Holm's correction over all", tests.join(", "))));
        }
        tables::table("What was compared", &["Property", "Value"], rows)
    }

    /// The rows as a table; which test was made stands there only if there were
    /// several kinds.
    pub(super) fn table(&self) -> Table {
        let mut columns = vec!["Figure", "Better", "A", "B", "B − A", "p", "p (Holm)"];
        let mut rows: Vec<Vec<Cell>> = self.rows.iter().map(PairedRow::cells).collect();
        if self.kinds_of_test().len() > 1 {
            columns.push("Test");
            let tests = self.rows.iter().map(|row| tables::text(&row.test));
            rows.iter_mut().zip(tests).for_each(|(cells, test)| cells.push(test));
        }
        tables::table("Figures of both runs; the difference is B minus A", &columns, rows)
    }

    fn kinds_of_test(&self) -> BTreeSet<&str> {
        self.rows.iter().map(|row| row.test.as_str()).filter(|test| !test.is_empty()).collect()
    }
}

impl PairedRow {
    /// The name as in [`Figure::name`].
    pub fn name(&self) -> String {
        match &self.slice {
            Some(slice) => format!("{}@{slice}", self.figure),
            None => self.figure.clone(),
        }
    }

    /// The title, with the slice if it does not hold it.
    pub(super) fn full_title(&self) -> String {
        match &self.slice {
            Some(slice) if !self.title.contains(slice.as_str()) => format!("{}, {slice}", self.title),
            _ => self.title.clone(),
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let value = |value| Cell::Value { value, unit: self.unit, interval: None };
        let interval = self.interval.map(|ends| notation::interval(ends, self.unit)).unwrap_or_default();
        let difference = notation::difference(self.difference, self.unit);
        vec![
            tables::text(&self.full_title()),
            tables::text(notation::better(self.better)),
            value(self.a),
            value(self.b),
            tables::text(format!("{difference} {interval}").trim_end()),
            tables::text(&notation::p_value(self.p)),
            tables::text(&notation::p_value(self.adjusted_p)),
        ]
    }

    fn untested(figure: &Figure, a: Option<f64>, b: Option<f64>) -> Self {
        let (name, slice) = match figure.name.split_once('@') {
            Some((name, slice)) => (name, Some(slice.to_owned())),
            None => (figure.name.as_str(), None),
        };
        Self {
            figure: name.to_owned(),
            slice,
            title: figure.title.clone(),
            unit: figure.unit,
            better: figure.better,
            a,
            b,
            difference: a.zip(b).map(|(a, b)| b - a),
            interval: None,
            p: None,
            adjusted_p: None,
            test: String::new(),
        }
    }
}

fn rows(a: &Report, b: &Report, tests: &[PairedRow]) -> Vec<PairedRow> {
    let of_b_alone = b.figures.iter().filter(|figure| a.figure(&figure.name).is_none());
    let figures: Vec<&Figure> = a.figures.iter().chain(of_b_alone).collect();
    let value = |report: &Report, name: &str| report.figure(name).and_then(|figure| figure.value);
    let row = |figure: &&Figure| {
        let tested = tests.iter().find(|test| test.name() == figure.name).cloned();
        let name = &figure.name;
        tested.unwrap_or_else(|| PairedRow::untested(figure, value(a, name), value(b, name)))
    };
    let of_no_figure = tests.iter().filter(|test| figures.iter().all(|figure| figure.name != test.name()));
    figures.iter().map(row).chain(of_no_figure.cloned()).collect()
}

fn notes(a: &Report, b: &Report, tests: &[PairedRow]) -> Vec<String> {
    let mut notes = Vec::new();
    if a.protocol != b.protocol {
        notes.push(format!(
            "The runs follow two protocols, {} and {}: nothing in them can be compared.",
            a.protocol, b.protocol
        ));
    }
    let (files_a, files_b): (Vec<_>, Vec<_>) =
        (a.data.files.values().collect(), b.data.files.values().collect());
    if files_a != files_b {
        notes.push(
            "The runs read different files (their hashes differ): differences may come from the data."
                .to_owned(),
        );
    }
    if a.data.items != b.data.items {
        let (a, b) = (notation::count(a.data.items), notation::count(b.data.items));
        notes.push(format!("A scored {a} items and B {b}."));
    }
    let options = differing_options(a, b);
    if !options.is_empty() {
        notes.push(format!("The runs differ in these conventions: {}.", options.join(", ")));
    }
    if tests.is_empty() {
        notes.push("No paired test was made: the differences have no interval.".to_owned());
    }
    notes
}

fn differing_options(a: &Report, b: &Report) -> Vec<String> {
    let (a, b) = (&a.method.options, &b.method.options);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let written = |value: Option<&String>| value.map_or_else(|| "unset".to_owned(), Clone::clone);
    let differing = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    differing.map(|name| format!("{name} ({}, {})", written(a.get(name)), written(b.get(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    fn example() -> Comparison {
        let (a, b) = (specimen::crisis(), specimen::other_crisis());
        compare(&a, &b, &specimen::tests())
    }

    #[test]
    fn a_comparison_shows_tested_and_untested_figures() {
        insta::assert_snapshot!("terminal_comparison", example().terminal(Colour::Plain));
        insta::assert_snapshot!("markdown_comparison", example().markdown());
    }

    #[test]
    fn tests_of_several_kinds_are_named_row_by_row() {
        let mut comparison = example();
        assert!(!comparison.table().columns.contains(&"Test".to_owned()));
        comparison.rows[0].test = "mcnemar".to_owned();
        let table = comparison.table();
        assert_eq!(table.columns.last().map(String::as_str), Some("Test"));
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
    }

    #[test]
    fn every_figure_of_both_runs_and_every_test_is_in_the_rows_once() {
        let (a, b) = (specimen::crisis(), specimen::other_crisis());
        let mut names: Vec<String> = example().rows.iter().map(PairedRow::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        for figure in a.figures.iter().chain(&b.figures) {
            assert!(names.contains(&figure.name), "{}", figure.name);
        }
        assert!(names.contains(&"turn_f1@language=fr".to_owned()));
    }

    #[test]
    fn runs_on_other_data_or_with_other_conventions_are_said_to_be_unlike() {
        let (a, mut b) = (specimen::crisis(), specimen::crisis());
        assert!(compare(&a, &b, &specimen::tests()).notes.is_empty());
        b.data.files.insert("dev.jsonl".to_owned(), "00".repeat(32));
        b.data.items = 3;
        b.method.options.insert("window".to_owned(), "2".to_owned());
        b.protocol = "reply".to_owned();
        assert_eq!(compare(&a, &b, &[]).notes.len(), 5);
    }
}
