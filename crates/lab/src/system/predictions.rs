//! A file of predictions as the system: one row for each item, as JSONL or CSV,
//! in the shape of the protocol's `Prediction` with the item's `id` and, where
//! there is no answer, an `outcome`. `docs/PREDICTIONS.md` shows each shape.
//!
//! A CSV cell that is a JSON number, truth value, list or object is read as
//! such, and everything else as text; an empty cell is an absent field. Columns
//! with a dot in their name are fields of an object (`signals.testing`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mindrail_data::table::{self, DataError, Record};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::protocol::{Answer, Outcome};

/// What is wrong with a file of predictions.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file or a row of it cannot be read.
    #[error(transparent)]
    Table(#[from] DataError),
    /// A row is not a prediction.
    #[error("{place}: {what}")]
    Row {
        /// File and row.
        place: String,
        /// What was found and what was expected. Holds no value of the row.
        what: String,
    },
    /// Rows for items that the data does not have.
    #[error(
        "{file}: {unknown} of {rows} ids are not in the data, the first in row {row}; expected the data's own ids"
    )]
    Foreign {
        /// The file.
        file: String,
        /// Such rows.
        unknown: usize,
        /// All rows.
        rows: usize,
        /// The first such row.
        row: usize,
    },
}

/// The answers in a file. `ids` are the data's.
///
/// # Errors
/// [`PredictionsError`] for the first row that cannot be used: a system that
/// is measured on some of its rows would be measured wrongly.
pub fn read_predictions<P: DeserializeOwned>(
    file: &Path,
    ids: &BTreeSet<&str>,
) -> Result<Vec<Answer<P>>, PredictionsError> {
    let mut answers = Vec::new();
    let mut rows_by_id = BTreeMap::new();
    let (mut unknown, mut first_unknown) = (0, 0);
    for (number, record) in table::read(file)?.enumerate() {
        let record = record?;
        let place = record.place.to_string();
        let answer: Answer<P> =
            answer(record).map_err(|what| PredictionsError::Row { place: place.clone(), what })?;
        if let Some(before) = rows_by_id.insert(answer.id.clone(), number + 1) {
            let what = format!("found an id that row {before} has already, expected one row for each item");
            return Err(PredictionsError::Row { place, what });
        }
        if !ids.contains(answer.id.as_str()) {
            unknown += 1;
            if first_unknown == 0 {
                first_unknown = number + 1;
            }
        }
        answers.push(answer);
    }
    if unknown > 0 {
        let (file, rows) = (file.display().to_string(), answers.len());
        return Err(PredictionsError::Foreign { file, unknown, rows, row: first_unknown });
    }
    Ok(answers)
}

fn answer<P: DeserializeOwned>(record: Record) -> Result<Answer<P>, String> {
    let mut fields = nested(record.fields);
    let id = match fields.remove("id") {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err("found no `id`, expected the item's".to_owned()),
    };
    let outcome: Outcome = match fields.remove("outcome") {
        None | Some(Value::Null) => Outcome::Ok,
        Some(name) => serde_json::from_value(name)
            .map_err(|_| "found another `outcome`, expected ok, refused, content_filtered, truncated, unparsable, timeout, rejected, failed, not_evaluated or missing".to_owned())?,
    };
    if outcome != Outcome::Ok {
        // What was said of a part of the item, if anything.
        let prediction = serde_json::from_value(Value::Object(fields)).ok();
        return Ok(Answer { id, outcome, prediction });
    }
    // The parser's own words would repeat the value, so only the field is said.
    let prediction = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        format!(
            "found no prediction of this protocol ({}), expected the shape in docs/PREDICTIONS.md",
            reason(&error)
        )
    })?;
    Ok(Answer { id, outcome, prediction: Some(prediction) })
}

/// What a parser's message says of fields, without the values in it.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Messages of our own types name columns and numbers, never words.
    if text.starts_with("column `") || text.starts_with("no column says") {
        return text;
    }
    let known = ["missing field", "unknown field", "invalid type", "expected"];
    match known.iter().find(|words| text.starts_with(**words)) {
        Some(&words @ "missing field") => {
            let name = text.split('`').nth(1).unwrap_or_default();
            format!("{words} `{name}`")
        }
        Some(&"unknown field") => "a field that the protocol does not have".to_owned(),
        Some(words) => (*words).to_owned(),
        None => "a value out of range".to_owned(),
    }
}

/// Cells of a CSV as values, and dotted columns as objects.
fn nested(fields: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in fields {
        let value = match value {
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) if name != "id" => scalar(text),
            other => other,
        };
        match name.split_once('.') {
            Some((object, field)) => {
                let object = out.entry(object).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(object) = object {
                    object.insert(field.to_owned(), value);
                }
            }
            None => {
                out.insert(name, value);
            }
        }
    }
    out
}

fn scalar(text: String) -> Value {
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if !value.is_string() && !value.is_null() => value,
        _ => Value::String(text),
    }
}
