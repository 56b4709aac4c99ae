//! Rows to calibrate on: a label and the nine signal probabilities of each, as
//! they stand in KHP's calibration report (its own layout, and the compact one of
//! this project's oracle) or in a CSV of predictions. No layout holds text.

use std::sync::Arc;

use mindrail_core::calibration::ModelOutputs;
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Signal, Taxonomy as _};
use serde_json::Value;
use thiserror::Error;

/// What a calibration rests on. All lists are equally long.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CalibrationRows {
    /// Whether each row is high risk.
    pub labels: Vec<bool>,
    /// The nine signal probabilities of each row in taxonomy order.
    pub signals: Vec<[f64; 9]>,
    /// The largest of them, as the file states it or as it follows.
    pub largest: Vec<f64>,
    /// The aggregation head's scores, where the file states them.
    pub head: Option<Vec<f64>>,
}

/// One labelled conversation to fit a calibration on.
#[derive(Debug, Clone, PartialEq)]
pub struct FitRow {
    /// Its name in the data it comes from, if it has one.
    pub id: Option<String>,
    /// What it was made from or belongs to: rows of one family stay in one fold.
    pub family: Option<String>,
    /// Its language, if it is known.
    pub language: Option<Language>,
    /// What the model gives for it: nine signals in taxonomy order, or one risk.
    pub outputs: Vec<Probability>,
    /// Whether it is high risk.
    pub label: bool,
    /// [`super::text_digest`] of the conversation, where it is at hand. It is compared
    /// and written nowhere.
    pub text: Option<String>,
}

/// Why a file cannot be calibrated on.
#[derive(Debug, Error)]
pub enum RowsError {
    /// The file is neither of the JSON layouts nor a table.
    #[error("{file}: found {found}, expected {expected}")]
    File {
        /// The file's name.
        file: Arc<str>,
        /// The kind of thing that was found.
        found: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// One row is bad, so that the whole calibration would be another one.
    #[error("{file} row {row}: {field}: found {found}, expected {expected}")]
    Row {
        /// The file's name.
        file: Arc<str>,
        /// The row, from 1.
        row: usize,
        /// The field.
        field: String,
        /// The kind of thing that was found, or the number.
        found: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

/// What a probability must be.
const PROBABILITY: &str = "a number in [0, 1]";
/// What a language must be.
const LANGUAGE: &str = "en, fr, mix or an empty cell";
/// What a table must be.
const TABLE: &str = "a CSV with `id`, `label` and nine columns s_<signal> or p_<signal>";
/// What a table must be where one output is enough.
const ANY_TABLE: &str = "a CSV with `id`, `label`, and `risk` or nine columns s_<signal> or p_<signal>";
/// What a label must be.
const LABEL: &str = "0 or 1";

/// Reads rows from the bytes of a file that is called `file`: JSON if it begins
/// with a brace, CSV otherwise.
///
/// # Errors
/// [`RowsError`] when the layout is not known, or at the first bad row: a
/// calibration on the rest would be another one than was asked for.
pub fn read_rows(file: &str, bytes: &[u8]) -> Result<CalibrationRows, RowsError> {
    let source = Source { file: Arc::from(file) };
    match layout(bytes) {
        Layout::Json(bytes) => source.json(bytes),
        Layout::Csv(bytes) => Ok(source.csv(bytes, &[ModelOutputs::Signals])?.into_iter().collect()),
    }
}

/// Reads rows to fit a calibration on, as [`read_rows`] does; of a CSV, its columns
/// `family` and `language` too, and in place of the signals it may have one column
/// `risk`.
///
/// # Errors
/// [`RowsError`], as [`read_rows`].
pub fn read_fit_rows(file: &str, bytes: &[u8]) -> Result<Vec<FitRow>, RowsError> {
    let source = Source { file: Arc::from(file) };
    Ok(match layout(bytes) {
        Layout::Json(bytes) => source.json(bytes)?.fit_rows(),
        Layout::Csv(bytes) => {
            let rows = source.csv(bytes, &[ModelOutputs::Signals, ModelOutputs::Risk])?;
            rows.into_iter().map(FitRow::from).collect()
        }
    })
}

/// How a file is written down, without a byte-order mark.
enum Layout<'a> {
    Json(&'a [u8]),
    Csv(&'a [u8]),
}

fn layout(bytes: &[u8]) -> Layout<'_> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Layout::Json(bytes),
        _ => Layout::Csv(bytes),
    }
}

/// Numbers that were checked to be in \[0, 1\].
fn probabilities(numbers: &[f64]) -> Vec<Probability> {
    numbers.iter().filter_map(|&number| Probability::new(number as f32)).collect()
}

impl CalibrationRows {
    fn fit_rows(&self) -> Vec<FitRow> {
        let rows = self.labels.iter().zip(&self.signals);
        let row = |(&label, signals): (&bool, &[f64; 9])| FitRow {
            id: None,
            family: None,
            language: None,
            outputs: probabilities(signals),
            label,
            text: None,
        };
        rows.map(row).collect()
    }
}

/// A row of a table.
struct TableRow {
    id: Option<String>,
    family: Option<String>,
    language: Option<Language>,
    label: bool,
    outputs: Vec<f64>,
}

impl From<TableRow> for FitRow {
    fn from(row: TableRow) -> Self {
        let TableRow { id, family, language, label, outputs } = row;
        Self { id, family, language, outputs: probabilities(&outputs), label, text: None }
    }
}

impl FromIterator<TableRow> for CalibrationRows {
    /// Takes rows of nine outputs; no other is asked for.
    fn from_iter<I: IntoIterator<Item = TableRow>>(rows: I) -> Self {
        let mut found = Self::default();
        for row in rows {
            found.labels.push(row.label);
            found.largest.push(row.outputs.iter().copied().fold(0.0, f64::max));
            let mut signals = [0.0; 9];
            signals.iter_mut().zip(&row.outputs).for_each(|(signal, &output)| *signal = output);
            found.signals.push(signals);
        }
        found
    }
}

/// Where the columns of a table stand.
struct TableColumns {
    label: usize,
    outputs: Vec<usize>,
    id: usize,
    family: Option<usize>,
    language: Option<usize>,
}

/// A file that is being read.
struct Source {
    file: Arc<str>,
}

impl Source {
    fn file(&self, found: impl Into<String>, expected: &'static str) -> RowsError {
        RowsError::File { file: Arc::clone(&self.file), found: found.into(), expected }
    }

    fn row(
        &self,
        row: usize,
        field: impl Into<String>,
        found: impl Into<String>,
        expected: &'static str,
    ) -> RowsError {
        let (field, found) = (field.into(), found.into());
        RowsError::Row { file: Arc::clone(&self.file), row, field, found, expected }
    }

    fn json(&self, bytes: &[u8]) -> Result<CalibrationRows, RowsError> {
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| self.file(format!("a JSON error in line {}", error.line()), "a JSON object"))?;
        let mut rows = match (json.get("rows"), json.get("per_sample")) {
            (Some(Value::Array(rows)), _) => self.compact(rows, json.get("signal_order"))?,
            (_, Some(Value::Array(rows))) => self.per_sample(rows)?,
            _ => return Err(self.file("a JSON object without these lists", "a list `rows` or `per_sample`")),
        };
        if let Some(lowest) = json.get("exact_min_score_bf16").filter(|value| !value.is_null()) {
            let inside = lowest.as_f64().filter(|lowest| (0.0..=1.0).contains(lowest));
            let found = || self.file(format!("{} as `exact_min_score_bf16`", seen(lowest)), PROBABILITY);
            restore_lowest(&mut rows.largest, inside.ok_or_else(found)?);
        }
        Ok(rows)
    }

    /// Rows `[label, largest, head, nine probabilities]`.
    fn compact(&self, rows: &[Value], order: Option<&Value>) -> Result<CalibrationRows, RowsError> {
        let expected: Vec<_> = Signal::ALL.iter().map(|signal| signal.wire()).collect();
        let named = order.and_then(Value::as_array);
        if named
            .is_none_or(|names| names.iter().map(Value::as_str).ne(expected.iter().map(|&name| Some(name))))
        {
            return Err(self.file("another `signal_order`", "the nine signals in taxonomy order"));
        }
        let mut found = CalibrationRows { head: Some(Vec::new()), ..CalibrationRows::default() };
        for (number, row) in rows.iter().enumerate() {
            let number = number + 1;
            let cells = row.as_array().filter(|cells| cells.len() == 12);
            let cells =
                cells.ok_or_else(|| self.row(number, "row", "another shape", "a list of 12 numbers"))?;
            let probability =
                |place: usize| self.probability(number, || format!("[{place}]"), cells.get(place));
            found.labels.push(self.label(number, "[0]", cells.first())?);
            found.largest.push(probability(1)?);
            found.head.get_or_insert_default().push(probability(2)?);
            let mut signals = [0.0; 9];
            for (place, signal) in signals.iter_mut().enumerate() {
                *signal = probability(place + 3)?;
            }
            found.signals.push(signals);
        }
        Ok(found)
    }

    /// Rows `{"score", "agg_score", "signal_probs": [9], "y_true"}`.
    fn per_sample(&self, rows: &[Value]) -> Result<CalibrationRows, RowsError> {
        let mut found = CalibrationRows { head: Some(Vec::new()), ..CalibrationRows::default() };
        for (number, row) in rows.iter().enumerate() {
            let number = number + 1;
            found.labels.push(self.label(number, "y_true", row.get("y_true"))?);
            found.largest.push(self.probability(number, || "score".to_owned(), row.get("score"))?);
            found.head = match (found.head.take(), row.get("agg_score")) {
                (Some(mut head), score @ Some(_)) => {
                    head.push(self.probability(number, || "agg_score".to_owned(), score)?);
                    Some(head)
                }
                _ => None,
            };
            let listed = row.get("signal_probs").and_then(Value::as_array).filter(|list| list.len() == 9);
            let listed = listed
                .ok_or_else(|| self.row(number, "signal_probs", "another shape", "a list of 9 numbers"))?;
            let mut signals = [0.0; 9];
            for (place, signal) in signals.iter_mut().enumerate() {
                *signal = self.probability(number, || format!("signal_probs[{place}]"), listed.get(place))?;
            }
            found.signals.push(signals);
        }
        Ok(found)
    }

    /// A header with `id`, `label` and the columns of one of these `kinds`.
    fn csv(&self, bytes: &[u8], kinds: &[ModelOutputs]) -> Result<Vec<TableRow>, RowsError> {
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|_| self.file("no readable header", TABLE))?.clone();
        let columns = self.columns(&header, kinds)?;
        let mut rows = Vec::new();
        for (number, record) in reader.records().enumerate() {
            let number = number + 1;
            let record = record.map_err(|_| {
                self.row(number, "row", "another number of cells or no UTF-8", "a row as the header")
            })?;
            rows.push(self.table_row(number, &header, &columns, &record)?);
        }
        Ok(rows)
    }

    fn columns(&self, header: &csv::StringRecord, kinds: &[ModelOutputs]) -> Result<TableColumns, RowsError> {
        let expected = if kinds.contains(&ModelOutputs::Risk) { ANY_TABLE } else { TABLE };
        let column = |name: &str| header.iter().position(|own| own.trim() == name);
        let of = |name: &str| column(name).ok_or_else(|| self.file(format!("no column `{name}`"), expected));
        let signal = |signal: &Signal| {
            let names = ["p_", "s_"].map(|prefix| format!("{prefix}{}", signal.wire()));
            let found = names.iter().find_map(|name| column(name));
            found.ok_or_else(|| self.file(format!("no column `{}`", names[0]), expected))
        };
        let (id, label) = (of("id")?, of("label")?);
        let signals = Signal::ALL.iter().map(signal).collect::<Result<Vec<_>, _>>();
        let outputs = match (signals, column("risk")) {
            (Err(_), Some(risk)) if kinds.contains(&ModelOutputs::Risk) => vec![risk],
            (signals, _) => signals?,
        };
        Ok(TableColumns { label, outputs, id, family: column("family"), language: column("language") })
    }

    fn table_row(
        &self,
        number: usize,
        header: &csv::StringRecord,
        columns: &TableColumns,
        record: &csv::StringRecord,
    ) -> Result<TableRow, RowsError> {
        let text = |place: usize| record.get(place).map(str::trim).filter(|cell| !cell.is_empty());
        let cell = |place: usize| record.get(place).map(|cell| number_of(cell.trim()));
        let output =
            |&place: &usize| self.probability(number, || header[place].to_owned(), cell(place).as_ref());
        let label = self.label(number, "label", cell(columns.label).as_ref())?;
        let language = columns.language.and_then(text).map(|name| self.language(number, name)).transpose()?;
        Ok(TableRow {
            id: text(columns.id).map(str::to_owned),
            family: columns.family.and_then(text).map(str::to_owned),
            language,
            label,
            outputs: columns.outputs.iter().map(output).collect::<Result<_, _>>()?,
        })
    }

    fn language(&self, row: usize, name: &str) -> Result<Language, RowsError> {
        let found = Language::ALL.into_iter().find(|language| language.wire() == name);
        found.ok_or_else(|| self.row(row, "language", "another text", LANGUAGE))
    }

    fn label(&self, row: usize, field: &str, value: Option<&Value>) -> Result<bool, RowsError> {
        let Some(value) = value else { return Err(self.row(row, field, "nothing", LABEL)) };
        match value.as_f64() {
            Some(1.0) => Ok(true),
            Some(0.0) => Ok(false),
            _ => value.as_bool().ok_or_else(|| self.row(row, field, seen(value), LABEL)),
        }
    }

    fn probability(
        &self,
        row: usize,
        field: impl Fn() -> String,
        value: Option<&Value>,
    ) -> Result<f64, RowsError> {
        let Some(value) = value else { return Err(self.row(row, field(), "nothing", PROBABILITY)) };
        let number = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        number.ok_or_else(|| self.row(row, field(), seen(value), PROBABILITY))
    }
}

/// A cell as a number, or as it stands; what is no finite number is none.
fn number_of(cell: &str) -> Value {
    let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
    number.map_or_else(|| Value::from(cell), Value::from)
}

/// What was found, without any text.
fn seen(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The published lowest score is rounded to six decimals; the sweep's grid
/// starts from the number behind it.
fn restore_lowest(scores: &mut [f64], exact: f64) {
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    if (lowest - exact).abs() <= 5e-7 {
        scores.iter_mut().filter(|score| **score <= lowest).for_each(|score| *score = exact);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn header(prefix: &str) -> String {
        let columns: Vec<_> = Signal::ALL.iter().map(|signal| format!("{prefix}{}", signal.wire())).collect();
        format!("id,label,{}\n", columns.join(","))
    }

    fn csv(prefix: &str, rows: &str) -> Result<CalibrationRows, RowsError> {
        read_rows("p.csv", format!("{}{rows}", header(prefix)).as_bytes())
    }

    #[test]
    fn a_predictions_csv_is_read_with_either_prefix() {
        let rows = "a,1,0.1,0,0,0.9,0,0,0,0,0\nb,0,0,0,0,0,0,0,0,0,0.25\n";
        for prefix in ["s_", "p_"] {
            let found = csv(prefix, rows).unwrap();
            assert_eq!(found.labels, [true, false]);
            assert_eq!(found.largest, [0.9, 0.25]);
            assert_eq!(found.signals[1][8].to_bits(), 0.25_f64.to_bits());
            assert_eq!(found.head, None);
        }
    }

    #[test]
    fn family_and_language_are_read_to_fit_on_and_one_risk_is_enough() {
        let text = "id,label,risk,family,language\na,1,0.75,f1,fr\n,0,0.25,,\n";
        let rows = read_fit_rows("p.csv", text.as_bytes()).unwrap();
        assert_eq!((rows[0].id.as_deref(), rows[0].family.as_deref()), (Some("a"), Some("f1")));
        assert_eq!((rows[0].language, rows[1].language), (Some(Language::Fr), None));
        assert_eq!((rows[1].id.as_deref(), rows[1].label), (None, false));
        assert_eq!(rows[0].outputs, [Probability::new(0.75).unwrap()]);
        let error = read_fit_rows("p.csv", text.replace(",fr", ",de").as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "p.csv row 1: language: found another text, expected en, fr, mix or an empty cell");
        // The sweep of the nine signals has no use for one risk.
        assert!(read_rows("p.csv", text.as_bytes()).unwrap_err().to_string().contains("p_burden_language"));
    }

    #[test]
    fn a_bad_cell_is_named_by_row_and_column_and_its_text_is_not_shown() {
        let error = |rows: &str| csv("p_", rows).unwrap_err().to_string();
        let found = error("a,1,0,0,0,0,0,0,0,0,0\nb,0,secret,0,0,0,0,0,0,0,0\n");
        assert_eq!(found, "p.csv row 2: p_burden_language: found a text, expected a number in [0, 1]");
        let found = error("a,maybe,0,0,0,0,0,0,0,0,0\n");
        assert_eq!(found, "p.csv row 1: label: found a text, expected 0 or 1");
        let found = error("a,1,0,0,0,0,0,0,0,0,1.5\n");
        assert_eq!(found, "p.csv row 1: p_testing: found 1.5, expected a number in [0, 1]");
        let found = error("a,1,NaN,0,0,0,0,0,0,0,0\n");
        assert_eq!(found, "p.csv row 1: p_burden_language: found a text, expected a number in [0, 1]");
        assert!(error("a,2,0,0,0,0,0,0,0,0,0\n").contains("label: found 2"));
        assert!(error("a,1\n").contains("row 1"));
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read_rows("p.csv", b"id,label,s_testing\n").unwrap_err().to_string();
        assert!(error.contains("no column `p_burden_language`"), "{error}");
    }

    #[test]
    fn the_guardrails_own_report_is_read() {
        let text = r#"{"per_sample":[{"score":0.5,"agg_score":0.25,"signal_probs":[0.5,0,0,0,0,0,0,0,0],"y_true":1}]}"#;
        let found = read_rows("c.json", text.as_bytes()).unwrap();
        assert_eq!((found.labels, found.largest, found.head), (vec![true], vec![0.5], Some(vec![0.25])));
    }

    #[test]
    fn other_json_is_refused() {
        for text in ["{", "{}", r#"{"rows":[]}"#, r#"{"per_sample":[{}]}"#, r#"{"per_sample":[7]}"#] {
            assert!(read_rows("c.json", text.as_bytes()).is_err(), "{text}");
        }
    }
}
