//! A file of predictions as the system: one row for each item, as JSONL or CSV,
//! in the shape of the protocol's `Prediction` with the item's `id` and, where
//! there is no answer, an `outcome`. `docs/PREDICTIONS.md` shows each shape.
//!
//! A CSV cell that is a JSON number, truth value, list or object is read as
//! such, and everything else as text; an empty cell is an absent field. Columns
//! with a dot in their name are fields of an object (`signals.testing`).
//!
//! Where a protocol has them, a file may have one row for each user turn instead: see
//! [`turns`].

mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mindrail_data::table::{self, DataError, Fault, Record};
use serde_json::{Map, Value};

use super::{Benched, ItemOf};
use crate::protocol::{Answer, FromRow, Outcome, Row};

/// What is wrong with a file of predictions.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file or a row of it cannot be read, or a row is no prediction.
    #[error(transparent)]
    Table(#[from] DataError),
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

/// The answers to `items` in a file.
///
/// # Errors
/// [`PredictionsError`] for the first row that cannot be used: a system that
/// is measured on some of its rows would be measured wrongly.
pub fn read_predictions<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    file: &Path,
) -> Result<Vec<Answer<P::Prediction>>, PredictionsError> {
    let mut records = table::read(file)?.peekable();
    if P::Prediction::HAS_TURN_ROWS && records.peek().is_some_and(has_turn) {
        return turns::read(protocol, items, file, records);
    }
    let ids: BTreeSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
    let mut answers: Vec<Answer<P::Prediction>> = Vec::new();
    let mut rows_by_id = BTreeMap::new();
    let mut foreign = Vec::new();
    for (number, record) in records.enumerate() {
        let Record { place, fields } = record?;
        let answer: Answer<P::Prediction> = answer(fields).map_err(|fault| fault.at(&place))?;
        if let Some(before) = rows_by_id.insert(answer.id.clone(), number + 1) {
            let found = format!("the id of row {before} again");
            return Err(Fault::new("id", found, "one row for each item").at(&place).into());
        }
        if !ids.contains(answer.id.as_str()) {
            foreign.push(number + 1);
        }
        answers.push(answer);
    }
    none_is_foreign(file, &foreign, answers.len())?;
    Ok(answers)
}

fn has_turn(record: &Result<Record, DataError>) -> bool {
    record.as_ref().is_ok_and(|record| record.fields.contains_key("turn"))
}

/// That no row is of an item that the data does not have. `foreign` numbers such rows.
fn none_is_foreign(file: &Path, foreign: &[usize], rows: usize) -> Result<(), PredictionsError> {
    let Some(&row) = foreign.first() else { return Ok(()) };
    let file = file.display().to_string();
    Err(PredictionsError::Foreign { file, unknown: foreign.len(), rows, row })
}

fn answer<P: FromRow>(fields: Map<String, Value>) -> Result<Answer<P>, Fault> {
    let mut fields = nested(fields);
    let id = id(&mut fields)?;
    let outcome = outcome(&mut fields)?;
    let prediction = P::from_row(&Row::new(fields));
    match outcome {
        Outcome::Ok => Ok(Answer { id, outcome, prediction: Some(prediction?) }),
        // What was said of a part of the item, if anything.
        _ => Ok(Answer { id, outcome, prediction: prediction.ok() }),
    }
}

fn id(fields: &mut Map<String, Value>) -> Result<String, Fault> {
    match fields.remove("id") {
        Some(Value::String(id)) => Ok(id),
        Some(Value::Number(id)) => Ok(id.to_string()),
        None => Err(Fault::new("id", "nothing", "the item's id")),
        Some(other) => Err(Fault::new("id", table::kind(&other), "the item's id")),
    }
}

const OUTCOMES: &str = "ok, refused, content_filtered, truncated, unparsable, timeout, rejected, failed, \
                        not_evaluated or missing";

fn outcome(fields: &mut Map<String, Value>) -> Result<Outcome, Fault> {
    let name = match fields.remove("outcome") {
        None | Some(Value::Null) => return Ok(Outcome::Ok),
        Some(name) => name,
    };
    let found = table::kind(&name);
    serde_json::from_value(name).map_err(|_| Fault::new("outcome", found, OUTCOMES))
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
