//! Rows to calibrate on: a label and the nine signal probabilities of each, as
//! they stand in KHP's calibration report (its own layout, and the compact one of
//! this project's oracle) or in a CSV of predictions. No layout holds text.

use std::sync::Arc;

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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => source.json(bytes),
        _ => source.csv(bytes),
    }
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

    /// A header with `id`, `label` and nine columns `s_<signal>` or `p_<signal>`.
    fn csv(&self, bytes: &[u8]) -> Result<CalibrationRows, RowsError> {
        const EXPECTED: &str = "a CSV with `id`, `label` and nine columns s_<signal> or p_<signal>";
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|_| self.file("no readable header", EXPECTED))?.clone();
        let column = |name: &str| header.iter().position(|own| own.trim() == name);
        let of = |name: &str| column(name).ok_or_else(|| self.file(format!("no column `{name}`"), EXPECTED));
        of("id")?;
        let label = of("label")?;
        let mut columns = [0; 9];
        for (&signal, place) in Signal::ALL.iter().zip(&mut columns) {
            let names = ["p_", "s_"].map(|prefix| format!("{prefix}{}", signal.wire()));
            let found = names.iter().find_map(|name| column(name));
            *place = found.ok_or_else(|| self.file(format!("no column `{}`", names[0]), EXPECTED))?;
        }
        let mut found = CalibrationRows::default();
        for (number, record) in reader.records().enumerate() {
            let number = number + 1;
            let record = record.map_err(|_| {
                self.row(number, "row", "another number of cells or no UTF-8", "a row as the header")
            })?;
            let cell = |place: usize| record.get(place).map(|cell| number_of(cell.trim()));
            found.labels.push(self.label(number, "label", cell(label).as_ref())?);
            let mut signals = [0.0; 9];
            for (signal, &place) in signals.iter_mut().zip(&columns) {
                *signal = self.probability(number, || header[place].to_owned(), cell(place).as_ref())?;
            }
            found.largest.push(signals.iter().copied().fold(0.0, f64::max));
            found.signals.push(signals);
        }
        Ok(found)
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
