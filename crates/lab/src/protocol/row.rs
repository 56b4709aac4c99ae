//! Predictions as flat rows of named values, so that a line of JSON and a row of
//! CSV read alike: numbers may be strings, and an empty cell is no value. What is
//! wrong with a row is a [`Fault`]: which field, what kind of thing was found, what
//! was expected. It holds no text of the row.

use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Scores, Taxonomy};
use mindrail_data::table::{Fault, kind};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// What a probability must be.
pub(crate) const PROBABILITY: &str = "a probability from 0 to 1";

/// A prediction that can be read from a row.
pub trait FromRow: Sized {
    /// Whether a file may have one row for each user turn of an item as well, with the
    /// columns `turn` and `labels`.
    const HAS_TURN_ROWS: bool = false;

    /// Reads a row, which has neither `id` nor `outcome` any more.
    ///
    /// # Errors
    /// [`Fault`] of the first field that cannot be used.
    fn from_row(row: &Row) -> Result<Self, Fault>;
}

/// Reads a prediction as its row is read.
pub(super) fn deserialize<'de, P: FromRow, D: Deserializer<'de>>(deserializer: D) -> Result<P, D::Error> {
    let row = Row::new(Map::deserialize(deserializer)?);
    P::from_row(&row).map_err(|Fault { field, found, expected }| {
        D::Error::custom(format!("{field}: found {found}, expected {expected}"))
    })
}

/// The values of a row by column; empty ones left out.
pub struct Row {
    /// What stands before a column's name in a fault: the row's own place in a row.
    path: String,
    values: Map<String, Value>,
}

impl Row {
    /// A row of these columns.
    pub fn new(values: Map<String, Value>) -> Self {
        Self::inside("", values)
    }

    /// An object that is a value of a row, at `path`.
    pub(super) fn inside(path: &str, mut values: Map<String, Value>) -> Self {
        values
            .retain(|_, value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()));
        let path = if path.is_empty() { String::new() } else { format!("{path}.") };
        Self { path, values }
    }

    /// A fault of a column.
    pub(crate) fn fault(&self, column: &str, expected: &str) -> Fault {
        let found = self.values.get(column).map_or("nothing".to_owned(), seen);
        Fault::new(format!("{}{column}", self.path), found, expected)
    }

    /// The value of a column; none if it is empty or absent.
    pub(crate) fn get(&self, column: &str) -> Option<&Value> {
        self.values.get(column)
    }

    /// The value of the first of these columns that is there.
    pub(super) fn any(&self, columns: &[&'static str]) -> Option<(&'static str, &Value)> {
        columns.iter().find_map(|column| Some((*column, self.values.get(*column)?)))
    }

    /// That there is no column but these. A misspelt one would pass for an absent one.
    pub(crate) fn has_only(&self, columns: &[&str]) -> Result<(), Fault> {
        match self.values.keys().find(|name| !columns.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let found = format!("a field with a name of {} characters", name.chars().count());
                Err(Fault::new(
                    self.path.trim_end_matches('.'),
                    found,
                    format!("{} only", columns.join(", ")),
                ))
            }
        }
    }

    /// A finite number; none if the column is empty or absent.
    pub(super) fn number(&self, column: &str) -> Result<Option<f64>, Fault> {
        let Some(value) = self.values.get(column) else { return Ok(None) };
        let number = number(value).filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| self.fault(column, "a finite number"))
    }

    /// A number from 0 to 1, as it stands: a published threshold such as 0.7075 must
    /// meet a published score exactly.
    pub(super) fn share(&self, column: &str) -> Result<Option<f64>, Fault> {
        let Some(value) = self.values.get(column) else { return Ok(None) };
        let share = number(value).filter(|number| (0.0..=1.0).contains(number));
        share.map(Some).ok_or_else(|| self.fault(column, PROBABILITY))
    }

    /// A probability; true and false are 1 and 0.
    pub(super) fn probability(&self, column: &str) -> Result<Option<Probability>, Fault> {
        if let Some(certain) = self.values.get(column).and_then(truth) {
            return Ok(Some(if certain { Probability::ONE } else { Probability::ZERO }));
        }
        Ok(self.share(column)?.and_then(|share| Probability::new(share as f32)))
    }

    /// Yes or no: true, false, 1 or 0.
    pub(super) fn flag(&self, column: &str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.values.get(column) else { return Ok(None) };
        let flag = truth(value).or_else(|| match number(value) {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        });
        flag.map(Some).ok_or_else(|| self.fault(column, "true, false, 1 or 0"))
    }

    /// A probability for every label of a taxonomy, in columns by their names;
    /// none if there is none of them.
    pub(crate) fn scores<T: Taxonomy>(&self) -> Result<Option<Scores<T>>, Fault> {
        let mut scores = Scores::uniform(Probability::ZERO);
        let (mut found, mut missing) = (false, None);
        for &label in T::ALL {
            match self.probability(label.wire())? {
                Some(value) => {
                    found = true;
                    scores.set(label, value);
                }
                None => missing = missing.or(Some(label.wire())),
            }
        }
        match missing {
            Some(column) if found => {
                let expected = format!("a probability, as other {} labels have one", T::NAME);
                Err(self.fault(column, &expected))
            }
            _ => Ok(found.then_some(scores)),
        }
    }

    /// The probabilities of a taxonomy as an object in one column, all of them and
    /// nothing else.
    pub(super) fn scores_in<T: Taxonomy>(&self, column: &str) -> Result<Option<Scores<T>>, Fault> {
        let Some(value) = self.values.get(column) else { return Ok(None) };
        all_scores(&format!("{}{column}", self.path), value).map(Some)
    }
}

/// The probabilities of all labels of a taxonomy, from the object at `path`.
pub(super) fn all_scores<T: Taxonomy>(path: &str, value: &Value) -> Result<Scores<T>, Fault> {
    let expected = format!("an object with a probability for each {} label", T::NAME);
    let Value::Object(object) = value else { return Err(Fault::new(path, seen(value), expected)) };
    let inner = Row::inside(path, object.clone());
    let names: Vec<&str> = T::ALL.iter().map(|label| label.wire()).collect();
    inner.has_only(&names)?;
    inner.scores()?.ok_or_else(|| Fault::new(path, "an object without any", expected))
}

/// What was found, as a fault may say it: of a text only the length.
pub(super) fn seen(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => kind(other),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A label by its name or by its place in the taxonomy, as number or digits.
pub(super) fn label<T: Taxonomy>(value: &Value) -> Option<T> {
    let place = |place: u64| T::ALL.get(usize::try_from(place).ok()?).copied();
    match value {
        Value::Number(number) => place(number.as_u64()?),
        Value::String(text) => {
            let text = text.trim();
            T::from_wire(text).ok().or_else(|| place(text.parse().ok()?))
        }
        _ => None,
    }
}
