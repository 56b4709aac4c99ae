//! A file of predictions as the system: one row for each item, as JSONL or CSV,
//! in the shape of the protocol's `Prediction` with the item's `id` and, where
//! there is no answer, an `outcome`. `docs/PREDICTIONS.md` shows each shape.
//!
//! A CSV cell that is a JSON number, truth value, list or object is read as
//! such, and everything else as text; an empty cell is an absent field. Columns
//! with a dot in their name are fields of an object (`signals.testing`).
//!
//! Where a protocol has them, a file may have one row for each user turn instead: see
//! [`turns`]. A file may hold several runs of a system, told apart by the field `run`.

mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mindrail_data::table::{self, DataError, Fault, Record};
use serde_json::{Map, Value};

use super::{Benched, ItemOf};
use crate::protocol::{Answer, FromRow, Item, Outcome, Row};

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

/// What a system answered in one of its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunAnswers<P> {
    /// The run's name, such as its seed; empty where the file does not name runs.
    pub name: String,
    /// The answers.
    pub answers: Vec<Answer<P>>,
}

/// The answers to `items` in a file, for each of its runs in order of their first
/// rows. There is at least one.
///
/// # Errors
/// [`PredictionsError`] for the first row that cannot be used: a system that
/// is measured on some of its rows would be measured wrongly.
pub fn read_predictions<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    file: &Path,
) -> Result<Vec<RunAnswers<P::Prediction>>, PredictionsError> {
    let runs = rows_of_runs(table::read(file)?)?;
    let answers = |(name, rows): (String, Vec<NumberedRow>)| {
        let has_turns = rows.first().is_some_and(|row| row.record.fields.contains_key("turn"));
        let answers = if P::Prediction::HAS_TURN_ROWS && has_turns {
            turns::read(protocol, items, file, rows)?
        } else {
            read_rows(items, file, rows)?
        };
        Ok(RunAnswers { name, answers })
    };
    runs.into_iter().map(answers).collect()
}

/// A row with its number in the file, from 1.
struct NumberedRow {
    number: usize,
    record: Record,
}

/// The rows of each run, which all rows name or none does.
fn rows_of_runs(
    records: impl Iterator<Item = Result<Record, DataError>>,
) -> Result<Vec<(String, Vec<NumberedRow>)>, PredictionsError> {
    let mut runs: Vec<(String, Vec<NumberedRow>)> = Vec::new();
    let mut places = BTreeMap::new();
    for (record, number) in records.zip(1..) {
        let mut record = record?;
        let name = run(&mut record.fields).map_err(|fault| fault.at(&record.place))?;
        let place = *places.entry(name.clone()).or_insert(runs.len());
        if place == runs.len() {
            runs.push((name.clone(), Vec::new()));
        }
        runs[place].1.push(NumberedRow { number, record });
        if runs.len() > 1 && places.contains_key("") {
            let found = if name.is_empty() { "nothing" } else { "a run" };
            let fault = Fault::new("run", found, "the run in every row or in none");
            let last = &runs[place].1[runs[place].1.len() - 1];
            return Err(fault.at(&last.record.place).into());
        }
    }
    if runs.is_empty() {
        runs.push(Default::default());
    }
    Ok(runs)
}

/// The name of a row's run; empty where it names none.
fn run(fields: &mut Map<String, Value>) -> Result<String, Fault> {
    match fields.remove("run") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(name)) => Ok(name),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => Err(Fault::new("run", table::kind(&other), "the run's name or number")),
    }
}

/// The answers in the rows of one run, each of which is of an item.
fn read_rows<P: FromRow, I, G>(
    items: &[Item<I, G>],
    file: &Path,
    rows: Vec<NumberedRow>,
) -> Result<Vec<Answer<P>>, PredictionsError> {
    let ids: BTreeSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
    let mut answers: Vec<Answer<P>> = Vec::new();
    let mut rows_by_id = BTreeMap::new();
    let mut foreign = Vec::new();
    for NumberedRow { number, record: Record { place, fields } } in rows {
        let answer: Answer<P> = answer(fields).map_err(|fault| fault.at(&place))?;
        if let Some(before) = rows_by_id.insert(answer.id.clone(), number) {
            let found = format!("the id of row {before} again");
            return Err(Fault::new("id", found, "one row for each item").at(&place).into());
        }
        if !ids.contains(answer.id.as_str()) {
            foreign.push(number);
        }
        answers.push(answer);
    }
    none_is_foreign(file, &foreign, answers.len())?;
    Ok(answers)
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
