//! What a benchmark found, as data: figures that programs read by name, and
//! sections of tables and charts that people read. The forms in which it is
//! shown (terminal, Markdown, HTML) are drawn from this alone, one file each, so
//! that none of them can say more than another. `report.json` is this structure.
//!
//! A report holds no text of a conversation unless its maker asked for it; then
//! it stands in [`Report::shown_text`] and nowhere else.

mod comparison;
mod html;
mod markdown;
mod markup;
mod notation;
#[cfg(test)]
mod specimen;
mod svg;
mod tables;
mod terminal;

use std::collections::BTreeMap;

pub use comparison::{Comparison, PairedRow, compare};
pub use html::html;
pub use markdown::markdown;
use serde::{Deserialize, Serialize};
pub use terminal::{Colour, summary, terminal};

/// The layout of `report.json`; changes when a reader of the old one would err.
pub const SCHEMA: &str = "mindrail-report/1";

/// All that a benchmark run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// `distress`, `crisis`, `reply` or `harm`.
    pub protocol: String,
    /// One line that says what was measured on what.
    pub title: String,
    /// What was measured.
    pub system: SystemIdentity,
    /// On what.
    pub data: DataIdentity,
    /// How.
    pub method: Method,
    /// How many items came to which outcome: `ok`, `refused`, `missing`, ….
    pub outcomes: BTreeMap<String, u64>,
    /// Every figure, by name; the first few are the headline.
    pub figures: Vec<Figure>,
    /// Tables and charts in reading order.
    pub sections: Vec<Section>,
    /// Published figures of other systems on the same or a like set.
    pub published: Vec<PublishedRow>,
    /// What a reader must know before quoting a figure.
    pub notes: Vec<String>,
    /// Conversations that were judged wrongly; only with `--show-text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown_text: Vec<ShownText>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemIdentity {
    /// `predictions`, `bundle` or `llm`.
    pub kind: String,
    /// Its name: a file, a model, an endpoint without credentials.
    pub name: String,
    /// Hash of the predictions file, the bundle, or the prompt; with what it is.
    pub hashes: BTreeMap<String, String>,
}

/// The data that it was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// The data set, as `mindrail data` names it.
    pub set: String,
    /// File name and SHA-256 of each file.
    pub files: BTreeMap<String, String>,
    /// Items that were scored: conversations, user turns, replies or responses.
    pub items: u64,
    /// Groups that were drawn as one for the intervals, and what they are.
    pub clusters: u64,
    /// What a cluster is: `dialogue`, `family`, `prompt`.
    pub cluster: String,
}

/// How the figures were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Version of Mindrail.
    pub mindrail: String,
    /// Draws of the bootstrap; 0 means no intervals.
    pub resamples: u64,
    /// Its seed.
    pub seed: u64,
    /// `percentile` or `bca`.
    pub interval: String,
    /// Share of the draws inside an interval, such as 0.95.
    pub confidence: f64,
    /// Every convention that was chosen, by name.
    pub options: BTreeMap<String, String>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The name that programs use, such as `turn_f1` or `auroc`; slices have
    /// `auroc@language=fr`.
    pub name: String,
    /// The name that people read.
    pub title: String,
    /// The value; none where the figure is not defined.
    pub value: Option<f64>,
    /// Bootstrap interval at [`Method::confidence`].
    pub interval: Option<Interval>,
    /// Cases that it rests on: the support.
    pub support: Option<u64>,
    /// What kind of number it is.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
}

/// Both ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What kind of number a figure is; decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// In [0, 1], written with three decimals.
    Share,
    /// In [0, 100], written with two decimals, where the published tables do so.
    Percent,
    /// A number of things.
    Count,
    /// User turns.
    Turns,
    /// Any other number.
    Number,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Higher values are better.
    Higher,
    /// Lower values are better.
    Lower,
    /// It describes and does not judge.
    Neither,
}

/// A part of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// A short name for links, of letters and hyphens.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What the reader sees here and how it is to be read; empty if plain.
    pub text: String,
    /// Tables.
    pub tables: Vec<Table>,
    /// Charts.
    pub charts: Vec<Chart>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Headings of the columns; the first column names the row.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number of things.
    Count(u64),
    /// A number with its unit and interval.
    Value {
        /// The number; none where it is not defined.
        value: Option<f64>,
        /// Its unit.
        unit: Unit,
        /// Its interval.
        interval: Option<Interval>,
    },
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Chart {
    /// Curves in the unit square: ROC, precision and recall, tolerance.
    Curves {
        /// What it shows.
        title: String,
        /// Name of the horizontal axis.
        x: String,
        /// Name of the vertical axis.
        y: String,
        /// The curves.
        curves: Vec<Curve>,
        /// Single points, such as the operating point.
        marks: Vec<Mark>,
        /// What chance would give.
        chance: Option<Curve>,
    },
    /// Score against observed share.
    Reliability {
        /// What it shows.
        title: String,
        /// Bins in order; empty ones left out.
        bins: Vec<ReliabilityBin>,
    },
    /// What was said against what is so.
    Confusion {
        /// What it shows.
        title: String,
        /// Labels, for rows (gold) and columns (predicted) alike.
        labels: Vec<String>,
        /// Counts, a row for each gold label.
        counts: Vec<Vec<u64>>,
    },
    /// Values with intervals, one bar each.
    Bars {
        /// What it shows.
        title: String,
        /// Name of the axis; values in [0, 1].
        axis: String,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// How often each value occurs.
    Histogram {
        /// What it shows.
        title: String,
        /// Name of the horizontal axis.
        axis: String,
        /// Value and count, in order.
        columns: Vec<HistogramColumn>,
    },
}

/// A named line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Points (x, y) in [0, 1], in order of x.
    pub points: Vec<[f64; 2]>,
}

/// A named point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What it is.
    pub name: String,
    /// Horizontal place in [0, 1].
    pub x: f64,
    /// Vertical place in [0, 1].
    pub y: f64,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean score of its items.
    pub score: f64,
    /// Share of positives among them.
    pub observed: f64,
    /// Wilson interval of that share.
    pub interval: Interval,
    /// Number of items.
    pub count: u64,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length in [0, 1]; none where it is not defined.
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// The support.
    pub support: u64,
}

/// One column of a histogram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramColumn {
    /// The value.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// A published figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// The system.
    pub system: String,
    /// Figure name and published value, as [`Figure::name`] and in its unit.
    pub figures: BTreeMap<String, f64>,
    /// Where it is published.
    pub source: String,
    /// What keeps it from being compared with the measured one; empty if nothing.
    pub caveat: String,
}

/// A conversation or reply that was judged wrongly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownText {
    /// The item.
    pub id: String,
    /// What is so.
    pub gold: String,
    /// What was said.
    pub predicted: String,
    /// The text, as it was read.
    pub text: String,
}

impl Report {
    /// The figure of this name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}
